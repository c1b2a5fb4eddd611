"""Interruption and termination: the process removes what is half done and dies by the signal.

That is what shells, make and schedulers expect (they report 130 and 143), and a handler that raised an exception would
be lost where libraries catch everything while they are imported, and come between a file's creation and its `with`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
_undo: list[Callable[[], object]] = []


def before_dying(undo: Callable[[], object]) -> Callable[[], object]:
    """Has `undo` called when a signal ends the process; it may be in the middle of anything."""
    _undo.append(undo)
    return undo


@contextmanager
def handled() -> Iterator[None]:
    """Within, signals end the process cleanly; those that it was started to ignore (nohup, &) stay ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _die)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Within, the first signal waits for `die`, a second does not. Gives what tells the first one's number."""
    arrived: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        if arrived:
            _die(number, frame)
        arrived.append(number)

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, wait)
    try:
        yield lambda: arrived[0] if arrived else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die(number: int) -> None:
    """Ends the process as the signal would have."""
    _die(number, None)


def _die(number: int, frame: FrameType | None) -> None:
    for undo in _undo:
        with suppress(Exception):  # a disk that fails, a terminal that is gone
            undo()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
