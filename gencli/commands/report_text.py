"""What `gencli report` writes of tables and panels: a figure, and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencli.reporting.groups import Table
    from gencli.reporting.panels import Panel
    from gencli.reporting.plan import Plan


def figure(chosen: Plan, panels: Sequence[Panel], title: str) -> Callable[[str, str], bytes]:
    """The figure as a function of format and provenance."""
    from gencli.reporting import benchmarks, curves

    if measured := chosen.of("benchmark"):
        return partial(benchmarks.image, measured)
    return partial(curves.image, panels, title=title)


def text(
    chosen: Plan, found: Sequence[Table], panels: Sequence[Panel], title: str, form: str, output: str | None
) -> str:
    """The tables and panels as text, Markdown, LaTeX or one HTML page."""
    from gencli.cli import outputs, stdout
    from gencli.files import stream
    from gencli.reporting import benchmarks, curves, layout, page, terminal

    if form == "html":
        figures = [
            (heading, [curves.image([panel], "svg", "", fonts=False, beside=drawn) for panel in drawn])
            for heading, drawn in chosen.every_panel()
        ]
        measured = chosen.of("benchmark")
        figures += [("Ratios", [benchmarks.image(measured, "svg", "")])] if measured else []
        return page.page(title or "gencli report", found, figures, chosen.documents)
    terminal_width = stdout.columns() if stream.is_terminal(output) else None
    text = ""
    for table in found:
        if form == "latex":
            text += layout.latex(table, title)
        elif form == "md":
            notes = "".join(f"\n{outputs.markdown(line)}\n" for line in table.notes)
            text += (
                (f"## {outputs.markdown(title)}\n\n" if title else "")
                + outputs.render(layout.shown(table), "md")
                + notes
            )
        else:
            rows, common = layout.fitted(table, terminal_width or 80)
            text += outputs.render(rows, "table", f"{title}\n{common}", terminal_width) + layout.below(table)
    return text + terminal.text(panels, terminal_width or 80)
