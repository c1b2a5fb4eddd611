"""Texts in PNG, SVG and PDF files, as their formats hold them, and files that are cut."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.stream import Input
from gencli.showing import pictures

START = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        ([], None), ([chunk(b"tEXt", b"Description\0\xe9 {}")], "é {}"),
        ([chunk(b"iTXt", b"Description\0\0\0en\0word\0" + "é\0{}".encode())], "é\0{}"),
        ([chunk(b"iTXt", b"Description\0\1\0en\0word\0x")], None), ([chunk(b"tEXt", b"Descriptions\0x")], None),
        ([chunk(b"zTXt", b"Description\0x")], None), ([chunk(b"iTXt", b"Title\0\0\0\0\0x")], None),
        ([chunk(b"IHDR", bytes(13)), chunk(b"tEXt", b"Description\0a"), chunk(b"IDAT", b"xy")], "a"),
    ],
)  # fmt: skip
def test_a_description_is_a_chunk_of_a_png(chunks: list[bytes], text: str | None) -> None:
    whole = START + b"".join(chunks) + chunk(b"IEND")
    assert pictures._of_png(whole) == text
    assert pictures._of_png(whole + b"more") == text
    with pytest.raises((ValueError, struct.error)):
        pictures._of_png(whole[:-1])
    with pytest.raises(ValueError, match=r"^its chunks are damaged$"):
        pictures._of_png(whole[:-5] + b"E" + whole[-4:])


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("", None), ("<dc:description>a &lt;b&gt;\n&quot;é</dc:description>", 'a <b>\n"é'),
        ("<dc:description>a</dc:description><dc:description>b</dc:description>", "a"),
    ],
)  # fmt: skip
def test_a_description_is_an_element_of_an_svg(inner: str, text: str | None) -> None:
    content = f"<svg>{inner}</svg>".encode()
    assert pictures._of_svg(content) == pictures._of_svg(content + b" \n") == text
    with pytest.raises(ValueError, match=r"^cut short$"):
        pictures._of_svg(content[:-1])


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (b"", None), (b"/Subject (a \xe9 (b) c)", "a é (b) c"),
        (rb"/Subject (\(a\) \\ \n\r\t\b\f)", "(a) \\ \n\r\t\b\f"),
        (rb"/Subject (\101\7x\501)", "A\7xA"), (b"/Subject (\xfe\xff\0a\1\2)", "a\u0102"),
        (b"/Subject (\xfe\xffa)", None), (b"/Title (a)", None),
    ],
)  # fmt: skip
def test_a_subject_is_a_string_of_a_pdf(inner: bytes, text: str | None) -> None:
    content = b"%PDF-1.4 " + inner + b" %%EOF"
    if text is None and b"Subject" in inner:
        with pytest.raises(UnicodeDecodeError):
            pictures._of_pdf(content)
        return
    assert pictures._of_pdf(content) == pictures._of_pdf(content + b"\n") == text
    with pytest.raises(ValueError, match=r"^cut short$"):
        pictures._of_pdf(content[:-1])


@pytest.mark.parametrize(
    ("start", "form"), [(START, "PNG"), (b"%PDF-", "PDF"), (b"<?xml", "SVG"), (b"<svg", "SVG"), (b"GIF8", None)]
)
def test_pictures_are_known_by_how_they_start(start: bytes, form: str | None, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(start + b"...........")
    source = Input(str(tmp_path / "x"))
    assert pictures.is_picture(source) == (form is not None)
    if form is not None:
        with pytest.raises(GencliError, match=f"x: not a whole {form} of gencli's: "):
            pictures.describe(source)


def test_a_picture_without_provenance_and_one_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"<svg></svg>"
    (tmp_path / "x").write_bytes(content)
    monkeypatch.setattr(pictures, "_LARGEST", len(content))
    with pytest.raises(GencliError, match=r"x: SVG without provenance, none of gencli's$"):
        pictures.describe(Input(str(tmp_path / "x")))
    monkeypatch.setattr(pictures, "_LARGEST", len(content) - 1)
    with pytest.raises(GencliError, match=r"x: SVG of 11 bytes, none of gencli's$"):
        pictures.describe(Input(str(tmp_path / "x")))


def test_a_png_says_its_width_and_height(tmp_path: Path) -> None:
    made = provenance.encode(provenance.step("report", {}))
    header = chunk(b"IHDR", struct.pack(">II", 70_000, 300) + bytes(5))
    (tmp_path / "x").write_bytes(START + header + chunk(b"tEXt", b"Description\0" + made) + chunk(b"IEND"))
    found = pictures.describe(Input(str(tmp_path / "x")))
    assert (found.kind, found.headline) == ("PNG picture", "PNG picture of gencli report, 70000×300 pixels")
