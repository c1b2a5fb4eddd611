"""Arrays of other tools' files against the tools themselves, and files that were made to be refused."""

from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gencli.errors import GencliError
from gencli.files import arrays
from gencli.files.stream import Input


def read(path: Path) -> dict[str, Any]:
    return arrays.read(Input(str(path)))


@pytest.mark.parametrize("dtype", ["u1", "i2", ">i4", "<u8", "f2", ">f4", "f8", "?"])
@pytest.mark.parametrize("order", "CF")
def test_npy_and_npz_are_read_as_numpy_reads_them(dtype: str, order: str, tmp_path: Path) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4).astype(dtype), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array=array, words=np.array(["a"]))
    np.savez_compressed(tmp_path / "b.npz", array=array)
    assert np.array_equal(read(tmp_path / "a.npy")[""], array)
    for name in ("a.npz", "b.npz"):
        found = read(tmp_path / name)
        assert [*found] == ["array"]
        assert np.array_equal(found["array"], array)


def test_npy_is_mapped_and_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1000, 1000)))
    found = read(tmp_path / "a.npy")[""]
    assert not found.flags.owndata
    assert not found.flags.writeable


def test_pt_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(2, 3, 4)
    saved = {
        "transposed": whole.transpose(0, 2), "part": whole[1:, ::2], "same": whole, "half": whole.half(),
        "bytes": torch.arange(5, dtype=torch.uint8), "truths": torch.tensor([True, False]), "one": torch.tensor(3),
        "none": torch.zeros(0, 3), "numpy": np.arange(6).reshape(2, 3).T, "big": np.arange(3, dtype=">i2"),
        "list": [3, 1, 2], "fortran": np.asfortranarray(np.eye(3)[:2]), "words": ["a"], "number": 3,
        "rows": np.arange(6).reshape(2, 3), "parameter": torch.nn.Parameter(whole[0], requires_grad=False),
    }  # fmt: skip
    torch.save(saved, tmp_path / "a.pt")
    found = read(tmp_path / "a.pt")
    assert found.keys() == saved.keys() - {"words", "number"}
    for name, value in found.items():
        assert np.array_equal(value, np.asarray(saved[name])), name
    for protocol in (2, 3, 4):
        torch.save(collections.OrderedDict(a=whole, b=np.arange(3)), tmp_path / "b.pt", pickle_protocol=protocol)
        assert np.array_equal(read(tmp_path / "b.pt")["b"], np.arange(3))
    torch.save(whole, tmp_path / "c.pt")
    assert np.array_equal(read(tmp_path / "c.pt")[""], whole.numpy())
    for pair in ((whole, torch.arange(2)), [whole, [5, 6]], (np.eye(3), None, torch.arange(2))):
        torch.save(pair, tmp_path / "d.pt")
        found = read(tmp_path / "d.pt")
        assert found.keys() == {str(place) for place, each in enumerate(pair) if each is not None}
        assert all(np.array_equal(array, np.asarray(pair[int(name)])) for name, array in found.items())


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"a/{name.replace('_', '.')}", content)
    return path


def test_code_is_never_run_nor_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pickle, "Unpickler", None)
    for number, protocol in enumerate((2, 4)):
        evil = pickle.dumps({"label": _Evil()}, protocol)
        with pytest.raises(GencliError, match="which is code and is never run"):
            read(packed(tmp_path / f"{number}.pt", data_pkl=evil))
    np.save(tmp_path / "o.npy", np.array([_Evil()], object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", a=np.array([_Evil()], object))
    for name in ("o.npy", "o.npz"):
        with pytest.raises(GencliError, match="Python objects, which are never unpickled"):
            read(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


FORM = "{{'descr': {}, 'fortran_order': {}, 'shape': {}, }}"
BAD = {
    "huge": npy(FORM.format("'<f8'", False, (1 << 40, 1 << 40))),
    "negative": npy(FORM.format("'|u1'", False, (-1, -4)), bytes(4)),
    "truth": npy(FORM.format("'|u1'", False, (True, 4)), bytes(4)),
    "short": npy(FORM.format("'|u1'", False, (5,)), bytes(4)),
    "long": npy(FORM.format("'|u1'", False, (3,)), bytes(4)),
    "parts": npy(FORM.format("[('a', '|u1')]", False, (4,)), bytes(4)),
    "words": npy(FORM.format("'<U1'", False, (1,)), bytes(4)),
    "code": npy("__import__('os').system('true')"),
    "keys": npy("{'descr': '|u1'}", bytes(4)),
    "order": npy(FORM.format("'|u1'", "'no'", (4,)), bytes(4)),
    "nested": npy("(" * 100),
    "version": b"\x93NUMPY\x09\x00" + bytes(100),
    "cut": b"\x93NUMPY\x01\x00\xff\xff{",
    "head": b"\x93NUMPY",
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_headers_are_refused(name: str, tmp_path: Path) -> None:
    for suffix in ("npy", "npz"):
        path = tmp_path / f"a.{suffix}"
        if suffix == "npy":
            path.write_bytes(BAD[name])
        else:
            packed(path, a_npy=BAD[name])
            if name == "words":
                continue  # left out, as other members
        with pytest.raises(GencliError, match=r"a.np[yz]: (corrupt|no arrays|it holds .*, not numbers)"):
            read(path)


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(65 << 20, np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", content.getbuffer())
    with pytest.raises(GencliError, match="packed in"):
        read(tmp_path / "a.npz")


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(1000))
    torch.save(torch.arange(1000), tmp_path / "a.pt")
    random = np.random.default_rng(0)
    for name in ("a.npz", "a.pt"):
        whole = (tmp_path / name).read_bytes()
        right = next(iter(read(tmp_path / name).values()))
        for _ in range(60):
            damaged = bytearray(whole)
            damaged[random.integers(len(whole))] ^= 1 << random.integers(8)
            (tmp_path / "b").write_bytes(damaged[: None if random.random() < 0.7 else random.integers(len(whole))])
            try:
                found = read(tmp_path / "b")
            except GencliError:
                continue
            assert all(np.array_equal(array, right) for array in found.values())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"\x80\x02(lp0\n0\x85.", "does not need|numbers do not need"),
        (b"\x80\x02]h\x05.", "names what it lacks"),
        (b"\x80\x02]u.", "another form"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "corrupt"),
        (b"\x80\x02}", "corrupt"),
        (b"", "corrupt"),
    ],
)
def test_pickles_of_another_form_are_refused(value: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=said):
        read(packed(tmp_path / "a.pt", data_pkl=value))


def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path: Path) -> None:
    torch.save(torch.zeros(4).as_strided((2, 2), (2, 1)), tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        pickled = archive.read("a/data.pkl")
    forged = pickled.replace(b"K\x02K\x01\x86", b"K\x03K\x01\x86", 1)
    assert forged != pickled
    with zipfile.ZipFile(packed(tmp_path / "b.pt", data_pkl=forged), "a") as archive:
        archive.writestr("a/data/0", bytes(16))
    with pytest.raises(GencliError, match="a tensor of 4 values in a storage of 4"):
        read(tmp_path / "b.pt")
    torch.save(torch.zeros(1).expand(1 << 30), tmp_path / "c.pt")
    with pytest.raises(GencliError, match="a tensor of"):
        read(tmp_path / "c.pt")
