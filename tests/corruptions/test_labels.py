"""Labels: which rows change, to what, and that nothing but seed, kind, identity and repetition decides it."""

from collections.abc import Callable
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.corruptions import Corrupted
from gencli.corruptions.base import LabelCorruption
from gencli.corruptions.labels import FlipLabels, PairLabels, PermuteLabels, RandomLabels, ReplacedLabels
from gencli.corruptions.pixels import ShuffledPixels
from gencli.errors import GencliError
from gencli.files import tables
from gencli.files.named import open_inputs
from gencli.files.tables import Description, ImageTable, MemoryTable
from gencli.randomness import Draws
from gencli.sources import Foreign, open_table, read_table
from tests.helpers import chi_square, image_table, read, save, save_corrupted
from tests.pipelines.shell import Shell, many

LARGE = image_table(30_000, (1, 1, 1), classes=10)
LABELS = LARGE.column("label")
RATED = [RandomLabels, FlipLabels, PairLabels]
KINDS = [RandomLabels(0.7), FlipLabels(0.7, exact=True), PairLabels(0.7, "0:2,class 1:0"), PermuteLabels()]


def labels_after(p: float, seed: int = 0, split: str = "train") -> NDArray[np.int64]:
    table = image_table(30_000, (1, 1, 1), classes=10, split=split)
    return read(Corrupted(table, RandomLabels(p), seed))["label"].to_numpy()


def replaced(table: ImageTable, corruption: LabelCorruption, seed: int = 0) -> NDArray[np.int64]:
    return read(Corrupted(table, corruption, seed))["label"].to_numpy()


def labelled(labels: list[int], classes: int) -> MemoryTable:
    description = Description("toy", "train", tuple(f"class {label}" for label in range(classes)), (1, 1, 1))
    return MemoryTable("toy", description, np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels))


@pytest.mark.parametrize("corruption", KINDS)
@given(ends=st.lists(st.integers(0, 60), max_size=6).map(sorted), random=st.randoms())
def test_any_batches_in_any_order_give_the_same_rows(
    corruption: LabelCorruption, ends: list[int], random: Random
) -> None:
    table = image_table(60)
    [batch] = table.batches()
    apply = corruption.start(table, Draws(3, corruption.name, 0))
    order = random.sample(range(60), 60)
    shuffled = batch.take(pa.array(order))
    pieces = [shuffled.slice(a, b - a) for a, b in zip([0, *ends], [*ends, 60], strict=True)]
    corrupted = pa.Table.from_batches([apply(piece) for piece in pieces])
    whole = pa.Table.from_batches([apply(batch)])
    assert corrupted.equals(whole.take(pa.array(order)))


