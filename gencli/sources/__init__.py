"""Where image tables come from: sources that make one, and files, gencli's own or made elsewhere."""

from __future__ import annotations

import pyarrow as pa

from gencli import parquet, stream, tables
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
    files = [parquet.open_file(source) for source in inputs]
    for source, file in zip(inputs, files, strict=True):
        if file.metadata.num_rows == 0:
            raise GencliError(f"{source.name}: no rows", "an image table needs at least one")
    schema, description = files[0].schema_arrow, tables.read_description(files[0], inputs[0].name)
    for source, file in zip(inputs, files, strict=True):
        if not file.schema_arrow.equals(schema):
            raise GencliError(f"{source.name}: other columns than {inputs[0].name}", "a folder is one data set")
        if tables.read_description(file, source.name) != description:
            raise GencliError(f"{source.name}: another data set than {inputs[0].name}", "a folder is one data set")
    foreign = foreign or Foreign()
    encoded = "image" in schema.names and pa.types.is_struct(schema.field("image").type)
    if description is not None and foreign != (Foreign(decoding=foreign.decoding) if encoded else Foreign()):
        raise GencliError(
            f"{inputs[0].name}: a table of gencli's, which says itself what it holds",
            f"leave --name, --split, --label{', --shape' if encoded else ', --shape, --mode, --size, --crop'} out",
        )
    if description is not None and not encoded and "image" in schema.names:
        return FileTable(inputs, files, description)
    return encoded_table(inputs, files, foreign)
