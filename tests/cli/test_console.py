"""Progress that does not wait for the work to tell of itself."""

import os
import pty
import re
import select
import termios
import time

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
