"""`gencli data webdataset`: shards of samples in tar files."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Listed, Selection, write

app = single()


@command(app, "webdataset", alone="")
def webdataset(
    shards: Annotated[list[str], typer.Argument(metavar="SHARD...", help="Tar files of one data set, in order.")],
    *,
    image: Annotated[
        str | None,
        typer.Option(metavar="ENDING", help="Ending of the image in a sample. Default: jpg, png, and the like."),
    ] = None,
    label: Annotated[str, typer.Option(metavar="ENDING", help="Ending of the label.")] = "cls",
    listed: Listed,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load shards of webdataset: samples in tar files.

    Reads tar files, also with gzip, without unpacking them: a sample is the files of one name up to its first dot,
    such as 0001.jpg and 0001.cls; writes an image table, its rows in the order of the shards and of their samples.
    Labels are class numbers from 0, or names: classes are numbered in the order of their names, which a message shows,
    or in that of --class-names. Images are decoded as by `gencli data folder`.

    \b
    Example:
      gencli data digits --limit 2 | gencli data export --folder digits
      mkdir samples; n=0
      for file in digits/*/*.png; do n=$((n+1)); cp "$file" samples/$n.png; echo $n > samples/$n.cls; done
      tar cf digits-0.tar -C samples .
      gencli data webdataset digits-0.tar --renumber -o images.parquet
    """
    from gencli.files.stream import Input, require_writable
    from gencli.sources.packed import ShardsTable

    selection, output = selection.placed(output)
    require_writable(output)
    table, arguments = listed.open(ShardsTable, [Input(each) for each in shards], image, label)
    write(table, "data webdataset", arguments, selection, output, ["PIL"])
