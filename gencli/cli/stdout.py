"""Standard output is ours: while a command runs, results alone go there, through a duplicate that is kept here.

File descriptor 1 is standard error's meanwhile. So what libraries and a user's own network print, in C too, in
processes that they start and at the very end, stands among the messages and never in a result.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

_OPENED = re.compile(r"/dev/fd|/proc/(\d+)(/task/\d+)?/fd")  # folders of what a process has open
_LINKS = 40  # that a path may go through, as for the system
_kept: TextIO | None = None


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Within, and within another of it, standard output is ours."""
    global _kept  # noqa: PLW0603
    fill_closed()
    shown, streams = sys.stdout, (sys.stdout, sys.__stdout__)
    try:
        place = None if _kept or shown is None else shown.fileno()
    except OSError:  # a test's, in memory
        place = None
    if shown is None or place is None:
        yield
        return
    shown.flush()
    before = os.dup(1)
    _kept = open(os.dup(place), "w", encoding=shown.encoding, errors=shown.errors)  # noqa: SIM115
    os.dup2(2, 1)
    sys.stdout = sys.__stdout__ = _kept  # the latter tells the help how wide the terminal is
    try:
        yield
    finally:
        sys.stdout, sys.__stdout__ = streams  # pyright: ignore[reportAttributeAccessIssue]
        os.dup2(before, 1)
        os.close(before)
        _kept.close()
        _kept = None


def fill_closed() -> None:
    """Streams that are closed get /dev/null: the next file opened would be taken for them.

    A user's network may close them too, and what it prints would go into a result.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free


def leave_to_strangers() -> None:
    """From now on what Python code prints goes to standard error as well; for code that is not ours."""
    if _kept is not None:
        _kept.flush()
        theirs = io.TextIOWrapper(os.fdopen(os.dup(2), "wb", 0), errors="backslashreplace", write_through=True)
        sys.stdout = sys.__stdout__ = theirs  # pyright: ignore[reportAttributeAccessIssue]


@contextlib.contextmanager
def lent() -> Iterator[None]:
    """Within, what Python code prints goes to standard error; for code that is not ours, while it is imported."""
    streams = sys.stdout, sys.__stdout__
    leave_to_strangers()
    try:
        yield
    finally:
        sys.stdout, sys.__stdout__ = streams  # pyright: ignore[reportAttributeAccessIssue]


def is_it(destination: str | None) -> bool:
    """Whether a destination is standard output: None, `-`, or one of the system's names for it."""
    return destination in (None, "-") or number(destination) == 1


def number(path: str) -> int | None:
    """The descriptor that a path names, as /dev/stdout, /dev/fd/3 and links to them do; None of other paths.

    If such a path were opened again, it would be written from its start; if a file were renamed to it, it would replace
    the file that the shell opened, with what `>>` keeps. Number 1 is standard error while a command runs; see
    `descriptor`.
    """
    for _ in range(_LINKS):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        opened = re.fullmatch(_OPENED, folder)
        if opened and opened[1] in (None, str(os.getpid())) and name.isascii() and name.isdecimal():
            return int(name)
        path = os.path.join(folder, name)
        if not os.path.islink(path):
            return None
        path = os.path.join(folder, os.readlink(path))
    return None


def descriptor() -> int | None:
    """Standard output's, for results; None where it is closed."""
    stream = _kept or sys.stdout
    return None if stream is None else stream.fileno()


def expects_parquet() -> bool:
    """Whether what reads standard output is another gencli, or a file named so; False where the system does not tell.

    The processes of a pipe start together; one that is not gencli yet has the name of its shell.
    """
    with contextlib.suppress(OSError):
        place = os.readlink(f"/proc/self/fd/{descriptor()}")
        if not place.startswith("pipe:"):
            return place.endswith((".parquet", ".pq"))
        for process in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{process}/fd/0") == place:
                    with open(f"/proc/{process}/cmdline", "rb") as command:
                        return b"gencli" in command.read()
    return False


def flush() -> None:
    """Flushes what was printed for standard output."""
    stream = _kept or sys.stdout
    if stream is not None:
        stream.flush()


def wanted_columns() -> int | None:
    """The width that COLUMNS asks for, in characters."""
    given = os.environ.get("COLUMNS", "")
    return int(given) or None if given.isdecimal() else None


def columns(place: int | None = None) -> int:
    """The width of the terminal at a descriptor, by default standard output's, in characters; 80 if unknown."""
    if (wanted := wanted_columns()) is not None:
        return wanted
    try:
        return os.get_terminal_size(descriptor() or 0 if place is None else place).columns or 80
    except OSError:
        return 80
