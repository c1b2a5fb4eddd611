"""Safetensors files: the same bytes every time, and nothing but gencli's is taken."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from gencli.errors import GencliError
from gencli.files import tensors
from gencli.files.stream import Input, Output

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([1.5]), "count": torch.tensor(7)}
FACTS = {"architecture": "toy", "classes": ["Größe", "b"], "training": {"lr": 0.1}}


def save(path: Path, content: dict[str, torch.Tensor] = TENSORS) -> Path:
    with Output(str(path)) as output:
        tensors.write(output, content, FACTS)
    return path


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    source = Input(str(save(tmp_path / "toy.safetensors")))
    again = tensors.read(source)
    assert set(again) == set(TENSORS)
    assert all(
        torch.equal(again[name], tensor) and again[name].dtype == tensor.dtype for name, tensor in TENSORS.items()
    )
    assert tensors.read_metadata(source) == FACTS


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    first = save(tmp_path / "first.safetensors").read_bytes()
    assert save(tmp_path / "second.safetensors").read_bytes() == first


def test_plain_safetensors_reads_it_with_all_metadata_under_one_key(tmp_path: Path) -> None:
    with safe_open(save(tmp_path / "toy.safetensors"), "pt") as file:
        metadata = file.metadata()
        assert set(file.keys()) == set(TENSORS)
    assert list(metadata) == ["gencli"]
    assert {**json.loads(metadata["gencli"]), "seal": None} == {**FACTS, "seal": None}


def test_any_strides_are_written(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3).T
    source = Input(str(save(tmp_path / "toy.safetensors", {"weight": weight})))
    assert torch.equal(tensors.read(source)["weight"], weight)


@given(part=st.floats(0, 0.999))
def test_a_file_cut_anywhere_is_refused(part: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = save(tmp_path_factory.mktemp("cut") / "toy.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(GencliError, match=r"toy.safetensors: (empty|not safetensors, or cut short|cut short)"):
        tensors.read_metadata(Input(str(path)))


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1 and so on, no tensors",
        b"PARE and so on: encrypted Parquet, not safetensors",
        b"\2\0\0\0\0\0\0\0[]",
        b"\2\0\0\0\0\0\0\0{}",
    ],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(GencliError, match="safetensors"):
        tensors.read_metadata(Input(str(path)))


def test_tensors_of_other_programs_are_refused(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(GencliError, match="safetensors that gencli did not write"):
        tensors.read_metadata(Input(str(tmp_path / "other.safetensors")))


def made(header: bytes, data: bytes = bytes(8)) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (made(b'{"a":' + b"9" * (17 << 20)), "a header of 17,825,797 bytes before 8 of tensors"),
        (made(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[%d,8]}}' % 4), "not safetensors"),
        (
            made(
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,8]}}'
            ),
            "not safetensors",
        ),
        (
            made(
                b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
            ),
            "not safetensors",
        ),
        (made(b'{"a":{"dtype":"F32","shape":[9223372036854775807,0,7],"data_offsets":[0,0]}}', b""), "not safetensors"),
        (made(b'{"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8]}}'), "torch has no tensors of type 'F4'"),
    ],
    ids=["long header", "gap", "overlap", "a name twice", "shape", "type"],
)
def test_headers_that_fit_no_tensors_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.safetensors"
    path.write_bytes(content)
    with pytest.raises(GencliError, match=rf"^{path}: {says}"):
        tensors.read(Input(str(path)))


def test_tensors_without_numbers_may_have_any_sides(tmp_path: Path) -> None:
    path = tmp_path / "empty.safetensors"
    for sides, fits in (([0, 1 << 62], True), ([1 << 62, 0], True), ([0, 1 << 63], False), ([2, 0, 1 << 62], False)):
        entry = {"dtype": "F32", "shape": sides, "data_offsets": [0, 0]}
        path.write_bytes(made(json.dumps({"a": entry}).encode(), b""))
        if fits:
            assert tensors.read(Input(str(path)))["a"].shape == tuple(sides)
        else:
            with pytest.raises(GencliError, match="not safetensors"):
                tensors.read(Input(str(path)))


def test_tensors_may_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(
        made(
            b'{"a":{"dtype":"U8","shape":[6],"data_offsets":[2,8]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
            bytes(range(8)),
        )
    )
    assert {name: each.tolist() for name, each in tensors.read(Input(str(path))).items()} == {
        "a": [2, 3, 4, 5, 6, 7],
        "b": [0, 1],
    }
