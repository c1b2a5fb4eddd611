"""`gencli data csv`: images that a CSV file lists with their labels."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Listed, Selection, write

app = single()


@command(app, "csv", alone="")
def csv(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="CSV with a column of paths and one of labels.")],
    *,
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the paths. Default: path, file, filename or image.")
    ] = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column that holds the labels.")] = "label",
    listed: Listed,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load images that a CSV file lists with their labels.

    Reads MANIFEST, whose first line names its columns, and the images at its paths, which are relative to its folder
    and must not leave it; writes an image table, its rows in MANIFEST's order. Labels are class numbers from 0, or
    names: classes are numbered in the order of their names, which a message shows, or in that of --class-names. Images
    are decoded as by `gencli data folder`.

    \b
    Example:
      gencli data digits --limit 50 | gencli data export --folder digits
      echo path,label > manifest.csv
      for file in digits/*/*.png; do echo "$file,$(basename "$(dirname "$file")")" >> manifest.csv; done
      gencli data csv manifest.csv -o images.parquet
    """
    from gencli.files.stream import Input, require_writable
    from gencli.sources.manifest import ManifestTable

    selection, output = selection.placed(output)
    require_writable(output)
    table, arguments = listed.open(ManifestTable, Input(manifest), image, label)
    write(table, "data csv", arguments, selection, output, ["PIL"], roles=("data", "source"))
