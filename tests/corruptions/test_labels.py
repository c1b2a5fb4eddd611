"""Random labels: which rows change, to what, and that nothing but seed, identity and repetition decides it."""

from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.corruptions import Corrupted
from gencli.corruptions.labels import RandomLabels
from gencli.corruptions.pixels import ShuffledPixels
from gencli.randomness import Draws
from gencli.sources import open_table
from tests.helpers import chi_square, image_table, read, save, save_corrupted

LARGE = image_table(30_000, (1, 1, 1), classes=10)
LABELS = LARGE.column("label")


def labels_after(p: float, seed: int = 0, split: str = "train") -> NDArray[np.int64]:
    table = image_table(30_000, (1, 1, 1), classes=10, split=split)
    return read(Corrupted(table, RandomLabels(p), seed))["label"].to_numpy()


@given(st.lists(st.integers(0, 60), max_size=6).map(sorted), st.randoms())
def test_any_batches_in_any_order_give_the_same_rows(ends: list[int], random: Random) -> None:
    table = image_table(60)
    [batch] = table.batches()
    draws, corruption = Draws(3, "random-labels", 0), RandomLabels(0.7)
    order = random.sample(range(60), 60)
    shuffled = batch.take(pa.array(order))
    pieces = [shuffled.slice(a, b - a) for a, b in zip([0, *ends], [*ends, 60], strict=True)]
    corrupted = pa.Table.from_batches([corruption.apply(piece, table.description, draws) for piece in pieces])
    whole = pa.Table.from_batches([corruption.apply(batch, table.description, draws)])
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


def test_a_filtered_table_is_corrupted_as_the_whole_was() -> None:
    keep = LABELS == 3
    corrupted = Corrupted(LARGE, RandomLabels(0.5), 0)
    assert read(corrupted, keep).equals(read(corrupted).filter(pa.array(keep)))


@pytest.mark.parametrize(("smaller", "larger"), [(0.2, 0.4), (0.4, 1.0), (0.01, 0.02)])
def test_what_a_p_corrupts_a_larger_p_corrupts_to_the_same_class(smaller: float, larger: float) -> None:
    few, many = labels_after(smaller), labels_after(larger)
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
    drawn = RandomLabels(1.0).labels(LABELS, LARGE.column("id"), 7, Draws(0, "random-labels", 0))
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


def test_the_summary_counts_the_labels_that_changed() -> None:
    corrupted = Corrupted(LARGE, RandomLabels(0.5), 0)
    changed = np.count_nonzero(read(corrupted)["label"].to_numpy() != LABELS)
    assert corrupted.summary() == f"{changed:,} of 30,000 labels changed"
