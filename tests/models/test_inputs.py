"""Images as a network's input: cropped and whitened; a table as tensors."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gencli import machine
from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.files.arrow import unpack
from gencli.models.inputs import Preprocessing, Rows, Shape, load, require_target, target_input
from tests.helpers import image_table, images, save, save_corrupted

network_input = Preprocessing()
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


@given(PIXELS)
def test_whitening_by_the_data_set_takes_out_its_moments(pixels: np.ndarray) -> None:
    scaled = pixels.astype(np.float64) / 255
    mean, std = scaled.mean((0, 1, 2)), scaled.std((0, 1, 2))
    preprocessing = Preprocessing.of([torch.from_numpy(pixels)], "dataset", None)
    assert preprocessing.mean == pytest.approx(mean, abs=1e-12)
    assert preprocessing.deviation == pytest.approx(std, abs=1e-7)
    expected = (scaled - mean) / np.maximum(std, 1 / 255)
    result = preprocessing(torch.from_numpy(pixels)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=255 * 2**-23)  # of numbers up to 255


def test_without_whitening_pixels_are_divided_by_255() -> None:
    pixels = torch.from_numpy(images(image_table(20, (5, 4, 3))))
    result = Preprocessing("none")(pixels).permute(0, 2, 3, 1)
    np.testing.assert_allclose(result, pixels.double() / 255, rtol=1e-6)


def test_a_crop_is_the_centre_and_what_is_outside_bears_on_nothing() -> None:
    pixels = torch.from_numpy(images(image_table(20, (7, 6, 3))))
    for whiten in ("image", "dataset", "none"):
        preprocessing = Preprocessing.of([pixels], whiten, 4)
        assert preprocessing.input_shape((7, 6, 3)) == (4, 4, 3)
        inside = pixels[:, 1:5, 1:5]
        expected = Preprocessing.of([inside], whiten, None)(inside)
        assert torch.equal(preprocessing(pixels), expected)


@pytest.mark.parametrize(("shape", "words"), [((5, 9, 1), "5×9"), ((9, 5, 1), "9×5")])
def test_a_crop_larger_than_the_image_is_refused(shape: Shape, words: str) -> None:
    with pytest.raises(GencliError) as refused:
        Preprocessing(crop=6).input_shape(shape)
    assert (str(refused.value), refused.value.hint) == (f"--crop: 6×6 does not fit images of {words}", "give at most 5")
    assert Preprocessing(crop=5).input_shape(shape) == (5, 5, 1)


@pytest.mark.parametrize("shape", [(1, 32, 32, 3), (1, 1, 257, 1), (3, 7, 37, 1)])
def test_moments_of_black_and_white_images_are_exact(shape: tuple[int, ...]) -> None:
    pixels = torch.full(shape, 255, dtype=torch.uint8)
    pixels[:, :, ::2] = 0
    each = pixels.double().flatten(1) / 255
    slope, offset = network_input.scaling(pixels)
    expected = 1 / each.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(slope.double(), expected / 255, rtol=1e-7, atol=0)
    torch.testing.assert_close(offset.double(), -each.mean(1, keepdim=True) * expected, rtol=1e-6, atol=0)


def test_slopes_and_offsets_are_of_each_image_or_of_each_value() -> None:
    pixels = torch.from_numpy(images(image_table(7, (5, 4, 3))))
    shapes = {"image": (7, 1), "dataset": (1, 60), "none": (1, 1)}
    for whiten, shape in shapes.items():
        made = Preprocessing.of([pixels], whiten, None)  # type: ignore[arg-type]
        for part in made.scaling(pixels):
            assert part.shape == shape
            assert part.dtype == torch.float32
        assert made(pixels).is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(made(pixels, made.scaling(pixels)), made(pixels))


def test_what_is_held_is_found_by_its_place() -> None:
    pixels = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    labels, place = torch.tensor([4, 5, 6, 7]), torch.tensor([1, -1, 0, 2])
    rows = Rows(pixels, labels, targets=pixels + 10, ids=labels + 100, place=place)
    chosen = rows.select(torch.tensor([3, 1, 0, 0]))
    assert chosen.images.flatten().tolist() == [2, 1, 1]
    assert chosen.targets is not None
    assert chosen.targets.flatten().tolist() == [12, 11, 11]
    assert chosen.place is not None
    assert chosen.place.tolist() == [0, -1, 1, 2]
    assert chosen.labels.tolist() == [7, 5, 4, 4]
    held, numbers = rows.held()
    assert numbers.tolist() == [0, 2, 3]
    assert held.images.flatten().tolist() == [1, 0, 2]
    assert held.place is None
    in_order, numbers = Rows(pixels, labels, place=torch.tensor([0, -1, 1, 2])).held()
    assert numbers.tolist() == [0, 2, 3]
    assert in_order.images is pixels
    viewed = rows.view(torch.tensor([2, 1]))
    assert viewed.images is pixels
    assert viewed.place is not None
    assert viewed.place.tolist() == [0, -1]
    unplaced = Rows(pixels, labels[:3]).view(torch.tensor([2, 0]))
    assert unplaced.place is not None
    assert unplaced.place.tolist() == [2, 0]


def test_identities_are_the_columns_that_are_known() -> None:
    labels = torch.tensor([4, 5])
    known = Rows(torch.zeros(2, 1, 1, 1), labels).identities()
    assert {name: values.tolist() for name, values in known.items()} == {"id": [0, 1], "label": [4, 5]}
    known = Rows(torch.zeros(2, 1, 1, 1), labels, labels + 1, ids=labels + 2).identities()
    assert {name: values.tolist() for name, values in known.items()} == {
        "id": [6, 7],
        "label": [4, 5],
        "label_true": [5, 6],
    }


def test_targets_are_fractions_of_the_brightest_value_and_needed() -> None:
    targets = torch.tensor([[[[0, 51]], [[255, 102]]]], dtype=torch.uint8)
    torch.testing.assert_close(target_input(targets), torch.tensor([[[[0.0], [1.0]], [[0.2], [0.4]]]]))
    require_target(["image", "target"], "toy.parquet")
    with pytest.raises(GencliError) as refused:
        require_target(["image"], "toy.parquet")
    assert str(refused.value) == "toy.parquet: no column target, which image-to-image networks need"
    assert refused.value.hint == "add one: gencli corrupt gaussian-noise --sigma 25 --on both, or --clean-target"


def test_preprocessing_comes_back_from_its_facts() -> None:
    pixels = torch.from_numpy(images(image_table(20, (7, 6, 3))))
    for whiten in ("image", "dataset", "none"):
        preprocessing = Preprocessing.of([pixels], whiten, 4)
        assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json())), 3) == preprocessing


@pytest.mark.parametrize(
    "facts",
    [
        Preprocessing(crop=1),
        Preprocessing("dataset", 2, (0.0, 1.0, 0.5), (0.0, 1.0, 0.25)),
    ],
)
def test_the_least_that_preprocessing_may_be_is_known(facts: Preprocessing) -> None:
    assert Preprocessing.from_json(facts.to_json(), 3) == facts


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 128},
        {"crop": 0},
        {"whiten": "pca"},
        {"more": 1},
        {"mean": 3},
        {"crop": "x"},
        {"crop": -3},
        {"crop": True},
        {"mean": [0.5], "deviation": ["a"]},
        {"mean": [0.5, 0.5, 0.5], "deviation": [1.0, 1.0, 1.0]},
        {"whiten": "dataset"},
        {"whiten": "dataset", "mean": [0.5], "deviation": [1.0]},
        {"whiten": "dataset", "mean": [0.5, math.nan, 0.5], "deviation": [1.0, 1.0, 1.0]},
        {"whiten": "dataset", "mean": [0.5, 0.5, 0.5], "deviation": [1.0, math.inf, 1.0]},
        {"whiten": "dataset", "mean": [0.5, 0.5, 0.5], "deviation": [1.0, -1.0, 1.0]},
    ],
)
def test_unknown_preprocessing_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(GencliError, match="its preprocessing is unknown to this version"):
        Preprocessing.from_json(Preprocessing().to_json() | change, 3)


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
    assert rows.ids is not None
    assert np.array_equal(rows.ids, table.column("id"))


def test_true_labels_are_loaded_where_known(tmp_path: Path) -> None:
    table = save_corrupted(image_table(50), RandomLabels(1), tmp_path / "toy.parquet")
    rows = load(table)
    assert rows.labels_true is not None
    assert rows.labels.tolist() == table.column("label").tolist()
    assert rows.labels_true.tolist() == table.column("label_true").tolist()
    assert rows.labels.tolist() != rows.labels_true.tolist()


@given(st.lists(st.booleans(), min_size=20, max_size=20), st.lists(st.integers(0, 19), min_size=1))
def test_a_part_of_the_images_is_loaded_with_all_labels(keep: list[bool], index: list[int]) -> None:
    table = image_table(20, (5, 4, 3))
    whole, part = load(table), load(table, np.array(keep))
    assert len(part) == 20
    assert torch.equal(part.labels, whole.labels)
    chosen = part.select(torch.tensor(index))
    assert torch.equal(chosen.labels, whole.labels[index])
    held, numbers = chosen.held()
    assert numbers.tolist() == [place for place, row in enumerate(index) if keep[row]]
    assert torch.equal(held.images, whole.images[index][numbers])
    assert torch.equal(held.labels, whole.labels[index][numbers])
    assert held.place is None


def test_images_that_do_not_fit_are_refused_before_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    table = image_table(1000, (4, 4, 1))
    monkeypatch.setattr(machine, "free_memory", lambda: 40 * 1000 + 16 * 500)
    assert len(load(table, np.arange(1000) < 500).images) == 500
    monkeypatch.setattr(table, "batches", None)
    with pytest.raises(GencliError, match=r"toy: 1,000 images and the columns beside them: needs 54.7 KiB of memory"):
        load(table)
