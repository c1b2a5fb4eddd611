"""Symbols as bits and back: an arithmetic coder whose model learns from what it has coded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_BITS = 32
_WHOLE, _HALF, _QUARTER = 1 << _BITS, 1 << _BITS - 1, 1 << _BITS - 2


class _Counts:
    """How often each symbol came, one half added (Krichevsky, Trofimov 1981): coder and decoder count alike."""

    def __init__(self, symbols: int) -> None:
        self.counts = [1] * symbols  # in halves
        self.total = symbols

    def range(self, symbol: int) -> tuple[int, int]:
        """Where the symbol lies in 0 … total."""
        low = sum(self.counts[:symbol])
        return low, low + self.counts[symbol]

    def find(self, place: int) -> int:
        """The symbol that lies there."""
        for symbol, count in enumerate(self.counts):
            place -= count
            if place < 0:
                return symbol
        raise AssertionError

    def add(self, symbol: int) -> None:
        """One more of it."""
        self.counts[symbol] += 2
        self.total += 2


def encode(symbols: Sequence[int], alphabet: int) -> list[int]:
    """The bits of symbols 0 … alphabet − 1; `decode` needs their number too.

    Witten, Neal, Cleary 1987, "Arithmetic coding for data compression", in whole numbers of 32 bits.
    """
    counts, low, high, pending = _Counts(alphabet), 0, _WHOLE - 1, 0
    bits: list[int] = []

    def put(bit: int) -> None:
        nonlocal pending
        bits.append(bit)
        bits.extend([1 - bit] * pending)
        pending = 0

    for symbol in symbols:
        start, stop = counts.range(symbol)
        low, high = _narrowed(low, high, start, stop, counts.total)
        counts.add(symbol)
        while (case := _settled(low, high)) is not None:
            if case == 2:
                pending += 1
            else:
                put(case)
            low, high = _doubled(low, high, case)
    pending += 1
    put(int(low >= _QUARTER))
    return bits


def decode(bits: Sequence[int], count: int, alphabet: int) -> list[int]:
    """The `count` symbols that `encode` made bits of; other bits give other symbols."""
    counts, low, high = _Counts(alphabet), 0, _WHOLE - 1
    more = _followed(bits)
    value = 0
    for _ in range(_BITS):
        value = value * 2 + next(more)
    found: list[int] = []
    for _ in range(count):
        place = ((value - low + 1) * counts.total - 1) // (high - low + 1)
        symbol = counts.find(place)
        found.append(symbol)
        low, high = _narrowed(low, high, *counts.range(symbol), counts.total)
        counts.add(symbol)
        while (case := _settled(low, high)) is not None:
            low, high = _doubled(low, high, case)
            value = 2 * (value - (0, _HALF, _QUARTER)[case]) + next(more)
    return found


def _followed(bits: Sequence[int]) -> Iterator[int]:
    yield from bits
    while True:  # what the coder leaves out
        yield 0


def _narrowed(low: int, high: int, start: int, stop: int, total: int) -> tuple[int, int]:
    width = high - low + 1
    return low + width * start // total, low + width * stop // total - 1


def _settled(low: int, high: int) -> int | None:
    """The bit that all numbers between begin with, 2 where they are the middle half; None where nothing is settled."""
    if high < _HALF:
        return 0
    if low >= _HALF:
        return 1
    return 2 if low >= _QUARTER and high < _HALF + _QUARTER else None


def _doubled(low: int, high: int, case: int) -> tuple[int, int]:
    taken = (0, _HALF, _QUARTER)[case]
    return 2 * (low - taken), 2 * (high - taken) + 1
