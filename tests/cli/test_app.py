"""How errors are explained: in two lines, none of them endless."""

from __future__ import annotations

from typing import Any

import pytest

from gencli.cli import aborts, app, console
from gencli.errors import GencliError


def test_long_lines_keep_their_ends() -> None:
    assert app._shortened("x" * 1000) == "x" * 1000
    assert app._shortened("a" * 700 + "b" * 101 + "c" * 200) == f"{'a' * 700} … {'c' * 200}"
    assert app._shortened("a\x1b") == "a\ufffd"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (OSError(5, "Input/output error", "x"), ("x: Input/output error", "check the file and the disk")),
        (OSError("strange"), ("strange", "check the file and the disk")),
        (ValueError("bad"), ("unexpected ValueError: bad", "--debug shows where; please report it")),
        (MemoryError(), ("out of memory", aborts.OUT_OF_MEMORY)),
        (
            RuntimeError("x does not have a deterministic implementation\nmore"),
            ("x does not have a deterministic implementation", "use --device cpu, or another network"),
        ),
    ],
)
def test_errors_that_are_none_of_ours_are_said_in_words(
    wrong: BaseException, words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = list[Any]()
    monkeypatch.setattr(app, "_drop_buffered", lambda *places: dropped.append(places))
    assert app._words(wrong) == words
    assert bool(dropped) == isinstance(wrong, OSError)


def test_an_explanation_has_two_lines_and_a_traceback_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app._explain("gencli x", "wrong", "mend it", True)
    assert capsys.readouterr().err == "gencli x: wrong\n  mend it\n"
    app._explain("gencli x", "wrong", "", True)
    assert capsys.readouterr().err == "gencli x: wrong\n"
    monkeypatch.setattr(console, "debug", True)
    try:
        raise GencliError("wrong", "mend it")
    except GencliError:
        app._explain("gencli x", "wrong", "mend it")
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):\n")
    assert said.endswith("gencli x: wrong\n  mend it\n")


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("data digits --limit x", 2, "gencli data digits: Invalid value for '--limit': 'x' is not a valid int"),
        ("data digits --split none", 2, "gencli data digits: Invalid value for '--split': "),
        ("show missing.parquet", 2, "gencli show: missing.parquet: no such file"),
    ],
)
def test_a_mistake_has_status_2(line: str, status: int, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert app.main(line.split()) == status
    told = capfd.readouterr().err
    assert told.startswith(said)
    assert len(told.splitlines()) == 2
