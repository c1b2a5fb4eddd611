"""Random numbers that depend on a seed, a purpose and a row's identity, and on nothing else.

Philox 4×32 with 10 rounds (Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), evaluated
over arrays of counters: the counter is (row identity, block), the key a hash of the seed and the purpose. So a row
draws the same numbers whatever the order, the batch, the shard and the release of numpy.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_AT_ONCE = 1 << 16  # normals; what stays in the cache is drawn faster


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
        self._normals = _split(derive(seed, "normals", *purpose))
        self._shared = _split(derive(seed, "shared", *purpose))

    def words(self, ids: NDArray[np.int64], count: int) -> NDArray[np.uint32]:
        """[rows, count] uint32, uniform on 0 … 2³²−1, of rows with these int64 identities."""
        return _words(ids, count, self._rows)

    def uniforms(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """[rows] float64, uniform on the 2⁵³ multiples of 2⁻⁵³ in [0, 1); independent of `words`."""
        high, low = _words(ids, 2, self._uniforms).astype(np.uint64).T
        return ((high << _SHIFT | low) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def normals(self, ids: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        """[rows, count] float64, standard normal; independent of `words` and `uniforms`.

        Each is the quantile of the middle of one of 2³² equal intervals: the distribution function is off by at most
        2⁻³³, and none lies beyond ±6.34, where one in four billion would.
        """
        from scipy.special import ndtri

        drawn = np.empty((len(ids), count))
        step = max(1, _AT_ONCE // count)
        for start in range(0, len(ids), step):
            part = drawn[start : start + step]
            np.multiply(_words(ids[start : start + step], count, self._normals) + 0.5, 2.0**-32, out=part)
            ndtri(part, out=part)
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
