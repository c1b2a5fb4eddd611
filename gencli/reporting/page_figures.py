"""Figures of the page: panels as SVG with their values beside, for a script to read, and one legend of each group."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gencli.cli import console
from gencli.reporting.cells import LONGEST
from gencli.reporting.curves import COLORS, MOST, look, series
from gencli.reporting.page_axes import Axis, around, steps, thinned, written
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Numbers, Panel, Sheet

_WIDTH, _HEIGHT = 356, 220  # of what is within the axes; all lengths are those of a picture 420 wide
_LEFT, _TOP, _RIGHT, _BOTTOM = 54, 14, 10, 40
_POINTS, _MOST, _LEAST = 200_000, 1000, 100  # of all curves of a group; of one of them
_NAMED, _ANNOTATED = 30, 12  # classes of a matrix whose axes, and whose cells, have words
_NAMES = 300  # curves of a name, or series of bars, of a group
_BARS = 100  # names of bars in one picture; the others are in a second one, folded
_LETTER = 6.8  # width of one, about


def text(words: str, most: int | None = None) -> str:
    """Words as they stand in the page, whatever is in them."""
    return html.escape(console.printable(words, most))


def group(panels: Sequence[Panel]) -> str:
    """The panels of a figure below their legend."""
    names = list(dict.fromkeys(name for panel in panels for name in series(panel)))
    places = {name: place for place, name in enumerate(names[:_NAMES])}
    curves = sum(min(_NAMES, len(panel.curves)) for panel in panels if isinstance(panel, Lines))
    points = max(_LEAST, min(_MOST, _POINTS // max(1, curves)))
    drawn = "\n".join(_panel(panel, places, points) for panel in panels)
    return f'<div class="group">{_legend(panels, names)}<div class="figures">\n{drawn}\n</div></div>'


def _style(place: int) -> str:
    style, color = look(place)
    return f"c{color} d{style}"


def _legend(panels: Sequence[Panel], names: Sequence[str]) -> str:
    marks = dict.fromkeys(panel.mark for panel in panels if isinstance(panel, Lines) and _marked(panel))
    if not marks and len(names) < 2 and not any(isinstance(panel, Lines) for panel in panels):
        return ""
    bars = {name for panel in panels if isinstance(panel, Bars) for name in series(panel)}
    scattered = all(isinstance(panel, Lines) and panel.scatter for panel in panels)
    shapes = {True: ("bar", "M2 2h24v8H2z"), False: ("dots", "M14 6h0") if scattered else ("line", "M1 6h26")}
    items = []
    for place, name in enumerate(names[:_NAMES]):
        kind, path = shapes[name in bars]
        key = (
            f'<svg class="key {_style(place)}" viewBox="0 0 28 12" aria-hidden="true"><path class="{kind}" d="{path}"/>'
        )
        items.append(f'<li data-s="{place}">{key}</svg><span>{text(name, LONGEST)}</span></li>')
    mark = '<svg class="key" viewBox="0 0 28 12" aria-hidden="true"><path class="mark" d="M14 6h0"/></svg>'
    items += [f"<li>{mark}<span>{text(each)}</span></li>" for each in marks]
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>{_crowd(len(names))}'


def _crowd(count: int) -> str:
    """What is said of more names than have a look of their own."""
    if count <= MOST:
        return ""
    drawn = min(count, _NAMES)
    all_of = f"{count:,}" if drawn == count else f"the first {drawn:,} of {count:,}"
    hidden = f"<span hidden>; the last {drawn - MOST:,} of them are hidden until you choose them</span>"
    return f'<p class="note" data-most="{MOST}">{all_of}, of which {MOST} look different{hidden}</p>'


def _marked(panel: Lines) -> bool:
    return any(curve.marks for curve in panel.curves)


def _panel(panel: Panel, places: dict[str, int], points: int = _MOST) -> str:
    if isinstance(panel, Bars) and len(panel.names) > _BARS:
        return _folded_bars(panel, places)
    draw: dict[type, Any] = {Lines: _lines, Bars: _bars, Matrix: _matrix, Sheet: _sheet}
    body, note = draw[type(panel)](panel, places, points)
    below = f'<p class="note">{text(note)}</p>' if note else ""
    return f"<figure><figcaption>{text(panel.title, LONGEST)}</figcaption>{body}{below}</figure>"


def _plot(size: tuple[float, float], label: str, facts: dict[str, str], drawn: Sequence[str]) -> str:
    width, height = size
    values = "".join(f" data-{name}='{html.escape(value)}'" for name, value in facts.items())
    return (
        f'<div class="plot" role="img" aria-label="{text(label, LONGEST)}"{values}>'
        f'<svg viewBox="0 0 {_number(width)} {_number(height)}">{"".join(drawn)}</svg></div>'
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _at(place: float | None, length: float) -> float | None:
    """A place on an axis in the picture's lengths; what lies far outside stays where it is not seen."""
    return None if place is None else max(-1.0, min(2.0, place)) * length


