"""A symmetric kernel matrix by tiles: the upper half of it in memory, or a part of that and the rest made when needed.

Tiles are made and multiplied one a thread, each by one thread, and their results are summed in one order: the numbers
depend neither on the number of threads nor on which tiles are in memory. Of several processes each has the tiles of its
blocks of rows, and their results are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gencli.fitting.products import Matrix, across
from gencli.machine import in_threads
from gencli.ranks import ALONE, Group

Floats = NDArray[np.float64]
Values = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

SIDE = 1024  # rows of a tile: 4 MiB of float32, which stay in the cache from one of their two products to the other
_AT_ONCE = 1 << 17  # elements that `values` gets at a time, which stay in the cache too


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within, each call of BLAS and torch takes the thread that calls it alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def halves(n: int, itemsize: int) -> int:
    """Bytes of the upper half of an n × n matrix by tiles."""
    parts = [part.stop - part.start for part in blocks(n)]
    return itemsize * sum(one * sum(parts[place:]) for place, one in enumerate(parts))


def blocks(n: int) -> list[slice]:
    """The rows of each tile."""
    return [slice(start, min(start + SIDE, n)) for start in range(0, n, SIDE)]


class Products:
    """Inner products of points by tiles, kept where several kernels share them.

    Attributes:
        points: [n, d] float32 or float64.
        squares: their squared norms [n].
    """

    def __init__(self, points: Matrix) -> None:
        self.points = points
        self.squares = torch.from_numpy(points).square().sum(1)
        self.parts = blocks(len(points))
        self._kept: dict[tuple[int, int], Matrix] = {}

    @property
    def kept(self) -> bool:
        """Whether all tiles are in memory."""
        return bool(self._kept)

    def keep(self) -> None:
        """Keeps all tiles from here on."""
        if self.kept:
            return
        places = [(i, j) for i in range(len(self.parts)) for j in range(i, len(self.parts))]
        self._kept.update(in_threads(lambda place: self._make(*place), places))

    def tile(self, i: int, j: int) -> Matrix:
        """⟨x, y⟩ of the rows of blocks i and j, a new array."""
        return self._kept[i, j].copy() if self._kept else self._make(i, j)

    def _make(self, i: int, j: int) -> Matrix:
        return across(self.points[self.parts[i]], self.points[self.parts[j]])


class Gram:
    """K_ij = values(⟨x_i, x_j⟩, ‖x_i‖², ‖x_j‖²), symmetric, of some of the points of `products`.

    Attributes:
        products: whose inner products K is computed from.
        n: rows of K.
        dtype: of its elements.
    """

    def __init__(
        self, products: Products, values: Values, index: NDArray[np.int64] | None = None, group: Group = ALONE
    ) -> None:
        """`index`: the rows of the points, ascending; all by default. `group`: the processes that share the tiles."""
        self.products, self._values, self.group = products, values, group
        self.index = np.arange(len(products.points)) if index is None else index
        self.n, self.dtype = len(self.index), products.points.dtype
        starts = np.searchsorted(self.index, [part.start for part in products.parts] + [len(products.points)])
        self.parts = [slice(start, stop) for start, stop in zip(starts.tolist(), starts.tolist()[1:])]
        self._tiles: dict[tuple[int, int], Matrix] = {}

    def places(self) -> list[tuple[int, int]]:
        """Of all tiles of this process, in their order."""
        return [(i, j) for i in self._own for j in range(i, len(self.parts))]

    @property
    def _own(self) -> range:
        """The blocks of rows of this process; in turns, since the first ones have the most tiles."""
        return range(self.group.rank, len(self.parts), self.group.size)

    def fitting(self, room: int) -> list[tuple[int, int]]:
        """The first tiles, as many as fit in so many bytes."""
        ends = np.cumsum([self._rows(i) * self._rows(j) * self.dtype.itemsize for i, j in self.places()])
        return self.places()[: int(np.searchsorted(ends, room, "right"))]

    def keep(self, places: Sequence[tuple[int, int]], advance: Callable[[float], None]) -> None:
        """Makes these tiles and keeps them.

        Args:
            advance: called with the fraction done.
        """
        for place, tile in in_threads(lambda place: self.make(*place), places):
            self._tiles[place] = tile
            advance(len(self._tiles) / len(places))

    def _rows(self, i: int) -> int:
        return self.parts[i].stop - self.parts[i].start

    def make(self, i: int, j: int) -> Matrix:
        """The tile of the blocks i and j of rows."""
        tile = self.products.tile(i, j)
        one, other = (self.index[self.parts[k]] for k in (i, j))
        if self.n < len(self.products.points):
            start, begin = self.products.parts[i].start, self.products.parts[j].start
            tile = np.ascontiguousarray(tile[np.ix_(one - start, other - begin)])
        return self._valued(tile, one, other)

    def _valued(self, inner: Matrix, one: NDArray[np.int64], other: NDArray[np.int64]) -> Matrix:
        squares = self.products.squares
        left, right, step = squares[one][:, None], squares[other], max(1, _AT_ONCE // max(1, len(other)))
        for part, norms in zip(torch.from_numpy(inner).split(step), left.split(step), strict=True):
            part.copy_(self._values(part, norms, right))
        return inner

    def columns(self, part: slice | NDArray[np.int64], chosen: NDArray[np.int64]) -> Matrix:
        """K in these rows and columns."""
        points, rows, others = self.products.points, self.index[part], self.index[chosen]
        return self._valued(across(points[rows], points[others]), rows, others)

    def diagonal(self) -> Floats:
        """K's diagonal [n]."""
        own = self.products.squares[self.index][:, None]
        return self._values(own.clone(), own, own).double().numpy().ravel()  # [n, 1] throughout: elementwise

    def product(self, right: Floats, exact: bool = False) -> Floats:
        """K times columns [n, m], tile by tile in its dtype, or in float64 if `exact`; sums of tiles are float64."""
        kind = np.float64 if exact else self.dtype
        parts: Sequence[Matrix] = [np.ascontiguousarray(right[part].T, kind) for part in self.parts]

        def row(i: int) -> list[Matrix]:
            found = []
            own = np.zeros((self._rows(i), right.shape[1]))
            for j in range(i, len(self.parts)):
                tile = self._tiles[i, j] if (i, j) in self._tiles else self.make(i, j)
                tile = tile.astype(kind, copy=False)
                own += across(tile, parts[j])
                if j > i:
                    found.append(across(parts[i], tile.T).T)
            return [own, *found]

        whole = np.zeros(right.shape)
        with self.group.summed(torch.from_numpy(whole)):
            for i, found in in_threads(row, self._own):
                for part, each in zip(self.parts[i:], found, strict=True):
                    whole[part] += each
        return whole
