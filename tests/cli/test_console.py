"""Progress that does not wait for the work to tell of itself."""

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
