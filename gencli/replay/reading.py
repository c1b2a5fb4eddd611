"""The provenance of any file that gencli wrote: tables, tensors, and pictures, which hold it as their description."""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from typing import Any

from gencli.errors import GencliError, first_line
from gencli.files import checkpoints, parquet, provenance, tensors
from gencli.files.provenance import Step
from gencli.files.stream import Input

_NONE = "only files that gencli wrote record how they were made"
_LARGEST = 64 << 20  # bytes of a picture
_SVG, _PDF = r"<dc:description>(.*?)</dc:description>", rb"/Subject \(((?:[^\\()]|\\.)*)\)"


@dataclass(frozen=True)
class Made:
    """How a file was made.

    Attributes:
        form: its format: parquet, safetensors, png, svg or pdf.
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
    for form, starts, find in (("png", b"\x89PNG", _of_png), ("svg", b"<?xml", _of_svg), ("pdf", b"%PDF", _of_pdf)):
        if source.starts(starts):
            if source.size > _LARGEST:
                raise GencliError(f"{source.name}: {source.size:,} bytes, too many for a figure", _NONE)
            try:
                text = find(source)
                return form, provenance.decode(text) if text.startswith("{") else {}
            except (ValueError, SyntaxError, OSError) as error:
                raise GencliError(f"{source.name}: no provenance: {first_line(error)}", _NONE) from None
    raise GencliError(f"{source.name}: no provenance", f"{_NONE}: Parquet, safetensors, PNG, SVG and PDF")


def picture(source: Input, form: str) -> bytes:
    """What a picture shows: its pixels, or its text without the provenance."""
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
