"""Progress that does not wait for the work to tell of itself; messages, colour, and what steers no terminal."""

import io
import os
import pty
import re
import select
import termios
import time
from types import SimpleNamespace

import pytest

from gencli.cli import console


def test_a_step_that_says_nothing_is_not_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(console, "_LINE_EVERY", 0.1)
    monkeypatch.setattr(console, "_LOOK_EVERY", 0.02)
    with console.progress("claims", 3) as advance:
        advance(1, "newton-step")
        said, end = "", time.monotonic() + 30
        while said.count("\n") < 2 and time.monotonic() < end:
            time.sleep(0.05)
            said += capsys.readouterr().err
    assert said.startswith("claims: 1 of 3 newton-step\nclaims: 1 of 3 newton-step, ")
    capsys.readouterr()
    time.sleep(0.2)
    assert not capsys.readouterr().err


def test_quiet_progress_is_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(console, "_LINE_EVERY", 0)
    monkeypatch.setattr(console, "_LOOK_EVERY", 0.01)
    monkeypatch.setattr(console, "quiet", True)
    with console.progress("claims", 3) as advance:
        advance(1)
        time.sleep(0.1)
    assert not capsys.readouterr().err


def test_a_bar_fits_a_terminal_and_leaves_lines_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    monkeypatch.setattr(console, "_BAR_AFTER", 0.0)
    monkeypatch.delenv("COLUMNS", raising=False)
    with open(terminal, "w") as shown:
        monkeypatch.setattr("sys.stderr", shown)
        with console.progress("train", 100) as advance:
            advance(10, "words " * 100)
            advance(20, "epoch 1: loss 0.5", True)
            advance(60)
            time.sleep(0.3)
        told = b""
        while select.select([screen], [], [], 0)[0]:  # in pieces of 4 KiB
            told += os.read(screen, 1 << 16)
        text = told.decode()
    os.close(screen)
    assert text.endswith("\r\x1b[1A\x1b[2K")  # the bar's own line is empty at the end
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in re.split(r"[\r\n]+", text)]
    assert "epoch 1: loss 0.5" in lines
    assert any(re.fullmatch(r"train ━+.* 60% words words.*… \d:\d\d:\d\d [-:\d]+ left *", line) for line in lines), (
        lines
    )
    assert max(map(len, lines)) <= 80


Patch = pytest.MonkeyPatch


class Clock:
    """Seconds that pass where they are told to, and standard error as one who is no terminal reads it."""

    def __init__(self, patch: Patch, terminal: bool = False) -> None:
        self.now = 100.0
        self.shown = io.StringIO()
        self.shown.isatty = lambda: terminal  # type: ignore[method-assign]
        patch.setattr(console, "time", SimpleNamespace(monotonic=lambda: self.now))
        patch.setattr("sys.stderr", self.shown)

    def said(self) -> list[str]:
        lines = self.shown.getvalue().splitlines()
        self.shown.seek(0)
        self.shown.truncate()
        return lines


def test_where_there_is_no_terminal_a_line_comes_every_ten_seconds(monkeypatch: Patch) -> None:
    clock = Clock(monkeypatch)
    shown = console._Progress("rows", lambda: 2000)
    for seconds, done, lines in (
        (9.75, 1, []), (0.25, 1000, ["rows: 1,000 of 2,000"]), (9.75, 1001, []),
        (0.25, 1000, ["rows: 1,000 of 2,000, 20 s"]), (30, 1002, ["rows: 1,002 of 2,000"]),
    ):  # fmt: skip
        clock.now += seconds
        shown(done)
        assert clock.said() == lines
    clock.now += 10
    shown(1003, "a note")
    assert clock.said() == ["rows: 1,003 of 2,000 a note"]
    clock.now += 10
    shown.show()
    assert clock.said() == ["rows: 1,003 of 2,000 a note, 70 s"]
    clock.now += 10
    shown(1004)
    assert clock.said() == ["rows: 1,004 of 2,000"]
    clock.now += 10
    shown.stop()
    shown.show()
    assert clock.said() == []


def test_a_line_of_the_work_s_own_is_one_for_ten_seconds(monkeypatch: Patch) -> None:
    clock = Clock(monkeypatch)
    shown = console._Progress("rows", 9)
    clock.now += 8
    shown(1, "epoch 1", True)
    assert clock.said() == ["epoch 1"]
    clock.now += 9
    shown(2)
    shown.show()
    assert clock.said() == []
    clock.now += 1
    shown(3, "epoch 2", True)
    assert clock.said() == ["epoch 2"]
    clock.now += 10
    shown.show()
    assert clock.said() == ["rows: 3 of 9"]
    monkeypatch.setattr(console, "quiet", True)
    clock.now += 10
    shown(4, "epoch 3", True)
    shown.show()
    assert clock.said() == []


