"""The options of `gencli report`; each field is one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import typer

from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.files import endings

Table = Literal[
    "runs", "classes", "long-tail", "corruptions", "removal", "edge-of-stability", "double-descent", "speed",
    "rank",
]  # fmt: skip
Plot = Literal[
    "curves", "overfit-time", "test-error", "regularizers", "classes", "confusion", "reliability", "density",
    "cartography", "learning-order", "memorization", "removal", "edge-of-stability", "double-descent", "energy",
    "descent", "rank",
]  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """The table, the figure, and what is in them."""

    table: Annotated[
        Table | None,
        typer.Option(help="What a row stands for, see above. Default: runs if there is a history, otherwise classes."),
    ] = None
    plot: Annotated[
        Plot | None,
        typer.Option(
            help="Draw a plot, as text below the table or into --figure. Default of --figure: by the kind of file."
        ),
    ] = None
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help=f"Draw the plot, or the ratios of a benchmark, to a {endings.FIGURE.endings} file."
        ),
        endings.FIGURE,
    ] = None
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Title of the text table, the figure and the page.")
    ] = None
    against: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.csv", help="Published figures to show beside ours, with the differences; see above."
        ),
    ] = None
    best_on_test: Annotated[
        bool,
        typer.Option("--best-on-test", help="Add the best epoch by test accuracy, labeled as such; it is optimistic."),
    ] = False
    fitted_at: Annotated[
        float, typer.Option(min=0, max=1, help="Train accuracy that counts as fitted in epochs_to_fit.")
    ] = 0.99
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column for curves, classes (repeatable) and the long-tail table. Default: those of accuracy.",
            show_default=False,
        ),
    ] = None
    contact_sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Draw the first images of image tables, one row per table."),
        endings.SHEET,
    ] = None
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Draw the curves of a history in the terminal while gencli train writes it, updated every epoch until "
            "the run ends. The exit status is 1 if the run was interrupted.",
        ),
    ] = False
    to: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="TRACKER PLACE",
            help="Export histories as runs to an experiment tracker: tensorboard DIR, mlflow URI, or "
            "wandb-offline DIR; pip install gencli[trackers].",
        ),
    ] = None
    provenance: Annotated[bool, typer.Option("--provenance", hidden=True)] = False  # until 0.2: where it went

    def resolved(self, given: Collection[str]) -> Self:
        """These settings, checked.

        Raises:
            GencliError: options are given together of which one would have no effect, or one that was removed.
        """
        if self.provenance:
            raise GencliError("--provenance: removed", "gencli how FILE --tree prints how a file was made")
        others = {*self.__dataclass_fields__, "format", "output"} & set(given)
        for alone, beside in (("contact_sheet", set[str]()), ("to", set()), ("follow", {"metric", "title"})):
            for name in sorted(others - {alone} - beside) if alone in others else ():
                raise GencliError(f"{dashed(name)} and {dashed(alone)} do not go together", "omit one of them")
        return self

    def require_place(self, form: str) -> None:
        """Refuses a plot or a title that a format cannot hold.

        Raises:
            GencliError: there is such a plot or title.
        """
        if self.plot and self.figure is None and form == "html":
            raise GencliError("--plot: the page has every figure", "omit it, or use --figure")
        if self.plot and self.figure is None and form != "table":
            raise GencliError("--plot: a text plot needs --format table", "omit --format, or use --figure")
        if self.title is not None and self.figure is None and form in ("parquet", "csv", "json", "jsonl"):
            raise GencliError(f"--title: {form} has no title", "omit it")
