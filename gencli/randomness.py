"""Random numbers that depend on a seed, a purpose and a row's identity, and on nothing else.

Philox 4×32 with 10 rounds (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), evaluated
over arrays of counters: the counter is (row identity, block), the key a hash of the seed and the purpose. So a row
draws the same numbers whatever the order, the batch and the shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_AT_ONCE = 1 << 13  # rows; what stays in the cache is computed faster


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
        self._streams = np.array([derive(seed, "streams", half, *purpose) for half in (0, 1)], np.uint64)
        self._shared = _split(derive(seed, "shared", *purpose))

    def words(self, ids: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        """[rows, count] uint32, uniform on 0 … 2³²−1, of rows with these int64 identities."""
        return _words(ids, count, self._rows)

    def uniforms(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """[rows] float64, uniform on the 2⁵³ multiples of 2⁻⁵³ in [0, 1); independent of `words`."""
        drawn = np.empty(len(ids))
        for start in range(0, len(ids), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            high, low = _words(ids[part], 2, self._uniforms).astype(np.uint64).T
            drawn[part] = ((high << _SHIFT | low) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return drawn

    def rows(self, ids: NDArray[np.int64], stream: int = 0) -> Iterator[np.random.Generator]:
        """For each row numpy's generator, at the start of one of the row's own streams; it is one object, moved.

        For rows that need many numbers; independent of `words`, `uniforms` and other streams. numpy keeps the
        stream of its Philox 4×64 for good, and that of a distribution for as long as a release does not improve it.
        """
        philox = np.random.Philox(key=self._streams)
        generator, counter = np.random.Generator(philox), [0, 0, 0, stream]
        start: Any = philox.state | {"state": {"counter": counter, "key": self._streams.tolist()}, "buffer": [0] * 4}
        for row in ids.view(np.uint64).tolist():  # lists are set in a third of the time that arrays take
            counter[2] = row  # the stream counts in the words below
            philox.state = start
            yield generator

    def normals(self, ids: NDArray[np.int64], count: int) -> NDArray[np.float32]:
        """[rows, count] float32, standard normal: the first of `rows`."""
        drawn = np.empty((len(ids), count), np.float32)
        for row, generator in zip(drawn, self.rows(ids)):
            generator.standard_normal(out=row, dtype=np.float32)
        return drawn

    def permutation(self, size: int) -> NDArray[np.int64]:
        """[size] int64, one uniform permutation for the whole data set: the order of `size` 64-bit draws."""
        words = _words(np.arange(size), 2, self._shared).astype(np.uint64)
        return np.argsort(words[:, 0] << _SHIFT | words[:, 1], kind="stable")


def _split(number: int) -> tuple[int, int]:
    return number & 0xFFFFFFFF, number >> 32


def _words(ids: NDArray[np.int64], count: int, key: tuple[int, int]) -> NDArray[np.uint32]:
    blocks = -(-count // 4)
    counter = np.zeros((len(ids), blocks, 4), np.uint32)
    counter[..., 0] = (ids & 0xFFFFFFFF)[:, None]
    counter[..., 1] = (ids >> 32)[:, None]
    counter[..., 2] = np.arange(blocks, dtype=np.uint32)
    return philox4x32(counter.reshape(-1, 4), key).reshape(len(ids), blocks * 4)[:, :count]
