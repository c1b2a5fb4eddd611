"""Files of text, read whole where the values in them fit in memory."""

from __future__ import annotations

from gencli import machine
from gencli.errors import GencliError
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
