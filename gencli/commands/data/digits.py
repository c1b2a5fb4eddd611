"""`gencli data digits`: the digits that scikit-learn ships."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Selection, write

app = single()


@command(app, "digits", alone="")
def digits(
    split: Annotated[
        Literal["train", "test"], typer.Option(help="train is rows 0 to 1436 of the 1,797, test the others.")
    ] = "train",
    *,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load handwritten digits, 8x8, gray; no download.

    Reads nothing; writes an image table: the 1,797 real digits that scikit-learn ships, ink values 0-16
    scaled to 0-255.

    \b
    Example:
      gencli data digits --split test --classes 3,8 -o test.parquet
    """
    from gencli.sources.digits import digits as load

    selection, output = selection.placed(output)
    write(load(split), "data digits", {"split": split}, selection, output, ["sklearn"])
