"""Images as a network's input: whitened each by itself; a table as tensors."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gencli.corruptions import Corrupted
from gencli.corruptions.labels import RandomLabels
from gencli.models.inputs import load, network_input
from gencli.tables import unpack
from tests.helpers import image_table, images, read, save

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
PIXELS = arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 255))


@given(PIXELS)
def test_each_image_is_whitened_by_itself(pixels: np.ndarray) -> None:
    scaled = pixels.astype(np.float64) / 255
    mean = scaled.mean((1, 2, 3), keepdims=True)
    std = scaled.std((1, 2, 3), keepdims=True)
    expected = (scaled - mean) / np.maximum(std, 1 / np.sqrt(scaled[0].size))
    result = network_input(torch.from_numpy(pixels))
    assert result.dtype == torch.float32
    assert result.shape == (len(pixels), pixels.shape[3], pixels.shape[1], pixels.shape[2])
    np.testing.assert_allclose(result.permute(0, 2, 3, 1), expected, rtol=1e-5, atol=1e-5)


@given(st.lists(st.integers(0, 255), min_size=2, max_size=40))
def test_whitening_agrees_with_whole_numbers(values: list[int]) -> None:
    # N·255·(x − mean) and (N·255·std)² are integers, so nothing is rounded before the last division
    count, total = len(values), sum(values)
    deviation = math.sqrt(count * sum(value * value for value in values) - total * total)
    expected = [(count * value - total) / max(deviation, 255 * math.sqrt(count)) for value in values]
    result = network_input(torch.tensor(values, dtype=torch.uint8).view(1, 1, count, 1))
    assert result.flatten().tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@given(value=st.integers(0, 255), height=st.integers(1, 40), channels=st.integers(1, 3))
def test_constant_images_become_zeros(value: int, height: int, channels: int) -> None:
    result = network_input(torch.full((2, height, 3, channels), value, dtype=torch.uint8))
    assert abs(result).max() < 1e-5


def test_images_do_not_bear_on_each_other() -> None:
    pixels = torch.from_numpy(images(image_table(20, (5, 4, 3))))
    together = network_input(pixels)
    assert all(torch.equal(network_input(pixels[row : row + 1])[0], together[row]) for row in range(20))


def test_float_and_integer_images_give_the_same_input() -> None:
    pixels = torch.from_numpy(images(image_table(20, (5, 4, 3))))
    assert torch.equal(network_input(pixels.to(torch.float32)), network_input(pixels))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_images_themselves_stay(dtype: torch.dtype) -> None:
    pixels = torch.from_numpy(images(image_table(20, (5, 4, 3)))).to(dtype)
    before = pixels.clone()
    network_input(pixels)
    assert torch.equal(pixels, before)


@given(st.lists(st.integers(0, 19)), st.sampled_from(["uint8", "float32"]))
def test_rows_become_the_input_that_their_images_become(index: list[int], dtype: str) -> None:
    rows = load(image_table(20, (5, 4, 3), dtype))
    expected = network_input(rows.images)[index]
    assert torch.equal(rows.network_input(torch.tensor(index, dtype=torch.int64)), expected)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_table_is_loaded_whole(dtype: str, tmp_path: Path) -> None:
    table = image_table(2300, (3, 2, 1), dtype)
    rows = load(save(table, tmp_path / "toy.parquet"))
    assert len(rows) == 2300
    assert np.array_equal(rows.images, unpack(next(table.batches()), table.description))
    assert rows.images.dtype == getattr(torch, dtype)
    assert np.array_equal(rows.labels, table.column("label"))
    assert rows.labels.dtype == torch.int64
    assert rows.labels_true is None


def test_true_labels_are_loaded_where_known() -> None:
    table = Corrupted(image_table(50), RandomLabels(1), 0)
    rows, plain = load(table), read(table)
    assert rows.labels_true is not None
    assert rows.labels.tolist() == plain["label"].to_pylist()
    assert rows.labels_true.tolist() == plain["label_true"].to_pylist()
    assert rows.labels.tolist() != rows.labels_true.tolist()
