"""A history that grows is drawn whenever it has changed, over the picture before, until its run has ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gencli.errors import GencliError
from gencli.reporting import following


class Run:
    """What is done to the files of a run while nobody looks, one act a pause."""

    def __init__(self, folder: Path) -> None:
        self.final, self.unfinished = folder / "h.csv", folder / "h.unfinished.csv"
        self.running, self.acts, self.lines = False, list[Callable[[], None]](), 24
        self.drawn: list[tuple[str, int]] = []
        self.asked: list[int] = []

    def pause(self, seconds: float) -> None:
        assert seconds == 0.5
        self.acts.pop(0)()

    def size(self, descriptor: int) -> SimpleNamespace:
        self.asked.append(descriptor)
        return SimpleNamespace(lines=self.lines)

    def write(self, content: str, changed: int) -> None:
        self.unfinished.write_text(content)
        os.utime(self.unfinished, ns=(0, changed))
        self.running = True

    def end(self) -> None:
        self.unfinished.rename(self.final)
        self.running = False

    def kill(self) -> None:
        self.running = False

    def draw(self, path: str, height: int) -> str:
        self.drawn.append((Path(path).name, height))
        text = Path(path).read_text()
        if "torn" in text:
            raise GencliError("no history")
        return text

    def follow(self) -> bool:
        return following.follow(str(self.final), self.draw)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = Run(tmp_path)
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=made.pause))
    monkeypatch.setattr(os, "get_terminal_size", made.size)
    monkeypatch.setattr(following, "unfinished", SimpleNamespace(
        beside=lambda path: made.unfinished, is_written=lambda path: path == made.unfinished and made.running
    ))  # fmt: skip
    monkeypatch.setattr(following, "stdout", SimpleNamespace(descriptor=lambda: None))
    return made


def test_a_run_is_waited_for_and_drawn_when_it_has_changed_until_it_has_its_own_name(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run.acts = [
        lambda: None,
        lambda: None,
        lambda: run.write("one\n", 1),
        lambda: None,
        lambda: run.write("one\ntwo\n", 2),
        run.end,
    ]
    assert run.follow()
    assert run.drawn == [("h.unfinished.csv", 23)] * 2 + [("h.csv", 23)]
    assert run.asked == [1, 1, 1]
    shown, said = capfd.readouterr()
    assert shown == (
        "one\x1b[K\n\x1b[J" + "\x1b[1Fone\x1b[K\ntwo\x1b[K\n\x1b[J" + "\x1b[2Fone\x1b[K\ntwo\x1b[K\n\x1b[J"
    )
    assert said.count("no such file yet, waiting for its first epoch; Ctrl-C ends it") == 1


def test_what_a_killed_run_left_is_drawn_once_more_and_is_no_end(run: Run) -> None:
    run.write("one\n", 1)
    run.acts = [run.kill]
    assert not run.follow()
    assert run.drawn == [("h.unfinished.csv", 23)] * 2


@pytest.mark.parametrize(("left", "ended"), [(4, True), (5, True), (6, False)])
def test_of_two_files_that_nobody_writes_the_later_is_drawn_and_of_two_as_late_the_finished_one(
    left: int, ended: bool, run: Run
) -> None:
    run.final.write_text("done\n")
    os.utime(run.final, ns=(0, 5))
    run.write("left\n", left)
    run.kill()
    assert run.follow() is ended
    assert run.drawn == [("h.csv" if ended else "h.unfinished.csv", 23)]


def test_a_file_that_goes_while_it_is_read_is_passed_over_and_a_finished_one_is_refused(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run.write("torn\n", 1)
    run.acts = [lambda: run.write("whole\n", 2), run.end]
    assert run.follow()
    assert [name for name, _ in run.drawn] == ["h.unfinished.csv", "h.unfinished.csv", "h.csv"]
    assert capfd.readouterr().out.startswith("whole\x1b[K\n")
    run.final.write_text("torn\n")
    with pytest.raises(GencliError, match="no history"):
        run.follow()


@pytest.mark.parametrize(("lines", "height"), [(1, 1), (2, 1), (4, 3)])
def test_a_picture_leaves_a_line_of_the_terminal_for_the_cursor(
    lines: int, height: int, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "stdout", SimpleNamespace(descriptor=lambda: 7))
    run.lines = lines
    run.final.write_text("1\n2\n3\n4\n5\n")
    assert run.follow()
    assert (run.drawn, run.asked) == ([("h.csv", height)], [7])
    assert capfd.readouterr().out == "".join(f"{n}\x1b[K\n" for n in range(1, height + 1)) + "\x1b[J"
