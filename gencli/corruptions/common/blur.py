"""Blurs, by weights that sum to 1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.corruptions.common.operators import (
    Planes,
    Recipe,
    drawn,
    filtering,
    gaussian,
    mapped,
    smooth,
    streaked,
    zooming,
)
from gencli.randomness import Rows


def gaussian_blur(x: Planes, sigma: float, rows: Rows) -> Planes:
    """Gaussian blur."""
    return smooth(x, sigma)


def defocus_blur(x: Planes, constants: tuple[float, float], rows: Rows) -> Planes:
    """Blurs by a disk: its radius, and the sigma of the Gaussian that smooths the disk."""
    return mapped(x, _disk(*x.shape[:2], *constants))


@lru_cache
def _disk(height: int, width: int, radius: float, sigma: float) -> list[tuple[Any, Any]]:
    """A disk is a sum over its lines' lengths: the places of the lines of a length, times a run of that length."""
    around = np.arange(-int(radius), int(radius) + 1)
    halves = np.sqrt(radius**2 - around**2).astype(int)
    edge = gaussian(sigma, 1 if radius <= 8 else 2)
    runs = {half: np.ones(2 * half + 1) / (2 * halves + 1).sum() for half in np.unique(halves)}
    return [
        (
            filtering(height, np.convolve((halves == half).astype(float), edge), "mirror"),
            filtering(width, np.convolve(run, edge), "mirror"),
        )
        for half, run in runs.items()
    ]


def glass_blur(x: Planes, constants: tuple[float, int, int], rows: Rows) -> Planes:
    """Copies to every pixel one from nearby, in turn from last to first and several times, between two Gaussian blurs.

    The constants: sigma, how far, how often. The authors' code means to exchange pixels, but copies them.
    """
    sigma, reach, times = constants
    height, width, channels, count = x.shape
    moves = (times, 2, height, width)
    [steps] = drawn(rows, lambda generator: generator.integers(-reach, reach, moves, np.int8))
    sources = np.arange(count * height * width)
    for down, right in np.moveaxis(steps, -1, 2).astype(np.intp):
        stride = np.where(_movable(height, width, reach), down * width + right, 0)
        sources = sources.take(_sources(stride.ravel()))
    pixels = np.ascontiguousarray(smooth(x, sigma).transpose(3, 0, 1, 2)).reshape(-1, channels)
    moved = pixels.take(sources, 0).reshape(count, height, width, channels)
    return smooth(np.ascontiguousarray(moved.transpose(1, 2, 3, 0)), sigma)


def _movable(height: int, width: int, reach: int) -> NDArray[np.bool_]:
    """The pixels that are so far from the border that all that they may be copied from is inside."""
    line, column = np.ogrid[:height, :width]
    return (line > reach) & (line <= height - reach) & (column > reach) & (column <= width - reach)


def _sources(steps: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each pixel's value comes from, if each is copied from `steps` after it, the last pixel first."""
    places = np.arange(len(steps))
    ends = np.where(steps > 0, places + steps, places)  # what lies after was copied before
    while not np.array_equal(further := ends.take(ends), ends):
        ends = further
    return ends + steps.take(ends)


def motion_blur(x: Planes, constants: tuple[int, float], rows: Rows) -> Planes:
    """Blurs along a direction up to 45 degrees off the horizontal, drawn for each image: radius and sigma."""
    [angles] = drawn(rows, lambda generator: generator.uniform(-45, 45))
    return streaked(x, *constants, angles)


def zoom_blur(x: Planes, constants: tuple[float, float], rows: Rows) -> Planes:
    """The mean of an image and its enlargements by 1, 1 + step, … below an end: the end and the step.

    The factors are the authors' `arange`, whose rounding counts: `arange(1, 1.06, 0.01)` and `arange(1, 1.11, 0.01)`
    hold their ends, and the factor 1.2500000000000002 makes 33 of 26 pixels, where 1.25 makes 32.
    """
    factors = [1.0, *np.arange(1, *constants).tolist()]
    weight = 1 / len(factors)
    return mapped(x, ((zooming(x.shape[0], factor, weight), zooming(x.shape[1], factor)) for factor in factors))


RECIPES = {
    "defocus-blur": Recipe(
        defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "glass-blur": Recipe(
        glass_blur,
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion-blur": Recipe(
        motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "K",
    ),
    "zoom-blur": Recipe(
        zoom_blur,
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "gaussian-blur": Recipe(gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1), (1, 2, 3, 4, 6)),
}