def _lines(panel: Lines, places: dict[str, int], points: int) -> tuple[str, str]:
    given = [curve for curve in panel.curves if curve.name in places]
    found = [(curve, 1) if panel.scatter else thinned(curve, points) for curve in given]
    curves = [curve for curve, _ in found]
    ends = [end for curve in curves for end in _ends(curve)]
    marks = [y for curve in curves for _, y in curve.marks]
    numbers = [x for curve in curves for x in curve.x]
    whole = all(isinstance(x, int) for x in numbers) and not panel.log_across
    across = around(numbers, 0.02, panel.log_across, whole)
    up = around([*ends, *marks], 0.04, panel.log)
    if panel.limits and not panel.log:
        up = Axis(panel.limits[0] - 0.02, panel.limits[1] + 0.02)
    shared = written(curves[0].x) if curves else ""
    drawn = [_grid(across, up), f'<svg class="data" x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}">']
    drawn += [_curve(curve, panel, places[curve.name], across, up, shared) for curve in curves]
    drawn += ["</svg>", _words(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 34, panel.across, "middle")]
    facts = {
        "kind": "scatter" if panel.scatter else "lines",
        "x": shared,
        "across": panel.across,
        "scale": " ".join(map(repr, (across.low, across.high, int(across.log), up.low, up.high, int(up.log)))),
    } | ({} if panel.limits else {"free": "1"})
    size = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    kept = max((size for _, size in found), default=1)
    note = f"of each {kept:,} points the first, the last, the lowest and the highest are shown" if kept != 1 else ""
    kind = "points" if panel.scatter else "curves"
    return _plot(size, f"{panel.title} over {panel.across}, {len(curves)} {kind}", facts, drawn), note


def _ends(curve: Curve) -> list[float | None]:
    if not curve.spread:
        return list(curve.y)
    return [
        end for y, s in zip(curve.y, curve.spread)
        for end in ((y,) if y is None or s is None or not math.isfinite(s) else (y - s, y + s))
    ]  # fmt: skip


def _grid(across: Axis, up: Axis) -> str:
    """Lines at round numbers, and these."""
    down = [(_TOP + (1 - place) * _HEIGHT, word) for place, word in up.ticks(6)]
    right = [(_LEFT + place * _WIDTH, word) for place, word in across.ticks(6)]
    rows = "".join(f"M{_LEFT} {_number(y)}h{_WIDTH}" for y, _ in down)
    columns = "".join(f"M{_number(x)} {_TOP}v{_HEIGHT}" for x, _ in right)
    words = [_words(x, _TOP + _HEIGHT + 16, word, "middle") for x, word in right]
    beside = "".join(_words(_LEFT - 6, y + 4, word, "end") for y, word in down)
    frame = _path("frame", f"M{_LEFT} {_TOP}v{_HEIGHT}h{_WIDTH}")
    return f'{_path("grid", columns)}{"".join(words)}<g class="up">{_path("grid", rows)}{beside}</g>{frame}'


def _path(kind: str, way: str) -> str:
    return f'<path class="{kind}" d="{way}"/>'


def _words(x: float, y: float, words: str, anchor: str, full: str = "") -> str:
    title = f"<title>{text(full, LONGEST)}</title>" if full not in ("", words) else ""
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f'<text {place} text-anchor="{anchor}">{title}{text(words)}</text>'