@settings(max_examples=10)
@given(ends=st.lists(st.integers(1, 2499), min_size=1, max_size=3, unique=True).map(sorted))
def test_a_corrupted_shard_is_a_shard_of_the_corrupted_whole(
    ends: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    table, corruption = image_table(2500), RandomLabels(0.5)
    whole = read(save_corrupted(save(table, folder / "whole"), corruption, folder / "corrupted"))
    (folder / "shards").mkdir()
    places = np.arange(2500)
    for start, stop in zip([0, *ends], [*ends, 2500], strict=True):
        name = f"{start:04}.parquet"
        shard = save(table, folder / name, (places >= start) & (places < stop))
        save_corrupted(shard, corruption, folder / "shards" / name)
    assert read(open_table(str(folder / "shards"))).equals(whole)
    joined = save_corrupted(open_table(str(folder / "shards")), RandomLabels(0), folder / "joined")
    assert read(joined).equals(whole)


@pytest.mark.parametrize("corruption", KINDS)
@settings(max_examples=20)
@given(shards=st.integers(1, 70))
def test_the_parts_of_shard_are_the_whole(corruption: LabelCorruption, shards: int) -> None:
    table = image_table(70)
    parts = [read(Corrupted(table, corruption, 0, shard, shards)) for shard in range(shards)]
    assert pa.concat_tables(parts).equals(read(Corrupted(table, corruption, 0)))


@pytest.mark.parametrize("corruption", KINDS)
def test_a_filtered_table_is_corrupted_as_the_whole_was(corruption: LabelCorruption) -> None:
    keep = LABELS == 3
    corrupted = Corrupted(LARGE, corruption, 0)
    assert read(corrupted, keep).equals(read(corrupted).filter(pa.array(keep)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", RATED)
@pytest.mark.parametrize(("smaller", "larger"), [(0.2, 0.4), (0.4, 1.0), (0.01, 0.02)])
def test_what_a_p_corrupts_a_larger_p_corrupts_to_the_same_class(
    smaller: float, larger: float, kind: Callable[..., ReplacedLabels], exact: bool
) -> None:
    few, many = (replaced(LARGE, kind(p, exact=exact)) for p in (smaller, larger))
    changed = few != LABELS
    assert changed.any()
    assert np.array_equal(few[changed], many[changed])
    assert (many != LABELS).sum() > changed.sum()


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 1.0])
def test_the_rate_is_nine_tenths_of_p_at_ten_classes(p: float) -> None:
    rate = 0.9 * p
    changed = np.mean(labels_after(p) != LABELS)
    assert abs(changed - rate) < 5 * np.sqrt(rate * (1 - rate) / len(LABELS))


@pytest.mark.parametrize("p", [0.1, 1.0])
def test_drawn_classes_are_uniform_whatever_the_true_one(p: float) -> None:
    # p picks the rows by other numbers than those that pick the class
    drawn = Draws(0, "random-labels", 0).uniforms(LARGE.column("id")) < p
    labels = labels_after(p)
    assert np.array_equal(labels[~drawn], LABELS[~drawn])
    assert abs(chi_square(np.bincount(labels[drawn], minlength=10))) < 5
    counts = np.zeros((10, 10))
    np.add.at(counts, (LABELS[drawn], labels[drawn]), 1)
    shares = counts / counts.sum(1, keepdims=True)
    assert abs(shares - 0.1).max() < 5 * np.sqrt(0.09 / counts.sum(1).min())


def test_every_number_of_classes_is_drawn_from_whole() -> None:
    drawn = read(Corrupted(image_table(30_000, (1, 1, 1), classes=7), RandomLabels(1.0), 0))["label"].to_numpy()
    assert abs(chi_square(np.bincount(drawn, minlength=7))) < 5
    assert drawn.max() == 6


def test_p_zero_changes_no_label() -> None:
    assert np.array_equal(labels_after(0), LABELS)


def test_p_one_keeps_a_label_only_by_chance() -> None:
    assert abs(np.mean(labels_after(1) == LABELS) - 0.1) < 5 * np.sqrt(0.09 / len(LABELS))


def test_only_labels_change_and_the_true_ones_stand_beside_them() -> None:
    table = image_table(50)
    before, after = read(table), read(Corrupted(table, RandomLabels(1), 0))
    assert after.schema.names == ["id", "image", "label", "label_true"]
    assert after["label"].type == after["label_true"].type == pa.int64()
    assert after["label_true"].equals(before["label"])
    assert after.select(["id", "image"]).equals(before.select(["id", "image"]))
    assert after.schema.metadata == before.schema.metadata


def test_a_second_time_draws_afresh_and_keeps_the_first_original(tmp_path: Path) -> None:
    first = save_corrupted(LARGE, RandomLabels(0.5), tmp_path / "once.parquet")
    second = save_corrupted(first, RandomLabels(0.5), tmp_path / "twice.parquet")
    assert np.array_equal(second.column("label_true"), LABELS)
    # a label survives if neither time picked it (1/4), or by chance: the last of its draws was the true class
    survived = 0.25 + 0.75 * 0.1
    share = np.mean(second.column("label") == LABELS)
    assert abs(share - survived) < 5 * np.sqrt(survived * (1 - survived) / len(LABELS))


def test_another_corruption_between_does_not_change_the_draws(tmp_path: Path) -> None:
    table = save(image_table(200), tmp_path / "toy.parquet")
    shuffled = save_corrupted(table, ShuffledPixels(), tmp_path / "shuffled.parquet")
    labels = [read(Corrupted(source, RandomLabels(0.5), 0))["label"] for source in (table, shuffled)]
    assert labels[0].equals(labels[1])


def test_splits_draw_differently() -> None:
    train, test = labels_after(1, split="train"), labels_after(1, split="test")
    assert abs(np.mean(train == test) - 0.1) < 5 * np.sqrt(0.09 / len(LABELS))


def test_seeds_draw_differently() -> None:
    assert np.array_equal(labels_after(1, seed=1), labels_after(1, seed=1))
    assert abs(np.mean(labels_after(1, seed=1) == labels_after(1, seed=2)) - 0.1) < 5 * np.sqrt(0.09 / len(LABELS))


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
def test_flipped_labels_are_uniform_over_the_other_classes(p: float) -> None:
    steps = (replaced(LARGE, FlipLabels(p)) - LABELS) % 10
    changed = steps != 0
    assert abs(changed.mean() - p) <= 5 * np.sqrt(p * (1 - p) / len(LABELS))
    counts = np.zeros((10, 9))
    np.add.at(counts, (LABELS[changed], steps[changed] - 1), 1)
    for of_class in counts:
        assert abs(chi_square(of_class)) < 5
    assert abs(chi_square(counts.sum(0))) < 5


def test_two_classes_flip_to_each_other() -> None:
    table = image_table(500, classes=2)
    assert np.array_equal(replaced(table, FlipLabels(1)), 1 - table.column("label"))


@pytest.mark.parametrize("p", [0.05, 0.3, 1.0])
def test_paired_labels_go_to_the_next_class_and_the_last_to_the_first(p: float) -> None:
    steps = (replaced(LARGE, PairLabels(p)) - LABELS) % 10
    assert set(steps) <= {0, 1}
    rates = np.bincount(LABELS, steps) / np.bincount(LABELS)
    assert (abs(rates - p) <= 5 * np.sqrt(p * (1 - p) / np.bincount(LABELS))).all()


def test_named_pairs_alone_change() -> None:
    after = replaced(LARGE, PairLabels(0.4, "class 3:5,5:class 3,0:9"))
    moved = {(before, now) for before, now in zip(LABELS, after, strict=True) if before != now}
    assert moved == {(3, 5), (5, 3), (0, 9)}
    assert np.array_equal(replaced(LARGE, PairLabels(1, "3:4"))[LABELS == 3], np.full((LABELS == 3).sum(), 4))


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("3", "--pairs: '3' is not a pair"),
        ("", "--pairs: '' is not a pair"),
        ("3:4:5", "--pairs: '3:4:5' is not a pair"),
        ("3:4,", "--pairs: '' is not a pair"),
        ("3:10", "toy: no class '10'"),
        ("3:", "toy: no class ''"),
        ("clas 3:4", "toy: no class 'clas 3'"),
        ("3:4,class 3:5", "--pairs: 'class 3:5': a second pair for this class"),
        ("3:class 3", "--pairs: '3:class 3': a class becomes itself"),
    ],
)
def test_bad_pairs_are_refused(pairs: str, words: str) -> None:
    with pytest.raises(GencliError, match=words) as raised:
        Corrupted(LARGE, PairLabels(0.5, pairs), 0)
    assert "clas " not in words or raised.value.hint == "did you mean class 3?"


