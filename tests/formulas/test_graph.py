"""Where a computation graph's nodes lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from gencli.formulas import graph
from gencli.formulas.calculus import Evaluation
from gencli.formulas.parsing import parse, split


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


def test_a_drawing_is_as_large_as_its_nodes_which_do_not_overlap_and_which_edges_join() -> None:
    """An inch is a unit; x and y on the left, their sum over a column to the product."""
    program = parse(split("(x+y)*sin(x)+x"))
    evaluation = Evaluation(program, np.array([[2.0, 3.0]]), str)
    zeros = [np.zeros((2, 1)) for _ in program.nodes]
    figure = graph.draw(evaluation, zeros, ["x", "y"], "tangent")
    [axis] = figure.axes
    width, height = figure.get_size_inches()
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    assert (right - left, high - low) == pytest.approx((width, height))
    assert (low, left) == pytest.approx((-high, -graph._APART / 2))
    boxes = [each.get_bbox() for each in axis.patches if isinstance(each, FancyBboxPatch)]
    assert len(boxes) == len(program.nodes) == 6
    assert {round(box.x0 / graph._APART, 6) for box in boxes} == {
        round(column - graph._WIDE / 2 / graph._APART, 6) for column in range(4)
    }
    assert right == pytest.approx(max(box.x0 for box in boxes) + graph._WIDE / 2 + graph._APART / 2)
    for number, box in enumerate(boxes):
        assert box.height == pytest.approx(4.5 * graph._LINE)  # what, value, two tangents
        assert low < box.y0 < box.y1 < high
        for other in boxes[:number]:
            assert not box.overlaps(other)
    ends = [
        each._path_original.vertices[[0, -1]]  # pyright: ignore[reportAttributeAccessIssue]
        for each in axis.patches
        if isinstance(each, FancyArrowPatch)
    ]
    assert len(ends) == 7
    for (from_x, from_y), (to_x, to_y) in ends:
        assert any(box.x1 == pytest.approx(from_x) and box.y0 < from_y < box.y1 for box in boxes)
        assert any(box.x0 == pytest.approx(to_x) and box.y0 < to_y < box.y1 for box in boxes)
    assert len({tuple(end) for pair in ends for end in pair.tolist()}) == 14  # each has a point of its own
