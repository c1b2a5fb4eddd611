"""Which weights are drawn, how they are arranged, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gencli.errors import GencliError
from gencli.files import stored
from gencli.files.stream import Input
from gencli.showing.filters import picture

COLORS = {"architecture": "lenet5", "shape": [2, 3, 3]}
SCALE = "gray is 0, white {0}, black -{0}, the largest of those drawn"
COLOR = "in each color half is 0, full {0}, none -{0}, the largest of those drawn"
ORDER = "a unit's weights of the pixels, in the order "


def counted(*shape: int) -> torch.Tensor:
    """-1, -2, … in row-major order."""
    return -1.0 - torch.arange(float(np.prod(shape))).view(shape)


def drawn(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tensors: dict[str, torch.Tensor],
    known: dict[str, Any],
    columns: int = 2,
) -> tuple[np.ndarray, list[str]]:
    """The tiles and the caption; the scale is that of the tiles."""
    save_file(tensors, tmp_path / "m.safetensors")
    source = Input(str(tmp_path / "m.safetensors"))
    seen: list[Any] = []
    monkeypatch.setattr("gencli.reporting.sheet.weights", lambda *given: seen.extend(given) or b"")
    found = sorted(stored.tensors(source)[0], key=lambda each: each.name)
    assert picture(source, found, known, columns)("made") == b""
    tiles, across, largest, caption, made = seen
    assert (across, made) == (columns, "made")
    assert largest == abs(tiles).max()
    return tiles, caption


@pytest.mark.parametrize("shape", [(2, 3, 1, 2), (2, 3, 4, 2)])
def test_filters_of_a_convolution_have_their_channels_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    values = counted(*shape)
    tiles, caption = drawn(tmp_path, monkeypatch, {"0.bias": torch.ones(2), "1.weight": values}, COLORS)
    assert np.array_equal(tiles, values.permute(0, 2, 3, 1))
    assert caption == [
        f"lenet5: 1.weight, {'x'.join(map(str, shape))}",
        f"2 filters of a convolution, each {shape[2]}x{shape[3]}x3",
        COLOR.format(f"{values.numel():g}"),
    ]


def test_a_network_of_no_known_images_is_drawn_by_its_four_channels_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {"a": counted(2, 5, 1, 1), "b": counted(3, 4, 1, 1), "n": torch.ones(2, 1, 1, 1, dtype=torch.int64)}
    tiles, caption = drawn(tmp_path, monkeypatch, tensors, {})
    assert tiles.shape == (3, 1, 1, 4)
    assert caption == [
        "m.safetensors: b, 3x4x1x1", "3 filters of a convolution, each 1x1x4", SCALE.format(12),
        "the first of 4 channels, as gray",
    ]  # fmt: skip
    with pytest.raises(GencliError) as refused:
        drawn(tmp_path, monkeypatch, {"a": tensors["a"], "n": tensors["n"]}, {})
    assert str(refused.value).endswith("m.safetensors: no first layer to draw: no weights are of pixels")
    assert refused.value.hint == "omit --sheet; it draws image tables, and models whose first layer weighs pixels"


def test_units_of_a_dense_layer_are_arranged_as_their_network_flattens_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = counted(2, 18)
    tensors = {"0": counted(2, 5), "1": values, "2": counted(3, 18)}
    tiles, caption = drawn(tmp_path, monkeypatch, tensors, COLORS)
    assert np.array_equal(tiles, values.view(2, 2, 3, 3))
    words = ["lenet5: 1, 2x18", "2 units of a dense layer, each 2x3x3"]
    assert caption == [*words, ORDER + "height, width, channels", COLOR.format(36)]
    tiles, caption = drawn(tmp_path, monkeypatch, tensors, COLORS | {"architecture": "net.py:make"})
    assert np.array_equal(tiles, values.view(2, 3, 2, 3).permute(0, 2, 3, 1))
    assert caption[2] == ORDER + "channels, height, width"
    gray = {"architecture": "net.py:make", "shape": [2, 9, 1]}
    tiles, caption = drawn(tmp_path, monkeypatch, tensors, gray)
    assert np.array_equal(tiles, values.view(2, 2, 9, 1))
    assert caption[2:] == [ORDER + "height, width, channels", SCALE.format(36)]


@pytest.mark.parametrize(("crop", "side"), [(2, 2), (1, 1), (0, 3), (True, 3), (None, 3)])
def test_a_crop_is_the_side_of_what_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crop: Any, side: int
) -> None:
    tensors = {str(each): counted(2, each * each) for each in (1, 2, 3)}
    known = {"architecture": "linear", "shape": [3, 3, 1], "preprocessing": {"crop": crop}}
    tiles, _ = drawn(tmp_path, monkeypatch, tensors, known)
    assert tiles.shape == (2, side, side, 1)


def test_of_several_runs_the_first_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = COLORS | {"runs": [{}, {}]}
    values = counted(2, 4, 18)
    tiles, caption = drawn(tmp_path, monkeypatch, {"w": values, "z": torch.tensor(0.0)}, known)
    assert np.array_equal(tiles, values[0].view(4, 2, 3, 3))
    assert caption[1] == "4 units of a dense layer, of the first of 2 runs, each 2x3x3"
    values = counted(1200, 1, 3, 1, 2)
    tiles, caption = drawn(tmp_path, monkeypatch, {"w": values}, known)
    assert np.array_equal(tiles, values[0].permute(0, 2, 3, 1))
    assert caption[1] == "1 filters of a convolution, of the first of 1,200 runs, each 1x2x3"


def test_the_direction_of_a_projection_is_one_tile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"a": counted(6), "b": counted(6)}
    tiles, caption = drawn(tmp_path, monkeypatch, tensors, {"architecture": "finite-sample", "shape": [2, 3, 1]})
    assert np.array_equal(tiles, counted(1, 2, 3, 1))
    assert caption == [
        "finite-sample: a, 6", "1 direction that pixels are projected on, each 2x3x1", SCALE.format(6)
    ]  # fmt: skip
    with pytest.raises(GencliError, match="no first layer"):
        drawn(tmp_path, monkeypatch, {"b": counted(6)}, {"architecture": "finite-sample", "shape": [2, 3, 1]})


@pytest.mark.parametrize(
    ("units", "words"), [(10, "10 "), (11, "the first 10 of 11 "), (1200, "the first 10 of 1,200 ")]
)
def test_ten_rows_are_drawn_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, units: int, words: str) -> None:
    values = counted(units, 4)
    known = {"architecture": "linear", "shape": [2, 2, 1]}
    tiles, caption = drawn(tmp_path, monkeypatch, {"w": values}, known, columns=1)
    assert np.array_equal(tiles, values[:10].view(10, 2, 2, 1))
    assert caption[1] == f"{words}units of a dense layer, each 2x2x1"
    assert caption[-1] == SCALE.format(40)


def test_what_is_drawn_must_be_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"architecture": "linear", "shape": [2, 2, 1]}
    values = counted(11, 4)
    values[10, 3] = torch.nan
    drawn(tmp_path, monkeypatch, {"w": values}, known, columns=1)
    with pytest.raises(GencliError) as refused:
        drawn(tmp_path, monkeypatch, {"w": values}, known, columns=2)
    assert str(refused.value).endswith("m.safetensors: w: weights that are not finite have no color")
    assert refused.value.hint == "omit --sheet"
