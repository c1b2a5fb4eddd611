"""What the pages of a Parquet file take once they are decoded, by their headers, before Arrow allocates it.

A footer's sizes are not those of its pages: Arrow allocates what a page's header says, and a dictionary's word takes
two bits a row of a file, but all of its own bytes a row in memory. Headers are written in Thrift's compact protocol.

Source: parquet.thrift and Encodings.md of apache/parquet-format, thrift-compact-protocol.md of apache/thrift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from gencli import machine
from gencli.errors import GencliError
from gencli.files.stream import Input

_PAGE, _COLUMN, _A_BYTE = 64 << 20, 256 << 20, 256  # bytes that any page and column may take, and for each byte stored
_BITS = 64  # of a number
_HEADER, _LONGEST_HEADER = 1 << 9, 1 << 24  # bytes
_PLACES = {2, 8}  # encodings, PLAIN_DICTIONARY and RLE_DICTIONARY: values are places in the dictionary
_DELTA = 7  # DELTA_BYTE_ARRAY: values are stored without what they begin with like the value before
_DICTIONARY = 7
_KINDS = {0: (5, 2), 2: (_DICTIONARY, 2), 3: (8, 4)}  # of pages: the field that is about them, and in it the encoding's
_BINARY, _STRUCT = 8, 12  # of Thrift; 9 and 10 are lists
_FIXED = {1: 0, 2: 0, 3: 1, 7: 8}  # bytes of true, false, a byte and a number of floating point
_HINT = "write it with smaller pages and row groups; or the file was crafted to exhaust memory"


@dataclass(slots=True)
class Page:
    """Attributes:
    decoded, stored: its bytes, without the header's.
    values: how many it holds.
    encoding: of its values, by its number in the format.
    dictionary: whether it is one.
    """

    decoded: int
    stored: int
    values: int
    encoding: int
    dictionary: bool

    def most(self, words: int) -> int:
        """Bytes of its values at most, where the dictionary has so many."""
        return (
            self.values * words
            if self.encoding in _PLACES
            else self.decoded * (self.values if self.encoding == _DELTA else 1)
        )


def require(source: Input, file: pq.ParquetFile, chunks: Collection[tuple[int, int]] | None = None) -> None:
    """Refuses pages and columns of bytes that take far more memory than they have bytes in the file.

    Args:
        chunks: row groups and places of columns that are to be read; by default all.

    Raises:
        GencliError: there are some.
        OSError: headers are corrupt.
    """
    facts = file.metadata
    most = max(_COLUMN, _A_BYTE * source.size)
    for place in range(facts.num_columns):
        kind = facts.schema.column(place)
        where, taken, longest = f"{source.name}: column `{kind.path}`", 0, 1
        for group in range(facts.num_row_groups):
            if chunks is not None and (group, place) not in chunks:
                continue
            of_group = facts.row_group(group)
            if of_group.num_columns != facts.num_columns:
                raise OSError(f"{of_group.num_columns} columns in row group {group}, of {facts.num_columns}")
            column = of_group.column(place)
            if column.path_in_schema != kind.path:
                raise OSError(f"column `{column.path_in_schema}` in the place of `{kind.path}`")
            if not column.num_values:
                continue
            found = list(_pages(source, column))
            for page in found:
                if page.decoded > _PAGE:
                    if page.decoded > _A_BYTE * page.stored:
                        stored = f"a page of {page.decoded:,} bytes in {page.stored:,}"
                        raise GencliError(f"{where}: {stored}", _HINT)
                    machine.require_memory(page.decoded, where, _HINT)
            if kind.physical_type == "FIXED_LEN_BYTE_ARRAY":
                taken += kind.length * column.num_values
            elif kind.physical_type == "BYTE_ARRAY":
                words = sum(page.decoded for page in found if page.dictionary)
                taken += sum(page.most(words) for page in found if not page.dictionary)
                longest = max(longest, *(page.decoded for page in found))
        if taken > most and kind.physical_type == "BYTE_ARRAY" and not kind.max_repetition_level:
            taken = _measured(file, kind.path, longest, most)
        if taken > most:
            raise GencliError(f"{where}: more than {machine.size(most)} in a file of {source.size:,} bytes", _HINT)


def _measured(file: pq.ParquetFile, path: str, longest: int, most: int) -> int:
    """Bytes of a column of values of at most `longest` bytes, read a few rows at a time; or the first beyond `most`."""
    taken = 0
    for batch in file.iter_batches(max(1, _PAGE // longest), columns=[path]):
        taken += batch.nbytes
        if taken > most:
            break
    return taken


def extent(column: Any) -> tuple[int, int]:
    """Where a column of a row group begins in the file, and where it ends, by the footer."""
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < (column.dictionary_page_offset or 0) < start:
        start = column.dictionary_page_offset
    return start, start + column.total_compressed_size


def _pages(source: Input, column: Any) -> Iterator[Page]:
    """The pages of a column of a row group."""
    at, end = extent(column)
    while at < end:
        facts, length = _header(source, at)
        kind, decoded, stored = (facts.get(number, -1) for number in (1, 2, 3))
        part, encoded = _KINDS.get(kind, (0, 0)) if type(kind) is int else (0, 0)
        about = facts.get(part)
        values, encoding = (about.get(number, 0) if isinstance(about, dict) else 0 for number in (1, encoded))
        if not all(type(each) is int and each >= 0 for each in (decoded, stored, values, encoding)):
            raise OSError("a page's header is corrupt")
        at += length + stored
        if at > source.size:
            raise OSError(f"a page of {stored:,} bytes, where the file ends before")
        yield Page(decoded, stored, values, encoding, part == _DICTIONARY)


def _header(source: Input, at: int) -> tuple[dict[int, Any], int]:
    """The numbers and structs of the header that begins there, by number, and its length."""
    size = _HEADER
    while True:
        reader = _Reader(source.peek(at, size))
        try:
            return reader.struct(), reader.at
        except (IndexError, RecursionError):
            if size >= _LONGEST_HEADER or at + size >= source.size:
                raise OSError("a page's header is cut short") from None
        size <<= 4


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def _varint(self) -> int:
        shift = value = 0
        while True:
            byte = self._data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _BITS:
                raise OSError("a page's header is corrupt")

    def _signed(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def struct(self) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while head := self._data[self.at]:
            self.at += 1
            number = number + (head >> 4) if head >> 4 else self._signed()
            found[number] = self._value(head & 15)
        self.at += 1
        return found

    def _value(self, kind: int) -> Any:
        if kind == _STRUCT:
            return self.struct()
        if kind in _FIXED or kind == _BINARY:
            length = _FIXED[kind] if kind in _FIXED else self._varint()
            self.at += length
        elif kind in (9, 10):
            head = self._data[self.at]
            self.at += 1
            for _ in range(head >> 4 if head >> 4 != 15 else self._varint()):
                self.at += (head & 15) in (1, 2)
                self._value(head & 15)
        else:
            return self._signed()
        if self.at > len(self._data):
            raise IndexError
        return None
