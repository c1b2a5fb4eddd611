"""`gencli show`: what a file is, what is in it, and how it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import ResultOutput, TableFormat, command, single
from gencli.files import endings

if TYPE_CHECKING:
    from gencli.showing.shown import Shown

app = single()


@command(app, "show")
def show(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...", help="Files, folders of shards; quoted glob patterns; - for standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    head: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, metavar="N", help="Show the first N rows, or the first N values of tensors."),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(metavar="FILE.png", help="Draw the first images of each class, or a model's first layer."),
        endings.SHEET,
    ] = None,
    columns: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="N", help="Images per class, or filters per line. Default: 10."),
    ] = None,
    format: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Default: from the file name's extension, otherwise table, in a pipe too."),
    ] = None,
    output: ResultOutput = None,
) -> None:  # fmt: skip
    """Show what a file is, what is in it, and how it was made.

    Reads any Parquet, safetensors, CSV, JSON or figure that gencli writes, Parquet and safetensors of other tools, and
    folders of shards; writes a headline, the facts, a table, and the steps that made the file, one per line. The table
    has one row per class of an image table: label, name, rows, share, pixel_mean, pixel_deviation (over all channels),
    and for corrupted data corrupted (rows whose label is not the true one). Of a model, a checkpoint or another file of
    tensors it has one row per tensor: its shape, dtype, norm (the root of the sum of squares), least and greatest
    value. Of a history or a result it has the rows themselves, up to 40; for longer tables it says what each column
    holds. --head N shows the first N rows instead, without reading the others, and N values of each tensor in row-major
    order.

    --format json is an array of one object per file: file, kind, headline, facts, rows and provenance. csv, md and
    parquet are the table alone, with a column file where there are several. --sheet draws the images of a table, a
    red frame marking those whose label is not the true one; or a model's first layer: the filters of a convolution, or
    for a dense layer each unit's weights as an image.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.2 -o noisy.parquet
      gencli show noisy.parquet --sheet noisy.png
      gencli train noisy.parquet --arch mlp-1x16 --epochs 1 | gencli show
    """
    from dataclasses import replace

    from gencli import showing
    from gencli.cli import outputs
    from gencli.errors import GencliError
    from gencli.files import provenance, stream
    from gencli.files.named import distinct_names, named_first, require_one_standard_input
    from gencli.files.together import Together
    from gencli.reporting import patterns

    if sheet is None and columns is not None:
        raise GencliError("--columns needs --sheet", "--sheet FILE.png draws a sheet")
    stream.require_writable(output, sheet)
    require_one_standard_input(*(files or ["-"]))
    names = patterns.expand(files or ["-"])
    if sheet is not None and len(names) > 1:
        raise GencliError(f"--sheet draws one file, not {len(names)}", "name one")
    patterns.refuse_overwriting(names, [output, sheet])
    form: TableFormat = format or outputs.result_format(output, "table")
    drawn = None if sheet is None else columns or 10
    with Together() as places:
        place = places.open(output) if form in ("table", "json") else None
        write = outputs.open_result(places, output, form) if place is None else None
        picture = places.open(sheet, binary=True) if sheet else None
        found: list[Shown] = named_first(
            *((name, lambda place: showing.describe(place, head, drawn)) for name in names)
        )
        called = distinct_names(names) if len(names) > 1 else [""]
        inputs = [replace(entry, name=name or entry.name) for name, each in zip(called, found) for entry in each.inputs]

        def step(**more: int) -> provenance.Step:
            used = ["numpy", "pyarrow", *(["PIL"] if more else [])]
            return provenance.step("show", ({} if head is None else {"head": head}) | more, inputs, used)

        if picture:
            if found[0].picture is None:
                raise GencliError(f"{found[0].title}: no image table and no model: nothing to draw", "omit --sheet")
            picture.write(found[0].picture(provenance.encode(step(columns=columns or 10).to("sheet")).decode()))
        if write:
            write(showing.joined(found, called), step)
        elif place:
            text = (
                showing.text(found, *outputs.room(output))
                if form == "table"
                else outputs.json_text([each.json() for each in found])
            )
            place.write(text.encode())
