"""The page's figures: nothing is left out, what is folded is said, and names and numbers of all kinds are drawn."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from gencli.cli import app
from gencli.reporting import page_figures
from gencli.reporting.page_figures import group
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Panel, Sheet, Tile
from tests.reporting.made import history, result, training
from tests.reporting.test_page import HOSTILE, Checker


def drawn(*panels: Panel) -> str:
    """A group, whose elements close as they opened."""
    text = group(panels)
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    return text


def values(text: str, name: str) -> list[str]:
    """An attribute of all elements."""
    return [unescape(found) for found in re.findall(rf""" data-{name}=["']([^"']*)["']""", text)]


def test_learners_of_many_sizes_are_folded_and_not_left_out(tmp_path: Path) -> None:
    for place, width in enumerate((2, 4, 8, 16, 32)):
        step = training(arch=f"mlp-1x{width}")
        history(tmp_path / f"h{width}.parquet", step, test_accuracy=[0.5, 0.9 - 0.1 * (place == 2)])
        result(tmp_path / f"r{width}.parquet", step, [0.5, 0.75])
    files = sorted(map(str, tmp_path.iterdir()))
    assert app.main(["report", *files, "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    folded = re.findall(r'<details class="fold"><summary><h2>([^<]*)</h2><span>([^<]*)</span>', page)
    why = "of each learner by itself; Double descent shows them by their size"
    assert folded == [("Classes", why), ("Learning curves", why)]
    assert len(re.findall(r"<th scope=row[^>]*>mlp-1x", page)) >= 5 + 5 * 3
    assert (
        app.main(["report", *files, "--table", "classes", "--format", "html", "-o", str(tmp_path / "page.html")]) == 0
    )
    assert [name for name, _ in re.findall(r"fold.><summary><h2>([^<]*)(<)", (tmp_path / "page.html").read_text())] == [
        "Learning curves"
    ]


def test_of_very_many_curves_and_classes_all_are_there_and_it_is_said() -> None:
    for count, drawn_of, hidden in ((200, "200", 172), (10_000, "the first 300 of 10,000", 272)):
        curves = [Curve(f"run {n}", [1, 2], [0.1, n]) for n in range(count)]
        text = drawn(Lines("m", "epoch", curves), Bars("n", ["a"], [(curve.name, [0.5], ()) for curve in curves]))
        assert len(values(text, "y")) == 2 * min(300, count)
        said = f"; the last {hidden} of them are hidden until you choose them"
        assert f"{drawn_of}, of which 28 look different<span hidden>{said}</span>" in text
    names = [f"class {n}" for n in range(1001)]
    text = drawn(Bars("m", names, [("s", [0.5] * 1000 + [0.75], ()), ("t", [None] * 1001, ())]))
    assert [name for each in values(text, "names") for name in json.loads(each)] == names
    assert "<summary>m: the other 901, folded</summary>" in text
    assert values(text, "y")[-2:] == ["0.75", "-"]


def test_values_of_a_curve_stand_beside_it_and_long_ones_are_thinned() -> None:
    curve = Curve("a", [1, 2, 3, 4], [0.123456789, None, math.inf, 2], [0.5, None, None, math.nan], [(4, 2)])
    text = drawn(Lines("m", "epoch", [curve, Curve("b", [2], [1])], mark="best"))
    assert values(text, "y") == ["0.123457 - inf 2", "1"]
    assert values(text, "d") == ["0.5 - - nan"]
    assert values(text, "x") == ["1 2 3 4", "2"]
    assert text.count('class="mark"') == 2  # and in the legend
    text = drawn(Lines("m", "epoch", [Curve("a", range(10_000), [float(n % 77) for n in range(10_000)])]))
    assert "of each 40 points the first, the last, the lowest and the highest are shown" in text
    assert len(values(text, "y")[0].split()) <= 1000


@pytest.mark.parametrize("numbers", [[1e308, -1e308], [5e-324, 0.0], [math.nan, None], [0.0, 0.0], []])
def test_numbers_of_all_sizes_are_drawn_where_they_can_be(numbers: Sequence[float | None]) -> None:
    curve = Curve(HOSTILE, range(len(numbers)), numbers, numbers)
    for log in (False, True):
        text = drawn(
            Lines(HOSTILE, HOSTILE, [curve], log=log, log_across=log, dots=log),
            Bars(HOSTILE, [HOSTILE] * len(numbers), [(HOSTILE, numbers, numbers)], log=log),
        )
        assert not re.search(r' d="[^"]*(nan|inf|e\+)', text)
        assert "<script" not in text


def test_a_matrix_has_its_counts_and_a_sheet_its_images() -> None:
    text = drawn(Matrix("m", [HOSTILE, "名" * 40, ""], [[3, 0, 1], [0, 0, 0], [10**12, 5, 5]]))
    assert json.loads(values(text, "cells")[0]) == [{"0": 3, "2": 1}, {}, {"0": 10**12, "1": 5, "2": 5}]
    tile = Tile(np.zeros((8, 8, 3), np.uint8), [HOSTILE, "b"], marked=True)
    assert drawn(Sheet("m", [[tile, tile], [tile]], "note", apart=True)).count('<ul class="tiles apart"') == 2
    assert drawn(Sheet("m", [[tile, tile], [tile]], "note")).count("<ul") == 1
    assert group([Matrix("m", ["a"], [[1]])]) == group([Matrix("m", ["a"], [[1]])])


def test_names_of_bars_are_of_at_most_28_characters_and_none_take_the_room_of_one() -> None:
    assert page_figures._shortened(["x" * 28, "y" * 40], 28) == (
        ["x" * 28, "y" * 27 + "…"],
        28 * page_figures._LETTER,
    )
    assert page_figures._shortened([], 28) == ([], page_figures._LETTER)
    text = drawn(Bars("n", ["x" * 28, "y" * 29], [("a", [0.5, 0.25], ())]))
    assert f">{'x' * 28}<" in text
    assert f"{'y' * 27}…<" in text


def test_deviations_that_are_known_are_told_and_one_beyond_a_logarithmic_axis_ends_at_its_start() -> None:
    text = drawn(Bars("n", ["x", "y"], [("a", [0.5, 0.25], [0.6, None])], log=True))
    assert values(text, "d") == ["0.6 -"]
    (whisker,) = re.findall(r'class="whisker" d="([^"]*)"', text)
    assert whisker.startswith("M0 ")
    assert whisker.count("M") == 1
    assert values(drawn(Bars("n", ["x"], [("a", [0.5], [None])])), "d") == []
