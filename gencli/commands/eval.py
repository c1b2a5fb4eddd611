"""`gencli eval`: how good a model is, for which class, memorized or learned."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.options import Format, Output, command, single

app = single()

ModelFile = Annotated[
    str, typer.Argument(metavar="MODEL", help="Model (safetensors), or - for standard input.", show_default=False)
]
DataFile = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA", help="Image table: a file, a folder of shards, or - for standard input.", show_default=False
    ),
]


@command(app, "eval")
def evaluate(
    model: ModelFile,
    data: DataFile = None,
    *,
    predictions: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write each row's prediction: Parquet, or CSV or JSON by the ending."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN,...", help="A row a value of this column, or of several, in place of a class."),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a model of your own network: package.module:factory again.")
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto",
    format: Format = None,
    output: Output = None,
) -> None:
    """Accuracy and loss per class, learned or memorized.

    Reads a model and an image table; writes a result table with columns label, name, n, accuracy, loss, and on
    corrupted data corrupted (rows whose label is not the true one), memorized and recovered (fractions of those,
    predicted as labelled and as they truly are). Image-to-image networks have psnr, in dB, in place of accuracy. The
    last row, whose label is null, is over all classes. Of a table of several corruptions (corrupt common --all), --by
    corruption gives a row each, and one minus the accuracy of the last row is the mean corruption error.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 |
        gencli eval - test.parquet
    """
    from contextlib import ExitStack

    from gencli.errors import GencliError, nearest
    from gencli.stream import Input, require_writable

    if model == "-" and data in (None, "-"):
        raise GencliError("both the model and the data would come from standard input", "name a file for one of them")
    require_writable(output, predictions)

    import torch

    from gencli import console, models, provenance, tables
    from gencli.evaluation.classes import per_class
    from gencli.evaluation.predictions import evaluate
    from gencli.outputs import open_result
    from gencli.sources import open_table
    from gencli.training import devices

    source = Input(model)
    loaded = models.read(source, arch)
    table = open_table(data)
    loaded.require(table)
    columns = by.split(",") if by else []
    for column in columns:
        known = [name for name in table.schema.names if name not in ("image", "target")]
        if column not in known:
            raise GencliError(f"{table.title}: no column {column!r} to group by", nearest(column, known))
    where = devices.choose(device)
    read = [source, *table.inputs]

    def step() -> provenance.Step:
        of_model = provenance.source("model", source.sha256, loaded.made, source.path)
        inputs = [of_model, *tables.sources(table, "data")]
        computed = {"by": by, "device": where.type, "threads": torch.get_num_threads()}
        return provenance.step("eval", computed, inputs, ["torch", "numpy", "pyarrow"])

    with ExitStack() as files:
        write = files.enter_context(open_result(output, format, read))
        write_predictions = files.enter_context(open_result(predictions, None, read)) if predictions else None
        with console.progress("rows", table.rows) as advance:
            loaded.network.to(where)
            result = evaluate(loaded, table, where, predictions is not None, advance, columns)
        if write_predictions:
            write_predictions(result.table(), step)
        write(
            per_class(result, loaded.classes),
            step,
            f"{loaded.arch} on {table.description.name} {table.description.split}".rstrip(),
        )
