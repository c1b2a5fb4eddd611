"""What is read is told by its start and end, hashed, and refused where it changed meanwhile."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import xxhash

from gencli.errors import GencliError
from gencli.files import incoming
from gencli.files.incoming import Input


def given(folder: Path, content: bytes, name: str = "a") -> Input:
    (folder / name).write_bytes(content)
    return Input(str(folder / name))


def refusal(source: Input, kind: str = "Parquet", end: bytes = b"PAR1") -> tuple[str, str]:
    with pytest.raises(GencliError) as refused:
        source.expect(kind, b"PAR1", end)
    return refused.value.message.removeprefix(source.name), refused.value.hint


def test_a_file_starts_and_ends_as_its_kind_does(tmp_path: Path) -> None:
    given(tmp_path, b"PAR1PAR1").expect("Parquet", b"PAR1", b"PAR1")
    given(tmp_path, b"PAR1").expect("Parquet", b"PAR1")
    made = "what made it did not finish; make it again"
    for content in (b"PAR1", b"PAR1AR1", b"PAR1PAR2"):
        assert refusal(given(tmp_path, content)) == (": cut short, no Parquet footer", made)
    assert refusal(given(tmp_path, b"")) == (": empty, not Parquet", "what made it wrote nothing; make it again")
    assert refusal(given(tmp_path, b"PAR")) == (": not Parquet (it starts with b'PAR')", "give a file that is Parquet")


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.npy", "arrays"), ("a.NPZ", "arrays"), ("a.pt", "arrays"), ("a.csv", "csv"), ("a.zip", "folder"),
        ("a.txt", ""),
        ("csv", ""),
    ],
)  # fmt: skip
def test_what_reads_a_file_of_another_kind_is_said(name: str, reader: str, tmp_path: Path) -> None:
    more = f"; gencli data {reader} makes an image table of images" if reader else ""
    assert refusal(given(tmp_path, b"else", name))[1] == f"give a file that is Parquet{more}"
    assert refusal(given(tmp_path, b"else", name), "safetensors")[1] == "give a file that is safetensors"
    length = given(tmp_path, b'12345678{"', name)
    assert refusal(length)[1] == "it is safetensors, such as a model; give a file that is Parquet"


def test_a_pipe_of_another_format_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = given(tmp_path, b"else")
    source.path = None
    for form, hint in (
        ("csv", "GENCLI_FORMAT=csv writes no Parquet into pipes; give the command before it --format parquet"),
        ("parquet", "give a file that is Parquet"),
    ):
        monkeypatch.setenv("GENCLI_FORMAT", form)
        assert refusal(source)[1] == hint
    empty = given(tmp_path, b"")
    empty.path = None
    assert refusal(empty)[1] == "the command before it in the pipe wrote nothing"


def test_bytes_are_looked_at_wherever_they_stand(tmp_path: Path) -> None:
    source = given(tmp_path, b"abcdef")
    assert [source.peek(*each) for each in ((0, 2), (4, 9), (-3, 2), (6, 1))] == [b"ab", b"ef", b"ab", b""]
    assert [source.starts(b"ab"), source.starts(b"cd", 2), source.starts(b"cd"), source.starts(b"efg", 4)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert source.same_file(os.stat(tmp_path / "a"))
    assert not source.same_file(os.stat(tmp_path))


def test_a_hash_is_that_of_the_content_and_of_it_with_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_CHUNK", 7)
    content = bytes(range(100))
    source = given(tmp_path, content)
    assert source.sha256 == hashlib.sha256(content).hexdigest()
    for start, count in ((0, 5), (13, 20), (95, 5), (50, 0)):
        blank = content[:start] + b"0" * count + content[start + count :]
        assert source.blanked(start, count) == xxhash.xxh3_128_hexdigest(blank)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    for change in (lambda path: path.write_bytes(b"longer"), lambda path: os.utime(path, (1, 1))):
        source = given(tmp_path, b"abc")
        _ = source.sha256
        source.settle()
        change(tmp_path / "a")
        with pytest.raises(GencliError, match=r"changed while it was read$"):
            source.settle()


@pytest.mark.parametrize(("size", "at_once"), [(3, True), (4, False)])
def test_a_small_file_is_checked_at_once_and_another_at_its_end(
    size: int, at_once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "_CHECKED_AT_ONCE", 3)
    source, checked = given(tmp_path, b"x" * size), list[int]()
    source.check_whole(lambda: checked.append(1))
    assert bool(checked) == at_once
    _ = source.sha256, source.sha256
    assert checked == [1]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=r"^a file name is empty$"):
        Input("")
    with pytest.raises(GencliError, match=r"is a Git LFS pointer, not the file$"):
        given(tmp_path, b"version https://git-lfs.github.com/spec/v1\n")
