"""Noise that is independent for every value."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gencli.corruptions.common.operators import Planes, Recipe
from gencli.randomness import Rows


def _normals(x: Planes, sigma: float, rows: Rows) -> Planes:
    noise = rows.normals(x[..., 0].size).reshape(-1, *x.shape[:3])
    noise *= sigma
    return np.moveaxis(noise, 0, -1)


def _words(x: Planes, rows: Rows) -> NDArray[np.uint32]:
    """As many as values, uniform on 0 … 2³²−1: what `integers` draws, in a third of the time."""
    size = x[..., 0].size
    words = rows.bits(-(-size // 2)).astype("<u8", copy=False).view("<u4")[:, :size]
    return np.moveaxis(words.reshape(-1, *x.shape[:3]), 0, -1)


def gaussian_noise(x: Planes, sigma: float, rows: Rows) -> Planes:
    """Adds normal noise of a standard deviation."""
    noise = _normals(x, sigma, rows)
    noise += x
    return noise


def shot_noise(x: Planes, photons: int, rows: Rows) -> Planes:
    """Counts photons, Poisson numbers, of which a white value receives so many on the average."""
    words, before = (np.moveaxis(each, -1, 0) for each in (_words(x, rows), x))  # as they lie
    columns = words & 255
    cells = _cells(photons).take((np.rint(before * 255).astype(np.intp) << 8) + columns)
    counted = np.where(words >> 8 < cells >> 8, columns, cells & 255)
    return np.moveaxis(counted.astype(np.float32) / 255, 0, -1)


@lru_cache(5)
def _cells(photons: int) -> NDArray[np.uint32]:
    """[256 · 256] Walker's aliases: for each gray level before, the 256 after as cells of the same weight.

    The high 24 bits are the share of a cell that is its own level, the low 8 the level of the rest.
    """
    counts = np.arange(3 * photons + 50)
    means = np.maximum(photons * np.arange(256)[:, None] / 255, 1e-99)
    chances = np.exp(counts * np.log(means) - means - np.cumsum(np.log(np.maximum(counts, 1))))
    after = np.rint(np.minimum(counts / photons, 1) * 255).astype(int)
    weights = np.stack([np.bincount(after, each / each.sum() * 256, 256) for each in chances])
    own, rest, lines = np.ones((256, 256)), np.tile(np.arange(256), (256, 1)), np.arange(256)
    for _ in range(255):  # the emptiest cell is filled from the fullest, and is done
        least, most = np.nanargmin(weights, 1), np.nanargmax(weights, 1)
        own[lines, least], rest[lines, least] = weights[lines, least], most
        weights[lines, most] -= 1 - own[lines, least]
        weights[lines, least] = np.nan
    shares = np.minimum(np.rint(own * 2**24), 2**24 - 1).astype(np.int64)
    return (shares << 8 | rest).astype(np.uint32).ravel()


def impulse_noise(x: Planes, share: float, rows: Rows) -> Planes:
    """Makes a share of the values black or white: salt and pepper."""
    words = _words(x, rows)
    return np.where(words >> 1 < round(share * 2.0**31), (words & 1).astype(np.float32), x)


def speckle_noise(x: Planes, sigma: float, rows: Rows) -> Planes:
    """Adds normal noise in proportion to the value."""
    noise = _normals(x, sigma, rows)
    noise *= x
    noise += x
    return noise


RECIPES = {
    "gaussian-noise": Recipe(gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10), (0.08, 0.12, 0.18, 0.26, 0.38), "K"),
    "shot-noise": Recipe(shot_noise, (500, 250, 100, 75, 50), (60, 25, 12, 5, 3), "K"),
    "impulse-noise": Recipe(impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07), (0.03, 0.06, 0.09, 0.17, 0.27), "K"),
    "speckle-noise": Recipe(speckle_noise, (0.06, 0.10, 0.12, 0.16, 0.20), (0.15, 0.20, 0.35, 0.45, 0.60), "K"),
}
