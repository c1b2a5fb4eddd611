"""`gencli data folder`: images in a folder a class."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Crop, Mode, Range, Selection, Size, write

app = single()


@command(app, "folder")
def folder(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder with one subfolder of images per class.")],
    *,
    size: Size = None,
    crop: Crop = None,
    mode: Mode = None,
    range: Range = None,
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the folder's.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Name of the split. Default: train or test, if that is the folder's name.")
    ] = None,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Images in a folder a class, in any of 14 formats.

    Reads all files below DIR/CLASS/, in the order of their names, but those whose names start with a dot; writes an
    image table. Photographs that were taken sideways, as their EXIF data says, are turned upright. All images must come
    out in one size: --size 64 --crop 64 makes squares of any.

    Gray and RGB of 8 bits lose nothing. Other colours and transparency need --mode, which drops the transparency. Gray
    of 16 bits needs --mode, which keeps the high byte (v >> 8), or --range; signed, 32-bit and float images need
    --range. 16-bit colours keep their high byte, of several frames the first counts, and both are said. Profiles of
    colours and gamma are left aside. The formats: PNG, JPEG, GIF, BMP, PPM, WebP, TIFF, JPEG 2000, AVIF, ICO, QOI,
    SGI, PCX, TGA.

    \b
    Example:
      gencli data digits | gencli data export --folder digits
      gencli data folder digits --size 16 -o large-digits.parquet
    """
    from gencli.files.stream import require_writable
    from gencli.sources.decoded import Decoding, parse_crop, parse_range, parse_size
    from gencli.sources.folder import FolderTable

    require_writable(output)
    table = FolderTable(folder, name, split, Decoding(mode, parse_size(size), parse_crop(crop), parse_range(range)))
    known = {"name": table.description.name, "split": table.description.split}
    arguments = known | {"size": size, "crop": crop, "mode": mode, "range": range}
    write(table, "data folder", arguments, selection, output, ["PIL"])
