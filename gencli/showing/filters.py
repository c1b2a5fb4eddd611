"""Pictures of a network's first layer: what its units or filters weigh of the pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.counts import by
from gencli.errors import GencliError
from gencli.files.stored import Stored
from gencli.files.stream import Input
from gencli.files.tables import is_shape
from gencli.reporting import sheet

_ROWS = 10  # of a picture
_HINT = "omit --sheet; it draws image tables, and models whose first layer weighs pixels"


@dataclass(frozen=True)
class _Layer:
    """The first layer: its weights as stored, and how a unit's weights become [height, width, channels]."""

    tensor: Stored
    units: int
    skipped: int
    arrange: Callable[[NDArray[Any]], NDArray[Any]]
    said: str
    order: tuple[str, ...] = ()


def picture(source: Input, tensors: Sequence[Stored], known: dict[str, Any], columns: int) -> Callable[[str], bytes]:
    """What draws the first `columns` times ten filters of the first layer, given the provenance of the picture.

    Raises:
        GencliError: no layer weighs pixels, or its weights are not finite.
    """
    layer = _first_layer(source, tensors, known)
    drawn = min(layer.units, columns * _ROWS)
    size = layer.tensor.size // layer.units // (layer.skipped or 1)
    values = layer.tensor.values(source, 0, drawn * size).astype(np.float32)
    tiles = layer.arrange(values.reshape(drawn, size))
    largest = float(abs(tiles).max())
    if not math.isfinite(largest):
        raise GencliError(
            f"{source.name}: {layer.tensor.name}: weights that are not finite have no color", "omit --sheet"
        )
    channels = tiles.shape[3]
    some = f"the first {drawn:,} of {layer.units:,}" if drawn < layer.units else f"{drawn:,}"
    name = known.get("architecture") or (source.path or source).name
    caption = [
        f"{name}: {layer.tensor.name}, {by(layer.tensor.shape)}",
        f"{some} {layer.said}, each {by(tiles.shape[1:])}",
        *layer.order,
        f"gray is 0, white {largest:.4g}, black {-largest:.4g}, the largest of those drawn",
    ]
    if channels == 3:
        caption[-1] = f"in each color half is 0, full {largest:.4g}, none {-largest:.4g}, the largest of those drawn"
    elif channels > 1:
        caption.append(f"the first of {channels} channels, as gray")
    caption = [line.replace("×", "x") for line in caption]
    return lambda made: sheet.weights(tiles, columns, largest, caption, made)


def _first_layer(source: Input, tensors: Sequence[Stored], known: dict[str, Any]) -> _Layer:
    weights = [each for each in tensors if each.readable and each.kind[0] in "FB" and each.size and each.kind != "BOOL"]
    shape, prepared = known.get("shape"), known.get("preprocessing")
    ours = isinstance(shape, list) and is_shape(shape)
    height, width, channels = shape if isinstance(shape, list) and ours else (0, 0, 0)
    if isinstance(prepared, dict) and type(crop := prepared.get("crop")) is int and crop > 0:
        height = width = crop
    pixels, own = height * width * channels, ":" in str(known.get("architecture"))
    runs = bool(known.get("runs"))
    for each in weights:
        run, sides = (each.shape[0], each.shape[1:]) if runs and each.shape else (0, each.shape)
        if len(sides) == 4 and (sides[1] == channels if ours else sides[1] <= 4):
            said = "filters of a convolution"
            return _Layer(each, sides[0], run, _convolution(sides[1:]), f"{said}{_of_run(run)}")
        if ours and sides == (pixels,) and each.name == "a":  # of the finite-sample network
            return _Layer(
                each, 1, run, _dense(height, width, channels, False), "direction that pixels are projected on"
            )
        if ours and len(sides) == 2 and sides[1] == pixels:
            said = "channels, height, width" if own and channels > 1 else "height, width, channels"
            order = (f"a unit's weights of the pixels, in the order {said}",)
            arrange = _dense(height, width, channels, own)
            return _Layer(each, sides[0], run, arrange, f"units of a dense layer{_of_run(run)}", order)
    raise GencliError(f"{source.name}: no first layer to draw: no weights are of pixels", _HINT)


def _of_run(run: int) -> str:
    return f", of the first of {run:,} runs" if run else ""


def _convolution(sides: Sequence[int]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda values: values.reshape(len(values), *sides).transpose(0, 2, 3, 1)


def _dense(height: int, width: int, channels: int, planes: bool) -> Callable[[NDArray[Any]], NDArray[Any]]:
    if planes:
        return _convolution((channels, height, width))
    return lambda values: values.reshape(len(values), height, width, channels)
