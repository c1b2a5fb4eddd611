"""Interruption and termination: the process removes incomplete files and exits by the signal.

That is what shells, make and schedulers expect (they report 130 and 143), and a handler that raised an exception would
be lost where libraries catch everything while they are imported, and come between a file's creation and its `with`.
Python's handlers wait while the main thread computes in C, so that a thread of its own sees to signals that last.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_ENDING = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU
_PATIENCE = 0.3  # seconds that Python's own handler has
_NO_TIME = b"gencli: the limit of processor time is reached (ulimit -t)\n  raise it, or reduce the work\n"
_undo: list[Callable[[], object]] = []


def undo() -> None:
    """Removes incomplete files."""
    for each in _undo:
        with suppress(Exception):  # a disk that fails, a terminal that is gone
            each()


def before_dying(each: Callable[[], object]) -> Callable[[], object]:
    """Registers a function that is called when a signal ends the process, at any point of its work."""
    _undo.append(each)
    return each


@contextmanager
def handled() -> Iterator[None]:
    """Within this context, signals end the process cleanly; those ignored from the start (nohup, &) stay ignored."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _die)
    _warn_before_the_end()
    try:
        with _watched():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _warn_before_the_end() -> None:
    """`ulimit -t` sets both limits, and the kernel kills at the hard one: the soft one is to come a second before."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if soft == hard != resource.RLIM_INFINITY and hard > 1:
        resource.setrlimit(resource.RLIMIT_CPU, (hard - 1, hard))


@contextmanager
def _watched() -> Iterator[None]:
    """Within, a signal that Python's own handler does not come to ends the process all the same."""
    heard, told = os.pipe()
    os.set_blocking(told, False)

    def watch() -> None:
        while number := os.read(heard, 1):
            if signal.getsignal(number[0]) is _die:
                time.sleep(_PATIENCE)
                _end(number[0])
        os.close(heard)

    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    with suppress(RuntimeError):  # no thread is left
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)


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
    """Ends the process as the signal would have ended it."""
    _die(number, None)


def _die(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _end(number)


def _end(number: int) -> None:
    """From any thread."""
    undo()
    if number == signal.SIGXCPU:
        os.write(2, _NO_TIME)
        os._exit(2)
    if threading.current_thread() is not threading.main_thread():
        import ctypes

        ctypes.CDLL(None).signal(number, 0)  # SIG_DFL, which Python sets in its main thread alone
    os.kill(os.getpid(), number)
