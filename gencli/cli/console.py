"""What goes to people: messages and progress on standard error, colour, text tables."""

from __future__ import annotations

import os
import re
import reprlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from gencli.cli import signals, stdout
from gencli.counts import singular
from gencli.errors import cleaned

if TYPE_CHECKING:
    from rich.console import Console

quiet = False
verbose = False
debug = False
color: str | None = None

_BAR_AFTER, _LINE_EVERY, _LOOK_EVERY = 2.0, 10.0, 0.5
_BAR = 24  # characters of a bar
_ROOM = _BAR + 31  # that a line of it takes besides its words: a share, two times, the spaces between
_looks: list[Callable[[], object]] = []


def message(text: str) -> None:
    """A line on standard error, unless quiet."""
    if not quiet:
        error(text)


def error(text: str) -> None:
    """A line on standard error, also if quiet; a failure to write it (a full disk) does not stop the work."""
    text = cleaned(singular(text))
    try:
        if sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except ValueError:  # a user's network closed it
        os.write(2, f"{text}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


def warned(text: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """A warning of a library or of strangers' code, in one line; for `warnings.showwarning`."""
    message(printable(f"{category.__name__}: {str(text).partition(chr(10))[0]}", 200))


def columns() -> int | None:
    """The width of the terminal at standard error in characters; None if it is not a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    return stdout.columns(sys.stderr.fileno())


def in_full() -> bool:
    """Whether messages are given in full: with `--verbose`, or to somebody at a terminal."""
    return not quiet and (verbose or columns() is not None)


def printable(text: str, most: int | None = None) -> str:
    """One line of at most `most` characters, without control characters that would affect the terminal."""
    if most is not None and len(text) > most:
        text = f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "�" for character in text)


def quoted(value: object, most: int = 80) -> str:
    """A value as error messages quote it, in at most `most` printable characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxlong = short.maxother = most
    return printable(short.repr(value), most)


def escaped(text: str) -> str:
    r"""What steers a terminal as `\uXXXX`, as JSON has it: for files that are read back, as nothing is lost."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def unescaped(text: str) -> str:
    """The inverse of `escaped`; text that it cannot have written is unchanged."""

    def whole(found: re.Match[str]) -> str:
        try:
            return bytes.fromhex(found[0].replace("\\u", "")).decode("utf-16-be")
        except UnicodeDecodeError:
            return found[0]

    return re.sub(r"(\\u[0-9a-f]{4})+", whole, text) if "\\u" in text else text


def rich_console(file: TextIO, width: int | None = None, terminal: bool = False) -> Console:
    """A rich console with our colour rules: `--color` > NO_COLOR > FORCE_COLOR > whether it goes to a terminal."""
    from rich.console import Console

    if color in ("always", "never"):
        colored = color == "always"
    elif os.environ.get("NO_COLOR"):
        colored = False
    else:
        colored = terminal or bool(os.environ.get("FORCE_COLOR"))
    return Console(
        file=file, width=width, force_terminal=terminal or colored, color_system="auto" if colored else None,
        no_color=not colored, highlight=False, markup=False, emoji=False,
    )  # fmt: skip


def while_working(look: Callable[[], object]) -> Callable[[], object]:
    """Calls `look` repeatedly while progress is reported; an exception from it ends the work."""
    _looks.append(look)
    return look


class Advance(Protocol):
    """Takes how much is done in all, words on the state of things, and whether those are a line that stays."""

    def __call__(self, done: int, note: str = "", line: bool = False) -> None: ...


@contextmanager
def progress(what: str, total: int | Callable[[], int]) -> Iterator[Advance]:
    """Progress on standard error: on a terminal a bar once the work takes long, otherwise a line every ten seconds.

    Lines of the work's own stay, above the bar. Both come also while nothing advances, from a thread of their own, so
    that no long step is silent.

    Args:
        total: the amount of work, or a function that estimates it again as the work proceeds.
    """
    shown = _Progress(what, total)
    over = threading.Event()

    def show() -> None:
        with suppress(BrokenPipeError):
            while not over.wait(_LOOK_EVERY):
                shown.show()

    if not quiet:
        with suppress(RuntimeError):  # no thread is left
            threading.Thread(target=show, daemon=True).start()
    try:
        yield shown
    finally:
        over.set()
        shown.stop()


class _Progress:
    """The progress of some work, as a bar or as lines."""

    def __init__(self, what: str, total: int | Callable[[], int]) -> None:
        self._what, self._total = what, total
        self._done, self._note, self._said = 0, "", ""
        self._start = self._last = time.monotonic()
        self._looked = 0.0
        self._terminal = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
        self._bar: Any = None
        self._stopped = False
        self._lock = threading.Lock()

    def __call__(self, done: int, note: str = "", line: bool = False) -> None:
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            for look in _looks:
                look()
        self._done = done
        if line:
            self._last = now
            message(note)
        else:
            self._note = note or self._note * self._terminal
        if self._terminal or not line:
            self.show()

    def show(self) -> None:
        """Shows how things stand, if it is time to."""
        now = time.monotonic()
        since = _BAR_AFTER if self._terminal else _LINE_EVERY
        if quiet or (self._bar is None and now - (self._start if self._terminal else self._last) < since):
            return
        with self._lock:
            if self._stopped:
                return
            whole = self._total() if callable(self._total) else self._total
            if not self._terminal:
                self._last = now
                text = f"{self._what}: {self._done:,} of {whole:,} {self._note}".rstrip()
                message(text if text != self._said else f"{text}, {now - self._start:.0f} s")
                self._said = text
                return
            if self._bar is None:
                self._bar = _bar(self._what, self._start)
            room = max(0, (columns() or 80) - len(self._what) - _ROOM)
            note = printable(self._note, room) if room else ""
            self._bar.update(self._bar.task_ids[0], completed=self._done, total=whole, note=note)

    def stop(self) -> None:
        """Stops, and removes the bar."""
        with self._lock:
            self._stopped = True
            if self._bar is not None:
                self._bar.stop()


def _bar(what: str, since: float) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    shown = TextColumn("{task.description}"), BarColumn(_BAR), TextColumn("{task.percentage:>3.0f}%")
    words = TextColumn("{task.fields[note]}"), TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("left")
    bar = Progress(*shown, *words, console=rich_console(sys.stderr, terminal=True), transient=True)
    bar.add_task(what, note="")
    bar.tasks[0].start_time = since
    bar.start()
    signals.before_dying(lambda: os.write(2, b"\x1b[?25h\n"))  # the bar hides the cursor
    return bar
