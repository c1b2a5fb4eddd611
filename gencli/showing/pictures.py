"""Figures and sheets that gencli drew: their size, and the provenance in their metadata."""

from __future__ import annotations

import html
import re
import struct
import zlib

import pyarrow as pa

from gencli.cli import console
from gencli.errors import GencliError, first_line
from gencli.files import provenance
from gencli.files.stream import Input
from gencli.showing.shown import Shown

_STARTS = {b"\x89PNG\r\n\x1a\n": "PNG", b"%PDF-": "PDF", b"<?xml": "SVG", b"<svg": "SVG"}
_LARGEST = 1 << 28  # bytes
_HINT = "give a figure or a sheet that gencli wrote"


def is_picture(source: Input) -> bool:
    """Whether a file starts as a PNG, SVG or PDF does."""
    return any(map(source.starts, _STARTS))


def describe(source: Input) -> Shown:
    """A picture.

    Raises:
        GencliError: it has no provenance, or is cut short.
    """
    form = next(form for start, form in _STARTS.items() if source.starts(start))
    if source.size > _LARGEST:
        raise GencliError(f"{source.name}: {form} of {source.size:,} bytes, none of gencli's", _HINT)
    content = source.peek(0, source.size)
    try:
        text = {"PNG": _of_png, "SVG": _of_svg, "PDF": _of_pdf}[form](content)
        made = provenance.decode(text or "{}").get("step")
    except (ValueError, struct.error) as error:
        raise GencliError(f"{source.name}: not a whole {form} of gencli's: {first_line(error, 80)}", _HINT) from None
    if made is None:
        raise GencliError(f"{source.name}: {form} without provenance, none of gencli's", _HINT)
    size = ", {}×{} pixels".format(*struct.unpack(">II", content[16:24])) if form == "PNG" else ""
    entry = provenance.source("file", source.sha256, made, source.path)
    headline = f"{form} picture of gencli {made.command}{size}"
    return Shown(source.name, f"{form} picture", console.printable(headline), {}, pa.table({}), made, [entry])


def _of_png(content: bytes) -> str | None:
    """The text chunk Description (PNG specification, 11.3.4), of a file whose chunks are whole."""
    at, found = 8, None
    while True:
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        chunk = content[at + 8 : at + 8 + length]
        if struct.pack(">I", zlib.crc32(kind + chunk)) != content[at + 8 + length : at + 12 + length]:
            raise ValueError("its chunks are damaged")
        if kind == b"tEXt" and chunk.startswith(b"Description\0"):
            found = chunk[12:].decode("latin1")
        elif kind == b"iTXt" and chunk.startswith(b"Description\0\0"):  # not compressed; a language and its word for it
            found = chunk.split(b"\0", 5)[-1].decode()
        if kind == b"IEND":
            return found
        at += 12 + length


def _of_svg(content: bytes) -> str | None:
    if not content.rstrip().endswith(b"</svg>"):
        raise ValueError("cut short")
    found = re.search(rb"<dc:description>(.*?)</dc:description>", content, re.DOTALL)
    return html.unescape(found[1].decode()) if found else None


def _of_pdf(content: bytes) -> str | None:
    """The literal or UTF-16 string /Subject (PDF 1.7, 7.3.4)."""
    if not content.rstrip().endswith(b"%%EOF"):
        raise ValueError("cut short")
    found = re.search(rb"/Subject \(((?:[^\\()]|\\.|\([^()]*\))*)\)", content, re.DOTALL)
    if not found:
        return None
    raw = re.sub(rb"\\([nrtbf()\\]|[0-7]{1,3})", _unescaped, found[1])
    return raw[2:].decode("utf-16-be") if raw[:2] == b"\xfe\xff" else raw.decode("latin1")


def _unescaped(found: re.Match[bytes]) -> bytes:
    named = dict(zip(b"nrtbf", (b"\n", b"\r", b"\t", b"\b", b"\f")))
    code = found[1]
    if code[:1].isdigit():
        return bytes([int(code, 8) & 255])
    return named.get(code[0], code)
