"""Facts of tables, against numpy on the whole array in float64 and Python's integers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.files.arrow import integers
from gencli.files.tables import Description, MemoryTable
from gencli.sources.statistics import Facts, measure

RANDOM = np.random.default_rng(0)


@dataclass
class Toy:
    """An image table in memory, whose batches end at the rows `ends`."""

    images: NDArray[Any]
    labels: NDArray[np.int64]
    true: NDArray[np.int64] | None = None
    classes: int = 3
    ends: Sequence[int] = ()
    names: tuple[str, ...] = ()
    name: str = "toy"
    split: str = "train"
    title: str = "toy.parquet"
    made: None = None
    inputs: tuple[()] = field(default=())

    def __post_init__(self) -> None:
        names = self.names or tuple(f"class {label}" for label in range(self.classes))
        self.description = Description(self.name, self.split, names, self.images.shape[1:], str(self.images.dtype))  # type: ignore[arg-type]
        (rows,) = MemoryTable(self.title, self.description, self.images, self.labels).batches()
        if self.true is not None:
            arrays = [*rows.columns, integers(self.true)]
            rows = pa.RecordBatch.from_arrays(arrays, names=[*rows.schema.names, "label_true"])
        self.all, self.schema, self.rows = rows, rows.schema, rows.num_rows

    def column(self, name: str) -> NDArray[np.int64]:
        return self.all.column(name).to_numpy()

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        for start, stop in zip([0, *self.ends], [*self.ends, self.rows], strict=True):
            yield self.all.slice(start, stop - start)


@st.composite
def toys(draw: st.DrawFn, dtypes: Sequence[str] = ("uint8", "float32")) -> Toy:
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    rows, classes = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 4))
    dtype = draw(st.sampled_from(dtypes))
    images = random.integers(0, 256, (rows, *shape))
    if dtype == "float32":
        images = random.normal(draw(st.sampled_from([0, 1, 1e4])), 1, (rows, *shape))
    labels, true = random.integers(0, classes, (2, rows))
    ends = sorted(draw(st.sets(st.integers(1, rows - 1), max_size=4))) if rows > 1 else []
    return Toy(images.astype(dtype), labels, draw(st.sampled_from([true, None])), classes, ends)


@given(toys())
def test_moments_are_those_of_the_whole_array(toy: Toy) -> None:
    facts, values = measure(toy), toy.images.astype(np.float64)
    mean, deviation = facts.by_channel
    assert np.allclose(mean, values.mean((0, 1, 2)), rtol=1e-12, atol=1e-12)
    assert np.allclose(deviation, values.std((0, 1, 2)), rtol=1e-9, atol=1e-9)
    assert (facts.low, facts.high) == (values.min(), values.max())
    assert np.allclose(facts.overall, [values.mean(), values.std()], rtol=1e-9, atol=1e-9)
    rows = facts.table().to_pylist()
    assert [row["label"] for row in rows] == list(range(toy.classes))
    for row in rows:
        of_class = toy.labels == row["label"]
        assert row["name"] == f"class {row['label']}"
        assert row["rows"] == of_class.sum()
        assert row["share"] == of_class.mean()
        if of_class.any():
            assert row["pixel_mean"] == pytest.approx(values[of_class].mean(), rel=1e-12, abs=1e-12)
            assert row["pixel_deviation"] == pytest.approx(values[of_class].std(), rel=1e-9, abs=1e-9)
        else:
            assert row["pixel_mean"] is row["pixel_deviation"] is None
        if toy.true is not None:
            assert row["corrupted"] == (of_class & (toy.true != toy.labels)).sum()
    assert ("corrupted" in rows[0]) == (toy.true is not None)


@given(toys(["uint8"]))
def test_sums_of_bytes_are_exact(toy: Toy) -> None:
    facts = measure(toy)
    for label in range(toy.classes):
        for channel in range(toy.images.shape[3]):
            values = toy.images[toy.labels == label][..., channel].ravel().tolist()
            assert facts.sums[label, channel] == sum(values)
            assert facts.squares[label, channel] == sum(value**2 for value in values)


@given(toys(), st.integers(1, 40))
def test_facts_do_not_depend_on_the_batches(toy: Toy, end: int) -> None:
    whole = Toy(toy.images, toy.labels, toy.true, toy.classes, [end] if end < toy.rows else [])
    assert measure(toy).table().equals(measure(whole).table())
    assert measure(toy).summary() == measure(whole).summary()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_large_images_are_taken_piece_by_piece(dtype: str) -> None:
    images = RANDOM.integers(0, 256, (50, 80, 70, 3)).astype(dtype)
    mean, deviation = measure(Toy(images, RANDOM.integers(0, 3, 50))).by_channel
    assert np.allclose(mean, images.mean((0, 1, 2), np.float64), rtol=1e-12)
    assert np.allclose(deviation, images.std((0, 1, 2), np.float64), rtol=1e-12)


def test_classes_far_from_zero_and_from_each_other_keep_their_digits() -> None:
    labels = np.arange(300) % 3
    images = (np.array([0, 1e5, -1e5])[labels][:, None] + RANDOM.normal(0, 0.1, (300, 50))).astype(np.float32)
    _, deviation = measure(Toy(images.reshape(300, 10, 5, 1), labels)).by_class
    assert np.allclose(deviation, [images[labels == label].std(dtype=np.float64) for label in range(3)], rtol=1e-9)


def test_what_overflows_64_bits_does_not_matter() -> None:
    n = np.array([1 << 36])  # rows of 32×32 pixels, half of them 0 and half 255
    ones, zeros = n * 1024 // 2, np.zeros((1, 1))
    description = Description("toy", "", ("a",), (32, 32, 1))
    facts = Facts("toy", description, n, None, zeros, ones[:, None] * 255, ones[:, None] * 255**2, 0, 255)
    assert [values.tolist() for values in facts.by_class] == [[127.5], [127.5]]


def test_equal_values_have_no_deviation() -> None:
    images = np.full((30, 7, 5, 1), 0.1, np.float32)
    assert measure(Toy(images, np.arange(30) % 3)).by_class[1].tolist() == [0, 0, 0]


def test_values_that_are_not_finite_show_where_they_are() -> None:
    images = np.ones((4, 2, 2, 1), np.float32)
    images[1, 0, 0], images[2, 0, 0] = np.inf, np.nan
    facts = measure(Toy(images, np.array([0, 1, 2, 0])))
    assert facts.table()["pixel_mean"].to_pylist()[0] == 1
    assert not np.isfinite(facts.table()["pixel_mean"].to_pylist()[1:]).any()
    assert not np.isfinite([facts.low, facts.high]).any()


def test_every_batch_is_shown_to_who_wants_to_see_it() -> None:
    toy = Toy(RANDOM.integers(0, 256, (9, 2, 2, 1), np.uint8), np.arange(9) % 3, np.zeros(9, np.int64), ends=[2, 5])
    seen: list[tuple[NDArray[Any], ...]] = []
    done: list[int] = []
    measure(toy, lambda *batch: seen.append(batch), done.append)
    images, labels, changed = map(np.concatenate, zip(*seen, strict=True))
    assert np.array_equal(images, toy.images)
    assert np.array_equal(labels, toy.labels)
    assert np.array_equal(changed, toy.labels != 0)
    assert done == [2, 5, 9]


def test_a_summary_says_what_the_table_is() -> None:
    images = np.zeros((1200, 1, 2, 3), np.uint8)
    images[600:] = 10, 100, 200
    labels = np.arange(1200) % 3
    assert measure(Toy(images, labels, np.minimum(labels, 1), name="a\x1b[2J\nb")).summary().splitlines() == [
        "a�[2J�b train: 1,200 rows, uint8 1×2×3, 3 classes",
        "pixels 0 to 200, mean 5 50 100, deviation 5 50 100",
        "label differs from label_true in 400 rows, 33.33%",
    ]
    assert measure(Toy(images, labels, name="", split="")).summary().startswith("toy.parquet: 1,200 rows")
    assert "label_true" not in measure(Toy(images, labels)).summary()
