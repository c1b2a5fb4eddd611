"""`gencli data csv`: images that a CSV file lists with their labels."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Crop, Mode, Range, Renumber, Selection, Size, write

app = single()


@command(app, "csv")
def csv(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST", help="CSV with a column of paths and one of labels.")],
    *,
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of the paths. Default: path, file, filename or image.")
    ] = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column that holds the labels.")] = "label",
    renumber: Renumber = False,
    class_names: Annotated[
        str | None, typer.Option(metavar="N|A,B|FILE", help="Number or names of the classes.")
    ] = None,
    mode: Mode = None,
    range: Range = None,
    size: Size = None,
    crop: Crop = None,
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the file's.")] = None,
    split: Annotated[str | None, typer.Option(help="Name of the split. Default: from the file's name.")] = None,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load images that a CSV file lists with their labels.

    Reads MANIFEST, whose first line names its columns, and the images at its paths, which lead from its folder to files
    in it; writes an image table, its rows in MANIFEST's order. Labels are class numbers from 0, or names: classes are
    numbered in the order of their names, which a message shows, or in that of --class-names. Images are decoded as by
    `gencli data folder`.

    \b
    Example:
      gencli data digits --limit 50 | gencli data export --folder digits
      echo path,label > manifest.csv
      for file in digits/*/*.png; do echo "$file,$(basename "$(dirname "$file")")" >> manifest.csv; done
      gencli data csv manifest.csv -o images.parquet
    """
    from gencli.files.stream import Input, require_writable
    from gencli.sources.classes import parse_names, written
    from gencli.sources.decoded import Decoding, parse_crop, parse_range, parse_size
    from gencli.sources.manifest import ManifestTable

    require_writable(output)
    names = parse_names(class_names)
    decoding = Decoding(mode, parse_size(size), parse_crop(crop), parse_range(range))
    table = ManifestTable(Input(manifest), name, split, decoding, image, label, names, renumber)
    arguments = {"name": table.description.name, "split": table.description.split, "image": image, "label": label}
    arguments |= {"renumber": renumber, "mode": mode, "range": range, "size": size, "crop": crop}
    arguments |= {"class_names": written(names)} if names else {}
    write(table, "data csv", arguments, selection, output, ["PIL"], roles=("data", "source"))
