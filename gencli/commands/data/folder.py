"""`gencli data folder`: images in a folder a class."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.commands.data.selection import Crop, Mode, Selection, Size, write
from gencli.options import ImagesOutput, command, single

app = single()


@command(app, "folder")
def folder(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder that holds a folder a class.")],
    *,
    size: Size = None,
    crop: Crop = None,
    mode: Mode = None,
    name: Annotated[str | None, typer.Option(help="Data set's name; default: the folder's.")] = None,
    split: Annotated[str | None, typer.Option(help="Default: train or test, where the folder is called so.")] = None,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Images in a folder a class, in any format of Pillow's.

    Reads all files below DIR/CLASS/, in the order of their names, but those whose names start with a dot; writes an
    image table. Photographs that were taken sideways, as their EXIF data says, are turned upright. All images must come
    out in one size: --size 64 --crop 64 makes squares of any.

    \b
    Example:
      gencli data digits | gencli data export --folder digits
      gencli data folder digits --size 16 -o large-digits.parquet
    """
    from gencli.sources.decoded import Decoding, parse_crop, parse_size
    from gencli.sources.folder import FolderTable
    from gencli.stream import require_writable

    require_writable(output)
    table = FolderTable(folder, name, split, Decoding(mode, parse_size(size), parse_crop(crop)))
    known = {"name": table.description.name, "split": table.description.split}
    arguments = known | {"size": size, "crop": crop, "mode": mode}
    write(table, "data folder", arguments, selection, output, ["PIL"])
