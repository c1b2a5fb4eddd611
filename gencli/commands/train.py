"""`gencli train`: fit a network by gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gencli.options import Data, Output, command, single
from gencli.training.settings import Settings

if TYPE_CHECKING:
    from gencli.training.loop import Epoch

app = single()

History = Annotated[
    str | None,
    typer.Option("--history", metavar="FILE", help="Write the training history (Parquet), one row an epoch."),
]
EvalData = Annotated[
    str | None, typer.Option(metavar="TABLE", help="Measure these rows after every epoch; never trained on.")
]


@command(app, "train")
def train(
    settings: Settings,
    data: Data = None,
    *,
    eval_data: EvalData = None,
    history: History = None,
    output: Output = None,
) -> None:
    """Fit a network by stochastic gradient descent.

    Reads an image table; writes a model (safetensors) and, with --history, its training history. Images are
    divided by 255 and whitened, each by itself. A history's train figures are means over the epoch's own steps;
    on the last row, and with --measure-train on all, they are measured after the epoch.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 1 |
        gencli train --arch mlp-1x512 --epochs 200 --until-train-accuracy 1 \\
          --history history.parquet -o model.safetensors
    """
    from contextlib import ExitStack
    from dataclasses import asdict, replace

    from gencli.errors import GencliError
    from gencli.stream import Output, is_terminal, require_writable

    if is_terminal(output):
        raise GencliError("the model would go to the terminal", "name a file with -o, or pipe it into gencli eval -")
    if data in (None, "-") and eval_data == "-":
        raise GencliError("both tables would come from standard input", "name a file for one of them")
    require_writable(output, history)

    import torch

    from gencli import console, models, provenance, tables
    from gencli.models import inputs
    from gencli.sources import open_table
    from gencli.training import devices, loop

    table = open_table(data)
    shape, classes = table.description.shape, table.description.classes
    device = devices.choose(settings.device)
    settings = replace(settings, device=device.type)
    network = loop.initialize(settings, lambda: models.build(settings.arch, shape, len(classes))).to(device)
    model = models.Model(settings.arch, shape, classes, network)
    test_table = None if eval_data is None else open_table(eval_data)
    if test_table is not None:
        model.require(test_table.description, test_table.title)
    read = [*table.inputs, *(test_table.inputs if test_table else [])]
    with ExitStack() as files:
        model_file = files.enter_context(Output(output, read, binary=True))
        history_file = files.enter_context(Output(history, read, binary=True)) if history else None
        rows = inputs.load(table).to(device)
        test = inputs.load(test_table).to(device) if test_table else None
        total = settings.epochs * -(-len(rows) // settings.batch_size)
        with console.progress("train", total) as advance:

            def progress(step: int, epoch: Epoch | None) -> None:
                if epoch is None:
                    advance(step)
                else:
                    advance(step, _line(epoch), True)

            epochs = loop.fit(network, rows, settings, test, progress)
        made = asdict(settings) | {"threads": torch.get_num_threads()}  # they change the order of sums: the last bits
        packages = ["torch", "numpy", "pyarrow"]
        files_read = tables.sources(table, "data")
        models.write(model_file, model, made, provenance.step("train", made, files_read, packages))
        if history_file:
            files_read += tables.sources(test_table, "eval-data") if test_table else []
            rows_of = loop.history_table(epochs, rows.labels_true is not None)
            tables.write_rows(history_file, rows_of, provenance.step("train", made, files_read, packages))
    console.message(
        f"{settings.arch}: {model.parameters:,} parameters, {len(rows):,} images, {epochs[-1].epoch} epochs, "
        f"train accuracy {epochs[-1].train_accuracy:.4f}"
    )


def _line(epoch: Epoch) -> str:
    test = "" if epoch.test_accuracy is None else f"  test {epoch.test_accuracy:.4f}"
    train = f"loss {epoch.train_loss:.4f}  train {epoch.train_accuracy:.4f}"
    return f"epoch {epoch.epoch}: {train}{test}  {epoch.images_per_second:,.0f} images/s"