def _curve(curve: Curve, panel: Lines, place: int, across: Axis, up: Axis, shared: str) -> str:
    def point(x: float, y: float | None) -> tuple[float, float] | None:
        right, above = _at(across.place(x), _WIDTH), _at(up.place(y), _HEIGHT)
        return None if right is None or above is None else (right, _HEIGHT - above)

    points = [point(x, y) for x, y in zip(curve.x, curve.y)]
    parts, known = steps(points), [each for each in points if each]
    drawn = ""
    spread = [math.nan if each is None else each for each in curve.spread]
    if any(map(math.isfinite, spread)):
        low, high = (
            [None if y is None else point(x, y + sign * s) for x, y, s in zip(curve.x, curve.y, spread)]
            for sign in (-1, 1)
        )
        both = [(*a, b[1]) if a and b else None for a, b in zip(low, high)]
        if panel.dots:
            ways = (f"M{_number(x)} {_number(a)}V{_number(b)}" for x, a, b in filter(None, both))
            drawn = _path("error", "".join(ways))
        else:
            bands = ([*((x, b) for x, _, b in part), *((x, a) for x, a, _ in part[::-1])] for part in steps(both))
            drawn = _path("band", "".join(_joined(band) + "z" for band in bands))
    if not panel.scatter:
        drawn += _path("line", "".join(map(_joined, parts)))
    if panel.scatter or panel.dots or len(known) == 1:
        drawn += _path("dots", "".join(f"M{_number(x)} {_number(y)}h0" for x, y in known))
    marked = "".join(f"M{_number(x)} {_number(y)}h0" for x, y in filter(None, (point(*mark) for mark in curve.marks)))
    drawn += _path("mark", marked) + _path("dots", marked) if marked else ""
    x = written(curve.x)
    facts = "" if x == shared else f' data-x="{x}"'
    facts += f' data-y="{written(curve.y)}"'
    facts += f' data-d="{written(curve.spread)}"' if any(map(math.isfinite, spread)) else ""
    return f'<g class="{_style(place)}" data-s="{place}"{facts}>{drawn}</g>'


