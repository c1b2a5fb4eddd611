"""The provenance of any file that gencli wrote: tables, tensors, pictures, whose description it is, exported models,
histories as text.
"""

from __future__ import annotations

import html
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gencli.errors import GencliError, first_line
from gencli.files import checkpoints, parquet, provenance, tensors
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.reporting import readers

_NONE = "only files that gencli wrote record how they were made"
_LARGEST = 64 << 20  # bytes of a picture
_SVG, _PDF = r"<dc:description>(.*?)</dc:description>", rb"/Subject \(((?:[^\\()]|\\.)*)\)"


@dataclass(frozen=True)
class Made:
    """How a file was made.

    Attributes:
        form: its format: parquet, safetensors, png, svg, pdf, pt2, onnx, csv, json or jsonl.
    """

    source: Input
    step: Step
    form: str

    @property
    def name(self) -> str:
        """The file's, without its folder."""
        return os.path.basename(self.source.name) if self.source.path else "made"


def read(source: Input) -> Made:
    """The provenance of a file.

    Raises:
        GencliError: it has none, or it is damaged, or it is that of a checkpoint.
    """
    form, facts = _facts(source)
    step = facts.get("step")
    if step is None:
        raise GencliError(f"{source.name}: no provenance", _NONE)
    if form == "safetensors" and facts.keys() & checkpoints.OF.keys() and "at" in facts:
        raise GencliError(f"{source.name}: a checkpoint, which no command makes again", "ask for the finished file")
    if form == "parquet" and step.command == "train" and not step.output:
        step = step.to("history")  # older files do not say so
    return Made(source, step, form)


def _facts(source: Input) -> tuple[str, dict[str, Any]]:
    if source.starts(b"PAR1") or source.starts(b"PARE"):
        return "parquet", {"step": parquet.read_provenance(parquet.open_file(source))}
    if source.starts(b"{", 8):
        return "safetensors", tensors.read_metadata(source)
    for form, starts, find in _OTHERS:
        if source.starts(starts):
            if source.size > _LARGEST and form in FIGURES:
                raise GencliError(f"{source.name}: {source.size:,} bytes, too many for a figure", _NONE)
            try:
                text = find(source)
                return form, provenance.decode(text) if text.startswith("{") else {}
            except (ValueError, SyntaxError, OSError, zipfile.BadZipFile) as error:
                raise GencliError(f"{source.name}: no provenance: {first_line(error)}", _NONE) from None
    text_form, text = readers.read_text(source)
    if text_form and provenance.KEY in text and (step := readers.made_of(source, readers.from_text(source)[1])[0]):
        return text_form, {"step": step}
    forms = "Parquet, safetensors, PNG, SVG, PDF, .pt2, ONNX, histories as CSV and JSON"
    raise GencliError(f"{source.name}: no provenance", f"{_NONE}: {forms}")


def shown(source: Input, form: str) -> bytes:
    """What a picture shows, its pixels or its text, or what an exported model computes, without the provenance."""
    if form == "pt2":
        with zipfile.ZipFile(source.file) as archive:
            return repr([(each.filename, each.CRC) for each in archive.infolist() if not _is_ours(each)]).encode()
    if form == "onnx":
        return source.peek(0, source.size).replace(_of_onnx(source).encode(), b"")
    if form == "png":
        from PIL import Image

        source.file.seek(0)
        with Image.open(source.file, formats=["PNG"]) as pixels:
            return repr(pixels.size).encode() + pixels.tobytes()
    pattern = _SVG.encode() if form == "svg" else _PDF
    return re.sub(pattern, b"", source.peek(0, source.size), flags=re.DOTALL)


def _of_png(source: Input) -> str:
    from PIL import Image

    source.file.seek(0)
    with Image.open(source.file, formats=["PNG"]) as picture:
        picture.load()
        return str(getattr(picture, "text", {}).get("Description", ""))


def _of_svg(source: Input) -> str:
    text = source.peek(0, source.size).decode()
    found = re.search(_SVG, text, re.DOTALL)
    return html.unescape(found[1]) if found else ""


def _of_pdf(source: Input) -> str:
    """The subject: a string in parentheses, of Latin letters or after a mark of big-endian UTF-16."""
    found = re.search(_PDF, source.peek(0, source.size), re.DOTALL)
    if not found:
        return ""
    plain = re.sub(rb"\\(.)", lambda each: {b"n": b"\n", b"r": b"\r"}.get(each[1], each[1]), found[1], flags=re.DOTALL)
    return plain.decode("utf-16") if plain.startswith(b"\xfe\xff") else plain.decode("latin-1")


def _is_ours(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(f"/extra/{provenance.KEY}")


def _of_pt2(source: Input) -> str:
    """An archive's extra file; its folder has the archive's name."""
    source.file.seek(0)
    with zipfile.ZipFile(source.file) as archive:
        found = [each for each in archive.infolist() if _is_ours(each)]
        return archive.read(found[0]).decode() if len(found) == 1 and found[0].file_size <= _LARGEST else ""


def _of_onnx(source: Input) -> str:
    """An entry of `metadata_props`, field 14 of the message: key is its field 1, value its field 2."""
    for field, start, end in _fields(source, 0, source.size):
        if field == 14 and end - start <= _LARGEST:
            entry = {number: source.peek(begin, stop - begin) for number, begin, stop in _fields(source, start, end)}
            if entry.get(1) == provenance.KEY.encode():
                return entry.get(2, b"").decode()
    return ""


def _fields(source: Input, place: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Of a message of Protocol Buffers each field of bytes: its number, where it begins and ends."""
    while place < end:
        tag, place = _varint(source, place)
        length = {1: 8, 5: 4}.get(tag & 7, 0)
        if tag & 7 == 0:
            _, place = _varint(source, place)
        elif tag & 7 == 2:
            length, place = _varint(source, place)
            yield tag >> 3, place, place + length
        elif not length:
            raise ValueError("no message of Protocol Buffers")
        place += length
    if place > end:
        raise ValueError("cut off")


def _varint(source: Input, place: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the place after it."""
    number = 0
    for group, byte in enumerate(source.peek(place, 10)):
        number |= (byte & 127) << (7 * group)
        if byte < 128:
            return number, place + group + 1
    raise ValueError("cut off")


# by format: its first bytes, and what finds the provenance in it
_OTHERS: tuple[tuple[str, bytes, Callable[[Input], str]], ...] = (
    ("png", b"\x89PNG", _of_png),
    ("svg", b"<?xml", _of_svg),
    ("pdf", b"%PDF", _of_pdf),
    ("pt2", b"PK\x03\x04", _of_pt2),
    ("onnx", b"\x08", _of_onnx),
)
FIGURES = ("png", "svg", "pdf")
TABLES = ("parquet", "csv", "json", "jsonl")
