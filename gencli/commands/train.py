"""`gencli train`: train a network by gradient descent."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import Data, ModelOutput, command, single
from gencli.commands import plans, train_files
from gencli.training.records import Checkpoints, Records, Starting
from gencli.training.settings import Settings

if TYPE_CHECKING:
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable
    from gencli.ranks import Group
    from gencli.training.loop import Training
    from gencli.training.setup import Setup
    from gencli.training.several import Several

app = single()


@command(app, "train", alone="")
def train(
    settings: Settings,
    starting: Starting,
    checkpoints: Checkpoints,
    records: Records,
    data: Data = None,
    *,
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
            callback=plans.list_archs,
            is_eager=True,
            allow_from_autoenv=False,
            help="List the networks with their sizes, and exit.",
        ),
    ] = False,
) -> None:
    """Train a network by stochastic gradient descent.

    Reads an image table; writes a model (safetensors) and, with --history, its training history. Images are
    divided by 255 and whitened. The history's losses are of --loss, as is gencli eval's loss; cross_entropy stands
    beside them, in nats, without label smoothing, not of networks trained by sigmoids. Train columns are means over
    the epoch's steps; in the last row, and with --measure-train in every row, they are measured after the epoch.
    Image-to-image networks (unet-small) and losses (l1, l2, huber) fit the column target, and their histories hold PSNR
    in dB instead of accuracy.

    --init continues from other weights: a model of gencli, or weights of torchvision as safetensors (--init-except head
    where classes differ). All else starts anew: order, schedule, optimizer, preprocessing.

    --runs and --vary train several networks into one file, small dense ones in one batched computation, others one
    after the other; each is the network that it would be if trained alone, but for the order of sums, which an unstable
    rate magnifies. gencli eval and report read the file; other commands take --run K. --dynamics writes, from the
    predictions made during the steps: the epochs first_learned and learned (from which a row stays right), forgotten
    (how often right turned wrong, null if never right; Toneva et al. 2019, arXiv:1812.05159); means over epochs of the
    margin (aum; Pleiss et al. 2020, arXiv:2001.10528), of the label's probability (confidence; its standard deviation
    is variability) and of being right (correctness; Swayamdipta et al. 2020, arXiv:2009.10795); el2n, the length of p -
    onehot(label) (Paul et al. 2021, arXiv:2107.07075); loss_mean and loss_last.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.1 |
        gencli train --arch mlp-1x64 --batch-size 32 --runs 3 --subset 0.7 \\
          --history history.parquet --dynamics dynamics.parquet \\
          -o models.safetensors
    """
    from gencli.files.named import named_first
    from gencli.files.stream import require_writable

    eval_data, files = records.eval_data, {"": output, "history": records.history, "dynamics": records.dynamics}
    starting.require(settings)
    train_files.require([data or "-", eval_data, starting.init], files, checkpoints, dry_run)

    import torch

    from gencli import machine, ranks
    from gencli.cli import console
    from gencli.sources import open_table
    from gencli.training import devices, words
    from gencli.training.setup import choose, prepare

    asked, settings = settings.precision, devices.placed(settings)
    choose(settings)  # which refuses what it can before the data is read
    watched, by_epoch = records.watched(settings, dry_run), records.saved(settings, output)
    if dry_run and data is None:
        return plans.without_data(settings, asked, eval_data)
    machine.require_files(*(place for place in (data or "-", eval_data, starting.init) if place))
    with ranks.joined(torch.device(settings.device)) as group:
        ways = (data or "-", open_table), (eval_data, open_table), (starting.init, starting.opened(settings))
        table, test_table, start = named_first(*((place, way if place else lambda _: None) for place, way in ways))
        setup, why = prepare(settings, table.description, table.schema.names, table.title, start).tried(asked)
        read = [*table.inputs, *(test_table.inputs if test_table else []), *([start.source] if start else [])]
        require_writable(*files.values(), *by_epoch.values(), checkpoints.checkpoint, inputs=read)
        if dry_run:
            return plans.show(setup, table, test_table, group, checkpoints, watched)
        console.quiet |= group.rank > 0
        if setup.settings.precision != asked:
            console.message(f"precision {setup.settings.precision}, {why}")
        run = _fit(setup, table, test_table, group, checkpoints, read, files, watched, by_epoch)
    console.message(words.end(run, setup.score))
    for warning in words.warnings(run) if group.rank == 0 else ():
        console.error(f"gencli train: {warning}")  # with --quiet too: it is about the result


def _fit(
    setup: Setup, table: ImageTable, test_table: ImageTable | None, group: Group,
    saving: Checkpoints, read: list[Input], files: dict[str, str | None], watched: int | None,
    by_epoch: dict[int, str],
) -> Training | Several:  # fmt: skip
    """Trains, and writes the model and its records; of several processes the first one writes."""
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.files.together import Together
    from gencli.training import checkpoints, several, words

    with train_files.history(files["history"] if group.rank == 0 else None, read) as shown, Together() as places:
        named = {name: file for name, file in files.items() if name and file and group.rank == 0}
        model_file = places.open(files[""] if group.rank == 0 else os.devnull, read, binary=True)
        writers = {
            name: open_result(places, file, None, read, aside=True, kept=name == "history")
            for name, file in named.items()
        }
        run = several.begin(setup, table, test_table, group, watched=watched)
        steps = {made.output: made for made in setup.steps(table, test_table, group, watched)}
        with console.progress("train", run.total_steps) as advance:
            progress = shown(run, partial(words.progress, advance, setup.score))
            progress = train_files.saving(run, by_epoch, steps[""], progress)
            checkpoints.run(run, saving, read, steps["history"], progress)
        run.write(model_file, steps[""])
        places.keep(model_file)
        for name, write in writers.items():
            write(run.table(name), lambda name=name: steps[name])
    return run
