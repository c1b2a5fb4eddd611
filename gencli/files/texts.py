"""Files of text, read whole where the values in them fit in memory."""

from __future__ import annotations

from gencli import machine
from gencli.files.stream import Input

_A_VALUE = 72  # bytes of Python's objects for one
_ENDS = b",", b";", b"[", b"{", b"\t", b"\n", b" "  # of values


def read(source: Input) -> str:
    """The content, UTF-8, without a byte order mark.

    Raises:
        GencliError: its values do not fit in memory.
        UnicodeDecodeError: something else.
    """

    def require(values: int) -> None:
        need = 3 * source.size + _A_VALUE * values
        machine.require_memory(need, f"{source.name}: its values", "give a smaller file, or Parquet")

    require(0)
    source.file.seek(0)
    content = source.file.read()
    require(sum(map(content.count, _ENDS)))
    return content.decode("utf-8-sig")
