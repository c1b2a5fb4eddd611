"""`gencli data export`: images for other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import Data, ImagesOutput, command, single

app = single()


@command(app, "export")
def export(
    data: Data = None,
    *,
    encode: Annotated[
        Literal["png"] | None, typer.Option(help="Write Parquet with encoded images, as public hubs do.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write DIR/CLASS/ROW.png instead; DIR must not exist.")
    ] = None,
    output: ImagesOutput = None,
) -> None:
    """Export images for other tools, as Parquet or as files.

    Reads an image table; writes it with its images as PNG, without loss: as Parquet with a column image of
    struct<bytes, path>, which Hugging Face datasets shows as images and gencli reads back as the same table, or as one
    folder per class.

    \b
    Example:
      gencli data digits | gencli data export --encode png -o digits.parquet
      gencli data digits | gencli data export --folder digits
    """
    from gencli.cli import console
    from gencli.cli.outputs import write_images
    from gencli.errors import GencliError
    from gencli.files import provenance, tables
    from gencli.files.stores import require_folder
    from gencli.files.stream import require_writable
    from gencli.sources import open_table
    from gencli.sources.exported import Exported, write_folder

    if (encode is None) == (folder is None) or (folder is not None and output is not None):
        raise GencliError("give exactly one of --encode and --folder", "-o is only for --encode")
    if folder is None:
        require_writable(output)
    else:
        require_folder(folder, "--folder")
    table = open_table(data)
    if folder is not None:
        with console.progress("rows", table.rows) as advance:
            for rows in write_folder(table, folder):
                advance(rows)
        return
    used = ["numpy", "pyarrow", "PIL"]
    made = {"encode": encode}
    write_images(
        Exported(table), output, lambda: provenance.step("data export", made, tables.sources(table, "data"), used)
    )
