"""Panels as text, each character of it."""

from __future__ import annotations

import math
import textwrap

import numpy as np
import pytest

from gencli.reporting import terminal
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Panel, Sheet, Tile

CURVES = Lines(
    "loss", "epoch",
    [Curve("a run", [0, 2, 4, 6], [1.0, 0.5, None, 0.0], marks=[(2, 0.5)]), Curve("none", [0, 6], [None, None])],
    limits=(0, 1), mark="best",
)  # fmt: skip
DENSITY = Lines("density", "eigenvalue", [Curve("c", [-1.0, 0, 1], [1e-4, 1.0, 1e-2])], log=True)
BARS = Bars(
    "accuracy", ["ant", "a very long name of a class"],
    [("one", [0.5, 1.0], [0.1, None]), ("two", [0.25, None], ())], limits=(0, 1),
)  # fmt: skip
BELOW = Bars("gap", ["a", "b"], [("s", [-0.25, 0.5], ())])
MATRIX = Matrix("m", ["ant", "bee"], [[3, 1], [0, 4]])
SHADES = Matrix(
    "large", [f"c{place}" for place in range(9)],
    [[8 if row == column else int(column == row + 1) for column in range(9)] for row in range(9)],
)  # fmt: skip
DRAWN: list[tuple[Panel, int, str]] = [
    (CURVES, 40, """
                       loss
        ┌──────────────────────────────────┐
    1.00┤o                                 │
        │ oo                               │
        │   oo                             │
    0.75┤     oo                           │
        │       oo                         │
        │         oo                       │
    0.50┤           oo                     │
        │             oooo                 │
        │                 oooo             │
    0.25┤                     ooo          │
        │                        oooo      │
        │                            oooo  │
    0.00┤                                oo│
        └┬─────┬────┬─────┬────┬────┬─────┬┘
         0     1    2     3    4    5     6
                     epoch
      o a run; best: epoch 2, 0.5000
      x none; no values
    """),
    (DENSITY, 40, """
                 density (log10)
      ┌────────────────────────────────────┐
     0┤                  oo                │
      │                oo  ooo             │
      │               o       ooo          │
    -1┤             oo           oo        │
      │            o               ooo     │
      │          oo                   ooo  │
    -2┤         o                        oo│
      │       oo                           │
      │      o                             │
    -3┤    oo                              │
      │   o                                │
      │ oo                                 │
    -4┤o                                   │
      └┬──────┬──────┬──────┬──────┬──────┬┘
       -1    -0.6   -0.2   0.2    0.6     1
                   eigenvalue
      o c
    """),
    (BARS, 60, """
    accuracy
    ant                      0.5000 ± 0.1000 █████████
                                      0.2500 ▒▒▒▒

    a very long name of a class
                                      1.0000 ██████████████████
                                           -

      █ one
      ▒ two
    """),
    (BELOW, 40, """
    gap
    a -0.2500 █████████│
    b  0.5000          │███████████████████
    """),
    (MATRIX, 40, """
    m
    down: label; across: predicted; percent of the label's rows
              0     1
    0 ant  75.0  25.0
    1 bee     . 100.0
    """),
    (SHADES, 40, """
    large
    down: label; across: predicted; share of the label's rows, 0 to 1:  .:-=+*#%@
    0 c0 %.
    1 c1  %.
    2 c2   %.
    3 c3    %.
    4 c4     %.
    5 c5      %.
    6 c6       %.
    7 c7        %.
    8 c8         @
    """),
    (SHADES, 10, """
    large
    down: label; across: predicted; share of the label's rows, 0 to 1:  .:-=+*#%@
    2 classes per character
    0 c0 @.
    2 c2  @.
    4 c4   @.
    6 c6    @.
    8 c8     @
    """),
]  # fmt: skip


