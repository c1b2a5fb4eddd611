"""Pictures: panels of curves, bars, matrices and images as PNG, SVG or PDF."""

from __future__ import annotations

import importlib.util
import io
import logging
import math
import os
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gencli.cli import console
from gencli.reporting.panels import Bars, Lines, Matrix, Panel, Sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008: told apart with every kind of colour vision
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MANY = 12  # panels; more are small
MOST = 28  # curves that colour and line style tell apart
_STYLES = ("-", "--", ":", "-.")
_HATCHES = ("", "///", "...", "xxx")
_DECADES = 10**2.5  # from which there is room for labels at whole decades alone
_MARKERS = "osD^vPX"
_ANNOTATED, _NAMED = 12, 30  # classes of a matrix whose cells, and whose axes, have words
_BARS = 100  # names of bars in one panel
_APART = 0.4  # between the first image of a row and others, in widths of an image
_RED = "#DC0000"
_NAME, _LEGEND_ROOM = 60, 100  # characters of a name, and of a row of the legend


def image(
    panels: Sequence[Panel],
    form: str,
    provenance: str,
    title: str = "",
    fonts: bool = True,
) -> bytes:
    """The panels in rows of three as PNG, SVG or PDF, the same bytes every time; their provenance in the metadata.

    Of many, small ones in rows of six. Of more than `MOST` curves the first are drawn, and the legend says so.

    Args:
        fonts: whether an SVG has its text as outlines, the same everywhere, or as text.
    """
    small = len(panels) > _MANY and all(isinstance(panel, Lines) for panel in panels)
    across = min(6 if small else 3, len(panels))
    down = math.ceil(len(panels) / across)
    names = list(dict.fromkeys(name for panel in panels for name in series(panel)))
    looks = {name: (place, look(place)) for place, name in enumerate(names[:MOST])}
    width, height = (2.8, 2.4) if small else (4.2, max(map(_height, panels)))
    words: dict[Any, Any] = {
        "text.parse_math": False,
        "axes.unicode_minus": False,
        "svg.fonttype": "path" if fonts else "none",
        "image.composite_image": False,
        **({"font.size": 7.0, "axes.titlesize": 7.0} if small else {}),
    }
    with canvas(words):
        from matplotlib.figure import Figure

        size = width * across + 0.6, height * down + 0.2 * math.ceil(len(looks) / _columns(names, across))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels):
            axis.set_title(_label(panel.title))
            handles = _DRAW[type(panel)](axis, panel, looks)
            if small and axis.get_xscale() == "linear":
                axis.locator_params(axis="x", nbins=4)
            if isinstance(panel, Lines) and handles:
                axis.legend(handles=handles, loc="best", frameon=False, fontsize="small")
        for axis in axes[len(panels) :]:
            axis.remove()
        if title:
            figure.suptitle(_label(title))
        if looks and (len(names) > 1 or len(panels) > 1 or isinstance(panels[0], Lines)):
            _legend(figure, panels, names, looks, across)
        return encode(figure, form, provenance)


def look(place: int) -> tuple[int, int]:
    """Numbers of a line style (or hatch) and a colour, both other than those of the neighbours."""
    turn, color = divmod(place, len(COLORS))
    return (color + turn) % len(_STYLES), color


def series(panel: Panel) -> list[str]:
    """The names of a panel's curves, or of its bars' series."""
    if isinstance(panel, Matrix | Sheet):
        return []
    return [curve.name for curve in panel.curves] if isinstance(panel, Lines) else [name for name, *_ in panel.series]


def _height(panel: Panel) -> float:
    if isinstance(panel, Bars):
        return max(2.4, 1 + 0.24 * min(_BARS, len(panel.names)) * min(4, max(1, len(panel.series))))
    if isinstance(panel, Sheet):
        return 0.9 + 4 / _across(panel) * len(panel.rows) * _down(panel)
    return 3.6 if isinstance(panel, Lines) else 4.2


def _across(panel: Sheet) -> float:
    """Widths of images that a sheet has across, at least four."""
    return max(4, *map(len, panel.rows)) + (_APART if panel.apart else 0)


def _down(panel: Sheet) -> float:
    """The height of a row with its words, in widths of an image."""
    return 1.08 + 0.03 * _across(panel) * max(len(tile.words) for row in panel.rows for tile in row)


