"""Benchmarks, as `make bench` writes them: a table that compares runs, and a figure of the ratios."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import cycle

import pyarrow as pa

from gencli.errors import GencliError
from gencli.reporting.curves import COLORS, canvas, encode
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table


def table(documents: Sequence[Document]) -> Table:
    """The rows of one; of several, with a column for their file, the rows of an item together."""
    scores = "ours", "peer", "ratio", "bar"
    if len(documents) == 1:
        return Table("benchmark", documents[0].rows, scores=scores)
    parts = [
        document.rows.add_column(1, "file", pa.array([document.title] * document.rows.num_rows))
        for document in documents
    ]
    rows = pa.concat_tables(parts)
    items = rows["item"].to_pylist()
    together = sorted(range(len(items)), key=lambda row: items.index(items[row]))
    return Table("benchmark", rows.take(together), scores=scores)


def image(documents: Sequence[Document], form: str, provenance: str) -> bytes:
    """The ratios as bars from 1 on a logarithmic axis, a tick at an item's limit; hatched where it exceeds the limit.

    PNG, SVG or PDF, the same bytes every time. Items without a ratio are left out.

    Raises:
        GencliError: no item has one.
    """
    found = [[row for row in document.rows.to_pylist() if row["ratio"] is not None] for document in documents]
    items = list(dict.fromkeys(row["item"] for rows in found for row in rows))
    if not items:
        raise GencliError(f"{documents[0].title}: no ratios to draw", "measure something that has a peer")
    room = 0.8 / len(documents)
    with canvas({"text.parse_math": False}):
        from matplotlib.figure import Figure
        from matplotlib.patches import Patch
        from matplotlib.ticker import LogLocator

        figure = Figure(figsize=(8, 1.2 + len(items) * (0.25 + 0.2 * len(documents))), layout="constrained")
        axis = figure.subplots()
        for place, (rows, color) in enumerate(zip(found, cycle(COLORS))):
            for row in rows:
                y = items.index(row["item"]) + (place + 0.5) * room - 0.4
                hatch = "" if row["met"] == "yes" else "////"
                axis.barh(y, row["ratio"] - 1, 0.9 * room, 1, color=color, hatch=hatch, edgecolor="white")
                axis.plot([row["bar"]] * 2, [y - room / 2, y + room / 2], color="black", linewidth=2)
                axis.text(1.01, y, f"{row['ratio']:.3g}", va="center", transform=axis.get_yaxis_transform())
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.set_yticks(range(len(items)), [textwrap.fill(item, 40) for item in items])
        axis.set_ylim(len(items) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        axis.set_axisbelow(True)
        axis.set_xlabel("ratio; thick line: limit; hatched: above the limit")
        if len(documents) > 1:
            names = [Patch(color=color, label=each.title) for each, color in zip(documents, cycle(COLORS))]
            figure.legend(handles=names, loc="outside lower center", ncols=2, frameon=False)
        return encode(figure, form, provenance)
