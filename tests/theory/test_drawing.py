"""The picture of a claim: its panels side by side, with their points, scales and words."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from gencli.theory import drawing
from gencli.theory.base import Panel, Series


def test_panels_stand_side_by_side_with_their_series(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.array([1.0, 10, 100])
    first = Panel("one", "n", "error", [Series("a", x, 1 / x, "o-"), Series("b", x, x**0.5, ":")])
    second = Panel("two", "w", "f", [Series("c", x, x)], ("linear", "log"))
    figures: list[Figure] = []
    monkeypatch.setattr(drawing, "encode", lambda figure, *words: figures.append(figure) or b"")
    drawing.image([first, second], "png", "")
    (figure,) = figures
    assert tuple(figure.get_size_inches()) == (10.4, 4)
    left, right = figure.axes
    assert left.get_position().x1 < right.get_position().x0
    assert [line.get_ydata().tolist() for line in left.lines] == [(1 / x).tolist(), (x**0.5).tolist()]  # type: ignore[union-attr]
    assert [line.get_linestyle() for line in left.lines] == ["-", ":"]
    assert left.lines[0].get_color() != left.lines[1].get_color()
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert (right.get_xscale(), right.get_yscale()) == ("linear", "log")
    assert (right.get_title(), right.get_xlabel(), right.get_ylabel()) == ("two", "w", "f")
    legend = left.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
