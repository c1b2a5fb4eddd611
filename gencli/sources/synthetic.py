"""Synthetic images of known distribution: a table of kinds, and an image table that generates its rows when read.

A kind is a frozen dataclass whose fields are its options and whose docstring is its help.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import arrow, tables
from gencli.files.stream import Input
from gencli.files.tables import Description
from gencli.randomness import Draws
from gencli.sources.decoded import parse_shape

_DEVIATION = 32.0  # gray levels; black and white are four of them from the middle
_MIDDLE = 127.5
_MOST_CLASSES = 1_000_000

Size = Annotated[str, typer.Option(metavar="HxWxC", help="Height, width and channels of the images.")]
Classes = Annotated[
    int, typer.Option(min=2, max=_MOST_CLASSES, metavar="K", help="Number of classes; row i has label i mod K.")
]


@dataclass(frozen=True)
class Synthetic(ABC):
    """Generates rows, each from its own random numbers."""

    name: ClassVar[str]
    rows: Annotated[
        int,
        typer.Option(
            min=1, max=1 << 32, metavar="N", help="Number of rows; a smaller table is the start of a larger one."
        ),
    ] = 1000
    size: Size = "8x8x1"
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Part of the rows' identities: another split has other rows.")
    ] = "train"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        shape = parse_shape(self.size, "--size")
        assert shape is not None
        return shape

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, by label."""

    @abstractmethod
    def images(self, labels: NDArray[np.int64], ids: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
        """[n, height, width, channels] images of the rows `ids` [n], whose labels are `labels` [n]."""


@dataclass(frozen=True)
class GaussianClusters(Synthetic):
    """Generate equidistant normal clusters of known Bayes error.

    Reads nothing; writes an image table. Gray values are normal with standard deviation 32 around their class's mean,
    then rounded and clipped to 0-255. Class k has higher values in the k-th of K equal blocks of an image (values in
    row-major order), so that any two class means are D standard deviations apart; the mean over classes is 127.5.

    The Bayes error, before rounding and clipping, is Phi(-D/2) for two classes, and 1 - E[Phi(Z + D/sqrt(2))^(K-1)]
    for K classes, where Z is standard normal and Phi its distribution function.

    \b
    Example:
      gencli data synthetic gaussian-clusters --separation 2 -o clusters.parquet
    """

    name = "gaussian-clusters"
    classes: Classes = 2
    separation: Annotated[
        float, typer.Option(min=0, max=1000, metavar="D", help="Distance between class means, in standard deviations.")
    ] = 4.0

    def __post_init__(self) -> None:
        if self.classes > math.prod(self.shape):
            raise GencliError(
                f"--classes {self.classes}: more than the {math.prod(self.shape)} values of --size {self.size}",
                "each class needs at least one value: use fewer classes, or larger images",
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.classes)))

    def images(self, labels: NDArray[np.int64], ids: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
        rows, block = len(ids), math.prod(self.shape) // self.classes
        raised = self.separation * _DEVIATION / math.sqrt(2 * block)
        values = draws.normals(ids, math.prod(self.shape))
        values *= _DEVIATION
        values += _MIDDLE
        blocks = values[:, : self.classes * block].reshape(rows, self.classes, block)  # a view
        blocks -= raised / self.classes
        blocks[np.arange(rows), labels] += raised
        return _gray(values).reshape(rows, *self.shape)


@dataclass(frozen=True)
class TwoMoons(Synthetic):
    """Generate two interleaved half circles of points, as blobs.

    Reads nothing; writes an image table. Row i belongs to moon i mod 2. Its point is (cos t, sin t) on the upper moon
    and (1 - cos t, 1/2 - sin t) on the lower, with t uniform on 0 to pi and normal noise on both coordinates. The image
    spans -1.5 to 2.5 horizontally and -1 to 1.5 vertically; the point is a Gaussian bump with a standard deviation of
    one pixel and height 255 on black, the same in all channels. Strong noise moves points out of the image.

    Source: the geometry of scikit-learn's make_moons.

    \b
    Example:
      gencli data synthetic two-moons --noise 0.2 -o moons.parquet
    """

    name = "two-moons"
    size: Size = "16x16x1"
    noise: Annotated[
        float, typer.Option(min=0, max=10, metavar="S", help="Standard deviation of the noise of the points.")
    ] = 0.1

    @property
    def class_names(self) -> tuple[str, ...]:
        return "upper", "lower"

    def images(self, labels: NDArray[np.int64], ids: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
        height, width, channels = self.shape
        t = math.pi * draws.uniforms(ids)
        upper = np.cos(t), np.sin(t)
        lower = 1 - np.cos(t), 0.5 - np.sin(t)
        x, y = np.where(labels == 0, upper, lower) + self.noise * draws.normals(ids, 2).T
        down = _bump((1.5 - y) / 2.5 * height, height)
        across = _bump((x + 1.5) / 4 * width, width)
        blobs = _gray(255 * down[:, :, None] * across[:, None, :])
        return np.repeat(blobs[..., None], channels, axis=3)


@dataclass(frozen=True)
class Noise(Synthetic):
    """Generate labeled uniform noise, learnable only by memorizing.

    Reads nothing; writes an image table. Every value is uniform on 0-255, and row i has label i mod K, independent of
    its image: an accuracy above 1/K on other rows is chance.

    \b
    Example:
      gencli data synthetic noise --rows 500 -o noise.parquet
    """

    name = "noise"
    size: Size = "32x32x3"
    classes: Classes = 10

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(map(str, range(self.classes)))

    def images(self, labels: NDArray[np.int64], ids: NDArray[np.int64], draws: Draws) -> NDArray[np.uint8]:
        values = math.prod(self.shape)
        words = draws.words(ids, -(-values // 4)).astype("<u4", copy=False)
        return words.view(np.uint8)[:, :values].reshape(-1, *self.shape)


KINDS: dict[str, type[Synthetic]] = {kind.name: kind for kind in (GaussianClusters, TwoMoons, Noise)}


class SyntheticTable:
    """An image table that generates its rows when read, each as a function of seed, kind and identity."""

    made = None
    inputs: tuple[Input, ...] = ()

    def __init__(self, kind: Synthetic, seed: int) -> None:
        self.title, self.rows = f"{kind.name} {kind.split}", kind.rows
        self.description = Description(kind.name, kind.split, kind.class_names, kind.shape)
        self.schema = self.description.schema()
        self._kind, self._draws = kind, Draws(seed, kind.name)

    def column(self, name: str) -> NDArray[np.int64]:
        ids = self._ids(0, self.rows)
        return self._labels(ids) if name == "label" else ids

    def _ids(self, start: int, stop: int) -> NDArray[np.int64]:
        return tables.identities(self.description.name, self.description.split, start, stop)

    def _labels(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        return (ids & 0xFFFFFFFF) % len(self.description.classes)

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        for start in range(0, self.rows, self.description.group_rows):
            stop = min(start + self.description.group_rows, self.rows)
            ids = self._ids(start, stop)
            ids = ids if keep is None else ids[keep[start:stop]]
            if len(ids):
                labels = self._labels(ids)
                images = self._kind.images(labels, ids, self._draws)
                columns = [arrow.integers(ids), arrow.pack(images), arrow.integers(labels)]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)


def _gray(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 255, out=values), out=values).astype(np.uint8)


def _bump(centres: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    """[n, pixels] exp(−distance²/2) of the pixels' middles, at ½, 3⁄2, …, from the centres [n]."""
    return np.exp(-((np.arange(pixels) + 0.5 - centres[:, None]) ** 2) / 2)
