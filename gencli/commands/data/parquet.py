"""`gencli data parquet`: tables with encoded images, or pixels without a word."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Decode, Renumber, Selection, write

if TYPE_CHECKING:
    from gencli.files.stream import Input
    from gencli.files.tables import ImageTable

app = single()


@dataclass(frozen=True)
class Described:
    """What the files do not say of themselves: their name, which columns count, names of classes, a shape."""

    name: Annotated[
        str | None, typer.Option(help="Name of the data set. Default: the file's, without -train or -test.")
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to read where file names tell several; otherwise its name. Default: from the file's name."
        ),
    ] = None
    image: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column that holds the images. Default: image or img.")
    ] = None
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column that holds the labels.")] = "label"
    keep: Annotated[
        str | None, typer.Option(metavar="COLUMN,...", help="Further columns to keep, such as for gencli eval --by.")
    ] = None
    renumber: Renumber = False
    class_names: Annotated[
        str | None,
        typer.Option(metavar="N|A,B|FILE", help="Number or names of the classes, if the metadata lacks them."),
    ] = None
    shape: Annotated[
        str | None, typer.Option(metavar="HxWxC", help="Shape of raw pixels, if the metadata lacks it.")
    ] = None

    def open(self, inputs: list[Input], decode: Decode, part: bool) -> tuple[ImageTable, dict[str, Any]]:
        """The table of the files, read in `part`, and the arguments that provenance records."""
        from gencli.sources import Foreign, read_table
        from gencli.sources.classes import listed, parse_names, written
        from gencli.sources.decoded import parse_shape

        names, shape = parse_names(self.class_names), parse_shape(self.shape)
        kept = tuple(listed(self.keep, "--keep")) if self.keep else ()
        foreign = Foreign(
            self.name, self.split, self.label, shape, names, decode.decoding, self.image, kept, self.renumber
        )
        table = read_table(inputs, foreign, part)
        arguments = {"name": table.description.name, "split": table.description.split, "label": self.label}
        arguments |= {"mode": decode.mode, "range": decode.range, "size": decode.size, "crop": decode.crop}
        arguments |= {"shape": self.shape, "image": self.image, "keep": self.keep, "renumber": self.renumber}
        return table, arguments | ({"class_names": written(names)} if names else {})


@command(app, "parquet", alone="")
def parquet(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files of one data set, in order; or a folder; or addresses (s3, gs, hf, https); or - for standard "
            "input.",
            show_default=False,
        ),
    ] = None,
    *,
    files: Annotated[
        str | None,
        typer.Option(metavar="GLOB", help="Read only the folder's files that match this pattern (quote it)."),
    ] = None,
    described: Described,
    decode: Decode,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load Parquet from other tools, such as public hubs.

    Reads columns image or img (encoded images, struct<bytes, path> or bytes; or pixels, bytes or lists of numbers)
    and label, in any equivalent Arrow type, and class names from the huggingface metadata or from --class-names (a
    file lists one name per line); writes an image table. Columns id (distinct integers), label_true, target, corruption
    and severity are kept; a message lists the columns that are dropped. Without id a row's identity is its position in
    the files and a hash of the data set's name and split: splits with different names get different random numbers.
    Labels can be names: classes are numbered in the order of their names, which a message shows, or in that of
    --class-names. --image, --label and --keep take paths into structs too, such as sample.picture. Kept columns pass
    through gencli corrupt.
    Of an object of a store or of the web, which another tool wrote, --limit fetches no more than it needs.
    Images are decoded as by `gencli data folder`. A folder is one data set: if it holds several splits, --split selects
    one.

    \b
    Example:
      gencli data parquet cifar10-train.parquet --sample 5000 -o train.parquet
    """
    from gencli.errors import GencliError
    from gencli.files.named import named_first, open_inputs
    from gencli.files.stores import is_address
    from gencli.files.stream import require_writable

    selection, output = selection.placed(output)
    require_writable(output)
    if files is not None and not any(os.path.isdir(path) or is_address(path) for path in paths or []):
        raise GencliError("--files needs a folder", "it selects among the folder's files")
    part = selection.limit is not None
    opened = named_first(*((path, lambda path: open_inputs(path, files, part)) for path in paths or ["-"]))
    table, arguments = described.open([source for each in opened for source in each], decode, part)
    write(table, "data parquet", arguments, selection, output, ["PIL"])