TILES = [[Tile(np.zeros((1, 1, 3), np.uint8), words) for words in row] for row in ([["a", "b"], ["c"]], [["d"]])]
DRAWN += [
    (Lines("e", "size", [Curve("a", [1, 10, 100, 0, -1], [1.0, 0.5, 0.25, 0.1, 0.1])], log_across=True, scatter=True),
     40, """
                        e
        ┌──────────────────────────────────┐
    1.00┤o                                 │
        │                                  │
        │                                  │
    0.81┤                                  │
        │                                  │
        │                                  │
    0.62┤                                  │
        │                                  │
        │                 o                │
    0.44┤                                  │
        │                                  │
        │                                  │
    0.25┤                                 o│
        └┬──────┬─────┬──────┬─────┬──────┬┘
         0     0.4   0.8    1.2   1.6     2
                  size (log10)
      o a
    """),
    (Lines("e", "x", [Curve("a", [0], [1.0])], limits=(0, 2)), 40, """
                        e
       ┌───────────────────────────────────┐
    2.0┤                                   │
       │                                   │
       │                                   │
    1.5┤                                   │
       │                                   │
       │                                   │
    1.0┤o                                  │
       │                                   │
       │                                   │
    0.5┤                                   │
       │                                   │
       │                                   │
    0.0┤                                   │
       └┬──────┬──────┬─────┬──────┬──────┬┘
        0     0.2    0.4   0.6    0.8     1
                       x
      o a
    """),
    (Bars("m", ["a"], [(f"s{place}", [float(place)], ()) for place in range(11)]), 40, """
    m
    a 0.0000
      1.0000 ▒▒▒
      2.0000 ░░░░░░░
      3.0000 ▓▓▓▓▓▓▓▓▓▓
      4.0000 █████████████
      5.0000 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒
      6.0000 ░░░░░░░░░░░░░░░░░░░░
      7.0000 ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓
      8.0000 ███████████████████████████
      9.0000 ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒

      █ s0
      ▒ s1
      ░ s2
      ▓ s3
      █ s4
      ▒ s5
      ░ s6
      ▓ s7
      █ s8
      ▒ s9
      the first 10 of 11
    """),
    (Bars("m", ["a", "b"], [("s", [math.nan, 2.0], ())]), 30, """
    m
    a    nan
    b 2.0000 ████████████████████
    """),
    (Bars("m", ["a", "b"], [("s", [0.25, 2.0], ())], limits=(0, 1)), 30, """
    m
    a 0.2500 █████
    b 2.0000 ████████████████████
    """),
    (Bars("m", ["a"], [("s", [0.0], ())]), 30, """
    m
    a 0.0000
    """),
    (Sheet("t", TILES, "n", apart=True), 40, """
    t
    (images: --figure; n)
      a, b
        → c
      d
    """),
    (Sheet("t", TILES, "n", apart=False), 40, """
    t
    (images: --figure; n)
      a, b
      c
      d
    """),
    (Matrix("m", ["a", "b"], [[0, 0], [1, 2]]), 15, """
    m
    down: label; across: predicted; percent of the label's rows
            0     1
    0 a     .     .
    1 b  33.3  66.7
    """),
    (Matrix("m", ["a", "b"], [[0, 0], [1, 2]]), 14, """
    m
    down: label; across: predicted; share of the label's rows, 0 to 1:  .:-=+*#%@
    0 a
    1 b -*
    """),
]  # fmt: skip


@pytest.mark.parametrize(("panel", "width", "drawn"), DRAWN)
def test_a_panel_is_drawn_so(panel: Panel, width: int, drawn: str) -> None:
    assert terminal.text([panel], width).rstrip("\n") == textwrap.dedent(drawn).strip("\n")


@pytest.mark.parametrize("count", [1, 3, 6])
def test_live_curves_fit_a_terminal_with_all_their_axes(count: int) -> None:
    panels = [
        Lines(f"score {n}", "epoch", [Curve("h.parquet", [1, 2, 3], [0.1, 0.5, 0.9])], (0, 1)) for n in range(count)
    ]
    lines = terminal.text(panels, 80, 23).rstrip("\n").split("\n")
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).count("score") == count
    assert [line.strip() for line in lines[-2:]] == ["epoch", "o h.parquet"]
    assert sum(line.count("┘") for line in lines) == count


