"""Shuffled pixels: one permutation for a seed and a size of image, and nothing lost."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from gencli.corruptions import Corrupted
from gencli.corruptions.pixels import ShuffledPixels
from gencli.tables import Batches, Description, MemoryTable
from tests.helpers import image_table, images, read, save, save_corrupted

CHANNELS: list[Literal["together", "apart"]] = ["together", "apart"]


def order_of(table: Batches) -> NDArray[Any]:
    """For images that hold their values' places: where each value came from."""
    return images(table).reshape(table.rows, -1).astype(int)


def places(rows: int = 3, split: str = "train", shape: tuple[int, int, int] = (5, 4, 3)) -> MemoryTable:
    size = int(np.prod(shape))
    pixels = np.tile(np.arange(size).reshape(shape), (rows, 1, 1, 1)).astype(np.float32)
    return MemoryTable("places", Description("toy", split, ("a",), shape, "float32"), pixels, np.zeros(rows, np.int64))


@pytest.mark.parametrize("channels", CHANNELS)
def test_all_images_of_train_and_test_share_a_permutation(channels: Literal["together", "apart"]) -> None:
    corruption = ShuffledPixels(channels)
    train = order_of(Corrupted(places(3), corruption, 0))
    test = order_of(Corrupted(places(4, "test"), corruption, 0))
    assert sorted(train[0]) == list(range(60))
    assert list(train[0]) != list(range(60))
    assert (train == train[0]).all()
    assert (test == train[0]).all()


def test_channels_move_together_unless_told_otherwise() -> None:
    together = order_of(Corrupted(places(), ShuffledPixels(), 0))[0].reshape(20, 3)
    assert (together % 3 == [0, 1, 2]).all()
    assert (together // 3 == together[:, :1] // 3).all()
    apart = order_of(Corrupted(places(), ShuffledPixels("apart"), 0))[0].reshape(20, 3)
    assert not (apart // 3 == apart[:, :1] // 3).all()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_images_keep_their_values(channels: Literal["together", "apart"], dtype: str) -> None:
    table = image_table(20, (4, 5, 3), dtype)
    corrupted = Corrupted(table, ShuffledPixels(channels), 0)
    before, after = images(table).reshape(20, -1), images(corrupted).reshape(20, -1)
    assert after.dtype == dtype
    assert not np.array_equal(after, before)
    assert np.array_equal(np.sort(after), np.sort(before))


def test_labels_and_identities_stay() -> None:
    table = image_table(20)
    corrupted = Corrupted(table, ShuffledPixels(), 0)
    columns = ["id", "label"]
    assert read(corrupted).schema.equals(table.schema, check_metadata=True)
    assert read(corrupted).select(columns).equals(read(table).select(columns))


def test_batches_make_no_difference(tmp_path: Path) -> None:
    table = image_table(2500)
    whole = read(Corrupted(table, ShuffledPixels(), 0))
    assert read(Corrupted(save(table, tmp_path / "toy.parquet"), ShuffledPixels(), 0)).equals(whole)


def test_other_seeds_and_a_second_time_give_other_permutations(tmp_path: Path) -> None:
    first = save_corrupted(places(), ShuffledPixels(), tmp_path / "first.parquet")
    twice = order_of(Corrupted(first, ShuffledPixels(), 0))[0]
    once = order_of(first)[0]
    assert not np.array_equal(twice, once[once])
    assert sorted(twice) == list(range(60))
    assert not np.array_equal(order_of(Corrupted(places(), ShuffledPixels(), 1))[0], once)
