"""Weather: random layers that are blended over each image."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.corruptions.common.operators import (
    Border,
    Planes,
    Recipe,
    color,
    drawn,
    filtering,
    gray,
    inside,
    mapped,
    smooth,
    streaked,
    zooming,
)
from gencli.randomness import Rows

_NEEDLES = 3
_FAR = 20
_TAN = math.tan(math.pi / 8)
_ROUNDING = 1e-4  # a mean of whole numbers is not to fall short of one
_SOBEL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


def _square(height: int, width: int) -> Callable[[np.random.Generator], Planes]:
    side = 1 << (max(height, width, 2) - 1).bit_length()
    return lambda generator: 2 * generator.random((side, side), np.float32) - 1


def _plasma(wibbles: Planes, decay: float) -> Planes:
    """[side, side, images] in 0 … 1, a fractal that repeats at its borders, from numbers in −1 … 1; side a power of 2.

    Diamond-square, the displacement divided by decay² from one scale to the next.
    """
    wibbles = np.ascontiguousarray(wibbles)
    heights = np.zeros_like(wibbles)
    step, wibble = len(wibbles), 1.0
    while step >= 2:
        half = step // 2
        corners, centres = heights[::step, ::step], heights[half::step, half::step]
        beside, below = (corners + np.roll(corners, -1, axis) for axis in (1, 0))
        centres[:] = (beside + np.roll(beside, -1, 0)) / 4 + wibble * wibbles[half::step, half::step]
        for between, ends, axis, place in (
            (heights[::step, half::step], beside, 0, np.s_[::step, half::step]),
            (heights[half::step, ::step], below, 1, np.s_[half::step, ::step]),
        ):
            between[:] = (ends + centres + np.roll(centres, 1, axis)) / 4 + wibble * wibbles[place]
        step, wibble = half, wibble / decay**2
    heights -= heights.min((0, 1))
    return heights / heights.max((0, 1))


def fog(x: Planes, constants: tuple[float, float], rows: Rows) -> Planes:
    """Adds a fractal of this strength and decay, then dims the image to the brightness that it had."""
    strength, decay = constants
    height, width = x.shape[:2]
    [wibbles] = drawn(rows, _square(height, width))
    most = x.max((0, 1, 2))
    return (x + strength * _plasma(wibbles, decay)[:height, :width, None]) * (most / (most + strength))


def frost(x: Planes, constants: tuple[float, float], rows: Rows) -> Planes:
    """Dims the image and adds a texture of frost: by how much each is multiplied.

    The authors' texture is a part of one of five photographs. Ours is drawn: ice needles in three directions on a
    fractal, of a lightness and a tint of blue that vary from image to image. Its constants are such that what is
    measured of 32×32 parts of the photographs, made smaller as the authors do, is near: gray levels' mean (163), their
    deviation within an image (22) and between images' means (39), the mean step between neighbours (18.8), blue less
    red (33, deviating by 28); and the step of parts of 224×224 (11.1).
    """
    height, width, channels, count = x.shape
    dim, strength = constants
    noise, angles, wibbles, (lightness, tint) = drawn(
        rows,
        lambda generator: generator.standard_normal((height, width, 1, _NEEDLES), np.float32),
        lambda generator: generator.uniform(0, 360, _NEEDLES),
        _square(height, width),
        lambda generator: generator.random(2, np.float32),
    )
    needles = noise.reshape(height, width, 1, -1)
    reach = max(min(height, width) // 4, 1)
    ice = streaked(needles, reach, reach / 3, angles.ravel()).reshape(height, width, _NEEDLES, count).max(2)
    ice -= ice.mean((0, 1))
    texture = 0.27 + 0.55 * lightness + 0.22 * (reach / 8) ** 0.25 * ice
    texture += 0.2 * _plasma(wibbles, 1.5)[:height, :width]
    blue = color((-255, 0, 255), channels) * (0.2 * tint - 0.035)
    return dim * x + strength * np.clip(texture[:, :, None] + blue, 0, 1)


def snow(x: Planes, constants: tuple[float, float, float, float, int, float, float], rows: Rows) -> Planes:
    """Whitens the image and adds flakes that fall aslant, and the same flakes turned by 180 degrees.

    The constants: of the flakes mean, standard deviation, enlargement, threshold, and their path's radius and sigma;
    and how much of the image is not whitened.
    """
    mean, deviation, factor, threshold, radius, sigma, kept = constants
    height, width = x.shape[:2]
    noise, angles = drawn(
        rows,
        lambda generator: generator.standard_normal((height, width, 1), np.float32),
        lambda generator: generator.uniform(-135, -45),
    )
    zoom = zooming(height, factor), zooming(width, factor)
    large = mapped(mean + deviation * noise, [zoom])
    flakes = streaked(np.clip(np.where(large < threshold, 0, large), 0, 1), radius, sigma, angles)
    flakes = np.ascontiguousarray(flakes)
    white = np.maximum(x, gray(x) * 1.5 + 0.5)
    return kept * x + (1 - kept) * white + flakes + flakes[::-1, ::-1]


def spatter(x: Planes, constants: tuple[float, float, float, float, float, int], rows: Rows) -> Planes:
    """Spatters the image with water, pale turquoise and lit from one side, or with brown mud.

    The constants: of the liquid mean, standard deviation, sigma of its blur and threshold; the water's strength or the
    mud's blur; and whether it is mud.
    """
    mean, deviation, sigma, threshold, strength, mud = constants
    [noise] = drawn(rows, lambda generator: generator.standard_normal(x.shape[:2], np.float32))
    liquid = smooth(mean + deviation * noise, sigma)
    if mud:
        cover = smooth((liquid >= threshold).astype(np.float32), strength)[:, :, None]
        cover[cover < 0.8] = 0
        return x * (1 - cover) + color((63, 42, 20), x.shape[2]) * cover
    liquid = np.clip(np.where(liquid < threshold, 0, liquid), 0, 1)
    light = _relief(np.floor(liquid * 255)) * liquid
    light *= strength / np.maximum(light.max((0, 1)), 1e-6)
    return x + light[:, :, None] * color((175, 238, 238), x.shape[2])


def _relief(liquid: Planes) -> Planes:
    """[height, width, images] how bright drops shine: the distances to their outlines, equalized and embossed."""
    height, width = (filtering(size, np.full(3, 1 / 3), "mirror") for size in liquid.shape[:2])
    boxes = [(height, width)]
    distances = np.floor(mapped(_distances(_outlines(liquid)), boxes) + _ROUNDING)
    embossed = np.rint(_correlated(_equalized(distances), _EMBOSS, "mirror"))
    return mapped(np.clip(embossed, 0, 255), boxes)


def _outlines(levels: Planes) -> NDArray[np.bool_]:
    """Canny's edges of [height, width, images], by OpenCV's rules, with thresholds 50 and 150."""
    from scipy.ndimage import binary_propagation

    right, down = (_correlated(levels, kernel, "nearest") for kernel in (_SOBEL, _SOBEL.T))
    strength = np.abs(right) + np.abs(down)
    around = np.pad(strength, ((1, 1), (1, 1), (0, 0)))

    def beside(line: int, column: int) -> Planes:
        return around[1 + line :, 1 + column :][: len(levels), : levels.shape[1]]

    ridge = np.select(
        [
            np.abs(down) < np.abs(right) * _TAN,
            np.abs(down) > np.abs(right) * (2 + _TAN),
            right * down < 0,
        ],
        [
            (strength > beside(0, -1)) & (strength >= beside(0, 1)),
            (strength > beside(-1, 0)) & (strength >= beside(1, 0)),
            (strength > beside(-1, 1)) & (strength > beside(1, -1)),
        ],
        (strength > beside(-1, -1)) & (strength > beside(1, 1)),
    )
    weak, strong = (ridge.astype(bool) & (strength > least) for least in (50, 150))
    found: Any = binary_propagation(strong, np.ones((3, 3, 1), bool), weak)
    return found


def _distances(outlines: NDArray[np.bool_]) -> Planes:
    """From each pixel of [height, width, images] to the nearest outline, at most 20."""
    squares = np.where(outlines, 0, np.float32(_FAR**2))
    for axis in (0, 1):
        before = np.moveaxis(squares, axis, 0)
        after = before.copy()
        for step in range(1, min(_FAR, len(before))):
            for start, stop in ((np.s_[step:], np.s_[:-step]), (np.s_[:-step], np.s_[step:])):
                np.minimum(after[start], before[stop] + step**2, out=after[start])
        squares = np.moveaxis(after, 0, axis)
    return np.sqrt(squares)


def _equalized(levels: Planes) -> Planes:
    """Whole numbers from 0 to 20 in [height, width, images], spread over 0 … 255 so that each image's are even."""
    pixels, images = levels.shape[0] * levels.shape[1], levels.shape[2]
    places = levels.astype(np.intp) * images + np.arange(images)
    counts = np.bincount(places.ravel(), minlength=(_FAR + 1) * images).reshape(-1, images)
    lowest = counts[levels.min((0, 1)).astype(int), np.arange(images)]
    spread = 255 * (np.cumsum(counts, 0) - lowest) / np.maximum(pixels - lowest, 1)
    return np.rint(spread).astype(np.float32).take(places)


def _correlated(x: Planes, kernel: Planes, border: Border) -> Planes:
    """[height, width, images] with a kernel of 3×3."""
    height, width = x.shape[:2]
    wide = x.take(inside(np.arange(-1, height + 1), height, border), 0)
    wide = wide.take(inside(np.arange(-1, width + 1), width, border), 1)
    parts = (weight * wide[i : i + height, j : j + width] for (i, j), weight in np.ndenumerate(kernel) if weight)
    return functools.reduce(np.add, parts)


RECIPES = {
    "snow": Recipe(
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "frost": Recipe(
        frost,
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    ),
    "fog": Recipe(
        fog,
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "spatter": Recipe(
        spatter,
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
    ),
}