@pytest.mark.parametrize("corruption", [FlipLabels(0.5), PairLabels(0.5), PermuteLabels()])
def test_one_class_alone_is_refused(corruption: LabelCorruption) -> None:
    with pytest.raises(GencliError, match="toy: has only one class"):
        Corrupted(labelled([0, 0], 1), corruption, 0)


@given(
    sizes=st.lists(st.integers(0, 40), min_size=2, max_size=5).filter(any),
    p=st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1)),
    kind=st.sampled_from([FlipLabels, PairLabels]),
    random=st.randoms(),
)
def test_exact_replaces_the_same_share_of_every_class(sizes: list[int], p: float, kind: Any, random: Random) -> None:
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(labels)
    table = labelled(labels, len(sizes))
    changed = replaced(table, kind(p, exact=True)) != table.column("label")
    counts = np.bincount(table.column("label")[changed], minlength=len(sizes))
    assert counts.tolist() == [round(Fraction(repr(p)) * size) for size in sizes]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 4), min_size=20, max_size=20), st.integers(0, 20))
def test_exact_keeps_rows_of_one_id_together_and_comes_as_near_as_they_allow(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int], count: int
) -> None:
    path = tmp_path_factory.mktemp("twins") / "twins.parquet"
    rows = read(labelled([0] * 20, 2)).set_column(0, "id", pa.array(ids))
    for name, values in (("corruption", ["fog"] * 20), ("severity", range(20))):  # versions of one row
        rows = rows.append_column(name, pa.array(values))
    pq.write_table(rows, path)
    changed = replaced(open_table(str(path)), FlipLabels(count / 20, exact=True)) == 1
    by_lot = np.argsort(Draws(0, "flip-labels", 0).uniforms(np.arange(5)))
    possible = np.cumsum([0, *np.bincount(ids, minlength=5)[by_lot]])
    assert changed.sum() in possible
    assert abs(changed.sum() - count) == abs(possible - count).min()
    assert not set(np.array(ids)[changed]) & set(np.array(ids)[~changed])


