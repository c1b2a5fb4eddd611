"""`gencli data show`: what an image table holds, and how it looks."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Data, Format, ResultOutput, command, single
from gencli.files import endings

app = single()


@command(app, "show")
def show(
    data: Data = None,
    *,
    sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Draw the first images of each class, one row per class."),
        endings.SHEET,
    ] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, max=100, metavar="N", help="Images per class on the sheet. Default: 10.")
    ] = None,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Summarize a table per class, and draw a sheet of its images.

    Reads an image table; writes a result table with one row per class: label, name, rows, share, pixel_mean,
    pixel_deviation (over all channels), and for corrupted data corrupted (rows whose label is not the true one). Text
    output also describes the data set, the pixel values per channel, and how the file was made. On the sheet a red
    frame marks images whose label is not the true one.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.2 -o noisy.parquet
      gencli data show noisy.parquet --format table --sheet noisy.png
    """
    from gencli.cli import console, outputs
    from gencli.errors import GencliError
    from gencli.files import provenance, stream, tables
    from gencli.files.together import Together
    from gencli.reporting.sheet import Sheet
    from gencli.sources import open_table
    from gencli.sources.statistics import measure

    if sheet is None and columns is not None:
        raise GencliError("--columns needs --sheet", "--sheet FILE.png draws a sheet")
    stream.require_writable(output, sheet)
    table = open_table(data)
    drawn = Sheet(columns or 10) if sheet else None

    def step(**arguments: int) -> provenance.Step:
        used = ["numpy", "pyarrow", *(["PIL"] if arguments else [])]
        return provenance.step("data show", arguments, tables.sources(table, "data"), used)

    with Together() as places:
        write = outputs.open_result(places, output, format, table.inputs)
        picture = places.open(sheet, table.inputs, binary=True) if sheet else None
        with console.progress("rows", table.rows) as advance:
            facts = measure(table, drawn and drawn.see, advance)
        if drawn and picture:
            picture.write(drawn.png(facts, provenance.encode(step(columns=columns or 10).to("sheet")).decode()))
        text = (format or outputs.result_format(output)) == "table"
        below = "".join(f"{line}\n" for line in provenance.lines(table.made)) if text else ""
        write(facts.table(), step, facts.summary(), below, bars="rows")
