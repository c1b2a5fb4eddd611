"""Tensors of safetensors files without torch: values, norms and headers, against numpy, torch and the library."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from gencli.errors import GencliError
from gencli.files import stored
from gencli.files.stream import Input

KINDS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint8, torch.bool, torch.float8_e4m3fn, torch.float8_e5m2,
]  # fmt: skip


def opened(path: Path, tensors: dict[str, torch.Tensor]) -> tuple[Input, dict[str, stored.Stored]]:
    safetensors.torch.save_file(tensors, path)
    source = Input(str(path))
    return source, {each.name: each for each in stored.tensors(source)[0]}


def moments(source: Input, tensor: stored.Stored) -> stored.Moments:
    return stored.moments([stored.measured(source, tensor, first) for _, first in stored.parts([tensor])])


def test_values_of_every_type_are_those_of_torch(tmp_path: Path) -> None:
    every = {str(kind): (torch.randn(7, 5) * 20).to(kind) for kind in KINDS}
    source, found = opened(tmp_path / "t", every)
    for name, tensor in every.items():
        assert found[name].shape == (7, 5)
        assert np.array_equal(found[name].values(source), tensor.double().numpy().ravel(), equal_nan=True), name
        assert np.array_equal(found[name].values(source, 3, 4), tensor.double().numpy().ravel()[3:7], equal_nan=True)
    assert {found[str(kind)].dtype for kind in KINDS[:10]} == {str(kind).removeprefix("torch.") for kind in KINDS[:10]}


def test_every_code_of_eight_bits_is_that_of_torch() -> None:
    for name, kind in (("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2)):
        right = torch.arange(256, dtype=torch.uint8).view(kind).float().numpy()
        assert np.array_equal(stored._eight_bits(name), right, equal_nan=True)
    assert np.array_equal(stored._eight_bits("F8_E8M0")[[0, 127, 254]], np.float32(2) ** np.array([-127, 0, 127], "f4"))


def test_norms_of_parts_are_those_of_the_whole(tmp_path: Path) -> None:
    wide = torch.randn(stored.PART * 2 + 17, dtype=torch.float64) * 3 + 1
    every = {"wide": wide, "half": wide.half(), "bytes": torch.arange(256, dtype=torch.uint8).repeat(9000)}
    source, found = opened(tmp_path / "t", every)
    for name, tensor in every.items():
        got, exact = moments(source, found[name]), tensor.double()
        assert got.norm == pytest.approx(float(exact.norm()), rel=1e-13)
        assert (got.least, got.greatest, got.not_finite) == (float(exact.min()), float(exact.max()), 0)


@given(st.lists(st.floats(-1, 1).map(float), min_size=1, max_size=9), st.integers(-1073, 1022))
def test_norms_neither_overflow_nor_vanish(values: list[float], exponent: int) -> None:
    tensor = np.ldexp(np.array(values), exponent)
    part = _measured(tensor)
    right = math.hypot(*tensor.tolist())
    assert stored.moments([part, _measured(np.zeros(3))]).norm == pytest.approx(right, rel=1e-12, abs=1e-322)


def _measured(values: np.ndarray) -> stored.Part:
    class Source:
        name = "t"

        def peek(self, start: int, count: int) -> bytes:
            return values.tobytes()[start : start + count]

    return stored.measured(Source(), stored.Stored("t", "F64", values.shape, 0), 0)  # type: ignore[arg-type]


def test_values_that_are_not_finite_are_counted(tmp_path: Path) -> None:
    tensor = torch.tensor([1.0, float("nan"), float("inf"), 2.0])
    source, found = opened(tmp_path / "t", {"nan": tensor, "inf": tensor[[0, 2, 3]]})
    assert np.isnan(moments(source, found["nan"]).norm)
    assert moments(source, found["nan"]).not_finite == 2
    assert moments(source, found["inf"]).norm == moments(source, found["inf"]).greatest == float("inf")


def header(tmp_path: Path, entries: dict[str, Any], size: int, metadata: Any = None) -> Input:
    text = json.dumps(entries if metadata is None else {"__metadata__": metadata, **entries}).encode()
    path = tmp_path / "t.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * size)
    return Input(str(path))


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "entries",
    [
        {"a": ENTRY | {"dtype": "F33"}},
        {"a": ENTRY | {"shape": [2, 3]}},
        {"a": ENTRY | {"shape": [-2, -2]}},
        {"a": ENTRY | {"shape": [2.0, 2]}},
        {"a": ENTRY | {"shape": "22"}},
        {"a": ENTRY | {"shape": [2**70, 0]}, "b": ENTRY},
        {"a": ENTRY, "b": ENTRY},
        {"a": ENTRY | {"data_offsets": [4, 16]}},
        {"a": {"dtype": "F32", "shape": [4]}},
        {"a": [1, 2]},
        {"a": ENTRY | {"data_offsets": [0, 16, 16]}},
        {"a\x1b[2J": ENTRY | {"dtype": "\x1b[2J"}},
    ],
)
def test_tensors_that_are_not_their_bytes_are_refused(tmp_path: Path, entries: dict[str, Any]) -> None:
    with pytest.raises(GencliError, match=r"t\.safetensors: ") as refused:
        stored.tensors(header(tmp_path, entries, 16))
    assert refused.value.message.isprintable()


def test_metadata_is_text(tmp_path: Path) -> None:
    assert stored.tensors(header(tmp_path, {"a": ENTRY}, 16, {"format": "pt"}))[1] == {"format": "pt"}
    for wrong in ({"format": 1}, ["pt"], "pt"):
        with pytest.raises(GencliError, match="metadata that is not text"):
            stored.tensors(header(tmp_path, {"a": ENTRY}, 16, wrong))


def placed(kind: str, *shape: int) -> stored.Stored:
    return stored.Stored("t", kind, shape, 0)


def test_types_have_their_names_and_widths() -> None:
    named = {
        "BOOL": "bool", "U8": "uint8", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "C64": "complex64",
        "F8_E5M2": "f8_e5m2", "F4": "f4", "F6_E2M3": "f6_e2m3",
    }  # fmt: skip
    assert {kind: placed(kind).dtype for kind in named} == named
    assert [kind for kind in named if not placed(kind).readable] == ["F4", "F6_E2M3"]
    assert (placed("F4", 2, 3).size, placed("F4").size) == (6, 1)


def test_parts_of_tensors_are_of_so_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PART", 4)
    found = [placed("F32", 4), placed("F4", 9), placed("F32", 0), placed("F32", 3, 3), placed("F32", 5), placed("F32")]
    assert [*stored.parts(found)] == [(0, 0), (3, 0), (3, 4), (3, 8), (4, 0), (4, 4), (5, 0)]


def test_scales_are_taken_where_squares_would_leave_float64() -> None:
    for largest, scale in ((1e140, 1e140), (9.9e139, 1), (1e-140, 1e-140), (1.1e-140, 1), (0.0, 0.0), (math.inf, 1)):
        part = _measured(np.array([largest, -0.0]))
        assert (part[0], part[2:]) == (scale, (-0.0, largest, 0 if largest < math.inf else 1))
    assert stored.moments([_measured(np.zeros(2)), _measured(np.zeros(2))]) == stored.Moments(0, 0, 0, 0)
    assert stored.moments([_measured(np.array([-3.0])), _measured(np.array([4.0]))]) == stored.Moments(5, -3, 4, 0)
    assert _measured(np.array([-1e200, 1.0]))[0] == 1e200


def said_of(source: Input) -> str:
    with pytest.raises(GencliError) as refused:
        stored.tensors(source)
    return refused.value.message.replace(source.name, "t")


def test_a_header_is_as_long_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored.tensors(header(tmp_path, {}, 0)) == ([], {})
    assert said_of(header(tmp_path, {}, 1)) == "t: cut short: 11 bytes are too few for its tensors"
    assert said_of(header(tmp_path, {"a": ENTRY}, 15)).endswith("bytes are too few for its tensors")
    source = header(tmp_path, {"a": ENTRY}, 16)
    content = (tmp_path / "t.safetensors").read_bytes()
    length = len(content) - 24
    assert [each.start for each in stored.tensors(source)[0]] == [8 + length]
    for size in (1, length + 17):
        (tmp_path / "t.safetensors").write_bytes(size.to_bytes(8, "little") + content[8:])
        assert said_of(Input(str(tmp_path / "t.safetensors"))) == "t: not safetensors, or cut short"
    monkeypatch.setattr(stored, "_HEADER", length)
    assert stored.tensors(header(tmp_path, {"a": ENTRY}, 16))[0]
    monkeypatch.setattr(stored, "_HEADER", length - 1)
    assert said_of(header(tmp_path, {"a": ENTRY}, 16)) == f"t: a header of {length} bytes before 16 of tensors"
    monkeypatch.setattr(stored, "_HEADER", 0)
    for rows, fits in ((99, True), (1, False)):
        entry = {"dtype": "U8", "shape": [rows], "data_offsets": [0, rows]}
        if fits:
            assert stored.tensors(header(tmp_path, {"a": entry}, rows))[0]
        else:
            assert "bytes before 1 of tensors" in said_of(header(tmp_path, {"a": entry}, rows))


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ({"shape": [1] * 64, "data_offsets": [0, 4]}, True), ({"shape": [1] * 65, "data_offsets": [0, 4]}, False),
        ({"shape": [], "data_offsets": [0, 4]}, True), ({"shape": [0, 5], "data_offsets": [0, 0]}, True),
        ({"shape": [True], "data_offsets": [0, 4]}, False), ({"shape": [1], "data_offsets": [-4, 0]}, False),
        ({"shape": [1], "data_offsets": [0, 3]}, False), ({"shape": [1], "data_offsets": [0, 5]}, False),
        ({"dtype": "F4", "shape": [8], "data_offsets": [0, 4]}, True),
        ({"dtype": "F4", "shape": [7], "data_offsets": [0, 4]}, False),
    ],
)  # fmt: skip
def test_a_tensor_is_as_long_as_its_shape_says(entry: dict[str, Any], fits: bool, tmp_path: Path) -> None:
    source = header(tmp_path, {"a": {"dtype": "F32"} | entry}, max(0, entry["data_offsets"][1]))
    if fits:
        [found] = stored.tensors(source)[0]
        assert found.shape == tuple(entry["shape"])
    else:
        assert said_of(source).startswith("t: not safetensors: tensor 'a' ")


def test_a_file_that_shrinks_meanwhile_is_said(tmp_path: Path) -> None:
    source = header(tmp_path, {"a": ENTRY}, 16)
    [found] = stored.tensors(source)[0]
    assert found.values(source, 3).tolist() == [0]
    assert found.values(source, 1, 2).tolist() == [0, 0]
    assert found.values(source, 4).tolist() == []
    path = tmp_path / "t.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GencliError, match=r"changed while it was read$"):
        found.values(Input(str(path)))
