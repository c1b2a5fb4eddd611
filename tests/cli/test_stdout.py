"""How wide standard output is."""

from __future__ import annotations

import os

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
