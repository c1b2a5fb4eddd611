"""Where image tables come from: sources that make one, and files, gencli's own or made elsewhere."""

from __future__ import annotations

from gencli import stream, tables
from gencli.errors import GencliError
from gencli.sources.encoded import Foreign, encoded_table
from gencli.tables import FileTable, ImageTable


def open_table(argument: str | None, foreign: Foreign | None = None) -> ImageTable:
    """Opens the image table that a command's argument names (see `read_table`)."""
    return read_table(stream.open_inputs(argument), foreign)


def read_table(inputs: list[stream.Input], foreign: Foreign | None = None) -> ImageTable:
    """The image table in these files: gencli's own, or one made elsewhere, read as `foreign` says.

    Raises:
        GencliError: not Parquet, cut short, no image or label column, no rows, or facts that contradict each other.
    """
    files = [tables.open_parquet(source) for source in inputs]
    for source, file in zip(inputs, files, strict=True):
        if file.metadata.num_rows == 0:
            raise GencliError(f"{source.name}: no rows", "an image table needs at least one")
    names = files[0].schema_arrow.names
    description = tables.read_description(files[0])
    if description is not None and "image" in names:
        return FileTable(inputs, files, description)
    return encoded_table(inputs, files, foreign or Foreign())