@pytest.mark.parametrize(("p", "rows", "count"), [(0.07, 150, 10), (0.14, 75, 10), (0.035, 300, 10), (0.5, 3, 2)])
def test_exact_goes_by_the_decimal_that_was_typed(p: float, rows: int, count: int) -> None:
    assert replaced(labelled([0] * rows, 2), FlipLabels(p, exact=True)).sum() == count


def test_exact_is_right_where_lots_are_drawn_in_parts() -> None:
    table = image_table(150_000, (1, 1, 1), classes=4)
    labels = table.column("label")
    changed = replaced(table, FlipLabels(0.37, exact=True)) != labels
    assert np.bincount(labels[changed]).tolist() == [round(37 * int(n) / 100) for n in np.bincount(labels)]


def test_exact_refuses_labels_that_are_no_classes(tmp_path: Path) -> None:
    for label in (-1, 3):
        table = save(labelled([0, label, 2], 3), tmp_path / "toy.parquet")
        with pytest.raises(GencliError, match=f"toy.parquet: row 1: label {label} is not one of the 3 classes"):
            Corrupted(table, FlipLabels(0.5, exact=True), 0)


def test_permuted_classes_are_renamed_one_to_one_and_train_and_test_share_it() -> None:
    orders = []
    for split in ("train", "test"):
        table = image_table(500, (1, 1, 1), classes=10, split=split)
        pairs = set(zip(table.column("label").tolist(), replaced(table, PermuteLabels()).tolist(), strict=True))
        assert len(pairs) == len({now for _, now in pairs}) == 10
        orders.append(pairs)
    assert orders[0] == orders[1]
    assert {now for _, now in orders[0]} == set(range(10))


def test_permutations_of_the_classes_are_uniform_over_seeds() -> None:
    table = labelled([0, 1, 2], 3)
    drawn = [tuple(replaced(table, PermuteLabels(), seed)) for seed in range(1200)]
    counts = np.array([drawn.count(order) for order in set(drawn)])
    assert len(counts) == 6
    assert abs(chi_square(counts)) < 5


def test_permuting_twice_is_no_way_back(tmp_path: Path) -> None:
    for seed in range(5):
        once = save_corrupted(LARGE, PermuteLabels(), tmp_path / f"{seed}.parquet", seed)
        order = dict(zip(LABELS, once.column("label"), strict=True))
        twice = replaced(once, PermuteLabels(), seed)
        assert not np.array_equal(twice, LABELS)
        assert not np.array_equal(twice, [order[label] for label in once.column("label")])


def test_the_first_original_stays_through_different_kinds(tmp_path: Path) -> None:
    table: ImageTable = LARGE
    chain = [RandomLabels(0.5), PermuteLabels(), ShuffledPixels(), FlipLabels(0.3, exact=True), PairLabels(0.9, "1:2")]
    for place, corruption in enumerate(chain):
        table = save_corrupted(table, corruption, tmp_path / f"{place}.parquet")
        assert np.array_equal(table.column("label_true"), LABELS)
    assert table.schema.names == ["id", "image", "label", "label_true"]
    assert np.mean(table.column("label") == LABELS) < 0.5


@pytest.mark.parametrize("kind", [FlipLabels, PairLabels])
def test_the_same_kind_again_draws_other_rows(kind: Callable[..., ReplacedLabels], tmp_path: Path) -> None:
    first = save_corrupted(LARGE, kind(0.5), tmp_path / "first.parquet")
    second = replaced(first, kind(0.5))
    chosen = [first.column("label") != LABELS, second != first.column("label")]
    assert abs((chosen[0] & chosen[1]).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(LABELS))


@pytest.mark.parametrize("kind", RATED)
@pytest.mark.parametrize("p", [0.05, 0.7])
def test_draws_that_were_used_are_refused_where_another_tool_dropped_the_provenance(
    kind: Callable[..., ReplacedLabels], p: float, tmp_path: Path
) -> None:
    save_corrupted(image_table(2_000, (1, 1, 1), classes=10), kind(p), tmp_path / "noisy.parquet")
    pq.write_table(pq.read_table(tmp_path / "noisy.parquet"), tmp_path / "other.parquet")
    other = open_table(str(tmp_path / "other.parquet"))
    with pytest.raises(GencliError, match="already replaced"):
        Corrupted(other, kind(p), 0)
    for corruption, seed in ((kind(p), 1), (PermuteLabels(), 0)):
        assert Corrupted(other, corruption, seed).rows == 2_000