def test_what_looks_at_the_work_is_called_twice_a_second(monkeypatch: Patch) -> None:
    clock, seen = Clock(monkeypatch), list[float]()
    monkeypatch.setattr(console, "_looks", [])
    look = console.while_working(lambda: seen.append(clock.now - 100))
    assert callable(look)
    shown = console._Progress("rows", 9)
    for seconds in (0, 0.25, 0.25, 0.25, 0.25, 1):
        clock.now += seconds
        shown(1)
    assert seen == [0, 0.5, 1, 2]


def test_a_bar_comes_after_two_seconds(monkeypatch: Patch) -> None:
    clock, bars = Clock(monkeypatch, terminal=True), list[tuple[object, ...]]()

    class Bar:
        task_ids = (7,)

        def update(self, task: int, **facts: object) -> None:
            bars.append((task, *facts.values()))

        def stop(self) -> None:
            bars.append(("stopped",))

    monkeypatch.setattr(console, "_bar", lambda what, since: bars.append((what, since)) or Bar())
    monkeypatch.setattr(console, "columns", lambda: 10 + 4 + 55)
    shown = console._Progress("rows", 9)
    clock.now += 1.75
    shown(1, "a note of many words")
    assert bars == []
    clock.now += 0.25
    shown(2)
    assert bars == [("rows", 100.0), (7, 2, 9, "a note of\u2026")]
    shown(3, "new")
    shown(4, "a line", True)
    assert bars[2:] == [(7, 3, 9, "new"), (7, 4, 9, "new")]
    monkeypatch.setattr(console, "columns", lambda: 4 + 55)
    shown(5)
    shown.stop()
    shown(6)
    assert bars[4:] == [(7, 5, 9, ""), ("stopped",)]
    assert clock.said() == ["a line"]


def test_a_line_holds_so_many_characters_and_none_that_steers() -> None:
    assert [console.printable("abcd", most) for most in (None, 5, 4, 3)] == ["abcd", "abcd", "abcd", "ab\u2026"]
    assert console.printable("a\x1b[2J\nb") == "a\ufffd[2J\ufffdb"
    assert console.quoted("x" * 9, 9) == "'xx...xx'"
    assert console.quoted("a" * 78) == repr("a" * 78)
    for text, shown in (
        ("a\x1bb", "a\\u001bb"),
        ("\U000e0001", "\\udb40\\udc01"),
        ("plain", "plain"),
        ("\x7f\x9b", "\\u007f\\u009b"),
    ):
        assert console.escaped(text) == shown
        assert console.unescaped(shown) == text
    assert console.unescaped("\\ud800 \\u00e9 \\u00E9") == "\\ud800 é \\u00E9"


def test_the_width_is_that_of_the_terminal_at_standard_error(monkeypatch: Patch) -> None:
    monkeypatch.setattr(console.stdout, "columns", lambda file: 70 + file)
    for file, width in ((SimpleNamespace(isatty=lambda: False), None), (None, None)):
        monkeypatch.setattr(console.sys, "stderr", file)
        assert console.columns() == width
    monkeypatch.setattr(console.sys, "stderr", SimpleNamespace(isatty=lambda: True, fileno=lambda: 7))
    assert console.columns() == 77


@pytest.mark.parametrize(
    ("quiet", "verbose", "width", "full"),
    [(False, False, None, False), (False, True, None, True), (False, False, 80, True), (True, True, 80, False)],
)
def test_messages_are_in_full_for_who_asks_or_sits_there(
    quiet: bool, verbose: bool, width: int | None, full: bool, monkeypatch: Patch
) -> None:
    for name, value in (("quiet", quiet), ("verbose", verbose), ("columns", lambda: width)):
        monkeypatch.setattr(console, name, value)
    assert console.in_full() == full
    clock = Clock(monkeypatch)
    console.message("1 rows")
    assert clock.said() == ([] if quiet else ["1 row"])
    console.error("an error")
    assert clock.said() == ["an error"]
    console.warned("first\nsecond", UserWarning)
    assert clock.said() == ([] if quiet else ["UserWarning: first"])


@pytest.mark.parametrize(
    ("asked", "no_color", "force", "terminal", "colored"),
    [
        (None, "", "", False, False), (None, "", "", True, True), (None, "", "1", False, True),
        (None, "1", "1", True, False), ("always", "1", "", False, True), ("never", "", "1", True, False),
        ("auto", "", "", True, True), ("auto", "", "", False, False),
    ],
)  # fmt: skip
def test_colour_is_as_asked_or_as_the_environment_or_the_terminal_says(
    asked: str | None, no_color: str, force: str, terminal: bool, colored: bool, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(console, "color", asked)
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("FORCE_COLOR", force)
    monkeypatch.setenv("TERM", "xterm-256color")
    made = console.rich_console(io.StringIO(), 33, terminal)
    assert (made.width, made.no_color, made.is_terminal) == (33, not colored, terminal or colored)
    assert (made.color_system is not None) == colored
    with made.capture() as told:
        made.print("[b]1[/b] :smile:", style="red")
    shown = told.get().rstrip("\n")
    assert shown == ("\x1b[31m[b]1[/b] :smile:\x1b[0m" if colored else "[b]1[/b] :smile:")
