"""The real CIFAR-10 and MNIST files are read as they are."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli.files import arrow, tables
from gencli.files.tables import identities
from gencli.sources import open_table
from tests.helpers import images

pytestmark = pytest.mark.shared

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MNIST = tuple("0123456789")
# of the published test sets
COUNTS = {"cifar10": [1000] * 10, "mnist": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]}


@pytest.mark.parametrize(
    ("name", "split", "rows", "classes", "shape", "column"),
    [
        ("cifar10", "train", 50_000, CIFAR, (32, 32, 3), "img"),
        ("cifar10", "test", 10_000, CIFAR, (32, 32, 3), "img"),
        ("mnist", "train", 60_000, MNIST, (28, 28, 1), "image"),
        ("mnist", "test", 10_000, MNIST, (28, 28, 1), "image"),
    ],
)
def test_a_file_holds_its_data_set(
    name: str, split: str, rows: int, classes: tuple[str, ...], shape: tuple[int, int, int], column: str,
    shared_data: Path,
) -> None:  # fmt: skip
    path = shared_data / f"{name}-{split}.parquet"
    table = open_table(str(path))
    assert table.description == tables.Description(name, split, classes, shape, "uint8")
    assert table.rows == rows
    plain = pq.read_table(path)
    assert np.array_equal(table.column("label"), plain["label"])
    assert np.array_equal(table.column("id"), identities(name, split, 0, rows))
    places = [0, 1, 2, 800, 900]
    decoded = [Image.open(io.BytesIO(plain[column][place].as_py()["bytes"])) for place in places]
    first = arrow.unpack(next(table.batches()), table.description)
    assert np.array_equal(first[places], np.array([np.array(image) for image in decoded]).reshape(-1, *shape))


@pytest.mark.parametrize("name", COUNTS)
def test_classes_have_the_published_counts(name: str, shared_data: Path) -> None:
    counts = np.bincount(open_table(str(shared_data / f"{name}-test.parquet")).column("label"))
    assert counts.tolist() == COUNTS[name]


def test_the_last_rows_are_decoded_too(shared_data: Path) -> None:
    path = shared_data / "cifar10-test.parquet"
    table = open_table(str(path))
    keep = np.arange(table.rows) >= table.rows - 3
    last = pq.read_table(path)["img"].slice(table.rows - 3).to_pylist()
    assert np.array_equal(images(table, keep), [np.array(Image.open(io.BytesIO(value["bytes"]))) for value in last])
