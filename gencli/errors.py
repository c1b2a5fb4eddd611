"""Errors with messages for the user. `app.main` turns them into exit statuses."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

_MEMORY = re.compile(
    "bad_alloc|out of memory|not enough memory|(can't|cannot|could not|unable to|failed to) allocate"
    "|malloc of size|realloc of size|failed to map segment|without exception set|without setting an exception",
    re.IGNORECASE,
)
_ADDRESS = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#'\"<>]*)([^\s?#'\"<>]*)([?#](?:…(?=[\s:,;.)]|$)|[^\s'\"<>]*))?"
)
_THREADS = re.compile(
    "start new thread|launch worker thread|thread creation failed|pthread_create|Resource temporarily unavailable",
    re.IGNORECASE,
)


class GencliError(Exception):
    """An error for the user: one line that names what is wrong and where, and one line that says what to do."""

    status = 2  # of the process that ends so

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.command = "gencli"


class CheckFailed(GencliError):  # noqa: N818
    """A computed result failed a check, and is not written."""

    status = 1


class MissingInput(GencliError):  # noqa: N818
    """Standard input is a terminal and no file was named: the short help is shown instead."""

    def __init__(self) -> None:
        super().__init__("no input: standard input is a terminal", "name a file or pipe one in")


def cleaned(text: str) -> str:
    """Text whose addresses tell no secrets: without user, password, query (which may be signed) and fragment."""
    return _ADDRESS.sub(_without_secrets, text) if "://" in text else text


def _without_secrets(found: re.Match[str]) -> str:
    scheme, place, rest, more = found[1], found[2].rpartition("@")[2], found[3], found[4]
    if re.search(r":(?!\d*$)", place.rpartition("]")[2]):  # a password that holds a slash, or the like
        return f"{scheme}…"
    return f"{scheme}{place}{rest}{'?…' if more else ''}"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known word nearest to `word`, or all of them.

    Of words of up to three letters only those of the same letters are near: mse is not sce.
    """
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    if len(word) <= 3 and sorted(word) != sorted(*close or [""]):
        close = []
    return f"did you mean {close[0]}?" if close else "known: " + ", ".join(names)


def shortage(error: BaseException) -> str | None:
    """What was short where that is why, memory or threads: of Python, torch, Arrow and C++; None otherwise."""
    text, number = str(error), getattr(error, "errno", None)
    if _THREADS.search(text) or number == errno.EAGAIN:
        return "threads"
    return "memory" if isinstance(error, MemoryError) or number == errno.ENOMEM or _MEMORY.search(text) else None


def require_enough(error: BaseException) -> None:
    """Raises the error again where memory or threads were short: then it says nothing of a file or a network."""
    if not isinstance(error, GencliError) and shortage(error):
        raise error


def first_line(error: BaseException, most: int | None = None) -> str:
    """Of an error's text, its first words where they are more than so many characters."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line if most is None or len(line) <= most else f"{line[:most].rpartition(' ')[0]} …"
