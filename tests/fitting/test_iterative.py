"""What iterations tell of themselves, and the memory that they ask for."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gencli import machine
from gencli.files.provenance import step
from gencli.fitting import gram, iterative
from gencli.fitting.gram import Gram, Products
from gencli.fitting.iterative import Solution, solve
from gencli.fitting.saving import Saved
from gencli.ranks import ALONE
from tests.fitting.test_gram import points, values

Told = list[tuple[float, str, str]]


@dataclass
class Settings:
    """Of `solve`."""

    ridge: float = 0.01
    tolerance: float = 1e-6
    max_products: int = 1000
    room: int | None = None
    seed: int = 0


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gram, "SIDE", 16)


def solved(room: int, asked: Settings) -> tuple[Solution, Told]:
    told: Told = []

    def progress(done: float, line: str = "", note: str = "", /) -> None:
        told.append((done, line, note))

    targets = np.eye(3)[np.arange(100) % 3]
    saving: Any = SimpleNamespace(checkpoint=None, checkpoint_every=1, resume=False)
    saved = Saved(saving, step("fit", {}), 0, ALONE)
    return solve(Gram(Products(points(100, "float64")), values), targets, room, asked, saved, progress), told


@pytest.mark.parametrize(("tolerance", "most"), [(1e-6, 1000), (0.0, 12), (0.9, 1000)])
def test_the_bar_shows_pivots_the_matrix_and_the_logarithm_of_the_residual(tolerance: float, most: int):
    """To a tolerance of 0, which is never reached, as to that of float64; to a large one as to a half."""
    found, told = solved(1 << 30, Settings(tolerance=tolerance, max_products=most))
    assert not any(line for _, line, _ in told)
    pivots, matrix = ([done for done, _, note in told if note == kind] for kind in ("pivots", "matrix"))
    assert pivots == sorted(pivots)
    assert pivots[-1] == pytest.approx(0.08)
    assert matrix == pytest.approx([0.08 + 0.12 * place / 28 for place in range(1, 29)])
    steps = told[len(pivots) + len(matrix) :]
    aim = min(max(tolerance, 1e-16), 0.5)
    for number, (done, _, note) in enumerate(steps, 1):
        words = re.fullmatch(r"relative residual (\d\.\de[+-]\d+) after (\d+) products", note)
        assert words
        assert int(words[2]) == number
        share = math.log(min(max(float(words[1]), aim), 1)) / math.log(aim)
        last = number == len(steps)
        assert done == (1 if last else pytest.approx(0.2 + 0.8 * min(share, 0.99), abs=0.01))
        assert last or done <= 0.2 + 0.8 * 0.99 + 1e-12
    assert found.facts == {"products": len(steps), "rank": 80}


def test_tiles_that_do_not_fit_are_told_with_what_they_cost(monkeypatch: pytest.MonkeyPatch):
    """28 tiles, 10 of which are kept: the time of the last four is taken, here half a second each."""
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(iterative, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(machine, "cores", lambda: 2)
    taken: list[tuple[int, int]] = []
    monkeypatch.setattr(machine, "in_threads", lambda made, places: [taken.append(each) for each in places])
    _, told = solved(10 * 16 * 16 * 8, Settings())
    assert told[0] == (
        0,
        "64% of K do not fit in memory and are computed again for each product, about 9.0 s each; 100 products: 15 min",
        "",
    )
    assert taken == [(4, 6), (5, 5), (5, 6), (6, 6)]
    assert not any(line for _, line, _ in told[1:])


@pytest.mark.parametrize(("n", "columns"), [(1, 1), (63, 56), (64, 64), (65, 64), (100, 80), (10_000, 800)])
def test_the_factor_has_8_columns_for_each_unit_of_the_root(n: int, columns: int):
    assert iterative.rank(n) == columns


def test_the_memory_is_that_of_the_factor_the_vectors_and_a_thread_s_tiles(monkeypatch: pytest.MonkeyPatch):
    """All of n = 10,000: 800 columns of a factor, three squares of them, 16 vectors; 2 cores and 4 more."""
    monkeypatch.setattr(machine, "cores", lambda: 2)
    for classes, itemsize in ((10, 4), (1000, 8)):
        factor, squares = 800 * 10_000 * itemsize, 3 * 800 * 800 * 8
        vectors, tiles = 16 * 10_000 * min(classes, 256) * 8, 6 * 256 * (2 * itemsize + 8)
        assert iterative.memory(10_000, classes, itemsize) == factor + squares + vectors + tiles
        more = 10_000 * (2 * 3136 + (4 + itemsize) * 784) + (1 << 29)
        assert iterative.needed(10_000, 784, classes, itemsize, 3136) == factor + squares + vectors + tiles + more
