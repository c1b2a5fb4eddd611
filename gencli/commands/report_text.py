"""What `gencli report` writes of tables and panels: a figure, and text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencli.reporting.groups import Table
    from gencli.reporting.panels import Panel
    from gencli.reporting.plan import Plan
    from gencli.reporting.settings import Settings


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
    from gencli.cli import outputs
    from gencli.reporting import benchmarks, layout, page, terminal
    from gencli.reporting.figures import FIGURES
    from gencli.reporting.tables import TABLES

    if form == "html":
        parts = [page.Part(TABLES[each.name].heading, each, chosen.folded(each.name)) for each in found]
        parts += [page.Part(FIGURES[name].title, drawn, chosen.folded(name)) for name, drawn in chosen.every_panel()]
        measured = chosen.of("benchmark")
        parts += [page.Part("Ratios", benchmarks.image(measured, "svg", ""))] if measured else []
        return page.page(title or "gencli report", parts, chosen.documents)
    width, whole = outputs.room(output)
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
            rows, common = layout.fitted(table, width)
            text += outputs.render(rows, "table", f"{title}\n{common}", width, whole) + layout.below(table)
    return text + terminal.text(panels, width or 80)


def follow(files: Sequence[str] | None, settings: Settings) -> None:
    """Draws the curves of a history in the terminal while it is written.

    Raises:
        GencliError: there are several files, or no terminal.
        Exit: with 1 where the run was interrupted.
    """
    import typer

    from gencli.cli import console, stdout
    from gencli.errors import GencliError
    from gencli.files import stream, unfinished
    from gencli.files.stores import is_address
    from gencli.reporting import documents, following, plan, terminal

    if files is None or len(files) != 1 or files[0] == "-" or is_address(files[0]):
        raise GencliError("--follow: one history is followed", "name its file here, as train --history does")
    if not stream.is_terminal(None):
        raise GencliError("--follow: standard output is no terminal", "omit it; tail -f shows a CSV's lines")

    def draw(place: str, height: int) -> str:
        chosen = plan.Plan(documents.read_all([place]), replace(settings, plot="curves"), False)
        head = f"{console.printable(settings.title)}\n" if settings.title else ""
        return head + terminal.text(chosen.panels(), stdout.columns(), height - (settings.title is not None))

    if not following.follow(files[0], draw):
        rest = unfinished.beside(Path(files[0]))
        console.error(f"gencli report: {files[0]}: its run did not come to its end; {rest} has its rows")
        raise typer.Exit(1)
