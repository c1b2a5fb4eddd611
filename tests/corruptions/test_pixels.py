"""Pixels: permuted alike or each image by itself, and nothing lost; or drawn with the table's mean and variance."""

from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from gencli.corruptions import Corrupted
from gencli.corruptions.pixels import GaussianPixels, RandomPixels, ShuffledPixels
from gencli.files.tables import Batches, Description, MemoryTable
from gencli.randomness import Draws
from gencli.sources import open_table
from tests.helpers import chi_square, image_table, images, read, save, save_corrupted, steps
from tests.pipelines.shell import Shell

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


@pytest.mark.parametrize("channels", CHANNELS)
def test_every_image_has_a_permutation_of_its_own(channels: Literal["together", "apart"]) -> None:
    train = order_of(Corrupted(places(40), RandomPixels(channels), 0))
    test = order_of(Corrupted(places(40, "test"), RandomPixels(channels), 0))
    assert np.array_equal(np.sort(train), np.sort(order_of(places(40))))
    assert len(np.unique(np.concatenate([train, test]), axis=0)) == 80
    moved = (train.reshape(40, 20, 3) // 3 == train.reshape(40, 20, 3)[..., :1] // 3).all()
    assert moved == (channels == "together")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("channels", "size"), [("together", 20), ("apart", 60)])
def test_a_row_s_permutation_is_the_one_that_is_drawn_for_it(channels: Any, size: int, dtype: str) -> None:
    table = image_table(5, (5, 4, 3), dtype)
    orders = Draws(0, "random-pixels", 0).rows(table.column("id")).permutations(size)
    before, after = (images(each).reshape(5, size, -1) for each in (table, Corrupted(table, RandomPixels(channels), 0)))
    assert all(np.array_equal(old[order], new) for old, order, new in zip(before, orders, after, strict=True))


def test_random_permutations_are_uniform() -> None:
    drawn = order_of(Corrupted(places(6000, shape=(3, 1, 1)), RandomPixels(), 0))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 6
    assert abs(chi_square(counts)) < 5


@pytest.mark.parametrize("kind", [RandomPixels, GaussianPixels])
def test_another_time_and_another_seed_draw_afresh(kind: Any, tmp_path: Path) -> None:
    table = image_table(20, (6, 5, 3))
    first = save_corrupted(table, kind(), tmp_path / "first.parquet")
    assert np.array_equal(images(first), images(Corrupted(table, kind(), 0)))
    assert not np.array_equal(images(first), images(Corrupted(table, kind(), 1)))
    twice = images(Corrupted(first, kind(), 0))
    if kind is RandomPixels:
        inverse = np.argsort(order_of(Corrupted(places(20, shape=(6, 5, 1)), kind(), 0)))
        assert not np.array_equal(twice.reshape(20, 30, 3)[np.arange(20)[:, None], inverse], images(first))
    assert not np.array_equal(twice, images(first))


def colorful(
    rows: int, shape: tuple[int, int, int] = (8, 8, 3), dtype: str = "uint8", split: str = "train"
) -> MemoryTable:
    """Images whose channels differ in mean and deviation, far from black and white."""
    random = np.random.default_rng(0)
    pixels = random.integers([90, 120, 100][: shape[2]], [110, 180, 140][: shape[2]], (rows, *shape)).astype(dtype)
    description = Description("toy", split, ("a",), shape, dtype)
    return MemoryTable("colorful", description, pixels, np.zeros(rows, np.int64))


@pytest.mark.parametrize("statistics", ["scalar", "channel"])
def test_gaussian_pixels_have_the_table_s_moments(statistics: str) -> None:
    table = colorful(2000, dtype="float32")
    axes = None if statistics == "scalar" else (0, 1, 2)
    mean, deviation = (f(images(table), axis=axes, dtype=np.float64) for f in (np.mean, np.std))
    drawn = images(Corrupted(table, GaussianPixels(statistics), 0)).astype(np.float64)
    count = drawn.size if statistics == "scalar" else drawn.size / 3
    assert (abs(drawn.mean(axes) - mean) < 5 * deviation / np.sqrt(count)).all()
    assert (abs(drawn.std(axes) - deviation) < 5 * deviation / np.sqrt(2 * count)).all()
    assert kstest(((drawn - mean) / deviation)[:50].ravel(), "norm").pvalue > 1e-5
    assert kstest(((drawn - mean) / deviation)[:, 3, 3, 1], "norm").pvalue > 1e-5


def test_gaussian_pixels_are_rounded_and_clipped_to_gray_levels() -> None:
    table = image_table(200, (5, 4, 1))
    exact = images(table).astype(np.float64)
    table32 = MemoryTable(
        "toy",
        Description("toy", "train", ("a",), (5, 4, 1), "float32"),
        exact.astype(np.float32),
        np.zeros(200, np.int64),
    )
    drawn, wanted = (images(Corrupted(each, GaussianPixels(), 0)) for each in (table, table32))
    assert np.array_equal(drawn, np.rint(np.clip(wanted, 0, 255)))
    assert drawn.min() == 0
    assert drawn.max() == 255


def test_test_images_can_be_drawn_as_train_images_were(tmp_path: Path) -> None:
    save(colorful(500), tmp_path / "train.parquet")
    test = image_table(2000, (8, 8, 3), split="test")
    drawn = images(Corrupted(test, GaussianPixels(str(tmp_path / "train.parquet")), 0)).astype(float)
    mean, deviation = (f(images(colorful(500)), axis=(0, 1, 2), dtype=float) for f in (np.mean, np.std))
    assert (abs(drawn.mean((0, 1, 2)) - mean) < 5 * deviation / np.sqrt(2000 * 64)).all()
    assert (abs(drawn.std((0, 1, 2)) - np.sqrt(deviation**2 + 1 / 12)) < 0.05).all()


def test_statistics_of_another_table_are_recorded_by_hash_and_name(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        """
        set -e
        mkdir sub; gencli data digits --limit 200 -o sub/train.parquet
        gencli data digits --split test | gencli corrupt gaussian-pixels --statistics sub/train.parquet -o test.parquet
        """
    ).worked()
    made = open_table(str(tmp_path / "test.parquet")).made
    assert made is not None
    assert (made.arguments["statistics"], made.inputs[1].role) == (None, "statistics")
    assert made.inputs[1].sha256 == sha256((tmp_path / "sub/train.parquet").read_bytes()).hexdigest()
    assert steps(tmp_path / "test.parquet") == [
        "gencli data digits --split test --seed 0", "  gencli data digits --split train --seed 0 --limit 200",
        "gencli corrupt gaussian-pixels --statistics FILE --seed 0",
    ]  # fmt: skip
    shell("gencli data synthetic noise --rows 5 | gencli corrupt gaussian-pixels --statistics test.parquet").refused(
        "1 channels, but standard input has 3"
    )
    shell("gencli corrupt gaussian-pixels test.parquet --statistics nowhere").refused("nowhere: no such file")
