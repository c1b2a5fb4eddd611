"""Files of text, read whole where the values in them fit in memory."""

from __future__ import annotations

import csv
import io

from gencli import machine
from gencli.counts import is_number
from gencli.errors import GencliError, first_line
from gencli.files.stream import Input

_A_VALUE = 72  # bytes of Python's objects for one
_ENDS = b",", b";", b"[", b"{", b"\t", b"\n", b" "  # of values


def read(source: Input) -> str:
    """The content, UTF-8, without a byte order mark.

    Raises:
        GencliError: it is Parquet, or its values do not fit in memory.
        UnicodeDecodeError: something else, or a zero byte in it.
    """
    for start, kind in ((b"PAR1", "Parquet"), (b"PARE", "encrypted Parquet")):
        if source.starts(start):
            raise GencliError(f"{source.name}: {kind}, not text", "give a file of text")

    def require(values: int) -> None:
        need = 3 * source.size + _A_VALUE * values
        machine.require_memory(need, f"{source.name}: its values", "give a smaller file, or Parquet")

    require(0)
    source.file.seek(0)
    content = source.file.read()
    require(sum(map(content.count, _ENDS)))
    if (zero := content.find(0)) >= 0:
        raise UnicodeDecodeError("utf-8", content, zero, zero + 1, "a zero byte")
    return content.decode("utf-8-sig")


def columns(source: Input) -> dict[str, list[str]]:
    """The cells of CSV by its first line's names; the one column of a file that starts with a number is called "".

    Raises:
        GencliError: not CSV, two columns of one name, or a line of another length.
    """
    hint = "give CSV whose first line names its columns"
    try:
        rows = [row for row in csv.reader(io.StringIO(read(source), newline=""), skipinitialspace=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise GencliError(f"{source.name}: not CSV: {first_line(error)}", hint) from None
    if not rows:
        raise GencliError(f"{source.name}: no rows", hint)
    names = [""] if len(rows[0]) == 1 and is_number(rows[0][0]) else list(map(str.strip, rows.pop(0)))
    if len({*names}) < len(names):
        raise GencliError(f"{source.name}: two columns have the same name: {', '.join(names)}", hint)
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise GencliError(f"{source.name}: row {number}: {len(row)} cells for {len(names)} columns", hint)
    return {name: [row[place].strip() for row in rows] for place, name in enumerate(names)}
