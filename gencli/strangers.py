"""Code that is not ours, which a command line names: it prints to standard error, and what it raises is its own."""

from __future__ import annotations

import os
import sys
import traceback
from types import FrameType
from typing import NoReturn

from gencli.cli import stdout
from gencli.errors import GencliError

_LONGEST = 300  # characters of an error's text
_known: frozenset[str] = frozenset()  # what was loaded before: ours, and the libraries that we use
_named = ""
_leave = os._exit


class _Left(SystemExit):
    """Code that was admitted calls os._exit, and would end the command with a status of its own and no result."""


def admit(name: str) -> None:
    """Before code is imported: `name` is what the command line calls it, as module:function."""
    global _known, _named  # noqa: PLW0603
    if not _named:
        _known = frozenset(map(_top, sys.modules)) - {"__main__"} | sys.stdlib_module_names
    _named = name
    ours = os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() == ours:
            raise _Left(status)
        _leave(status)  # processes that it started end as they like

    os._exit = leave
    stdout.leave_to_strangers()


def source() -> str | None:
    """The file of the module that was admitted last, once it is imported."""
    return getattr(sys.modules.get(_named.partition(":")[0]), "__file__", None)


def dismiss() -> None:
    """Once a command's result is written, processes end as they like."""
    os._exit = _leave


def words(error: BaseException) -> str:
    """Kind and text of an error on one line, and the line of the code that was admitted, if it came from there."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if isinstance(error, SystemExit):
        said = f"it calls {'os._exit' if isinstance(error, _Left) else 'sys.exit'}({text})"
    else:
        said = type(error).__name__ + (f": {text[:_LONGEST]}" if text else "")
    return f"{said} ({where})" if (where := _where(error)) else said


def explained(error: BaseException) -> GencliError | None:
    """An unexpected error as a message, if code that was admitted raised it or made torch raise it."""
    if not _named:
        return None
    if _where(error):
        return GencliError(
            f"--arch: {_named} fails: {words(error)}", "its own code raises the error; --debug shows where"
        )
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, RuntimeError) or (frames and _top(_module(frames[-1])) == "torch"):
        return GencliError(
            f"--arch: {_named}: torch fails on it: {words(error)}", "check its operations; --debug shows where"
        )
    return None


def _where(error: BaseException) -> str:
    """The deepest line of code that was admitted, of its own package if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [
        (frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _top(_module(frame)) not in _known
    ]
    own = [each for each in frames if _top(_module(each[0])) == _top(_named.partition(":")[0])]
    if not frames:
        return ""
    frame, line = (own or frames)[-1]
    return f"{frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _top(module: str) -> str:
    return module.partition(".")[0]