@pytest.mark.parametrize("rows", [20, 2_000])
@pytest.mark.parametrize("kind", [RandomLabels(1), FlipLabels(1), PermuteLabels()])
def test_used_draws_are_known_by_the_labels_too(kind: LabelCorruption, rows: int, tmp_path: Path) -> None:
    """Where all rows are replaced, which ones are says nothing."""
    save_corrupted(image_table(rows, (1, 1, 1), classes=10), kind, tmp_path / "noisy.parquet")
    pq.write_table(pq.read_table(tmp_path / "noisy.parquet"), tmp_path / "other.parquet")
    other = open_table(str(tmp_path / "other.parquet"))
    assert tables.rewritten(other)
    assert not tables.rewritten(open_table(str(tmp_path / "noisy.parquet")))
    with pytest.raises(GencliError, match="already replaced"):
        Corrupted(other, kind, 0)
    for corruption in (RandomLabels(1), FlipLabels(0.5), PairLabels(1), PermuteLabels()):
        assert Corrupted(other, corruption, 1).rows == rows


@pytest.mark.parametrize("p", [0.1, 0.5, 1])
def test_used_draws_are_refused_where_true_labels_were_dropped_too(p: float, tmp_path: Path) -> None:
    """They would change no label."""
    save_corrupted(image_table(2_000, (1, 1, 1), classes=10), RandomLabels(p), tmp_path / "noisy.parquet")
    pq.write_table(pq.read_table(tmp_path / "noisy.parquet").drop(["label_true"]), tmp_path / "other.parquet")
    other = open_table(str(tmp_path / "other.parquet"))
    for again in (p, 0.7):
        with pytest.raises(GencliError, match="already replaced"):
            Corrupted(other, RandomLabels(again), 0)
    for corruption, seed in ((RandomLabels(p), 1), (RandomLabels(0), 0), (FlipLabels(p), 0), (PairLabels(p), 0)):
        assert Corrupted(other, corruption, seed).rows == 2_000


def test_one_replacement_for_each_class_is_no_sign_of_used_draws(tmp_path: Path) -> None:
    save_corrupted(image_table(2_000, (1, 1, 1), classes=10), PairLabels(1), tmp_path / "noisy.parquet")
    pq.write_table(pq.read_table(tmp_path / "noisy.parquet"), tmp_path / "other.parquet")
    assert Corrupted(open_table(str(tmp_path / "other.parquet")), PairLabels(1), 0).rows == 2_000


def test_kinds_and_seeds_choose_rows_by_themselves() -> None:
    chosen = [replaced(LARGE, kind(0.5), seed) != LABELS for kind in (FlipLabels, PairLabels) for seed in (0, 1)]
    for one, other in combinations(chosen, 2):
        assert abs((one & other).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(LABELS))


def test_the_report_counts_the_labels_that_changed() -> None:
    corrupted = Corrupted(LARGE, RandomLabels(0.5), 0)
    changed = read(corrupted)["label"].to_numpy() != LABELS
    words, rates = corrupted.report()
    assert words == f"{changed.sum():,} of 30,000 labels changed"
    assert rates is not None
    assert rates["class"].to_pylist() == [*LARGE.description.classes, "all"]
    assert rates["rows"].to_pylist() == [*np.bincount(LABELS).tolist(), 30_000]
    assert rates["asked"].to_pylist() == pytest.approx([0.45] * 11)
    of_classes = [changed[label == LABELS].mean() for label in range(10)]
    assert rates["realized"].to_pylist() == pytest.approx([*of_classes, changed.mean()])


@pytest.mark.parametrize(
    ("corruption", "asked", "realized"),
    [
        (FlipLabels(0.5, exact=True), [0.5, 0.5, 0.5, 0.5], [0.5, 0.5, None, 0.5]),
        (PairLabels(1, "1:2"), [0, 1, 0, 1 / 3], [0, 1, None, 1 / 3]),
    ],
)
def test_the_report_names_what_was_asked_and_leaves_classes_without_rows_out(
    corruption: LabelCorruption, asked: list[float], realized: list[float | None]
) -> None:
    corrupted = Corrupted(labelled([0, 0, 0, 0, 1, 1], 3), corruption, 0)
    read(corrupted)
    _, rates = corrupted.report()
    assert rates is not None
    assert rates["asked"].to_pylist() == pytest.approx(asked)
    assert rates["realized"].to_pylist() == realized


