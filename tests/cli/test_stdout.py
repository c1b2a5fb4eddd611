"""How wide standard output is, where it is, and who reads it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gencli.cli import stdout


def test_a_width_is_that_of_the_terminal_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda place: os.terminal_size((100 if place == 7 else 0, 0)))
    assert [stdout.columns(place) for place in (7, 8)] == [100, 80]
    for given, width in (("33", 33), ("0", 100), ("wide", 100), ("", 100)):
        monkeypatch.setenv("COLUMNS", given)
        assert stdout.columns(7) == width


def test_where_there_is_no_terminal_a_line_has_80_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(place: int) -> None:
        raise OSError

    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", none)
    assert stdout.columns(7) == 80


def test_what_was_printed_is_flushed_where_results_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        count = 0

        def flush(self) -> None:
            self.count += 1

    kept, shown = Counted(), Counted()
    monkeypatch.setattr("sys.stdout", shown)
    for place, counts in ((None, (0, 1)), (kept, (1, 1))):
        monkeypatch.setattr(stdout, "_kept", place)
        stdout.flush()
        assert (kept.count, shown.count) == counts
    monkeypatch.setattr(stdout, "_kept", None)
    monkeypatch.setattr("sys.stdout", None)
    stdout.flush()  # it may be closed


def test_paths_of_open_files_are_known_by_their_numbers(tmp_path: Path) -> None:
    links = {"out": "/dev/stdout", "again": "out", "three": "/dev/fd/3", "plain": "file", "round": "round"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "file").touch()
    numbers = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2, "/dev/fd/3": 3, "/dev/fd/11": 11} | {
        f"/proc/{os.getpid()}/fd/5": 5, "/proc/self/fd/5": 5, f"/proc/{os.getppid()}/fd/5": None, "/dev/fd/x": None,
        "/dev/fd/-1": None, "/dev/fd/\u0665": None, f"{tmp_path}/out": 1, f"{tmp_path}/again": 1,
        f"{tmp_path}/three": 3, f"{tmp_path}/plain": None, f"{tmp_path}/file": None, f"{tmp_path}/round": None,
        "/dev/null": None,
    }  # fmt: skip
    assert {path: stdout.number(path) for path in numbers} == numbers
    named = {None: True, "-": True, "/dev/stdout": True, "/dev/fd/2": False, "1": False, f"{tmp_path}/again": True}
    assert {path: stdout.is_it(path) for path in named} == named


@pytest.mark.parametrize(
    ("name", "expects"), [("a.parquet", True), ("a.pq", True), ("a.csv", False), ("parquet", False)]
)
def test_a_file_named_so_expects_parquet(
    name: str, expects: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / name, "w") as file:
        monkeypatch.setattr(stdout, "_kept", file)
        assert stdout.descriptor() == file.fileno()
        assert stdout.expects_parquet() == expects


def test_a_pipe_expects_parquet_where_another_gencli_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setattr(stdout, "descriptor", lambda: theirs)
    assert not stdout.expects_parquet()
    for place in (ours, theirs):
        os.close(place)


def test_streams_that_are_closed_get_nothing(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os.close(0)
        os.close(2)
        stdout.fill_closed()
        same = all(os.fstat(number).st_rdev == os.stat(os.devnull).st_rdev for number in (0, 2))
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
