"""`gencli data folder`: load images from one folder per class."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Decode, Selection, write

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable

app = single()


@command(app, "folder", alone="")
def folder(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Folder, or zip or tar, with one folder of images per class.")
    ],
    *,
    decode: Decode,
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the folder's.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Name of the split. Default: train or test, if that is the folder's name.")
    ] = None,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load images from one folder per class, in any of 14 formats.

    Reads all files below DIR/CLASS/, in the order of their names, except those whose names start with a dot and what
    systems leave, such as Thumbs.db, which are counted; writes an image table. Classes whose names are all whole
    numbers are in the order of these. Of a DIR that holds train/ and test/, --split takes one. A zip or a
    tar, also with gzip, is read without unpacking it; links in it are refused. Images are rotated
    upright according to their EXIF data. All images must end up the same size: --size 64 --crop 64 turns images of any
    size into squares.

    8-bit gray and RGB images are read without loss. Other color modes and transparency need --mode, which drops the
    transparency. 16-bit gray needs --mode, which keeps the high byte (v >> 8), or --range; signed, 32-bit and float
    images need --range. Of 16-bit color the high byte is kept, and of several frames only the first is read; a message
    reports both. Color profiles and gamma are ignored. Formats: PNG, JPEG, GIF, BMP, PPM, WebP, TIFF, JPEG 2000, AVIF,
    ICO, QOI, SGI, PCX, TGA.

    \b
    Example:
      gencli data digits | gencli data export --folder digits
      gencli data folder digits --size 16 -o large-digits.parquet
    """
    from gencli.errors import GencliError
    from gencli.files.stores import is_address
    from gencli.files.stream import Input, require_writable
    from gencli.sources.folder import FolderTable
    from gencli.sources.packed import ArchiveTable, is_archive

    selection, output = selection.placed(output)
    require_writable(output)
    decoding = decode.decoding
    packed = Input(folder) if is_address(folder) or os.path.isfile(folder) else None
    if packed is not None and is_archive(packed):
        table: ImageTable = ArchiveTable(packed, name, split, decoding)
    elif packed is not None and packed.address:
        raise GencliError(f"{packed.name}: neither zip nor tar", "of folders of images in stores only these are read")
    else:
        table = FolderTable(folder, name, split, decoding)
    known = {"name": table.description.name, "split": table.description.split}
    arguments = known | {"size": decode.size, "crop": decode.crop, "mode": decode.mode, "range": decode.range}
    write(table, "data folder", arguments, selection, output, ["PIL"])
