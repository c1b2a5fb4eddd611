"""Every bit of a file of ours counts: one that is flipped is refused, never read as other data."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from xxhash import xxh3_128

from gencli.errors import GencliError
from gencli.files import checkpoints, incoming, parquet, provenance, seals, tables, tensors
from gencli.files.stream import Input, Output
from gencli.sources import open_table
from tests.helpers import image_table, read, save

MADE = provenance.step("train", {"epochs": 3})


def flips(path: Path, count: int) -> list[tuple[int, int]]:
    """Places of bytes spread over the file, and a bit of each."""
    size = path.stat().st_size
    return [(number * size // count, number % 8) for number in range(count)]


def flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "toy.parquet"
    save(image_table(6), path)
    for place, bit in flips(path, 600):
        flip(path, place, bit)
        with pytest.raises(GencliError, match="toy"):
            read(open_table(str(path)))
        flip(path, place, bit)
    read(open_table(str(path)))


def test_tensors(tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    with Output(str(path)) as output:
        tensors.write(output, {"weight": torch.arange(6.0)}, {"step": MADE, "classes": ['"seal":"', "b"]})
    for place, bit in flips(path, path.stat().st_size):
        flip(path, place, bit)
        with pytest.raises(GencliError, match=r"safetensors|metadata|cut short"):
            tensors.read_metadata(Input(str(path)))
        flip(path, place, bit)
    assert tensors.read_metadata(Input(str(path)))["classes"] == ['"seal":"', "b"]


def test_a_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "toy.checkpoint")
    checkpoints.write(path, "toy", {"weight": torch.arange(6.0)}, MADE, "step 7", {"step": 7})
    for place, bit in flips(Path(path), 200):
        flip(Path(path), place, bit)
        with pytest.raises(GencliError):
            checkpoints.read(path, "toy", MADE)
        flip(Path(path), place, bit)
    found = checkpoints.read(path, "toy", MADE)
    assert found is not None
    found.facts.same("step", 7)


def test_a_large_table_is_refused_before_its_reader_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_CHECKED_AT_ONCE", 0)
    path = tmp_path / "toy.parquet"
    save(image_table(6), path)
    at = path.read_bytes().index(b"class 0")
    path.write_bytes(path.read_bytes()[:at] + b"glass" + path.read_bytes()[at + 5 :])
    table = open_table(str(path))
    for use in (lambda: read(table), lambda: tables.sources(open_table(str(path)), "data")):
        with pytest.raises(GencliError, match="not the Parquet that gencli sealed"):
            use()


@pytest.mark.parametrize("piped", [False, True])
def test_the_hash_is_of_the_whole_file_its_seal_blank(
    piped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "toy.parquet"
    save(image_table(3000, (8, 8, 3)), path)
    content, seal = path.read_bytes(), pq.read_metadata(path).metadata[seals.KEY.encode()]
    assert content.count(seal) == 1
    assert xxh3_128(content.replace(seal, seals.BLANK.encode())).hexdigest() == seal.decode()
    if piped:
        pipe, end = os.pipe()
        monkeypatch.setattr("sys.stdin", os.fdopen(pipe))

        def feed() -> None:
            with os.fdopen(end, "wb") as writer:
                writer.write(content)

        threading.Thread(target=feed).start()
    source = Input("-" if piped else str(path))
    place = seals.place_in_footer(source)
    assert place is not None
    assert source.blanked(place, 32) == seal.decode()
    assert source.sha256 == hashlib.sha256(content).hexdigest()


def test_what_others_rewrote_is_theirs(tmp_path: Path) -> None:
    save(image_table(6), tmp_path / "toy.parquet")
    pq.write_table(pq.read_table(tmp_path / "toy.parquet"), tmp_path / "theirs.parquet")
    assert open_table(str(tmp_path / "theirs.parquet")).made is None
    assert parquet.read_provenance(parquet.open_file(Input(str(tmp_path / "toy.parquet")))) is not None
