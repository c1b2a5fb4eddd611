"""Corruptions that move or replace pixels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import PixelCorruption, rounded
from gencli.errors import GencliError, nearest
from gencli.files.named import open_inputs
from gencli.files.stores import is_address
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from gencli.sources import read_table
from gencli.sources.statistics import measure

Channels = Annotated[
    Literal["together", "apart"], typer.Option(help="Move the channels of a pixel together, or each value separately.")
]
_STATISTICS = "scalar", "channel"
_BLOCK = 1 << 19  # values at a time, which stay in the cache
Images = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]


@dataclass(frozen=True)
class ShuffledPixels(PixelCorruption):
    """Permute the pixels of all images the same way.

    The permutation depends only on the seed and the image size: train and test tables under one seed share it. The
    paper does not say whether channels move together; here they do by default. Reads and writes an image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits | gencli corrupt shuffled-pixels -o shuffled.parquet
    """

    name = "shuffled-pixels"
    channels: Channels = "together"

    def images(self, table: ImageTable, draws: Draws) -> Images:
        size = _places(table, self.channels)
        together = int(np.prod(table.description.shape)) // size
        order = (draws.permutation(size)[:, None] * together + np.arange(together)).ravel()
        return lambda images, ids: np.take(images.reshape(len(images), -1), order, axis=1).reshape(images.shape)


@dataclass(frozen=True)
class RandomPixels(PixelCorruption):
    """Permute the pixels of each image differently.

    An image's permutation depends on the seed and its row's identity: it stays the same over epochs. The paper does
    not say whether channels move together; here they do by default. Reads and writes an image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits | gencli corrupt random-pixels -o random.parquet
    """

    name = "random-pixels"
    channels: Channels = "together"

    def images(self, table: ImageTable, draws: Draws) -> Images:
        size = _places(table, self.channels)

        def permuted(images: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[Any]:
            after = np.empty_like(images)
            item = np.dtype((np.void, images[0].nbytes // size))  # what moves together
            old, new = (each.reshape(len(images), -1).view(item) for each in (images, after))
            step = max(1, _BLOCK // size)
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                orders = draws.rows(ids[part]).permutations(size)
                orders += size * np.arange(len(orders))[:, None]
                np.take(old[part].ravel(), orders, out=new[part], mode="clip")  # which needs no buffer
            return after

        return permuted


@dataclass(frozen=True)
class GaussianPixels(PixelCorruption):
    """Draw normal pixels with the data set's mean and variance.

    Every value is drawn independently, then rounded and clipped to 0-255 (except in float images). By default mean and
    variance are per channel, since the paper says "matching mean and variance to the original image dataset" and
    channels differ; --statistics scalar uses one mean and one variance of all values. They are computed exactly, in
    integers, in a first pass over the whole table, also with --shard. --statistics FILE uses those of another
    table, so that test images are drawn like train images. Reads and writes an image table.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530.

    \b
    Example:
      gencli data digits -o train.parquet
      gencli corrupt gaussian-pixels train.parquet -o gaussian.parquet
      gencli data digits --split test | gencli corrupt gaussian-pixels --statistics train.parquet -o test.parquet
    """

    name, file_option = "gaussian-pixels", "statistics"
    statistics: Annotated[
        str, typer.Option(metavar="scalar|channel|FILE", help="Mean and variance over all values, or per channel.")
    ] = "channel"

    @cached_property
    def files(self) -> Sequence[Input]:
        if self.statistics in _STATISTICS:
            return []
        if self.statistics != "-" and not is_address(self.statistics) and not os.path.exists(self.statistics):
            raise GencliError(f"--statistics: {self.statistics}: no such file", nearest(self.statistics, _STATISTICS))
        return open_inputs(self.statistics)

    def images(self, table: ImageTable, draws: Draws) -> Images:
        source = read_table(list(self.files)) if self.files else table
        channels, found = table.description.shape[2], source.description.shape[2]
        if channels != found:
            raise GencliError(
                f"{source.title}: {found} channels, but {table.title} has {channels}", "give another table"
            )
        facts = measure(source)
        shape = table.description.shape
        mean, deviation = (
            np.broadcast_to(each.astype(np.float32), shape).ravel()
            for each in (facts.overall if self.statistics == "scalar" else facts.by_channel)
        )

        def drawn(images: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[Any]:
            made, size = np.empty_like(images), images[0].size
            step = max(1, _BLOCK // size)
            for start in range(0, len(images), step):
                part = slice(start, start + step)
                values = draws.normals(ids[part], size)
                values *= deviation
                values += mean
                made[part] = (rounded(values) if made.dtype == np.uint8 else values).reshape(-1, *shape)
            return made

        return drawn


def _places(table: ImageTable, channels: str) -> int:
    """How many things move."""
    height, width, depth = table.description.shape
    return height * width * (depth if channels == "apart" else 1)