def _joined(part: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = [(_number(x), _number(y)) for x, y in part]
    return f"M{x} {y}L" + " ".join(f"{x} {y}" for x, y in rest) if rest else f"M{x} {y}h0"


def _folded_bars(panel: Bars, places: dict[str, int]) -> str:
    def part(start: int) -> Bars:
        end = min(start + _BARS, len(panel.names))
        series = [(name, values[start:end], spread[start:end]) for name, values, spread in panel.series]
        title = f"{panel.title}: {start + 1:,} to {end:,} of {len(panel.names):,}"
        return Bars(title, panel.names[start:end], series, limits, panel.log)

    axis = _across(panel)
    limits = None if panel.log else (axis.low, axis.high)
    parts = map(part, range(0, len(panel.names), _BARS))
    first, *rest = (_panel(part, places) for part in parts)
    said = f"{text(panel.title)}: the other {len(panel.names) - _BARS:,}, folded"
    return f'{first}<details class="fold"><summary>{said}</summary><div class="figures">{"".join(rest)}</div></details>'


def _across(panel: Bars) -> Axis:
    ends = [end for name, values, spread in panel.series for end in _ends(Curve(name, (), values, spread))]
    if panel.limits:
        return Axis(*panel.limits)
    if panel.log:
        return around(ends, 0.05, True)
    return around([0, *ends], 0.02)


def _bars(panel: Bars, places: dict[str, int], _: int) -> tuple[str, str]:
    names, room = _shortened(panel.names, 28)
    several, across = [each for each in panel.series if each[0] in places], _across(panel)
    count = len(several)
    row = 8 + 10 * min(4, max(1, count))
    left = 12 + room
    beside = _LETTER * len("100.00 %") if panel.log else 0  # the number after the longest bar
    width, height = _LEFT + _WIDTH - left - beside, row * max(1, len(names))
    drawn = [f"M{_number(left + place * width)} {_TOP}v{_number(height)}" for place, _ in across.ticks(5)]
    drawn = [_path("grid", "".join(drawn))]
    ends = [_TOP + height + 16] + ([_TOP - 4] if height > 2 * _HEIGHT else [])
    drawn += [_words(left + place * width, y, word, "middle") for y in ends for place, word in across.ticks(5)]
    for place, (name, full) in enumerate(zip(names, panel.names)):
        drawn.append(_words(left - 6, _TOP + (place + 0.5) * row + 4, name, "end", full))
    size = f'width="{_number(width + beside)}" height="{_number(height)}"'
    drawn.append(f'<svg class="data" x="{_number(left)}" y="{_TOP}" {size}>')
    thick = (row - 8) / max(1, count)
    start = _at(across.place(0), width) or 0
    for number, (name, values, spread) in enumerate(several):
        bars = errors = words = ""
        for place, value in enumerate(values):
            if (end := _at(across.place(value), width)) is None:
                continue
            top = place * row + 4 + number * thick
            bars += f"M{_number(start)} {_number(top)}H{_number(end)}v{_number(0.9 * thick)}H{_number(start)}z"
            if panel.log and value:
                words += _words(end + 4, top + 0.45 * thick + 4, f"{100 * value:.2f} %", "start")
            deviation = spread[place] if spread else None
            if value is not None and deviation is not None and math.isfinite(deviation):
                low, high = (_at(across.place(value + sign * deviation), width) or 0 for sign in (-1, 1))
                errors += f"M{_number(low)} {_number(top + 0.45 * thick)}H{_number(high)}"
        facts = f' data-y="{written(values)}"' + (f' data-d="{written(spread)}"' if any(_finite(spread)) else "")
        body = _path("bar", bars) + (_path("whisker", errors) if errors else "") + words
        drawn.append(f'<g class="{_style(places[name])}" data-s="{places[name]}"{facts}>{body}</g>')
    drawn += ["</svg>", _path("frame", f"M{_number(left + start)} {_TOP}v{_number(height)}")]
    whole = _LEFT + _WIDTH + _RIGHT, _TOP + height + 24
    facts = {"kind": "bars", "names": _listed(panel.names)} | ({"share": "1"} if panel.log else {})
    return _plot(whole, f"{panel.title}, bars of {len(names)}", facts, drawn), ""


def _shortened(names: Sequence[str], most: int) -> tuple[list[str], float]:
    """Names of at most so many characters, and the room that they take."""
    from rich.cells import cell_len

    short = [console.printable(name, most) for name in names]
    return short, _LETTER * min(most, max(map(cell_len, short), default=1))


def _finite(values: Numbers) -> list[bool]:
    return [value is not None and math.isfinite(value) for value in values]


def _listed(names: Sequence[str]) -> str:
    return json.dumps([console.printable(name, LONGEST) for name in names], ensure_ascii=False)


def _matrix(panel: Matrix, places: dict[str, int], _: int) -> tuple[str, str]:
    count = len(panel.names)
    shares = np.array(panel.cells, float)
    shares /= np.maximum(1, shares.sum(1, keepdims=True))
    names, room = _shortened(panel.names, 16)
    room = 12 + room if count <= _NAMED else 24
    side = _LEFT + _WIDTH + _RIGHT - room - _RIGHT
    cell = side / count
    shown = f'x="{_number(room)}" y="{_TOP}" width="{_number(side)}" height="{_number(side)}"'
    drawn = [f'<image {shown} preserveAspectRatio="none" href="{_shades(shares)}"/>', f'<rect class="frame" {shown}/>']
    if count <= _NAMED:
        for place, (name, full) in enumerate(zip(names, panel.names)):
            middle = (place + 0.5) * cell
            drawn.append(_words(room - 6, _TOP + middle + 4, name, "end", full))
            turned = f"translate({_number(room + middle + 4)} {_number(_TOP + side + 6)}) rotate(-90)"
            drawn.append(f'<g transform="{turned}">{_words(0, 0, name, "end", full)}</g>')
    if count <= _ANNOTATED:
        for row, column in np.ndindex(count, count):
            dark = ' class="on"' if shares[row, column] > 0.85 else ""
            at = _words(
                room + (column + 0.5) * cell, _TOP + (row + 0.5) * cell + 4, f"{panel.cells[row][column]:,}", "middle"
            )
            drawn.append(f"<g{dark}>{at}</g>")
    below = _TOP + side + room
    drawn.append(_words(room + side / 2, below + 8, "predicted (shade: share of the label's rows)", "middle"))
    sparse = [{column: value for column, value in enumerate(row) if value} for row in panel.cells]
    facts = {
        "kind": "matrix",
        "names": _listed(panel.names),
        "cells": json.dumps(sparse, separators=(",", ":")),
        "box": f"{_number(room)} {_TOP} {_number(side)}",
    }
    size = _LEFT + _WIDTH + _RIGHT, below + 14
    return _plot(size, f"{panel.title}, {count} classes: label down, predicted across", facts, drawn), ""


def _shades(shares: Any) -> str:
    """A picture of shares, one pixel each: a colour that covers what is below it as much as the share is."""
    from PIL import Image

    image = Image.fromarray(np.round(255 * shares).astype(np.uint8), "P")
    image.putpalette(bytes.fromhex(COLORS[0][1:]) * 256)
    return _png(image, transparency=bytes(range(256)))


def _png(image: Any, **more: Any) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", **more)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _sheet(panel: Sheet, places: dict[str, int], _: int) -> tuple[str, str]:
    from PIL import Image

    rows = panel.rows if panel.apart else [[tile for row in panel.rows for tile in row]]
    lists = []
    for tiles in rows:
        items = []
        for tile in tiles:
            words = "<br>".join(text(line) for line in tile.words)
            named, marked = text(", ".join(tile.words)), ' class="marked"' if tile.marked else ""
            source = _png(Image.fromarray(np.ascontiguousarray(tile.pixels)))
            items.append(f'<li><img{marked} src="{source}" alt="{named}">{words}</li>')
        lists.append(f'<ul class="tiles{" apart" if panel.apart else ""}">{"".join(items)}</ul>')
    return f'<div class="sheet">{"".join(lists)}</div>', panel.note
