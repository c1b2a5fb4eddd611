"""`gencli train`: train a network by gradient descent."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Data, ModelOutput, command, single
from gencli.errors import GencliError
from gencli.files import endings
from gencli.training.settings import Checkpoints, Settings

app = single()


History = Annotated[
    str | None,
    typer.Option("--history", metavar="FILE", help="Write the history, one row per epoch: Parquet, CSV or JSON."),
    endings.RESULT,
]
EvalData = Annotated[
    str | None, typer.Option(metavar="TABLE", help="Evaluate on this table after every epoch; never trained on.")
]


def _list_archs(asked: bool) -> None:
    if asked:
        from gencli.commands import plans

        plans.list_archs()
        raise typer.Exit


@command(app, "train")
def train(
    settings: Settings,
    checkpoints: Checkpoints,
    data: Data = None,
    *,
    eval_data: EvalData = None,
    history: History = None,
    output: ModelOutput = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show settings, layers, and the operations and memory of a step, without training."
        ),
    ] = False,
    list_archs: Annotated[
        bool,
        typer.Option(
            "--list-archs",
            callback=_list_archs,
            is_eager=True,
            allow_from_autoenv=False,
            help="List the networks with their sizes, and exit.",
        ),
    ] = False,
) -> None:
    """Train a network by stochastic gradient descent.

    Reads an image table; writes a model (safetensors) and, with --history, its training history. Images are
    divided by 255 and whitened. The history's train columns are means over the epoch's steps; in the last row, and
    with --measure-train in every row, they are measured after the epoch. Image-to-image networks (unet-small) and
    losses (l1, l2, huber) fit the column target, and their histories hold PSNR in dB instead of accuracy.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 1 |
        gencli train --arch mlp-1x512 --epochs 200 --until-train-accuracy 1 \\
          --history history.parquet -o model.safetensors
    """
    import os
    from contextlib import ExitStack
    from functools import partial

    from gencli.files.named import named_first

    _require(data, eval_data, output, history, checkpoints, dry_run)

    import torch

    from gencli import models
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import plans
    from gencli.files.stream import require_writable
    from gencli.files.together import Together
    from gencli.sources import open_table
    from gencli.training import checkpoints as saving
    from gencli.training import devices, distributed, words
    from gencli.training.setup import choose, prepare

    asked, settings = settings.precision, devices.placed(settings)
    choose(settings)  # which refuses what it can before the data is read
    if dry_run and data is None:
        return plans.without_data(settings, asked, eval_data)
    with ExitStack() as files:
        group = files.enter_context(distributed.joined(torch.device(settings.device)))
        if group.size > 1 and (data in (None, "-") or eval_data == "-"):
            raise GencliError(f"standard input: {group.size} processes cannot share it", "name files instead")
        tests = [] if eval_data is None else [(eval_data, open_table)]
        table, test_table = [*named_first((data, open_table), *tests), None][:2]
        setup, why = prepare(settings, table.description, table.schema.names, table.title).tried(asked)
        read = [*table.inputs, *(test_table.inputs if test_table else [])]
        if dry_run:
            require_writable(output, history, checkpoints.checkpoint, inputs=read)
            return plans.show(setup, table, test_table, group, checkpoints)
        first = group.rank == 0
        console.quiet |= not first
        if setup.settings.precision != asked:
            console.message(f"precision {setup.settings.precision}, {why}")
        places = files.enter_context(Together())
        model_file = places.open(output if first else os.devnull, read, binary=True)
        write_history = open_result(places, history, None, read, aside=True) if history and first else None
        run = setup.training(table, test_table, group)
        of_model, of_history = setup.steps(table, test_table, group)
        with console.progress("train", run.total_steps) as advance:
            progress = partial(words.progress, advance, setup.score)
            saving.run(run, checkpoints, read, of_history, progress)
        models.write(model_file, run.model, of_model.arguments, of_model)
        places.keep(model_file)
        if write_history:
            write_history(run.history_table(), lambda: of_history)
    console.message(words.summary(run, setup.score))
    if first and (warning := words.diverged(run)):
        console.error(f"gencli train: {warning}")  # with --quiet too: it is about the result


def _require(
    data: str | None,
    eval_data: str | None,
    output: str | None,
    history: str | None,
    checkpoints: Checkpoints,
    dry_run: bool,
) -> None:
    """Refuses places that do not go together, cannot be written, or hold what would be lost."""
    from gencli.files.checkpoints import TRAINING, require
    from gencli.files.named import require_one_standard_input
    from gencli.files.stream import is_terminal, require_writable

    if is_terminal(output) and not dry_run:
        hint = "name a file with -o, or pipe it into gencli eval -"
        raise GencliError("the model would be written to the terminal", hint)
    require_one_standard_input(data or "-", eval_data)
    require(checkpoints, TRAINING)
    require_writable(output, history, checkpoints.checkpoint)
