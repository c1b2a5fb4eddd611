"""Rows left out: how many of each class stay, that their draws alone say which, and that nothing else changes."""

import math
import shlex
import time
from decimal import Decimal, localcontext
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
from gencli.corruptions.imbalance import LongTail, StepImbalance, Subsample, Subset, _parts_of
from gencli.corruptions.labels import RandomLabels
from gencli.counts import parse_part
from gencli.errors import GencliError
from gencli.files.tables import Description, ImageTable, MemoryTable
from gencli.randomness import Draws
from gencli.sources import open_table
from tests.helpers import chi_square, image_table, read, save, save_corrupted
from tests.pipelines.shell import Shell, explained, many

SIZES = st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(any)
RATIOS = st.floats(1, 1000) | st.floats(0.001, 1)


def table_of(sizes: list[int], seed: int = 0) -> MemoryTable:
    """So many rows of each class, in an order of the seed's."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    description = Description("toy", "train", tuple(f"class {label}" for label in range(len(sizes))), (1, 1, 1))
    return MemoryTable("toy", description, np.zeros((len(labels), 1, 1, 1), np.uint8), labels)


def kept(table: ImageTable, corruption: Subset, seed: int = 0) -> NDArray[np.bool_]:
    """The mask [rows] of the rows that stay."""
    return corruption.kept(table, Draws(seed, corruption.purpose, 0))


def counts(table: ImageTable, corruption: Subset) -> list[int]:
    """How many rows of each class stay."""
    labels = table.column("label")[kept(table, corruption)]
    return np.bincount(labels, minlength=len(table.description.classes)).tolist()


EQUAL = table_of([5000] * 10)
TAIL = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_the_published_counts() -> None:
    assert counts(EQUAL, LongTail(100)) == TAIL
    totals = [Corrupted(EQUAL, LongTail(ratio), 0).rows for ratio in (10, 20, 50, 100, 200)]
    assert totals == [20_431, 17_023, 13_996, 12_406, 11_203]
    assert counts(EQUAL, StepImbalance(100)) == [5000] * 5 + [50] * 5


def test_a_ratio_and_its_inverse_keep_the_same_rows() -> None:
    for kind in (LongTail, StepImbalance):
        assert np.array_equal(kept(EQUAL, kind(100)), kept(EQUAL, kind(0.01)))
        assert kept(EQUAL, kind(1)).all()


def exactly(rows: int, ratio: float, number: int, last: int) -> int:
    """int(rows · r^(number/last)) of 60 digits."""
    with localcontext(prec=60):
        typed = Decimal(repr(ratio))
        return int(rows * min(typed, 1 / typed) ** (Decimal(number) / last) + Decimal(10) ** -40)


@given(SIZES, RATIOS | st.sampled_from([4.0, 8.0, 9.0, 10.0, 16.0, 27.0, 49.0, 0.001, 0.7, 0.07]))
def test_a_long_tail_has_the_formula_s_counts(sizes: list[int], ratio: float) -> None:
    formula = [exactly(max(sizes), ratio, number, len(sizes) - 1) for number in range(len(sizes))]
    assert counts(table_of(sizes), LongTail(ratio)) == [min(pair) for pair in zip(formula, sizes)]


@given(SIZES, RATIOS)
def test_a_step_cuts_the_last_half_of_the_classes(sizes: list[int], ratio: float) -> None:
    few, small = len(sizes) // 2, exactly(max(sizes), ratio, 1, 1)
    expected = sizes[: len(sizes) - few] + [min(size, small) for size in sizes[len(sizes) - few :]]
    assert counts(table_of(sizes), StepImbalance(ratio)) == expected


@pytest.mark.parametrize("rows", range(1, 200))
def test_one_of_n_rows_is_one_row(rows: int) -> None:
    sizes = np.array([rows, rows])
    assert StepImbalance(rows).sizes(sizes).tolist() == LongTail(rows).sizes(sizes).tolist() == [rows, 1]


def test_roots_are_exact() -> None:
    assert LongTail(1000).sizes(np.full(4, 5000)).tolist() == [5000, 500, 50, 5]
    assert LongTail(0.343).sizes(np.full(4, 1000)).tolist() == [1000, 700, 490, 343]
    assert LongTail(2**20).sizes(np.full(21, 2**20)).tolist() == [2**power for power in range(20, -1, -1)]


@pytest.mark.parametrize(
    ("classes", "fraction", "few"),
    [(10, 0.3, 3), (10, 0.55, 5), (10, 0.56, 6), (10, 0.94, 9), (3, 0.5, 1), (3, 0.51, 2), (100, 0.29, 29)],
)
def test_a_step_cuts_the_nearest_number_of_classes(classes: int, fraction: float, few: int) -> None:
    assert counts(table_of([10] * classes), StepImbalance(5, fraction)) == [10] * (classes - few) + [2] * few


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (LongTail(50), LongTail(20)),
        (StepImbalance(50), StepImbalance(20)),
        (StepImbalance(50, 0.6), StepImbalance(50, 0.3)),
        (Subsample(n=100), Subsample(n=200)),
        (Subsample(per_class=100), Subsample(per_class=200)),
        (Subsample(fold="3/5", n=100), Subsample(fold="3/5", n=200)),
        (Subsample(fold="3/5", invert=True, per_class=10), Subsample(fold="3/5", invert=True, per_class=11)),
    ],
)
def test_a_smaller_subset_is_part_of_a_larger_one(less: Subset, more: Subset) -> None:
    fewer, rows = kept(EQUAL, less), kept(EQUAL, more)
    assert 0 < fewer.sum() < rows.sum()
    assert rows[fewer].all()


@given(SIZES, st.integers(1, 7))
def test_folds_are_as_even_as_can_be_and_part_the_table(sizes: list[int], folds: int) -> None:
    table = table_of(sizes)
    dealt = [counts(table, Subsample(fold=f"{fold}/{folds}")) for fold in range(folds)]
    assert np.sum(dealt, axis=0).tolist() == sizes
    assert np.ptp(dealt, axis=0).max() <= 1
    assert np.ptp(np.sum(dealt, axis=1)) <= 1


@pytest.mark.parametrize("classes", [None, "class 4,1"])
def test_a_fold_and_its_inverse_hold_every_row_once(classes: str | None) -> None:
    table = table_of([100, 31, 7, 1, 50])
    chosen = np.isin(table.column("label"), [0, 1, 2, 3, 4] if classes is None else [1, 4])
    for fold in ("0/5", "4/5"):
        validation, train = (
            kept(table, Subsample(fold=fold, invert=invert, classes=classes)) for invert in (False, True)
        )
        assert np.array_equal(validation ^ train, chosen)
        assert np.array_equal(validation | train, chosen)
        assert validation.sum() < train.sum() / 3


def test_each_option_narrows_what_the_ones_before_kept() -> None:
    table = table_of([100, 90, 80])
    steps = [
        Subsample(classes="0,class 2"), Subsample(classes="0,class 2", fold="1/3"),
        Subsample(classes="0,class 2", fold="1/3", per_class=20),
        Subsample(classes="0,class 2", fold="1/3", per_class=20, n=10),
    ]  # fmt: skip
    assert [sum(counts(table, step)) for step in steps] == [180, 60, 40, 10]
    assert [counts(table, step)[1] for step in steps] == [0] * 4
    assert counts(table, steps[2]) == [20, 0, 20]
    rows = [kept(table, step) for step in steps]
    assert all(rows[place][rows[place + 1]].all() for place in range(3))


SUBSETS = [
    LongTail(7), StepImbalance(3), Subsample(n=20), Subsample(per_class=5), Subsample(classes="class 1"),
    Subsample(fold="1/3"), Subsample(fold="1/3", invert=True),
]  # fmt: skip


@pytest.mark.parametrize("corruption", SUBSETS)
def test_rows_that_stay_stay_as_they_are_in_their_order(corruption: Subset, tmp_path: Path) -> None:
    table = save_corrupted(image_table(90), RandomLabels(0.5), tmp_path / "noisy.parquet")
    corrupted = Corrupted(table, corruption, 0)
    before, after = read(table), read(corrupted)
    stay = np.isin(before["id"].to_numpy(), after["id"].to_numpy())
    assert 0 < stay.sum() < 90
    assert after.equals(before.filter(pa.array(stay)), check_metadata=True)
    assert corrupted.description == table.description
    assert corrupted.rows == after.num_rows


@settings(max_examples=10)
@given(random=st.randoms())
@pytest.mark.parametrize("corruption", SUBSETS)
def test_any_order_of_the_rows_keeps_the_same(
    corruption: Subset, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    table = image_table(90)
    order = random.sample(range(90), 90)
    path = tmp_path_factory.mktemp("order") / "shuffled.parquet"
    pq.write_table(read(table).take(pa.array(order)), path)
    assert np.array_equal(kept(open_table(str(path)), corruption), kept(table, corruption)[order])


@pytest.mark.parametrize("corruption", SUBSETS)
def test_parts_joined_are_the_whole(corruption: Subset) -> None:
    table = image_table(90)
    parts = [read(Corrupted(table, corruption, 0, part, 4)) for part in range(4)]
    assert pa.concat_tables(parts).equals(read(Corrupted(table, corruption, 0)))


def test_seeds_and_kinds_draw_by_themselves() -> None:
    half = kept(EQUAL, Subsample(per_class=2500))
    assert np.array_equal(kept(EQUAL, Subsample(per_class=2500)), half)
    others = [kept(EQUAL, Subsample(per_class=2500), 1), kept(EQUAL, LongTail(2)), kept(EQUAL, StepImbalance(2))]
    last = EQUAL.column("label") == 9  # of which each keeps half
    for first, second in combinations([half, *others], 2):
        assert abs(np.mean((first & second)[last]) - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 5000)


def test_a_second_time_draws_afresh(tmp_path: Path) -> None:
    half = save_corrupted(EQUAL, Subsample(n=25_000), tmp_path / "half.parquet")
    quarter = read(Corrupted(half, Subsample(n=12_500), 0))["id"].to_numpy()
    once = EQUAL.column("id")[kept(EQUAL, Subsample(n=12_500))]
    assert abs(np.isin(quarter, once).mean() - 0.5) < 5 * math.sqrt(0.25 / 12_500)


@pytest.mark.parametrize("corruption", [Subsample(n=5000), Subsample(per_class=500), Subsample(fold="2/10")])
def test_rows_are_drawn_from_everywhere_alike(corruption: Subset) -> None:
    mask = kept(EQUAL, corruption)
    assert abs(chi_square(mask.reshape(100, 500).sum(1))) < 5
    assert abs(np.bincount(EQUAL.column("label")[mask]) / mask.sum() - 0.1).max() < 5 * math.sqrt(0.09 / 5000)


def test_classes_that_lose_all_rows_stay_classes() -> None:
    corrupted = Corrupted(table_of([3, 5, 0]), Subsample(classes="1"), 0)
    assert corrupted.description.classes == ("class 0", "class 1", "class 2")
    assert counts(table_of([50, 50, 50]), LongTail(1000)) == [50, 1, 0]


def report(table: ImageTable, corruption: Subset) -> tuple[str, pa.Table]:
    corrupted = Corrupted(table, corruption, 0)
    read(corrupted)
    words, rows = corrupted.report()
    assert rows is not None
    return words, rows


def test_the_report_says_what_was_asked_and_kept() -> None:
    words, rows = report(EQUAL, LongTail(100))
    assert words == "12,406 of 50,000 rows kept, ratio 100 (0.01)"
    assert rows.to_pydict() == {
        "class": [f"class {label}" for label in range(10)], "rows": [5000] * 10, "kept": TAIL
    }  # fmt: skip
    words, rows = report(table_of([40, 100, 5]), LongTail(0.1))
    assert words == "76 of 145 rows kept, ratio 10 (0.1)"
    assert rows.select(["rows", "asked", "kept"]).to_pydict() == {
        "rows": [40, 100, 5], "asked": [100, 31, 10], "kept": [40, 31, 5]
    }  # fmt: skip
    words, rows = report(EQUAL, Subsample(n=1000))
    assert words == "1,000 of 50,000 rows kept"
    assert sum(rows["kept"].to_pylist()) == 1000


# options: what the message says of them
REFUSED = {
    "long-tail --ratio 0": "--ratio: 0 is not a ratio",
    "long-tail --ratio -100": "--ratio: -100 is not a ratio",
    "long-tail --ratio inf": "--ratio: inf",
    "long-tail --ratio nan": "--ratio: nan",
    "long-tail": "--ratio",
    "step-imbalance --ratio 0": "--ratio: 0 is not a ratio",
    "step-imbalance --ratio 2 --fraction 0": "--fraction: 0 is not between 0 and 1",
    "step-imbalance --ratio 2 --fraction 1": "--fraction: 1 is not between 0 and 1",
    "step-imbalance --ratio 2 --fraction 0.1": "--fraction: 0.1 of 3 classes is 0",
    "step-imbalance --ratio 2 --fraction 0.9": "--fraction: 0.9 of 3 classes is 3",
    "subsample": "no option selects rows",
    "subsample --invert": "--invert needs a fold",
    "subsample --n 5 --invert": "--invert needs a fold",
    "subsample --n 0": "-n",
    "subsample --per-class 0": "--per-class",
    "subsample --n 91": "good.parquet: 90 rows to draw 91 from",
    "subsample --per-class 80": "rows to draw 80 from",
    "subsample --classes 'class 1,klass 2'": "did you mean class 2?",
    "subsample --classes 3": "no class '3'",
    "subsample --fold 5/5": "--fold: '5/5' is not a part",
    "subsample --fold 0/0": "--fold: '0/0' is not a part",
    "subsample --fold 1": "--fold: '1' is not a part",
    "subsample --fold 0/1 --invert": "good.parquet: no rows are left",
    "subsample --fold 90/91": "good.parquet: no rows are left",
}


def test_bad_options_are_refused_in_a_line(tmp_path: Path) -> None:
    save(image_table(90), tmp_path / "good.parquet")
    commands = [["corrupt", *shlex.split(options), "good.parquet", "-o", "out.parquet"] for options in REFUSED]
    for done, (options, words) in zip(many(tmp_path, commands), REFUSED.items(), strict=True):
        assert done.status == 2, (options, done)
        explained(done.err, words)
    assert not (tmp_path / "out.parquet").exists()


def test_what_is_wrong_is_said_in_full() -> None:
    table = table_of([3, 5, 1200])
    for corruption, said in (
        (Subsample(n=1209), "toy: 1,208 rows to draw 1,209 from"), (Subsample(n=1208), ""),
        (Subsample(per_class=4), "toy: class 'class 0': 3 rows to draw 4 from"), (Subsample(per_class=3), ""),
        (Subsample(classes="1,2", per_class=5), ""), (Subsample(classes="1", n=6), "toy: 5 rows to draw 6 from"),
    ):  # fmt: skip
        if said:
            with pytest.raises(GencliError) as refused:
                kept(table, corruption)
            assert refused.value.message == said
        else:
            assert kept(table, corruption).any()


@pytest.mark.parametrize("ratio", [0, -1, math.inf, math.nan])
def test_a_ratio_is_a_positive_number(ratio: float) -> None:
    with pytest.raises(GencliError, match=f"^--ratio: {ratio:g} is not a ratio$"):
        LongTail(ratio)
    assert LongTail(1e-9).factor == LongTail(1e9).factor == Fraction(1, 10**9)
    assert LongTail(1).factor == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"invert": True, "n": 5}, "--invert needs a fold"), ({}, "no option selects rows"),
        ({"renumber": True, "n": 5}, "--renumber needs classes"), ({"fold": "2/2"}, "--fold: '2/2' is not a part"),
        ({"renumber": True, "classes": "0"}, ""), ({"fold": "1/2", "invert": True}, ""), ({"per_class": 1}, ""),
    ],
)  # fmt: skip
def test_options_of_a_sample_go_together(options: Any, said: str) -> None:
    if said:
        with pytest.raises(GencliError) as refused:
            Subsample(**options)
        assert refused.value.message == said
    else:
        Subsample(**options)


def test_classes_that_are_kept_are_numbered_anew() -> None:
    table = table_of([3, 5, 4])
    corrupted = Corrupted(table, Subsample(classes="2,0", renumber=True), 0)
    assert corrupted.description.classes == ("class 0", "class 2")
    rows, old = read(corrupted), table.column("label")
    assert rows["label"].to_pylist() == [int(label > 0) for label in old if label != 1]
    schema = table.description.schema(("id", "image", "label", "label_true"))
    columns = [*read(table).columns, pa.array(np.where(old == 2, 1, old))]
    other = pa.Table.from_arrays(columns, schema=schema).to_batches()[0]
    table._rows, table.schema = other, schema
    with pytest.raises(GencliError, match=r"^toy: rows of these labels have a label_true of another class$"):
        read(Corrupted(table, Subsample(classes="2,0", renumber=True), 0))
    again = read(Corrupted(table, Subsample(classes="1,2", renumber=True), 0))
    assert again["label_true"].to_pylist() == [0] * 9
    assert sorted(again["label"].to_pylist()) == [0] * 5 + [1] * 4


def test_one_class_has_no_tail(tmp_path: Path) -> None:
    for kind in (LongTail(10), StepImbalance(10)):
        with pytest.raises(GencliError, match="toy: has only one class"):
            Corrupted(table_of([9]), kind, 0)


def test_a_class_without_rows_is_not_left(tmp_path: Path) -> None:
    with pytest.raises(GencliError, match="toy: no rows are left"):
        Corrupted(table_of([0, 9]), LongTail(100), 0)
    with pytest.raises(GencliError, match="toy: no rows are left"):
        Corrupted(table_of([0, 9]), Subsample(classes="0"), 0)


@pytest.mark.parametrize("label", [-1, 3, 1 << 40])
def test_a_label_that_is_none_of_the_classes_is_refused(label: int, tmp_path: Path) -> None:
    rows = read(image_table(20))
    labels = rows["label"].to_pylist()
    labels[7] = label
    pq.write_table(rows.set_column(2, rows.schema.field("label"), pa.array(labels)), tmp_path / "bad")
    with pytest.raises(GencliError, match=f"bad: row 7: label {label} is not one of the 3 classes"):
        Corrupted(open_table(str(tmp_path / "bad")), Subsample(n=5), 0)


def test_training_and_validation_from_one_file(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    done = shell(
        """
        gencli data digits -o digits.parquet
        gencli corrupt subsample --fold 0/5 digits.parquet -o validation.parquet
        gencli corrupt subsample --fold 0/5 --invert < digits.parquet > train.parquet
        """
    ).worked()
    assert "subsample: 288 of 1,437 rows kept" in done.err
    assert "subsample: 1,149 of 1,437 rows" in done.err
    whole, *parts = (open_table(str(tmp_path / f"{name}.parquet")) for name in ("digits", "validation", "train"))
    ids = np.concatenate([part.column("id") for part in parts])
    assert sorted(ids) == sorted(whole.column("id"))
    assert parts[1].made is not None
    assert parts[1].made.arguments["fold"] == "0/5"


def test_a_tail_may_fall_far_below_a_row() -> None:
    shrunk = Fraction(1, 10**12)
    exact = [max(k for k in range(11) if k**99 * 10 ** (12 * i) <= 10**99) for i in range(100)]
    assert _parts_of(10, shrunk, 100).tolist() == exact


@pytest.mark.parametrize("factor", ["1", "1/20", "999999999999/1000000000000", "9/16", "1/1000000"])
def test_sizes_are_exact_and_a_million_classes_take_no_time(factor: str) -> None:
    ratio = Fraction(factor)
    for largest, count in ((4096, 13), (5000, 7), (1, 3)):
        exact = [
            next(
                k
                for k in range(largest, -1, -1)
                if k**last * ratio.denominator**i <= largest**last * ratio.numerator**i
            )
            for last in [count - 1]
            for i in range(count)
        ]
        assert _parts_of(largest, ratio, count).tolist() == exact
    start = time.process_time()
    many = _parts_of(1300, ratio, 1_000_000)
    assert time.process_time() - start < 3
    assert many[0] == 1300
    assert many[-1] == int(1300 * ratio)


@pytest.mark.parametrize("options", [{"fold": ""}, {"classes": ""}])
def test_an_empty_word_selects_nothing(options: Any) -> None:
    """As where the shell has no such variable: it is not as if the option was not given."""
    with pytest.raises(GencliError, match=r"--fold: '' is not a part|toy: no class ''"):
        kept(EQUAL, Subsample(n=1, **options))


def test_an_empty_part_is_none() -> None:
    with pytest.raises(GencliError, match="--shard: '' is not a part"):
        parse_part("", "--shard")
    assert parse_part(None, "--shard") == (0, 1)
