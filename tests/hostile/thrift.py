"""Thrift's compact protocol, as Parquet's footers and page headers have it, both ways; and where in a file they lie.

Source: thrift-compact-protocol.md of apache/thrift, and parquet.thrift of apache/parquet-format.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 2, 3, 7, 8, 9, 10, 12


@dataclass
class Field:
    """One of a struct; of a list each element is one too, numbered 0. A struct's value is a list of them.

    Attributes:
        inner: the type of a list's elements.
    """

    number: int
    type: int
    value: Any
    inner: int = STRUCT


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at, self.inner = data, at, STRUCT

    def varint(self) -> int:
        shift = value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def value(self, kind: int, inside: bool = False) -> Any:
        if kind in (TRUE, FALSE):
            self.at += inside
            return kind == TRUE if not inside else self.data[self.at - 1] == 1
        if kind in (BYTE, DOUBLE, BINARY):
            length = {BYTE: 1, DOUBLE: 8}.get(kind) or self.varint()
            self.at += length
            return self.data[self.at - length : self.at]
        if kind in (LIST, SET):
            head = self.data[self.at]
            self.at += 1
            count = head >> 4 if head >> 4 != 15 else self.varint()
            listed = [Field(0, head & 15, self.value(head & 15, True)) for _ in range(count)]
            self.inner = head & 15
            return listed
        if kind == STRUCT:
            return self.struct()
        return self.signed()

    def signed(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def struct(self) -> list[Field]:
        fields, number = [], 0
        while head := self.data[self.at]:
            self.at += 1
            number = number + (head >> 4) if head >> 4 else self.signed()
            fields.append(Field(number, head & 15, self.value(head & 15), self.inner))
        self.at += 1
        return fields


def read(data: bytes, at: int = 0) -> tuple[list[Field], int]:
    """The struct that begins there, and where it ends."""
    reader = _Reader(data, at)
    return reader.struct(), reader.at


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _number(value: int) -> bytes:
    return _varint((value << 1 ^ value >> 63) & (1 << 64) - 1)


def _value(kind: int, value: Any, inner: int = STRUCT, inside: bool = False) -> bytes:
    if kind in (TRUE, FALSE):
        return bytes([1 if value else 2]) if inside else b""
    if kind == BINARY:
        return _varint(len(value)) + value
    if kind in (BYTE, DOUBLE):
        return value
    if kind in (LIST, SET):
        inner = value[0].type if value else inner
        head = bytes([len(value) << 4 | inner]) if len(value) < 15 else bytes([240 | inner]) + _varint(len(value))
        return head + b"".join(_value(each.type, each.value, each.inner, True) for each in value)
    return write(value) if kind == STRUCT else _number(value)


def write(fields: list[Field]) -> bytes:
    """A struct's bytes."""
    out, before = b"", 0
    for field in fields:
        kind = field.type if field.type not in (TRUE, FALSE) else (TRUE if field.value else FALSE)
        step = field.number - before
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _number(field.number)
        out += _value(field.type, field.value, field.inner)
        before = field.number
    return out + b"\0"


def leaves(fields: list[Field]) -> Iterator[tuple[list[Field], Field]]:
    """All values that are no structs or lists, each with the struct or list that it stands in."""
    for field in fields:
        if field.type in (LIST, SET, STRUCT):
            yield from leaves(field.value)
        yield fields, field


def find(fields: list[Field], *numbers: int) -> Any:
    """The value at a path of field numbers, of lists the place; None where there is none."""
    value: Any = fields
    for number in numbers:
        listed = value and value[0].number == 0
        found = value[number : number + 1] if listed else [each for each in value if each.number == number]
        if not found:
            return None
        value = found[0].value
    return value


def footer(content: bytes) -> list[Field]:
    """A Parquet file's."""
    length = int.from_bytes(content[-8:-4], "little")
    return read(content, len(content) - 8 - length)[0]


def with_footer(content: bytes, fields: list[Field]) -> bytes:
    """The file with another one."""
    length = int.from_bytes(content[-8:-4], "little")
    made = write(fields)
    return content[: len(content) - 8 - length] + made + len(made).to_bytes(4, "little") + b"PAR1"


@dataclass
class Page:
    """A page's header, where it starts, and where its bytes start and end."""

    header: list[Field]
    at: int
    start: int
    end: int


def pages(content: bytes) -> list[Page]:
    """All pages of a Parquet file that is whole."""
    found = []
    for group in find(footer(content), 4):
        for chunk in find(group.value, 1):
            facts = find(chunk.value, 3)
            places = [place for number in (11, 9) if (place := find(facts, number))]
            at, stop = min(places), min(places) + find(facts, 7)
            while at < stop:
                header, start = read(content, at)
                found.append(Page(header, at, start, start + find(header, 3)))
                at = found[-1].end
    return found


def with_page(content: bytes, page: Page, data: bytes | None = None) -> bytes:
    """The file with a page's header as it is now, or other bytes of the same length in the page, its checksum right."""
    held = content[page.start : page.end] if data is None else data
    if data is not None:
        checksum = zlib.crc32(data)
        next(each for each in page.header if each.number == 4).value = checksum - (checksum >> 31 << 32)
    return content[: page.at] + write(page.header) + held + content[page.end :]
