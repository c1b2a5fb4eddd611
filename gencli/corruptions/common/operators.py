"""What the kinds share: images as planes, a row's draws, linear maps along the sides, sampling between pixels.

Planes are float32 in 0 … 1, [height, width, channels, images]. Matrices are scipy's sparse ones: their product gives an
image's values alike whatever images stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencli.randomness import Rows

Planes = NDArray[Any]
Border = Literal["nearest", "mirror", "reflect"]  # scipy.ndimage's names
_NOTHING = 2.0**-24  # a weight below it changes no gray level
_FAR = 1 << 20


class Recipe(NamedTuple):
    """A kind of corruption.

    Attributes:
        function: what corrupts planes by constants and by the rows' generators.
        cifar, imagenet: its constants for severity 1 to 5.
        order: how it is given planes: place by place (C), or image by image as they come (K).
    """

    function: Callable[[Planes, Any, Rows], Planes]
    cifar: Sequence[Any]
    imagenet: Sequence[Any]
    order: Literal["C", "K"] = "C"


def drawn(rows: Rows, *draws: Callable[[np.random.Generator], Any]) -> list[NDArray[Any]]:
    """For each of `draws`: [..., images] what every row draws by it, one after the other."""
    made = [[draw(generator) for draw in draws] for generator in rows]
    return [np.moveaxis(np.asarray(each), 0, -1) for each in zip(*made, strict=True)]


def gray(x: Planes) -> Planes:
    """[height, width, 1, images] the luminance of ITU-R BT.601."""
    return x if x.shape[2] == 1 else _luminance(*(x[:, :, channel, None] for channel in range(3)))


def color(levels: tuple[int, int, int], channels: int) -> Planes:
    """[channels, 1] a colour in 0 … 1, given in gray levels; its luminance where there is one channel."""
    return np.array(levels if channels == 3 else [_luminance(*levels)], np.float32)[:, None] / 255


def _luminance(red: Any, green: Any, blue: Any) -> Any:
    return 0.299 * red + 0.587 * green + 0.114 * blue


def inside(places: NDArray[Any], size: int, border: Border) -> NDArray[Any]:
    """Integer places beyond 0 … size−1 brought back: to the edge, or mirrored about the last pixel or behind it."""
    if border == "nearest":
        return np.clip(places, 0, size - 1)
    period = 2 * size if border == "reflect" else max(2 * size - 2, 1)
    places = places % period
    return np.minimum(places, period - places - (border == "reflect"))


def _matrix(rows: NDArray[Any], columns: NDArray[Any], values: NDArray[Any], size: int) -> Any:
    from scipy.sparse import csr_array

    matrix = csr_array((values.astype(np.float32), (rows, columns)), shape=(size, size))
    matrix.eliminate_zeros()
    return matrix


def filtering(size: int, kernel: NDArray[Any], border: Border) -> Any:
    """[size, size] the matrix that correlates a line with a kernel of odd length."""
    reach, places = len(kernel) // 2, np.arange(size)
    columns = inside(places[:, None] + np.arange(-reach, reach + 1), size, border)
    return _matrix(places.repeat(len(kernel)), columns.ravel(), np.tile(kernel, size), size)


@lru_cache
def zooming(size: int, factor: float, weight: float = 1) -> Any:
    """[size, size] the matrix that enlarges the middle of a line by linear interpolation, times a weight.

    The middle ceil(size/factor) pixels become round(that · factor), first and last on first and last, of which the
    middle `size` are kept.
    """
    few = int(np.ceil(size / factor))
    many = round(few * factor)
    places = (np.arange(size) + (many - size) // 2) * ((few - 1) / max(many - 1, 1))
    below = np.clip(np.floor(places).astype(int), 0, max(few - 2, 0))
    columns = (size - few) // 2 + np.stack([below, np.minimum(below + 1, few - 1)], axis=1)
    values = weight * np.stack([1 - (places - below), places - below], axis=1)
    return _matrix(np.arange(size).repeat(2), columns.ravel(), values.ravel(), size)


def gaussian(sigma: float, reach: int) -> NDArray[np.float64]:
    """[2 reach + 1] weights of sum 1."""
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / sigma) ** 2) if sigma else (places == 0).astype(float)
    return weights / weights.sum()


@lru_cache
def _smoothing(size: int, sigma: float, border: Border, truncate: float) -> Any:
    return filtering(size, gaussian(sigma, int(truncate * sigma + 0.5)), border)


def smooth(x: Planes, sigma: float, border: Border = "nearest", truncate: float = 4) -> Planes:
    """Gaussian blur of [height, width, ...], the kernel cut off at `truncate` sigma."""
    height, width = (_smoothing(size, sigma, border, truncate) for size in x.shape[:2])
    return mapped(x, [(height, width)])


def mapped(x: Planes, maps: Iterable[tuple[Any, Any]]) -> Planes:
    """The sum of V x Hᵀ over pairs (V, H) of matrices, for x [height, width, ...]."""
    height, width = x.shape[:2]
    total: Any = 0
    for down, across in maps:
        lines = (down @ x.reshape(height, -1)).reshape(height, width, -1)
        total += across @ lines.transpose(1, 0, 2).reshape(width, -1)
    return np.ascontiguousarray(total.reshape(width, height, -1).transpose(1, 0, 2)).reshape(x.shape)


def streaked(x: Planes, radius: int, sigma: float, angles: NDArray[np.float64]) -> Planes:
    """Motion blur of planes, each image along its own angle in degrees.

    As ImageMagick's: half a Gaussian of 2 radius + 1 weights, on the pixels nearest to a line from each pixel.
    """
    height, width, channels, count = x.shape
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    weights = (weights / weights.sum())[weights > _NOTHING * weights.sum()].astype(np.float32)
    line = steps[: len(weights), None]
    radians = np.deg2rad(angles)
    down, right = (np.ceil(line * side - 0.5).astype(int) for side in (np.sin(radians), np.cos(radians)))
    above, left = (max(-side.min(), 0) for side in (down, right))
    around = (0, 0), (above, max(down.max(), 0)), (left, max(right.max(), 0)), (0, 0)
    wide = np.pad(x.transpose(3, 0, 1, 2), around, "edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width, channels), axis=(1, 2, 3))[:, :, :, 0]
    total = np.zeros((count, height, width, channels), np.float32)
    for weight, each_down, each_right in zip(weights, down, right, strict=True):
        part = windows[np.arange(count), each_down + above, each_right + left]
        total += np.multiply(part, weight, out=part)
    return total.transpose(1, 2, 3, 0)


def sampled(x: Planes, down: Planes, right: Planes, border: Border) -> Planes:
    """Planes at places [height, width, images] between their pixels, by linear interpolation."""
    height, width, channels, count = x.shape
    down, right = (np.clip(places, -_FAR, _FAR) for places in (down, right))
    line, column = np.floor(down), np.floor(right)
    below, beside = down - line, right - column

    def steps(start: Planes, size: int, stride: int) -> list[NDArray[np.intp]]:
        places = start.astype(np.intp)
        return [inside(places + step, size, border) * (stride * channels * count) for step in (0, 1)]

    columns = [each + np.arange(count) for each in steps(column, width, 1)]
    corners = [[each + other for other in columns] for each in steps(line, height, width)]
    made, values = np.empty_like(x), x.ravel()
    for channel in range(channels):
        plane = values[channel * count :]
        upper, lower = (
            left + beside * (right - left) for left, right in ([plane.take(each) for each in pair] for pair in corners)
        )
        made[:, :, channel] = upper + below * (lower - upper)
    return made
