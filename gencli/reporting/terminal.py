"""Panels as characters, for a terminal without colour."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from itertools import cycle

from gencli.cli import console
from gencli.reporting.cells import cell, spread
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Numbers, Panel, Sheet

_MARKERS = "ox+*#@%=vs"  # one per curve
_FILLS = "█▒░▓"
_SHADES = " .:-=+*#%@"
_LINES, _GOOD, _LEAST = 17, 12, 6  # of a panel of curves; where there are fewer than good, two go beside each other
_NARROW = 36  # characters of one of two
_NAME = 24


def text(panels: Sequence[Panel], width: int, height: int | None = None) -> str:
    """The panels one below the other, at most `width` characters per line; each curve has its own marker.

    If there are more curves than markers, the first are drawn, and a line says so.

    Args:
        height: lines that panels of curves should fit into together, two beside each other where they are many, with
            the names of the first one's curves below all; None for as many as they like.
    """
    if height is None:
        return "".join(f"{_panel(panel, width, _LINES)}\n\n" for panel in panels)
    curves = [panel for panel in panels if isinstance(panel, Lines)]
    found = [_curves(panel, width, _LINES) for panel in curves]
    legend = found[0][_LINES:] if found else []
    count, room = len(curves), height - len(legend)
    beside = 2 if count > 1 and room // count < _GOOD and width >= 2 * _NARROW else 1
    each = min(_LINES, max(_LEAST, room // max(1, -(-count // beside))))
    column = width // beside - 2 * (beside - 1)
    drawn = [_curves(panel, column, each)[:each] for panel in curves]
    rows = [zip(*drawn[start : start + beside]) for start in range(0, count, beside)]
    return "".join(f"{_joined(line, column)}\n" for row in rows for line in row) + "\n".join([*legend, ""])


def _joined(parts: Sequence[str], column: int) -> str:
    return "    ".join(f"{part:{column}}" for part in parts).rstrip()


def _panel(panel: Panel, width: int, height: int) -> str:
    if isinstance(panel, Lines):
        lines = _curves(panel, width, height)
    elif isinstance(panel, Bars):
        lines = [*_filled(console.printable(panel.title), "", width), *_bars(panel, width)]
    elif isinstance(panel, Sheet):
        lines = [*_filled(console.printable(panel.title), "", width), *_sheet(panel, width)]
    else:
        lines = [*_filled(console.printable(panel.title), "", width), *_matrix(panel, width)]
    return "\n".join(lines)


def _curves(panel: Lines, width: int, height: int) -> list[str]:
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    figure.title(console.printable(panel.title) + (" (log10)" if panel.log else ""))
    curves = panel.curves[: len(_MARKERS)]
    points = [_points(curve, panel) for curve in curves]
    places = [x for found in points for x, _ in found] or [0.0]
    if panel.limits:
        figure.ruler("y").lim(*panel.limits)
    low, high = min(0.0, *places), max(places)
    high = high if high > low else low + 1
    figure.ruler("x").lim(low, high)
    ticks = [low + (high - low) * part / 5 for part in range(6)]
    if panel.across == "epoch":
        ticks = [float(tick) for tick in range(0, int(high) + 1, math.ceil(high / 6))]
    figure.ruler("x").ticks(ticks, [f"{tick:.3g}" for tick in ticks])
    legend = []
    for curve, found, marker in zip(curves, points, _MARKERS):
        if found:
            signal = figure.signal(*map(list, zip(*found, strict=True)), marker=marker)
            figure.draw(signal if panel.scatter else signal.lines())
        marks = "".join(f"; {panel.mark}: {panel.across} {x:g}, {y:.4f}" for x, y in curve.marks)
        nothing = "" if found else "; no values"
        legend += _filled(f"{console.printable(curve.name)}{marks}{nothing}", f"  {marker} ", width)
    lines = [line.rstrip() for line in plotext.uncolorize(str(figure.build())).splitlines()]
    if len(panel.curves) > len(curves):
        legend.append(f"  the first {len(curves)} of {len(panel.curves):,}")
    across = panel.across + (" (log10)" if panel.log_across else "")
    return [*lines, f"{across:^{width}}".rstrip(), *legend]


def _points(curve: Curve, panel: Lines) -> list[tuple[float, float]]:
    known = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if y is not None and math.isfinite(y)]
    known = [(x, math.log10(y)) for x, y in known if y > 0] if panel.log else known
    return [(math.log10(x), y) for x, y in known if x > 0] if panel.log_across else known


def _filled(words: str, lead: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, initial_indent=lead, subsequent_indent=" " * len(lead)) or [lead]


def _bars(panel: Bars, width: int) -> list[str]:
    from rich.cells import cell_len, set_cell_size

    drawn = panel.series[: len(_MARKERS)]
    names = [console.printable(name) for name in panel.names]
    room = min(_NAME, max(map(cell_len, names), default=0))
    known = [value for _, values, _ in drawn for value in values if value is not None and math.isfinite(value)]
    low, high = min([0, *known]), panel.limits[1] if panel.limits else max([0, *known])
    longest = high - low or 1
    numbers = [[_number(*each) for each in zip(values, _padded(values, spread))] for _, values, spread in drawn]
    digits = max((len(number) for each in numbers for number in each), default=0)
    bar = max(8, width - room - digits - 3 - (low < 0))
    left = round(bar * -low / longest)  # of the line at 0, where there are numbers below
    lines = []
    for row, name in enumerate(names):
        for place, ((_, values, _), number, fill) in enumerate(zip(drawn, numbers, cycle(_FILLS))):
            value = values[row]
            size = 0 if value is None or not math.isfinite(value) else round(bar * abs(value) / longest)
            if place == 0 and cell_len(name) > room:
                lines += textwrap.wrap(name, width)
            head = set_cell_size(name if place == 0 and cell_len(name) <= room else "", room)
            below, above = ("", fill * min(bar, size)) if value is None or value >= 0 else (fill * size, "")
            drawn_bar = f"{below:>{left}}│{above}" if low < 0 else above
            lines.append(f"{head} {number[row]:>{digits}} {drawn_bar}".rstrip())
        lines += [""] if len(drawn) > 1 else []
    if len(panel.series) > 1:
        for (name, *_), fill in zip(drawn, cycle(_FILLS)):
            lines += _filled(console.printable(name), f"  {fill} ", width)
    if len(panel.series) > len(drawn):
        lines.append(f"  the first {len(drawn)} of {len(panel.series):,}")
    return lines


def _sheet(panel: Sheet, width: int) -> list[str]:
    """The words of the images, which are not shown: a line each, those that belong to the first of a row indented."""
    lines = _filled(f"(images: --figure; {console.printable(panel.note)})", "", width)
    for row in panel.rows:
        for place, tile in enumerate(row):
            words = ", ".join(map(console.printable, tile.words))
            lines += _filled(words, "    → " if panel.apart and place else "  ", width)
    return lines


def _padded(values: Numbers, spread: Numbers) -> list[float | None]:
    return list(spread) or [None] * len(values)


def _number(value: float | None, deviation: float | None) -> str:
    if value is None:
        return "-"
    return spread(cell(value), deviation)


def _matrix(panel: Matrix, width: int) -> list[str]:
    """Percent of each label's rows; a character of shade each where there is no room; then neighbours together."""
    from rich.cells import cell_len, set_cell_size

    names = [console.printable(name) for name in panel.names]
    count = len(names)
    numbered = [f"{place} {name}" for place, name in enumerate(names)]
    room = min(16, max(map(cell_len, numbered), default=0))
    heads = [set_cell_size(name, room) for name in numbered]
    sums = [max(1, sum(row)) for row in panel.cells]
    if room + 6 * count <= width:
        lines = ["down: label; across: predicted; percent of the label's rows"]
        lines.append(" " * room + "".join(f"{place:>6}" for place in range(count)))
        for head, row, total in zip(heads, panel.cells, sums):
            parts = "".join(f"{100 * each / total:>6.1f}" if each else f"{'.':>6}" for each in row)
            lines.append(head + parts)
        return lines
    step = math.ceil(count / max(1, width - room - 1))
    lines = [f"down: label; across: predicted; share of the label's rows, 0 to 1: {_SHADES}"]
    if step > 1:
        lines.append(f"{step} classes per character")
    for start in range(0, count, step):
        taken = panel.cells[start : start + step]
        total = max(1, sum(map(sum, taken)))
        parts = [sum(sum(row[column : column + step]) for row in taken) / total for column in range(0, count, step)]
        lines.append(
            f"{heads[start]} {''.join(_SHADES[math.ceil(part * (len(_SHADES) - 1))] for part in parts)}".rstrip()
        )
    return lines
