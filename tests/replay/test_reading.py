"""Where formats of others keep the provenance, byte by byte."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.provenance import Step
from gencli.files.stream import Input
from gencli.replay import reading
from gencli.replay.reading import _fields, _of_onnx, _of_pdf, _of_pt2, _of_svg, _varint, read, shown

STEP = Step("data digits", {"split": "train"}, {"gencli": "0.1.0"})


def of(tmp_path: Path, content: bytes, name: str = "x") -> Input:
    (tmp_path / name).write_bytes(content)
    return Input(str(tmp_path / name))


@pytest.mark.parametrize(
    ("content", "number", "end"),
    [
        (b"\x00", 0, 1),
        (b"\x7f\xff", 127, 1),
        (b"\x80\x01", 128, 2),
        (b"\xac\x02\x55", 300, 2),
        (b"\x81\x82\x83\x04", 1 + (2 << 7) + (3 << 14) + (4 << 21), 4),
        (b"\xff" * 9 + b"\x01", (1 << 64) - 1, 10),
    ],
)
def test_a_number_is_read_in_groups_of_seven_bits(tmp_path: Path, content: bytes, number: int, end: int) -> None:
    source = of(tmp_path, b"\xff\xff" + content)
    assert _varint(source, 2) == (number, 2 + end)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff" * 10 + b"\x01"])
def test_a_number_without_end_is_cut_off(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^cut off$"):
        _varint(of(tmp_path, b"  " + content), 2)


def test_fields_of_bytes_are_found_among_those_of_numbers(tmp_path: Path) -> None:
    message = (
        b"\x08\xac\x02" + b"\x11" + b"8" * 8 + b"\x1a\x03abc" + b"\x25" + b"4" * 4 + b"\x82\x01\x01z" + b"\x2a\x00"
    )
    source = of(tmp_path, b"before" + message + b"after")
    found = list(_fields(source, 6, 6 + len(message)))
    assert [(number, source.peek(start, end - start)) for number, start, end in found] == [
        (3, b"abc"),
        (16, b"z"),
        (5, b""),
    ]
    for short in (1, 3):
        with pytest.raises(ValueError, match=r"^cut off$"):
            list(_fields(of(tmp_path, b"\x1a\x03abc"), 0, 5 - short))
    with pytest.raises(ValueError, match=r"^no message of Protocol Buffers$"):
        list(_fields(of(tmp_path, b"\x0b\x00"), 0, 2))


def entry(key: bytes, value: bytes) -> bytes:
    """Field 14 of an ONNX model: a pair of strings."""
    pair = b"\x0a" + bytes([len(key)]) + key + b"\x12" + bytes([len(value)]) + value
    return b"\x72" + bytes([len(pair)]) + pair


def test_an_onnx_model_has_it_under_our_key_alone(tmp_path: Path) -> None:
    ours = entry(provenance.KEY.encode(), b"{mine}")
    model = b"\x08\x0a" + b"\x12\x02pt" + entry(b"author", b"{theirs}") + ours
    assert _of_onnx(of(tmp_path, model)) == "{mine}"
    assert shown(of(tmp_path, model), "onnx") == model.replace(b"{mine}", b"")
    assert _of_onnx(of(tmp_path, model.removesuffix(ours))) == ""
    assert _of_onnx(of(tmp_path, b"\x0a" + ours[1:])) == ""


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (rb"{plain}", "{plain}"),
        (rb"{\(a\)\\\n\r\x}", "{(a)\\\n\rx}"),
        ("{é}".encode("latin-1"), "{é}"),
        (b"\xfe\xff" + "{×}".encode("utf-16-be"), "{×}"),
        (b"two\nlines", "two\nlines"),
    ],
)
def test_the_subject_of_a_pdf_is_read_in_either_encoding(tmp_path: Path, subject: bytes, text: str) -> None:
    content = b"%PDF-1.4\n<< /Title (no) /Subject (" + subject + b") >>\nend"
    assert _of_pdf(of(tmp_path, content)) == text
    assert shown(of(tmp_path, content), "pdf") == b"%PDF-1.4\n<< /Title (no)  >>\nend"
    assert _of_pdf(of(tmp_path, b"%PDF-1.4\n/Subject (cut")) == ""


def test_an_svg_has_it_in_its_description(tmp_path: Path) -> None:
    content = b"<?xml?><svg><dc:description>{&quot;a&quot;:\n&amp;}</dc:description><path/></svg>"
    assert _of_svg(of(tmp_path, content)) == '{"a":\n&}'
    assert shown(of(tmp_path, content), "svg") == b"<?xml?><svg><path/></svg>"
    assert _of_svg(of(tmp_path, b"<?xml?><svg/>")) == ""


def test_an_exported_program_has_it_in_one_extra_file(tmp_path: Path) -> None:
    def archive(*names: str) -> Input:
        with zipfile.ZipFile(tmp_path / "m.pt2", "w") as made:
            for name in names:
                made.writestr(name, "{of " + name + "}")
        return Input(str(tmp_path / "m.pt2"))

    ours = f"m/extra/{provenance.KEY}"
    assert _of_pt2(archive("m/models/x", ours)) == "{of " + ours + "}"
    assert _of_pt2(archive("m/models/x")) == ""
    assert _of_pt2(archive(ours, f"n/extra/{provenance.KEY}")) == ""
    assert shown(archive("m/models/x", ours), "pt2") == shown(archive("m/models/x"), "pt2")
    assert shown(archive("m/models/y"), "pt2") != shown(archive("m/models/x"), "pt2")


def test_a_file_without_provenance_is_refused_by_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svg = b"<?xml?><dc:description>words</dc:description>"
    for content, words, hint in (
        (svg, "x: no provenance", reading._NONE),
        (b"<?xml?>\xff", "x: no provenance: 'utf-8' codec", reading._NONE),
        (b"PK\x03\x04cut", "x: no provenance: File is not a zip file", reading._NONE),
        (b"\x08\x80", "x: no provenance: cut off", reading._NONE),
        (b"what", "x: no provenance",
         f"{reading._NONE}: Parquet, safetensors, PNG, SVG, PDF, .pt2, ONNX, histories as CSV and JSON"),
    ):  # fmt: skip
        with pytest.raises(GencliError) as refused:
            read(of(tmp_path, content))
        assert words in str(refused.value)
        assert refused.value.hint == hint
    monkeypatch.setattr(reading, "_LARGEST", len(svg) - 1)
    with pytest.raises(GencliError, match=f"x: {len(svg)} bytes, too many for a figure$"):
        read(of(tmp_path, svg))


def test_a_figure_that_has_it_is_read(tmp_path: Path) -> None:
    text = json.dumps({"step": STEP.to_json()}).replace('"', "&quot;")
    made = read(of(tmp_path, b"<?xml?><dc:description>" + text.encode() + b"</dc:description>", "a.svg"))
    assert (made.form, made.name, made.step.command) == ("svg", "a.svg", "data digits")
