"""The picture of a claim."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from gencli.reporting.curves import COLORS, canvas, encode
from gencli.theory.base import Panel


def image(panels: Sequence[Panel], form: str, provenance: str) -> bytes:
    """The panels side by side as PNG, SVG or PDF, the same bytes every time; their provenance in the metadata."""
    with canvas():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.2 * len(panels), 4), layout="constrained")
        for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for series, color in zip(panel.series, cycle(COLORS)):
                axis.plot(
                    series.x, series.y, series.style, color=color, label=series.label, linewidth=1.5, markersize=4
                )
            axis.set_xscale(panel.scales[0])
            axis.set_yscale(panel.scales[1])
            axis.set(title=panel.title, xlabel=panel.across, ylabel=panel.up)
            axis.legend(frameon=False)
        return encode(figure, form, provenance)