@pytest.mark.parametrize(
    ("count", "width", "height", "beside", "tall"),
    [
        (1, 80, 14, 1, 12),
        (1, 80, 40, 1, 17),  # no more than these
        (2, 72, 25, 2, 17),  # one below the other they would have less than 12
        (2, 71, 25, 1, 11),  # too narrow for two
        (2, 72, 26, 1, 12),
        (5, 80, 23, 2, 7),
        (6, 80, 12, 2, 6),  # no fewer than these
    ],
)
def test_live_curves_share_the_lines_and_stand_beside_each_other_where_these_are_few(
    count: int, width: int, height: int, beside: int, tall: int
) -> None:
    panels = [Lines(f"score {n}", "epoch", [Curve("h.parquet", [1, 2], [0.1, 0.9])], (0, 1)) for n in range(count)]
    lines = terminal.text(panels, width, height).split("\n")
    titles = [(place, line.count("score")) for place, line in enumerate(lines) if "score" in line]
    rows = -(-count // beside)
    assert titles == [(tall * row, beside if row < rows - 1 or count % beside == 0 else 1) for row in range(rows)]
    assert lines[tall * rows :] == [f"{'epoch':^{width}}".rstrip(), "  o h.parquet", ""]
    assert lines[tall * rows - 1].split()[:3] == ["0", "1", "2"]  # epochs are from 0 on
    column = width // 2 - 2 if beside == 2 else width
    assert max(len(line) for line in lines) == (2 * column + 4 if beside == 2 else width)


def test_bars_are_at_least_eight_long_and_those_below_zero_lie_left_of_a_line() -> None:
    full = terminal._FILLS[0]
    assert terminal._bars(Bars("n", ["a", "b"], [("s", [0.5, 0.25], ())]), 12) == [
        f"a 0.5000 {full * 8}",
        f"b 0.2500 {full * 4}",
    ]
    assert terminal._bars(Bars("n", ["a", "b", "c"], [("s", [-0.5, 0.0, 0.5], ())]), 30) == [
        f"a -0.5000 {full * 9}│",
        f"b  0.0000 {' ' * 9}│",
        f"c  0.5000 {' ' * 9}│{full * 9}",
    ]


def test_names_of_a_matrix_take_what_the_longest_needs_up_to_sixteen() -> None:
    _, across, first, second = terminal._matrix(Matrix("m", ["a", "bbbb"], [[1, 3], [0, 2]]), 80)
    assert (across, first, second) == ("           0     1", "0 a     25.0  75.0", "1 bbbb     . 100.0")
    _, across, first = terminal._matrix(Matrix("m", ["x" * 20], [[5]]), 80)
    assert (across, first) == (" " * 16 + "     0", f"0 {'x' * 14} 100.0")


def test_a_matrix_without_room_has_as_many_characters_as_fit_beside_its_names() -> None:
    panel = Matrix("m", ["x" * 20] * 9, np.eye(9, dtype=int).tolist())
    assert terminal._matrix(panel, 24)[1] == "2 classes per character"  # seven characters beside 16 and a space
    assert "per character" not in terminal._matrix(panel, 26)[1]
    two = Matrix("m", ["x" * 20] * 2, [[1, 0], [0, 2]])
    assert terminal._matrix(two, 17)[1] == "2 classes per character"  # one at least
    assert [line[16:] for line in terminal._matrix(two, 28)[2:]] == [" 100.0     .", "     . 100.0"]


def test_one_panel_of_curves_takes_the_whole_width_however_few_its_lines() -> None:
    text = terminal.text([Lines("m", "epoch", [Curve("c", [1, 2], [0.1, 0.2])])], 80, 8)
    assert max(map(len, text.splitlines())) > 60
