"""Where a computation graph's nodes lie."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gencli.formulas import graph


def test_the_nodes_of_a_column_touch_and_lie_about_the_middle() -> None:
    """A node without a height of its own is a line, as where an edge passes; columns are equally far apart."""
    first, second = [(0,), (1,), (0, 3, 1)], [(3,)]
    heights = {(0,): 1.0, (1,): 3.0, (3,): 0.5}
    where = graph._positions([first, second], heights)
    assert where[3,] == (graph._APART, pytest.approx(0))
    halves = {place: heights.get(place, graph._LINE) / 2 for place in first}
    ends = [(where[place][1] + half, where[place][1] - half) for place, half in halves.items()]
    assert all(below == pytest.approx(top) for (_, below), (top, _) in pairwise(ends))
    assert ends[0][0] == pytest.approx(-ends[-1][1]) == pytest.approx((4 + graph._LINE) / 2)
    assert {where[place][0] for place in first} == {0}
