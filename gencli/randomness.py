"""Random numbers that depend on a seed, a purpose and a row's identity, and on nothing else.

Philox 4×32 with 10 rounds (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), evaluated
over arrays of counters: the counter is (row identity, block, stream), the key a hash of the seed and the purpose. So a
row draws the same numbers whatever the order, the batch and the shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROWS_AT_ONCE = 1 << 13  # what stays in the cache is computed faster
_NUMBERS_AT_ONCE = 1 << 15


def philox4x32(counter: NDArray[np.uint32], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Philox4x32-10 of each counter.

    Args:
        counter: [n, 4] uint32.
        key: two 32-bit words.

    Returns:
        [n, 4] uint32.
    """
    c0, c1, c2, c3 = (counter[:, word].astype(np.uint64) for word in range(4))
    for round_number in range(10):
        k0, k1 = (np.uint64((word + round_number * weyl) & 0xFFFFFFFF) for word, weyl in zip(key, _WEYL, strict=True))
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ k0,
            product1 & _LOW,
            (product0 >> _SHIFT) ^ c3 ^ k1,
            product0 & _LOW,
        )
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def derive(seed: int, *purpose: str | int) -> int:
    """A 64-bit number for this purpose, independent of that for any other purpose or seed."""
    text = "\0".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


class Draws:
    """The random numbers of one purpose under one seed.

    `Draws(seed, "random-labels", 0).words(ids, 3)` gives each row three words of its own; `permutation` one that
    belong to the whole data set.
    """

    def __init__(self, seed: int, *purpose: str | int) -> None:
        self._rows = _split(derive(seed, "rows", *purpose))
        self._uniforms = _split(derive(seed, "uniforms", *purpose))
        self._streams = _split(derive(seed, "streams", *purpose))
        self._blocks = _split(derive(seed, "blocks", *purpose))
        self._shared = _split(derive(seed, "shared", *purpose))

    def words(self, ids: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        """[rows, count] uint32, uniform on 0 … 2³²−1, of rows with these int64 identities."""
        return _words(ids, count, self._rows)

    def uniforms(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """[rows] float64, uniform on the 2⁵³ multiples of 2⁻⁵³ in [0, 1); independent of `words`."""
        drawn = np.empty(len(ids))
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            high, low = _words(ids[part], 2, self._uniforms).astype(np.uint64).T
            drawn[part] = ((high << _SHIFT | low) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn

    def rows(self, ids: NDArray[np.int64], stream: int = 0) -> Rows:
        """Where these rows draw many numbers from; independent of `words`, `uniforms` and other streams."""
        return Rows(ids, stream, self._streams, self._blocks)

    def normals(self, ids: NDArray[np.int64], count: int) -> NDArray[np.float32]:
        """[rows, count] float32, standard normal: those of `rows`."""
        return self.rows(ids).normals(count)

    def permutation(self, size: int) -> NDArray[np.int64]:
        """[size] int64, one uniform permutation for the whole data set: the order of `size` 64-bit draws."""
        words = _words(np.arange(size), 2, self._shared).astype(np.uint64)
        return np.argsort(words[:, 0] << _SHIFT | words[:, 1], kind="stable")


class Rows:
    """One stream of many numbers for each of some rows.

    The generator is SFC64 (Doty-Humphrey 2010, PractRand), which gives bits in a quarter of the time of numpy's
    Philox and is moved by setting its state, here 256 bits of Philox. numpy keeps its stream for good, and that of a
    distribution for as long as a release does not improve it.

    Where every row takes as many numbers, up to 2¹⁵ numbers of rows with consecutive identities come out of one
    call: a row is then its place in the block of 2ᵏ identities that it belongs to, whichever other rows are there.
    One call per row took up to twice as long, and threads gained nothing: they waited for each other to run Python.
    """

    def __init__(self, ids: NDArray[np.int64], stream: int, key: tuple[int, int], block_key: tuple[int, int]) -> None:
        self._ids, self._stream, self._key, self._block_key = ids, stream, key, block_key

    def __iter__(self) -> Iterator[np.random.Generator]:
        """For each row the generator at the start of the row's stream; it is one object, moved."""
        return self._generators(self._ids, self._key)

    def normals(self, count: int) -> NDArray[np.float32]:
        """[rows, count] float32, standard normal."""
        return self._filled(count, np.float32, lambda random, out: random.standard_normal(out=out, dtype=np.float32))

    def bits(self, count: int) -> NDArray[np.uint64]:
        """[rows, count] uint64, uniform."""

        def fill(random: np.random.Generator, out: NDArray[Any]) -> None:
            out.ravel()[:] = random.bit_generator.random_raw(out.size)

        return self._filled(count, np.uint64, fill)

    def permutations(self, size: int) -> NDArray[np.int64]:
        """[rows, size] int64, uniform permutations of 0 … size−1."""
        start = np.tile(np.arange(size), (_block_rows(size), 1))
        return self._filled(size, np.int64, lambda random, out: random.permuted(start, axis=1, out=out))

    def _filled(
        self, count: int, dtype: type[np.generic], fill: Callable[[np.random.Generator, NDArray[Any]], Any]
    ) -> NDArray[Any]:
        size = _block_rows(count)
        blocks, places = self._ids // size, self._ids % size
        starts = np.flatnonzero(np.diff(blocks, prepend=~blocks[:1]))
        drawn = np.empty((len(blocks), count), dtype)
        whole = np.empty((size, count), dtype)
        for start, stop, generator in zip(
            starts, [*starts[1:], len(blocks)], self._generators(blocks[starts], self._block_key)
        ):
            if np.array_equal(places[start:stop], np.arange(size)):
                fill(generator, drawn[start:stop])
            else:
                fill(generator, whole)
                drawn[start:stop] = whole[places[start:stop]]
        return drawn

    def _generators(self, ids: NDArray[np.int64], key: tuple[int, int]) -> Iterator[np.random.Generator]:
        sfc64: Any = np.random.SFC64(0)
        generator, start = np.random.Generator(sfc64), sfc64.state
        for state in _words(ids, 8, key, self._stream).astype("<u4").view("<u8").tolist():
            start["state"]["state"] = state  # a list is set in a third of the time that an array takes
            sfc64.state = start
            yield generator


def _block_rows(count: int) -> int:
    """How many rows of `count` numbers are drawn at a time: a power of two."""
    return 1 << max(0, (_NUMBERS_AT_ONCE // max(1, count)).bit_length() - 1)


def _split(number: int) -> tuple[int, int]:
    return number & 0xFFFFFFFF, number >> 32


def _words(ids: NDArray[np.int64], count: int, key: tuple[int, int], stream: int = 0) -> NDArray[np.uint32]:
    blocks = -(-count // 4)
    counter = np.zeros((len(ids), blocks, 4), np.uint32)
    counter[..., 0] = (ids & 0xFFFFFFFF)[:, None]
    counter[..., 1] = (ids >> 32)[:, None]
    counter[..., 2] = np.arange(blocks, dtype=np.uint32)
    counter[..., 3] = stream
    return philox4x32(counter.reshape(-1, 4), key).reshape(len(ids), blocks * 4)[:, :count]
