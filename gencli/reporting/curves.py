"""Learning curves: a figure of one panel a metric and one curve a run, in the terminal or in a file."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle, product
from typing import TYPE_CHECKING

from gencli.errors import GencliError, nearest
from gencli.reporting.documents import Document
from gencli.reporting.runs import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito 2008: told apart with every kind of colour vision
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DEFAULT = "train_accuracy", "test_accuracy", "train_psnr", "test_psnr"
_STYLES = ("-", "--", ":", "-.")
_MARKERS = "ox+*#@%=vs"


@dataclass(frozen=True)
class Panel:
    """One metric's curves: (name, epochs, values) each, values None where there is none."""

    metric: str
    curves: list[tuple[str, list[int], list[float | None]]]


def panels(histories: Sequence[Document], metrics: Sequence[str] | None) -> list[Panel]:
    """One panel a metric; by default train and test accuracy, or PSNR, where a history has them.

    Raises:
        GencliError: no history has a metric that was asked for.
    """
    known = list(dict.fromkeys(name for history in histories for name in history.rows.column_names[1:]))
    wanted = metrics or [name for name in _DEFAULT if name in known]
    for metric in wanted:
        if metric not in known:
            raise GencliError(f"--metric: no history has {metric!r}", nearest(metric, known))
    names = _names(histories)
    made = [
        Panel(
            metric,
            [
                (name, history.rows["epoch"].to_pylist(), history.rows[metric].to_pylist())
                for name, history in zip(names, histories, strict=True)
                if metric in history.rows.column_names and history.rows[metric].null_count < history.rows.num_rows
            ],
        )
        for metric in wanted
    ]
    return [panel for panel in made if panel.curves]


def _names(histories: Sequence[Document]) -> list[str]:
    """What tells each run apart, or its file where nothing does."""
    facts = describe(histories)
    varied = [name for name in facts[0] if len({str(each[name]) for each in facts}) > 1]
    names = [
        ", ".join(str(each[n]) if n in ("network", "data", "corruption") else f"{n}={each[n]}" for n in varied)
        for each in facts
    ]
    return names if all(names) and len(set(names)) == len(names) else [history.title for history in histories]


def _limits(panel: Panel) -> tuple[float, float] | None:
    fraction = panel.metric.endswith("accuracy") or panel.metric in ("memorized", "recovered")
    return (0, 1) if fraction else None


def text(made: Sequence[Panel], width: int) -> str:
    """The panels as characters, one below the other, without colour; each curve has a marker of its own."""
    return "".join(_text_panel(panel, width) for panel in made)


def _text_panel(panel: Panel, width: int) -> str:
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, 17)
    figure.title(panel.metric.replace("_", " "))
    if limits := _limits(panel):
        figure.ruler("y").lim(*limits)
    last = max(epochs[-1] for _, epochs, _ in panel.curves)
    ticks = sorted({round(last * part / 5) for part in range(6)})
    figure.ruler("x").lim(0, last)
    figure.ruler("x").ticks(ticks, [str(tick) for tick in ticks])
    legend = []
    for (name, epochs, values), marker in zip(panel.curves, cycle(_MARKERS)):
        points = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
        figure.draw(figure.signal(*map(list, zip(*points, strict=True)), marker=marker).lines())
        legend.append(f"  {marker} {name}")
    lines = [line.rstrip() for line in plotext.uncolorize(str(figure.build())).splitlines()]
    return "\n".join([*lines, *legend, "", ""])


def image(made: Sequence[Panel], form: str, provenance: str) -> bytes:
    """The panels side by side as PNG, SVG or PDF, the same bytes every time; their provenance in the metadata."""
    from matplotlib.figure import Figure

    with canvas():
        figure = Figure(figsize=(4.2 * len(made) + 0.6, 3.6), layout="constrained")
        axes = figure.subplots(1, len(made), squeeze=False)[0]
        for axis, panel in zip(axes, made, strict=True):
            for (name, epochs, values), (style, color) in zip(panel.curves, cycle(product(_STYLES, COLORS))):
                points = [math.nan if value is None else value for value in values]
                axis.plot(epochs, points, color=color, linestyle=style, label=name, linewidth=1.5)
            axis.set_xlabel("epoch")
            axis.set_title(panel.metric.replace("_", " "))
            if limits := _limits(panel):
                axis.set_ylim(limits[0] - 0.02, limits[1] + 0.02)
            axis.margins(x=0.01)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        return encode(figure, form, provenance)


def canvas() -> AbstractContextManager[None]:
    """Figures are made within it."""
    import matplotlib as mpl

    return mpl.rc_context({"svg.hashsalt": "gencli", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3})


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