def test_a_permutation_s_report_is_what_it_does() -> None:
    corrupted = Corrupted(LARGE, PermuteLabels(), 0)
    changed = np.bincount(LABELS, read(corrupted)["label"].to_numpy() != LABELS)
    _, rates = corrupted.report()
    assert rates is not None
    assert rates["asked"].to_pylist() == rates["realized"].to_pylist()
    assert rates["realized"].to_pylist()[:-1] == (changed > 0).tolist()


def test_at_the_shell(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    done = shell(
        """
        set -e
        gencli data digits -o digits.parquet
        gencli corrupt flip-labels -p 0.4 --exact digits.parquet -v -o whole.parquet
        mkdir parts
        for k in 0 1 2; do
          gencli corrupt flip-labels -p 0.4 --exact digits.parquet --shard $k/3 -q -o parts/$k.parquet
        done
        """
    ).worked()
    lines = [line.split() for line in done.err.splitlines()]
    assert lines[0] == ["flip-labels:", "574", "of", "1,437", "labels", "changed"]
    assert lines[4] == ["0", "143", "0.4000", "0.3986"]
    assert lines[-1] == ["all", "1,437", "0.4000", "0.3994"]
    assert read(open_table(str(tmp_path / "parts"))).equals(read(open_table(str(tmp_path / "whole.parquet"))))


def test_bad_options_are_refused(tmp_path: Path) -> None:
    save(image_table(), tmp_path / "toy.parquet")
    cases = {
        "flip-labels -p 1.1": "-p",
        "flip-labels -p nan": "-p",
        "pair-labels -p -0.1": "-p",
        "pair-labels -p 0.5 --pairs 1": "--pairs: '1' is not a pair",
        "pair-labels -p 0.5 --pairs 1:3": "toy.parquet: no class '3'",
        "permute-labels --exact": "--exact",
    }
    for command, end in zip(
        cases, many(tmp_path, [["corrupt", *case.split(), "toy.parquet", "-o", "out"] for case in cases]), strict=True
    ):
        end.refused(cases[command])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("way", ["description kept", "identities kept"])
@pytest.mark.parametrize("labels", [RandomLabels(0.5), FlipLabels(0.5), PairLabels(0.5)], ids=lambda each: each.name)
def test_labels_that_may_be_replaced_already_need_a_seed(labels: ReplacedLabels, way: str, tmp_path: Path) -> None:
    """Once label_true and the steps are dropped, flips by used draws look like others: they hit the same rows again."""
    made = save_corrupted(save(image_table(300), tmp_path / "t.parquet"), labels, tmp_path / "noisy.parquet")
    rows = read(made).drop_columns(["label_true"])
    other = tmp_path / "other.parquet"
    if way == "description kept":
        pq.write_table(rows, other)
        table = open_table(str(other))
    else:
        pq.write_table(rows.replace_schema_metadata(None), other)
        table = read_table(open_inputs(str(other)), Foreign(name="o", shape=(2, 2, 1), classes=("a", "b", "c")))
    assert tables.rewritten(table)
    words = "may have replaced its labels before" if not isinstance(labels, RandomLabels) else "already replaced labels"
    with pytest.raises(GencliError, match=f"other.parquet: .*{words}"):
        Corrupted(table, labels.resolved(["p"]), 0)
    assert Corrupted(table, labels.resolved(["p", "seed"]), 1).rows == 300
    fresh = save(image_table(300), tmp_path / "fresh.parquet")
    assert Corrupted(fresh, labels.resolved(["p"]), 0).rows == 300


@pytest.mark.parametrize(("place", "rewritten"), [(0, False), (1, True)])
def test_identities_that_no_gencli_gave_are_of_no_earlier_steps(place: int, rewritten: bool, tmp_path: Path) -> None:
    """Plain numbers from 0 are another tool's; with a hash above them they are those of a table of gencli's."""
    rows = read(save(image_table(300), tmp_path / "t.parquet")).replace_schema_metadata(None)
    ids = pa.array((place << 32) + np.arange(300))
    pq.write_table(rows.set_column(rows.column_names.index("id"), "id", ids), tmp_path / "other.parquet")
    sh = Shell(tmp_path)
    sh("gencli data parquet other.parquet --shape 2x2x1 --name o -q -o o.parquet").worked()
    assert tables.rewritten(open_table(str(tmp_path / "o.parquet"))) == rewritten
    end = sh("gencli corrupt flip-labels -p 0.5 o.parquet -q -o /dev/null")
    if rewritten:
        end.refused("may have replaced its labels before")
    else:
        end.worked()