def _columns(names: Sequence[str], across: int) -> int:
    longest = max((min(len(name), _NAME) for name in names), default=1) + 8
    return max(1, min(len(names), _LEGEND_ROOM * across // 2 // longest))


def _legend(figure: Figure, panels: Sequence[Panel], names: Sequence[str], looks: Any, across: int) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars = {name for panel in panels if isinstance(panel, Bars) for name in series(panel)}
    scattered = all(isinstance(panel, Lines) and panel.scatter for panel in panels)
    handles = [
        Patch(facecolor=COLORS[look[1]], hatch=_HATCHES[look[0]], edgecolor="white")
        if name in bars
        else Line2D(
            [],
            [],
            color=COLORS[look[1]],
            linestyle="" if scattered else _STYLES[look[0]],
            marker=_marker(place, panels),
            markersize=4,
        )
        for name, (place, look) in looks.items()
    ]
    more = len(names) - len(looks)
    heading = f"the first {len(looks):,} of {len(names):,}" if more else None
    words = [textwrap.fill(_label(name, 3 * _NAME), _NAME) for name in looks]
    figure.legend(
        handles, words, loc="outside lower center", ncols=_columns(names, across),
        frameon=False, title=heading,
    )  # fmt: skip


def _marker(place: int, panels: Sequence[Panel]) -> str:
    dots = any(isinstance(panel, Lines) and panel.dots for panel in panels)
    return _MARKERS[place % len(_MARKERS)] if dots else ""


def _draw_lines(axis: Axes, panel: Lines, looks: Any) -> list[Any]:
    marked = None
    for curve in panel.curves:
        if curve.name not in looks:
            continue
        place, (style, color) = looks[curve.name]
        y, deviations = _floats(curve.y), _floats(curve.spread)
        look: dict[str, Any] = {"color": COLORS[color], "linestyle": _STYLES[style], "linewidth": 1.5}
        look |= {"linestyle": "", "alpha": 0.6, "markeredgewidth": 0} if panel.scatter else {}
        dots = panel.dots or sum(map(math.isfinite, y)) == 1
        axis.plot(
            curve.x,
            y,
            marker=_MARKERS[place % len(_MARKERS)] if dots else "",
            markersize=2 if panel.scatter and len(y) > 500 else 4,  # few small points are not seen
            **look,
        )
        if any(map(math.isfinite, deviations)):
            low = [a - b for a, b in zip(y, deviations)]
            high = [a + b for a, b in zip(y, deviations)]
            if panel.dots:
                axis.errorbar(curve.x, y, deviations, color=COLORS[color], linestyle="", capsize=3)
            else:
                axis.fill_between(curve.x, low, high, color=COLORS[color], alpha=0.2, linewidth=0)
        for x, value in curve.marks:
            (marked,) = axis.plot([x], [value], "*", color=COLORS[color], markersize=11, markeredgecolor="black")
    axis.set_xlabel(panel.across)
    if panel.log:
        axis.set_yscale("log")
        _plain(axis.yaxis)
    elif panel.limits:
        axis.set_ylim(panel.limits[0] - 0.02, panel.limits[1] + 0.02)
    if panel.log_across:
        axis.set_xscale("log")
        _plain(axis.xaxis)
    axis.margins(x=0.02)
    if marked is None:
        return []
    from matplotlib.lines import Line2D

    return [Line2D([], [], marker="*", color="gray", linestyle="", markersize=10, label=panel.mark)]


def _plain(axis: Any) -> None:
    """Numbers at a logarithmic axis, whose own labels are formulas; of few decades at 2 and 5 too."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    if high < _DECADES * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, place: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def _draw_bars(axis: Axes, panel: Bars, looks: Any) -> list[Any]:
    drawn = [each for each in panel.series if each[0] in looks]
    names = panel.names[:_BARS]
    if len(names) < len(panel.names):
        axis.set_title(f"{_label(panel.title)}: the first {len(names):,} of {len(panel.names):,}")
    room = 0.8 / max(1, len(drawn))
    for place, (name, values, deviations) in enumerate(drawn):
        _, (style, color) = looks[name]
        y = [row + (place + 0.5) * room - 0.4 for row in range(len(names))]
        kept = {"color": COLORS[color], "hatch": _HATCHES[style], "edgecolor": "white"}
        lengths = _floats(values[: len(names)])
        bars = axis.barh(y, lengths, 0.9 * room, **kept)
        if panel.log:
            words = [f"{100 * length:.2f} %" if length > 0 else "" for length in lengths]
            axis.bar_label(bars, words, padding=2, fontsize="x-small")
        if any(each is not None for each in deviations):
            axis.errorbar(lengths, y, xerr=_floats(deviations[: len(names)]), color="black", linestyle="", capsize=2)
    axis.set_yticks(range(len(names)), [textwrap.fill(_label(name, 90), 30) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    axis.set_axisbelow(True)
    if panel.log:
        axis.set_xscale("log")
        _plain(axis.xaxis)
        axis.margins(x=0.15)
    if panel.limits:
        axis.set_xlim(*panel.limits)
    return []


def _draw_matrix(axis: Axes, panel: Matrix, looks: Any) -> list[Any]:
    count = len(panel.names)
    shares = [[cell / max(1, sum(row)) for cell in row] for row in panel.cells]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axis.grid(visible=False)
    if count <= _NAMED:
        labels = [_label(name, 16) for name in panel.names]
        axis.set_xticks(range(count), labels, rotation=90)
        axis.set_yticks(range(count), labels)
    if count <= _ANNOTATED:
        for row, (cells, parts) in enumerate(zip(panel.cells, shares)):
            for column, (cell, part) in enumerate(zip(cells, parts)):
                color = "white" if part > 0.5 else "black"
                axis.text(column, row, f"{cell:,}", ha="center", va="center", color=color, fontsize=6)
    axis.set(xlabel="predicted (shade: share of the label's rows)", ylabel="label")
    return []


def _draw_sheet(axis: Axes, panel: Sheet, looks: Any) -> list[Any]:
    from matplotlib.patches import Rectangle

    across, down = _across(panel), _down(panel)
    for row, tiles in enumerate(panel.rows):
        for column, tile in enumerate(tiles):
            x, y = column + (_APART if panel.apart and column else 0), row * down
            height, width = (0.92 * side / max(tile.pixels.shape[:2]) for side in tile.pixels.shape[:2])
            left, top = x + (1 - width) / 2, y + 0.98 - height
            drawn = axis.imshow(
                tile.pixels, extent=(left, left + width, top + height, top), interpolation="none", aspect="equal"
            )
            drawn.set_gid(f"tile-{row}-{column}")
            if tile.marked:
                axis.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=_RED, linewidth=2))
            words = "\n".join(_label(line, 16) for line in tile.words)
            axis.text(x + 0.5, y + 1.01, words, ha="center", va="top", fontsize=6.5, linespacing=1.1)
        if panel.apart:
            axis.text(1 + _APART / 2, row * down + 0.5, "→", ha="center", va="center", fontsize=11)
    axis.set_anchor("N")
    axis.set_xlim(0, across)
    axis.set_ylim(len(panel.rows) * down, 0)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_xlabel(textwrap.fill(_label(panel.note, 3 * _NAME), _NAME), fontsize=7)
    return []


_DRAW: dict[type, Any] = {Lines: _draw_lines, Bars: _draw_bars, Matrix: _draw_matrix, Sheet: _draw_sheet}


def _floats(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _label(text: str, longest: int = _NAME) -> str:
    text = console.printable(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@contextmanager
def canvas(more: dict[Any, Any] | None = None) -> Iterator[None]:
    """Figures are made within it, and matplotlib is imported there alone: settings and fonts are matplotlib's own.

    Whatever lies in the folder, in HOME or in the environment, the bytes are the same. What it warns of, names in
    scripts that the font lacks or numbers beyond an axis, is in what a file holds, and no message of ours.
    """
    load_matplotlib()
    import matplotlib as mpl

    plain: dict[Any, Any] = {"svg.hashsalt": "gencli", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    with mpl.rc_context(plain | (more or {})), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def load_matplotlib() -> None:
    """Imports matplotlib with none but its own settings and fonts; before anything else of it is."""
    found = importlib.util.find_spec("matplotlib")
    [package] = found.submodule_search_locations or [""] if found else [""]
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of a HOME that it cannot write to, and the like
    here, backend = os.open(".", os.O_RDONLY), os.environ.pop("MPLBACKEND", None)
    try:
        os.chdir(Path(package, "mpl-data"))  # a matplotlibrc in the current folder goes before all others
        from matplotlib import font_manager
    finally:
        os.fchdir(here)
        os.close(here)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    font_manager.fontManager.ttflist = []  # another version of a font may be installed
    for file in sorted(Path(package, "mpl-data", "fonts", "ttf").glob("*.ttf")):
        font_manager.fontManager.addfont(file)


def drawn(picture: Callable[[], Figure]) -> Callable[[str, str], bytes]:
    """A figure, drawn within `canvas`, as a function of its format and provenance; see `encode`."""

    def image(form: str, provenance: str) -> bytes:
        with canvas():
            return encode(picture(), form, provenance)

    return image


def encode(figure: Figure, form: str, provenance: str) -> bytes:
    """A figure as PNG, SVG or PDF, the same bytes every time; its provenance in the metadata."""
    facts = {
        "png": {"Software": None, "Description": provenance},
        "svg": {"Date": None, "Description": provenance},
        "pdf": {"CreationDate": None, "Subject": provenance},
    }[form]
    page = io.BytesIO()
    figure.savefig(page, format=form, dpi=150, metadata=facts)
    return page.getvalue()
