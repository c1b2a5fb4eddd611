"""Where the page's figures draw: each place by hand from the value, of pictures 420 wide."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from itertools import chain
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import numpy as np
import pytest
from PIL import Image

from gencli.reporting.page_figures import group
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Panel, Sheet, Tile

SPREAD = Curve("a", [0, 5, 10], [0.0, 0.5, 1.0], [0.1, 0.0, 0.2], [(5, 0.25)])
Place = tuple[float, float]


def picture(panel: Panel) -> Element:
    """The panel's picture, without the legend's."""
    (drawn,) = re.findall('<div class="plot".*?>(<svg viewBox.*</svg>)</div>', group([panel]), re.DOTALL)
    return fromstring(drawn)


def ways(drawn: Element, kind: str) -> list[str]:
    return [each.get("d", "") for each in drawn.iter("path") if each.get("class") == kind]


def numbers(way: str) -> list[float]:
    return list(map(float, re.findall(r"-?\d+\.?\d*", way)))


def box(drawn: Element) -> list[float]:
    (data,) = (each for each in drawn.iter("svg") if each.get("class") == "data")
    return [float(data.get(name, "")) for name in ("x", "y", "width", "height")]


def texts(drawn: Element, anchor: str) -> list[tuple[str, float, float]]:
    found = [each for each in drawn.iter("text") if each.get("text-anchor") == anchor]
    return [("".join(each.itertext()), float(each.get("x", "")), float(each.get("y", ""))) for each in found]


def near(*places: Sequence[float]) -> Any:
    """Of lengths that are written with one digit."""
    return pytest.approx(list(chain(*places)), abs=0.0501)


def at(x: float, y: float) -> Place:
    """Within 356 x 220: 0 to 10 across with 2 % beside them, -0.02 to 1.02 up."""
    return 356 * (x + 0.2) / 10.4, 220 * (1.02 - y) / 1.04


def test_curves_stand_at_their_values() -> None:
    lone = Curve("b", [10], [0.25])
    panel = Lines("m", "epoch", [SPREAD, lone], limits=(0, 1), mark="best")
    drawn = picture(panel)
    assert drawn.get("viewBox") == "0 0 420 274"
    assert box(drawn) == [54, 14, 356, 220]
    line, alone = ways(drawn, "line")
    assert re.sub(r"[\d. ]", "", line) == "ML"
    assert numbers(line) == near(at(0, 0), at(5, 0.5), at(10, 1))
    assert numbers(alone)[:2] == near(at(10, 0.25))
    mark, dots = [numbers(way)[:2] for way in ways(drawn, "dots")]
    assert mark == near(at(5, 0.25))
    assert dots == near(at(10, 0.25))
    assert numbers(ways(drawn, "mark")[0])[:2] == near(at(5, 0.25))
    (band,) = ways(drawn, "band")
    ends = [at(0, 0.1), at(5, 0.5), at(10, 1.2), at(10, 0.8), at(5, 0.5), at(0, -0.1)]
    assert numbers(band) == near(*ends)
    assert band.endswith("z")
    assert [each.get("data-s") for each in drawn.iter("g") if each.get("data-s")] == ["0", "1"]


def test_a_gap_parts_a_curve_and_its_band_and_points_have_whiskers_instead() -> None:
    curve = Curve("a", [0, 2, 5, 8, 10], [0.5, 0.5, None, 0.5, 0.5], [0.1, 0.1, 0.1, math.nan, 0.25])
    (line,) = ways(picture(Lines("m", "x", [curve], limits=(0, 1))), "line")
    assert [numbers(part) for part in line.split("M")[1:]] == [
        near(at(0, 0.5), at(2, 0.5)), near(at(8, 0.5), at(10, 0.5))
    ]  # fmt: skip
    drawn = picture(Lines("m", "x", [curve], limits=(0, 1), dots=True))
    assert not ways(drawn, "band")
    (whiskers,) = ways(drawn, "error")
    assert [numbers(part) for part in whiskers.split("M")[1:]] == [
        near(at(x, 0.5 - s), at(x, 0.5 + s)[1:]) for x, s in ((0, 0.1), (2, 0.1), (10, 0.25))
    ]
    assert [numbers(part)[:2] for part in ways(drawn, "dots")[0].split("M")[1:]] == [
        near(at(x, 0.5)) for x in (0, 2, 8, 10)
    ]
    drawn = picture(Lines("m", "x", [curve], limits=(0, 1), scatter=True))
    assert not ways(drawn, "line")
    assert len(ways(drawn, "dots")[0].split("M")) == 5
    many = Lines("m", "x", [Curve("a", range(2000), [0.5] * 2000)], scatter=True)
    assert len(ways(picture(many), "dots")[0].split("M")) == 2001
    assert "the lowest" not in group([many, Lines("m", "x", [])])


def test_what_lies_far_outside_stays_out_of_sight() -> None:
    (line,) = ways(picture(Lines("m", "x", [Curve("a", [0, 10], [9.0, -9.0])], limits=(0, 1))), "line")
    assert numbers(line)[1::2] == [-220, 440]


def test_round_numbers_stand_beside_the_axes() -> None:
    drawn = picture(Lines("m", "epoch", [SPREAD], limits=(0, 1)))
    across = [(f"{each}", 54 + at(each, 0)[0], 250) for each in range(0, 11, 2)]
    up = [(f"{each / 5:.1f}", 48, 18 + at(0, each / 5)[1]) for each in range(6)]
    found = texts(drawn, "middle")
    assert [word for word, *_ in found] == [*(word for word, *_ in across), "epoch"]
    assert list(chain(*(place for _, *place in found))) == near(*(place for _, *place in across), (232, 268))
    found = texts(drawn, "end")
    assert [word for word, *_ in found] == [word for word, *_ in up]
    assert list(chain(*(place for _, *place in found))) == near(*(place for _, *place in up))
    columns, rows = ways(drawn, "grid")
    assert numbers(columns) == near(*((x, 14, 220) for _, x, _ in across))
    assert numbers(rows) == near(*((54, y - 4, 356) for _, _, y in up))
    assert ways(drawn, "frame") == ["M54 14v220h356"]
    drawn = picture(Lines("m", "x", [Curve("a", [0.0, 12.5], [0.0, 12.0])]))  # in at most six steps: of 5, not 2
    assert [word for word, *_ in texts(drawn, "middle")] == ["0", "5", "10", "x"]
    assert [word for word, *_ in texts(drawn, "end")] == ["0", "5", "10"]


@pytest.mark.parametrize(
    ("panel", "scale", "free"),
    [
        (Lines("m", "x", [SPREAD], limits=(0, 1)), (-0.2, 10.2, 0, -0.02, 1.02, 0), False),
        # 2 % of what they take beside, 4 % above and below what curves, deviations and marks take
        (Lines("m", "x", [Curve("a", [1, 3], [3.0, 5.0], [1, None], [(1, 7.0)])]), (0.96, 3.04, 0, 1.8, 7.2, 0), True),
        (Lines("m", "x", [Curve("a", [1, 3], [3.0, 5.0], [math.inf, 1])]), (0.96, 3.04, 0, 2.88, 6.12, 0), True),
        (
            Lines("m", "x", [Curve("a", [1, 100], [1.0, 10.0])], log=True, log_across=True),
            (-0.04, 2.04, 1, -0.04, 1.04, 1),
            True,
        ),
        (Lines("m", "x", [Curve("a", [0, 1], [1, 9])], limits=(1, 10), log=True), (-0.02, 1.02, 0, *(
            math.log10(9) * each for each in (-0.04, 1.04)), 1), False),
    ],
)  # fmt: skip
def test_axes_are_from_the_least_to_the_greatest(panel: Lines, scale: Sequence[float], free: bool) -> None:
    text = group([panel])
    (found,) = re.findall(" data-scale='([^']*)'", text)
    assert list(map(float, found.split())) == pytest.approx([*scale[:3], *scale[3:]])
    assert ("data-free='1'" in text) == free


def test_axes_of_epochs_have_whole_numbers_alone() -> None:
    def words(panel: Lines) -> list[str]:
        return [word for word, *_ in texts(picture(panel), "middle")][:-1]

    assert words(Lines("m", "x", [Curve("a", [1, 3], [0, 1])])) == ["1", "2", "3"]
    assert words(Lines("m", "x", [Curve("a", [1, 2.5], [0, 1])])) == ["1.0", "1.5", "2.0", "2.5"]
    assert words(Lines("m", "x", [Curve("a", [1.0, 3.0], [0, 1])])) == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    assert words(Lines("m", "x", [Curve("a", [1, 3], [0, 1])], log_across=True)) == ["1.0", "1.5", "2.0", "2.5", "3.0"]


@pytest.mark.parametrize(
    ("curves", "panels", "long", "each"),
    [
        (1, 1, 1001, 5),  # 1,000 points of a curve
        (1, 1, 1000, None),
        (250, 1, 4000, 20),  # 800, for 200,000 of all
        (163, 3, 1021, 11),  # 408
        (400, 1, 3330, 20),  # 666, for 300 are drawn
        (300, 7, 1010, 41),  # at least 100
    ],
)
def test_points_are_shared_among_the_curves(curves: int, panels: int, long: int, each: int | None) -> None:
    first = Lines("m", "x", [Curve("0", range(long), [1.0] * long)] + [
        Curve(f"{n}", [0], [0]) for n in range(1, curves)
    ])  # fmt: skip
    others = [Lines("m", "x", [Curve(f"{n}", [0], [0]) for n in range(curves)])] * (panels - 1)
    said = re.findall("of each (.*) points the first", group([first, *others]))
    assert said == ([] if each is None else [f"{each}"])


BARS = Bars("t", ["ant", "bee"], [("one", [0.5, 1.0], [0.1, None]), ("two", [0.25, None], ())], limits=(0, 1))


def test_bars_are_as_long_as_their_values() -> None:
    """Names of three letters of 6.8; rows of two bars of 10, with 8 between."""
    drawn = picture(BARS)
    assert drawn.get("viewBox") == "0 0 420 94"
    assert box(drawn) == [32.4, 14, 377.6, 56]
    one, two = ways(drawn, "bar")
    assert one == "M0 4H188.8v9H0zM0 32H377.6v9H0z"
    assert two == "M0 14H94.4v9H0z"
    assert not texts(drawn, "start")
    assert numbers(ways(drawn, "whisker")[0]) == near((0.4 * 377.6, 8.5, 0.6 * 377.6))
    assert texts(drawn, "end") == [("ant", 26.4, 32), ("bee", 26.4, 60)]
    ticks = [(f"{each / 5:.1f}", pytest.approx(32.4 + each / 5 * 377.6, abs=0.0501), 86) for each in range(6)]
    assert texts(drawn, "middle") == ticks
    assert numbers(ways(drawn, "grid")[0]) == near(*((32.4 + each / 5 * 377.6, 14, 56) for each in range(6)))
    assert ways(drawn, "frame") == ["M32.4 14v56"]
    drawn = picture(Bars("t", ["ant"], [("one", [1.0], ())], limits=(0, 1.1)))  # in at most five steps
    assert [word for word, *_ in texts(drawn, "middle")] == ["0.0", "0.5", "1.0"]
    assert len(numbers(ways(drawn, "grid")[0])) == 3 * 3


def test_bars_start_at_zero_and_many_have_numbers_above_too() -> None:
    drawn = picture(Bars("t", ["a"] * 24, [("s", [-1.0, 4.0], ())]))  # -1.1 to 4.1, 18 each
    left = 12 + 6.8
    width = 410 - left
    zero = 1.1 / 5.2 * width
    assert numbers(ways(drawn, "bar")[0].split("z")[0]) == near((zero, 4, 0.1 / 5.2 * width, 9, zero))
    assert numbers(ways(drawn, "bar")[0].split("z")[1]) == near((zero, 22, 5.1 / 5.2 * width, 9, zero))
    assert numbers(ways(drawn, "frame")[0]) == near((left + zero, 14, 24 * 18))
    assert {y for *_, y in texts(drawn, "middle")} == {14 + 24 * 18 + 16}
    drawn = picture(Bars("t", ["a"] * 25, [("s", [1.0], ())]))
    assert {y for *_, y in texts(drawn, "middle")} == {10, 14 + 25 * 18 + 16}
    five = picture(Bars("t", ["a"], [(f"{n}", [1.0], ()) for n in range(5)]))  # bars of five share the room of four
    assert [numbers(way)[1] for way in ways(five, "bar")] == [4, 12, 20, 28, 36]
    assert five.get("viewBox") == "0 0 420 86"


def test_shares_on_a_logarithmic_axis_are_written_beside_their_bars() -> None:
    drawn = picture(Bars("t", ["abc", "d"], [("s", [0.01, 1.0], ())], log=True))
    width = 410 - 32.4 - 8 * 6.8  # beside: 100.00 %
    ends = [0.1 / 2.2 * width, 2.1 / 2.2 * width]
    assert box(drawn) == [32.4, 14, pytest.approx(377.6), 36]
    assert [numbers(part)[::2] for part in ways(drawn, "bar")[0].split("z")[:-1]] == [near((0, end, 0)) for end in ends]
    found = texts(drawn, "start")
    assert [word for word, *_ in found] == ["1.00 %", "100.00 %"]
    assert list(chain(*(place for _, *place in found))) == near((ends[0] + 4, 12.5), (ends[1] + 4, 30.5))


def matrix(count: int, *, right: int = 9) -> Matrix:
    return Matrix("m", [f"c{n % 10}" for n in range(count)], [
        [right * (row == column) + (row == column + 1) for column in range(count)] for row in range(count)
    ])  # fmt: skip


def test_a_matrix_has_its_counts_in_its_cells() -> None:
    drawn = picture(matrix(2))
    room = 12 + 2 * 6.8
    side = 410 - room
    assert drawn.get("viewBox") == f"0 0 420 {14 + side + room + 14:g}"
    names = [("c0", room - 6, 18 + side / 4), ("c0", 0, 0), ("c1", room - 6, 18 + side * 3 / 4), ("c1", 0, 0)]
    found = texts(drawn, "end")
    assert [word for word, *_ in found] == [word for word, *_ in names]
    assert list(chain(*(place for _, *place in found))) == near(*(place for _, *place in names))
    turned = [numbers(each.get("transform", "")) for each in drawn.iter("g") if each.get("transform")]
    assert list(chain(*turned)) == near(*((room + side * each + 4, 20 + side, -90) for each in (0.25, 0.75)))
    found = texts(drawn, "middle")
    assert [word for word, *_ in found][:4] == ["9", "0", "1", "9"]
    assert list(chain(*(place for _, *place in found))) == near(
        *((room + side * x, 18 + side * y) for y in (0.25, 0.75) for x in (0.25, 0.75)),
        (room + side / 2, 14 + side + room + 8),
    )
    assert [each.get("class") for each in drawn.iter("g") if not each.get("transform")] == ["on", None, None, "on"]
    assert f"data-box='{room:g} 14 {side:g}'" in group([matrix(2)])


@pytest.mark.parametrize(("count", "counts", "names", "room"), [
    (12, 144, 24, 25.6), (13, 0, 26, 25.6), (30, 0, 60, 25.6), (31, 0, 0, 24)
])  # fmt: skip
def test_a_large_matrix_has_no_words(count: int, counts: int, names: int, room: float) -> None:
    drawn = picture(matrix(count))
    assert len(texts(drawn, "middle")) == counts + 1
    assert len(texts(drawn, "end")) == names
    (frame,) = (each for each in drawn.iter("rect"))
    assert [float(frame.get(name, "")) for name in ("x", "y", "width", "height")] == [room, 14, 410 - room, 410 - room]


def test_shades_are_shares_of_the_rows() -> None:
    (shades,) = (each.get("href", "") for each in picture(Matrix("m", ["a", "b"], [[3, 1], [0, 0]])).iter("image"))
    image = Image.open(io.BytesIO(base64.b64decode(shades.partition(",")[2])))
    assert np.asarray(image.convert("RGBA"))[..., 3].tolist() == [[191, 64], [0, 0]]
    assert image.convert("RGBA").getpixel((0, 0)) == (0x00, 0x72, 0xB2, 191)


def keys(*panels: Panel) -> list[tuple[str, str]]:
    return re.findall(r'<li(?: data-s="\d+")?><svg class="key ?([^"]*)"[^>]*><path class="([a-z]+)"', group(panels))


def test_the_legend_shows_what_tells_the_curves_apart() -> None:
    curves = [Curve(f"{n}", [0, 1], [0, 1]) for n in range(9)]
    looks = [f"c{n % 7} d{(n % 7 + n // 7) % 4}" for n in range(9)]
    assert keys(Lines("m", "x", curves)) == [(look, "line") for look in looks]
    assert keys(Lines("m", "x", curves, scatter=True)) == [(look, "dots") for look in looks]
    assert keys(Lines("m", "x", curves[:1], scatter=True), Lines("m", "x", curves[:1])) == [("c0 d0", "line")]
    assert keys(Lines("m", "x", curves[:1]), BARS) == [("c0 d0", "line"), ("c1 d1", "bar"), ("c2 d2", "bar")]
    assert keys(Lines("m", "x", [SPREAD], mark="best")) == [("c0 d0", "line"), ("", "mark")]
    assert keys(Lines("m", "x", curves[:1]), Matrix("m", ["a"], [[1]])) == [("c0 d0", "line")]
    assert not keys(Bars("t", ["a"], [("one", [0.5], ())]))
    assert len(keys(BARS)) == 2
    assert not keys(Matrix("m", ["a"], [[1]]), Sheet("s", [[Tile(np.zeros((2, 2, 3), np.uint8), ["a"])]], ""))


@pytest.mark.parametrize(("count", "said"), [
    (28, None), (29, "29, of which 28 look different; the last 1 of"), (300, "300, of which 28"),
    (301, "the first 300 of 301, of which 28 look different; the last 272 of"),
])  # fmt: skip
def test_more_curves_than_looks_are_said(count: int, said: str | None) -> None:
    text = re.sub("<[^>]*>", "", group([Lines("m", "x", [Curve(f"r{n}", [0], [0]) for n in range(count)])]))
    assert ("look different" in text) == (said is not None)
    assert (said or "") in text


def test_the_hundred_and_first_bar_is_folded() -> None:
    def drawn(count: int) -> str:
        return group([Bars("t", [f"n{place}" for place in range(count)], [("s", [*range(1, count + 1)], ())])])

    assert "fold" not in drawn(100)
    text = drawn(201)
    titles = re.findall("<figcaption>(.*?)</figcaption>", text)
    assert titles == ["t: 1 to 100 of 201", "t: 101 to 200 of 201", "t: 201 to 201 of 201"]
    low, high = 201 * -0.02, 201 * 1.02  # all parts have one axis
    firsts = [(1, 410 - 12 - 6.8 * 3), (101, 410 - 12 - 6.8 * 4), (201, 410 - 12 - 6.8 * 4)]
    found = re.findall(r'class="bar" d="M([\d.]+) [\d.]+H([\d.]+)', text)
    assert [list(map(float, each)) for each in found] == [
        near((-low / (high - low) * width, (value - low) / (high - low) * width)) for value, width in firsts
    ]


def test_images_have_their_words_and_marks() -> None:
    red = Tile(np.full((2, 3, 3), (200, 0, 0), np.uint8), ["label ant", "id 5"], marked=True)
    text = group([Sheet("s", [[red, Tile(np.zeros((2, 2, 3), np.uint8), ["b"])]], "")])
    first, second = re.findall(r'<li><img( class="marked")? src="([^"]*)" alt="([^"]*)">(.*?)</li>', text)
    assert (first[0] != "", *first[2:]) == (True, "label ant, id 5", "label ant<br>id 5")
    assert (second[0] != "", *second[2:]) == (False, "b", "b")
    image = Image.open(io.BytesIO(base64.b64decode(first[1].partition(",")[2])))
    assert np.asarray(image).tolist() == red.pixels.tolist()
