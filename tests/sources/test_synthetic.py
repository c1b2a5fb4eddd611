"""Images made to order: each row a function of seed, kind and identity, and the truth of each kind is what it says."""

import tracemalloc
from collections.abc import Iterator
from math import pi, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import kstest, norm

from gencli.cli.app import main
from gencli.errors import GencliError
from gencli.files.tables import Description
from gencli.sources import open_table
from gencli.sources.synthetic import KINDS, GaussianClusters, Noise, Synthetic, SyntheticTable, TwoMoons
from tests.helpers import chi_square, images, read


def flat(kind: Synthetic, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images as rows of values, and labels."""
    table = SyntheticTable(kind, seed)
    return images(table).reshape(table.rows, -1).astype(float), table.column("label")


@settings(max_examples=20)
@given(st.sampled_from(list(KINDS)), st.integers(1, 2100), st.integers(1, 2100), st.integers(0, 2**64))
def test_fewer_rows_are_the_first_of_more(name: str, one: int, other: int, seed: int) -> None:
    few, many = (read(SyntheticTable(KINDS[name](rows=rows, size="4x5x2"), seed)) for rows in sorted([one, other]))
    assert many.slice(0, few.num_rows).equals(few)


@settings(max_examples=20)
@given(st.sampled_from(list(KINDS)), st.sets(st.integers(0, 1499)))
def test_a_row_is_the_same_whatever_else_is_kept(name: str, places: set[int]) -> None:
    table = SyntheticTable(KINDS[name](rows=1500, size="4x5x2"), 0)
    keep = np.isin(np.arange(1500), list(places))
    assert read(table, keep).equals(read(table).filter(pa.array(keep)))


@pytest.mark.parametrize("name", KINDS)
def test_columns_are_those_of_the_rows(name: str) -> None:
    table = SyntheticTable(KINDS[name](rows=1500, size="4x5x2"), 0)
    for column in ("id", "label"):
        assert read(table)[column].to_pylist() == table.column(column).tolist()


@pytest.mark.parametrize("name", KINDS)
def test_another_seed_and_another_split_draw_other_rows(name: str) -> None:
    first, again, seed, split = (
        images(SyntheticTable(KINDS[name](rows=50, split=split), seed))
        for seed, split in [(0, "train"), (0, "train"), (1, "train"), (0, "test")]
    )
    assert np.array_equal(first, again)
    assert not {image.tobytes() for image in first} & {image.tobytes() for image in np.concatenate([seed, split])}


@pytest.mark.parametrize(("kind", "classes"), [(GaussianClusters(classes=7), 7), (TwoMoons(), 2), (Noise(), 10)])
def test_labels_go_round(kind: Synthetic, classes: int) -> None:
    assert np.array_equal(SyntheticTable(kind, 3).column("label"), np.arange(1000) % classes)


def test_rows_never_change_between_releases() -> None:
    made = [images(SyntheticTable(kind(rows=2, size="4x5x2"), 0))[1, 2].ravel().tolist() for kind in KINDS.values()]
    assert made == [
        [96, 195, 180, 108, 116, 167, 123, 160, 144, 194],
        [7, 7, 61, 61, 190, 190, 217, 217, 91, 91],
        [56, 208, 208, 231, 76, 52, 3, 59, 142, 211],
    ]


@pytest.mark.parametrize("name", KINDS)
def test_memory_does_not_grow_with_the_rows(name: str) -> None:
    def peak(rows: int) -> int:
        tracemalloc.start()
        for _ in SyntheticTable(KINDS[name](rows=rows), 0).batches():
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)  # imports
    assert peak(6000) < 1.2 * peak(2000)


@pytest.mark.parametrize(("classes", "size"), [(2, "8x8x1"), (5, "8x8x1"), (3, "2x2x1"), (4, "2x2x1")])
def test_clusters_are_normal_around_equidistant_means(classes: int, size: str) -> None:
    rows, separation = 20_000 * classes, 2.0
    values, labels = flat(GaussianClusters(rows, size, classes=classes, separation=separation))
    means = np.stack([values[labels == label].mean(axis=0) for label in range(classes)])
    apart = np.linalg.norm(means[:, None] - means, axis=2)[~np.eye(classes, dtype=bool)]
    error = 32 * sqrt(2 * values.shape[1] / 20_000)
    assert apart == pytest.approx(separation * 32, abs=error)
    assert means.mean(axis=0) == pytest.approx(127.5, abs=5 * 32 / sqrt(rows))
    assert (values - means[labels]).std() == pytest.approx(32, rel=0.01)
    assert abs(np.corrcoef(values[labels == 0], rowvar=False) - np.eye(values.shape[1])).max() < 5 / sqrt(20_000)


def test_a_class_has_its_block_of_values_raised() -> None:
    values, labels = flat(GaussianClusters(300, "5x2x1", classes=3, separation=1000))
    assert [np.unique(values[labels == label].mean(axis=0)[[0, 3, 6]]).tolist() for label in range(3)] == [[0, 255]] * 3
    assert (values[labels == 1] == 255).all(axis=0).tolist() == [False] * 3 + [True] * 3 + [False] * 4


def best_accuracy(classes: int, separation: float) -> float:
    """Of equally likely classes whose means are equidistant."""
    value, _ = quad(lambda z: norm.pdf(z) * norm.cdf(z + separation / sqrt(2)) ** (classes - 1), -10, 10)
    return value


@pytest.mark.parametrize(("classes", "separation"), [(2, 0.0), (2, 1.0), (2, 2.0), (2, 3.0), (5, 2.0), (64, 3.0)])
def test_the_optimal_rule_errs_at_the_bayes_error(classes: int, separation: float) -> None:
    rows = 20_000
    values, labels = flat(GaussianClusters(rows, classes=classes, separation=separation))
    size = 64 // classes
    blocks = values[:, : classes * size].reshape(rows, classes, size).sum(axis=2)
    # where rounding and clipping make several sums the highest, each is as good
    error = 1 - (blocks.argmax(axis=1) == labels).mean()
    expected = 1 - best_accuracy(classes, separation)
    assert abs(error - expected) < 4 * sqrt(expected * (1 - expected) / rows)
    if classes == 2:
        assert expected == pytest.approx(norm.cdf(-separation / 2))


def test_more_clusters_than_values_are_refused() -> None:
    GaussianClusters(size="2x2x1", classes=4)
    with pytest.raises(GencliError, match="--classes 5: more than the 4 values of --size 2x2x1"):
        GaussianClusters(size="2x2x1", classes=5)


def points(kind: TwoMoons) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Where the blobs of the upper moon lie, then those of the lower, x and y in the units of the half circles."""
    table = SyntheticTable(kind, 0)
    height, width, _ = table.description.shape
    blobs = images(table)[..., 0].astype(float)
    mass = blobs.sum(axis=(1, 2))
    across = (blobs.sum(axis=1) @ (np.arange(width) + 0.5)) / mass
    down = (blobs.sum(axis=2) @ (np.arange(height) + 0.5)) / mass
    for label in range(2):
        mine = table.column("label") == label
        yield across[mine] / width * 4 - 1.5, 1.5 - down[mine] / height * 2.5


@pytest.mark.parametrize("size", ["32x32x1", "40x64x2"])
def test_without_noise_the_moons_are_half_circles(size: str) -> None:
    (x, y), (u, v) = points(TwoMoons(2000, size, noise=0))
    for angle, radius in [(np.arctan2(y, x), np.hypot(x, y)), (np.arctan2(0.5 - v, 1 - u), np.hypot(1 - u, 0.5 - v))]:
        assert radius == pytest.approx(1, abs=0.01)
        assert kstest(angle, "uniform", (0, pi)).pvalue > 1e-4


def test_noise_moves_the_points_by_its_standard_deviation() -> None:
    still, moved = (np.hstack(list(points(TwoMoons(2000, "100x100x1", noise=noise)))) for noise in (0, 0.1))
    moves = (moved - still) / 0.1
    for axis in moves:
        assert kstest(axis, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(moves[0], moves[1])[0, 1]) < 5 / sqrt(2000)


def test_a_point_is_a_bump_one_pixel_wide_in_all_channels() -> None:
    table = SyntheticTable(TwoMoons(100, "64x64x3", noise=0), 0)
    blobs = images(table).astype(float)
    assert (blobs == blobs[..., :1]).all()
    assert blobs[..., 0].sum(axis=(1, 2)) == pytest.approx(255 * 2 * pi, rel=0.02)
    assert 255 * np.exp(-0.25) - 0.5 <= blobs.max(axis=(1, 2, 3)).min() <= blobs.max() <= 255
    column = blobs[..., 0].sum(axis=1)
    places = np.arange(64)
    centre = column @ places / column.sum(axis=1)
    variance = (column * (places - centre[:, None]) ** 2).sum(axis=1) / column.sum(axis=1)
    assert variance == pytest.approx(1, rel=0.05)


def test_noise_is_uniform_and_tells_nothing_of_the_label() -> None:
    values, labels = flat(Noise(20_000, "5x5x1"))
    for value in values.T:
        assert abs(chi_square(np.bincount(value.astype(int), minlength=256))) < 5
    assert abs(np.corrcoef(values, rowvar=False) - np.eye(25)).max() < 5 / sqrt(20_000)
    means = np.stack([values[labels == label].mean(axis=0) for label in range(10)])
    assert abs(means - 127.5).max() < 5 * 255 / sqrt(12 * 2000)


@pytest.mark.parametrize(
    ("command", "arguments", "classes", "packages"),
    [
        (
            "gaussian-clusters --classes 3",
            {"rows": 1000, "size": "8x8x1", "split": "train", "classes": 3, "separation": 4.0, "seed": 0},
            ("0", "1", "2"),
            {"numpy", "pyarrow"},
        ),
        (
            "two-moons --seed 5 --split test",
            {"rows": 1000, "size": "16x16x1", "split": "test", "noise": 0.1, "seed": 5},
            ("upper", "lower"),
            {"numpy", "pyarrow"},
        ),
        (
            "noise --rows 7 --size 2x3x1",
            {"rows": 7, "size": "2x3x1", "split": "train", "classes": 10, "seed": 0},
            tuple("0123456789"),
            {"numpy", "pyarrow"},
        ),
    ],
)
def test_a_file_says_how_it_was_made(
    command: str, arguments: dict[str, Any], classes: tuple[str, ...], packages: set[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "made.parquet")
    assert main(["data", "synthetic", *command.split(), "-o", path]) == 0
    table = open_table(path)
    assert table.made is not None
    name = command.split(maxsplit=1)[0]
    assert (table.made.command, table.made.arguments) == (f"data synthetic {name}", arguments)
    assert table.made.versions.keys() == packages | {"gencli"}
    shape: Any = tuple(map(int, arguments["size"].split("x")))
    assert table.description == Description(name, arguments["split"], classes, shape)
    assert table.rows == arguments["rows"]


@pytest.mark.parametrize("size", ["8x8", "0x8x1", "axbxc", ""])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(GencliError, match="--size"):
        SyntheticTable(Noise(size=size), 0)
