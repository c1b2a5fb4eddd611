"""What `gencli show` says of files: what each is, what is in it, how it was made."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from gencli.cli import console
from gencli.errors import GencliError, first_line
from gencli.files import parquet
from gencli.files.named import open_inputs
from gencli.files.stream import Input
from gencli.files.tables import read_description
from gencli.showing import images, pictures, tables, tensors
from gencli.showing.shown import Shown, plain
from gencli.sources import read_table


def describe(argument: str | None, head: int | None = None, columns: int | None = None) -> Shown:
    """A file, a folder of an image table's shards, or standard input.

    Args:
        head: shows so many rows, or values of each tensor.
        columns: prepares a picture of so many images or weights side by side.

    Raises:
        GencliError: a file that is damaged, or of a format that gencli neither writes nor reads.
    """
    inputs = open_inputs(argument)
    first = inputs[0]
    if first.folder is not None:
        return images.describe(read_table(inputs), head, columns)
    if first.starts(b"PAR1") or first.starts(b"PARE"):
        return _parquet(first, head, columns)
    if first.starts(b"{", 8):
        return tensors.describe(first, head, columns)
    if pictures.is_picture(first):
        return pictures.describe(first)
    return tables.describe_text(first, head)


def text(found: Sequence[Shown], width: int | None, whole: bool = False) -> str:
    """What was found, for people; below the file's name where there are several."""
    if len(found) == 1:
        return found[0].text(width, whole)
    return "\n".join(f"# {console.printable(each.title)}\n{each.text(width, whole)}" for each in found)


def joined(found: Sequence[Shown], names: Sequence[str]) -> pa.Table:
    """The tables of one kind below each other, behind a column `file` of these names where there are several.

    Raises:
        GencliError: they are of several kinds, or there is no table.
    """
    for each in found:
        if not each.rows.num_columns:
            raise GencliError(f"{each.title}: a {each.kind} has no table", "use --format table or json")
        if each.kind != found[0].kind:
            what = f"{found[0].title}: {found[0].kind}, but {each.title}: {each.kind}"
            raise GencliError(f"files of several kinds have no common table: {what}", "use --format table or json")
    tables = [plain(each.rows) for each in found]
    if len(found) == 1:
        return tables[0]
    named = [
        table.add_column(0, "file", pa.array([name] * table.num_rows, pa.string()))
        for name, table in zip(names, tables)
    ]
    try:
        return pa.concat_tables(named, promote_options="default")
    except pa.ArrowException as error:
        raise GencliError(f"their columns differ: {first_line(error)}", "use --format table or json") from None


def _parquet(source: Input, head: int | None, columns: int | None) -> Shown:
    file = parquet.open_file(source)
    with parquet.undamaged(source.name):
        names = set(file.schema_arrow.names)
    ours = read_description(file, source.name) is not None
    if not ours and not ("label" in names and {"image", "img"} & names):
        return tables.describe_parquet(source, file, head)
    try:
        return images.describe(read_table([source]), head, columns)
    except GencliError as wrong:
        if ours or columns is not None:
            raise
        return tables.describe_parquet(source, file, head, wrong.message.removeprefix(f"{source.name}: "))
