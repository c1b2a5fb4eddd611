"""`gencli eval`: how good a model is, for which class, memorized or learned."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.options import Format, Output, command

ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model (safetensors), or - for standard input.", show_default=False)
]
DataFile = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="Image table: a file, a folder of shards, or - for standard input.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    command(app, "eval")(evaluate)


def evaluate(
    model: ModelFile,
    data: DataFile = None,
    *,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write each row's prediction: Parquet, or CSV or JSON by the ending."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    form: Format = None,
    output: Output = None,
) -> None:
    """Accuracy and loss per class, learned or memorized.

    Reads a model and an image table; writes a result table with columns label, name, n, accuracy, loss, and on
    corrupted data corrupted (rows whose label is not the true one), memorized and recovered (fractions of those,
    predicted as labelled and as they truly are). The last row, whose label is null, is over all classes.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 |
        gencli eval - test.parquet
    """
    from gencli import console, models, provenance, tables
    from gencli.errors import GencliError
    from gencli.evaluation.classes import per_class
    from gencli.evaluation.predictions import evaluate
    from gencli.outputs import result_format, write_result
    from gencli.sources import open_table
    from gencli.stream import Input
    from gencli.training import devices

    if model == "-" and data in (None, "-"):
        raise GencliError("both the model and the data would come from standard input", "name a file for one of them")
    source = Input(model)
    loaded = models.read(source)
    table = open_table(data)
    loaded.require(table.description, table.title)
    where = devices.choose(device)
    read = [source, *table.inputs]
    with console.progress("rows", table.rows) as advance:
        result = evaluate(loaded.network.to(where), table, where, predictions is not None, advance)

    def step() -> provenance.Step:
        of_model = provenance.source("model", source.sha256, loaded.made, source.path)
        inputs = [of_model, *tables.sources(table, "data")]
        return provenance.step("eval", {"device": where.type}, inputs, ["torch", "numpy", "pyarrow"])

    if predictions is not None:
        write_result(result.table(), predictions, result_format(predictions), step, read)
    rows = per_class(result.predicted, result.losses, result.labels, result.labels_true, loaded.classes)
    title = f"{loaded.arch} on {table.description.name} {table.description.split}".rstrip()
    write_result(rows, output, form, step, read, title)
