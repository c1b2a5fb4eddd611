"""What `gencli train` shows without training: the list of networks, and the plan of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gencli.training.records import Checkpoints
from gencli.training.settings import Precision, Settings

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable
    from gencli.ranks import Group
    from gencli.training.setup import Setup


def list_archs(asked: bool) -> None:
    """Writes the table of networks and exits, where it is asked for."""
    if not asked:
        return
    from gencli.cli.outputs import write_text
    from gencli.training import plan

    write_text(
        (plan.networks(), "For 32 x 32 x 3 images of 10 classes; operations are of the forward pass of one image.")
    )
    raise typer.Exit


def without_data(settings: Settings, asked: Precision, eval_data: str | None) -> None:
    """Writes the plan of a run on a data set like CIFAR-10."""
    from gencli.files.tables import Description
    from gencli.sources import open_table
    from gencli.training.setup import prepare

    if eval_data is not None:
        open_table(eval_data)
    description, title = Description("", "", tuple("0123456789"), (32, 32, 3)), "No data is named (- is standard input)"
    _write(prepare(settings, description, ["target"], title).tried(asked)[0], 50_000, f"{title}, so for")


def show(
    setup: Setup,
    table: ImageTable,
    test_table: ImageTable | None,
    group: Group,
    checkpoints: Checkpoints,
    watched: int | None,
) -> None:
    """Writes the plan of a run; of the data it reads what they are, and the labels.

    Raises:
        GencliError: the run would be refused.
    """
    from gencli.training.checkpoints import read
    from gencli.training.several import begin

    begin(setup, table, test_table, group, True, watched)
    if checkpoints.resume and checkpoints.checkpoint is not None:
        read(checkpoints.checkpoint, setup.steps(table, test_table, group)[1])
    _write(setup, table.rows, f"{table.title}:")


def _write(setup: Setup, rows: int, title: str) -> None:
    from gencli.cli.outputs import write_text
    from gencli.training.plan import plan

    made, description = plan(setup, rows), setup.description
    size = " x ".join(map(str, description.shape))
    words = f"{title} {rows:,} images {size} of {len(description.classes)} classes"
    write_text((made.settings, words), (made.layers, ""), (made.totals, ""))
