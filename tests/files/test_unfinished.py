"""A result on its way: whole rows at any moment, under a name of its own, locked while it is written."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from gencli.files import unfinished
from gencli.files.unfinished import Live, beside, is_one, is_written


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr(unfinished, "_PAUSE", 0.0)
    return Live(tmp_path / "history.csv")


def test_rows_are_appended_and_the_file_goes_with_success(live: Live, tmp_path: Path) -> None:
    assert live.path == tmp_path / "history.unfinished.csv"
    live.show(lambda: b"epoch\n1\n")
    seen = os.open(live.path, os.O_RDONLY)
    live.show(lambda: b"epoch\n1\n2\n")
    assert os.read(seen, 99) == b"epoch\n1\n2\n"  # the very file that `tail -f` has open
    os.close(seen)
    assert is_written(live.path)
    live.close(complete=True)
    assert not os.listdir(tmp_path)


def test_what_does_not_go_on_as_before_takes_the_place_of_the_whole(live: Live) -> None:
    live.show(lambda: b"[1]")
    seen = os.open(live.path, os.O_RDONLY)
    live.show(lambda: b"[1,2]")
    assert os.read(seen, 99) == b"[1]"
    assert live.path.read_bytes() == b"[1,2]"
    os.close(seen)
    live.close(complete=False)
    assert live.path.read_bytes() == b"[1,2]"
    assert not is_written(live.path)


def test_the_last_rows_are_written_whatever_the_pause(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_PAUSE", 1e9)
    live.show(lambda: b"1")
    assert not live.path.exists()
    live.show(lambda: b"12", last=True)
    assert live.path.read_bytes() == b"12"
    live.close(complete=False)


def test_a_disk_without_room_ends_it_and_not_the_work(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    live.show(lambda: b"1")
    live.show(lambda: b"12")
    live.close(complete=True)
    assert capsys.readouterr().err.count("goes on without it") == 1
    assert not os.listdir(live.path.parent)


def test_names() -> None:
    assert beside(Path("a/b.parquet")) == Path("a/b.unfinished.parquet")
    assert beside(Path("b")) == Path("b.unfinished")


def test_there_is_a_pause_between_two_writes(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(unfinished, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(unfinished, "_PAUSE", 0.25)
    live._last = 10.0
    written = list[bytes]()
    for seconds, content, last in (
        (0.125, b"1", False), (0.125, b"12", False), (0, b"123", False), (0.25, b"1234", False), (9, b"12345", True),
        (0, b"123456", False), (0, b"1234567", False), (0, b"12345678", True), (9, b"123456789", True),
    ):  # fmt: skip
        now[0] += seconds
        live.show(lambda content=content: content, last)
        written.append(live.path.read_bytes() if live.path.exists() else b"")
    assert written == [b"", b"12", b"12", b"1234", b"1234", b"123456", b"123456", b"12345678", b"12345678"]
    live.close(complete=True)
    live.close(complete=True)


def test_what_is_on_its_way_is_known_by_its_name(tmp_path: Path) -> None:
    names = {
        "a.unfinished.csv": True,
        "a.unfinished": False,
        "b/a.unfinished.csv": True,
        "unfinished.csv": False,
        "a.csv": False,
    }
    assert {name: is_one(name) for name in names} == names
    assert not is_written(tmp_path / "missing")
