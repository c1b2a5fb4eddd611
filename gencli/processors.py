"""How many cores to use, and work on batches in as many threads."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def cores() -> int:
    """`--threads` or OMP_NUM_THREADS, otherwise all cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0))


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Threads that return from numpy wait 0.2 ms at most for one that runs Python, not 5 ms.

    Such waiting took up to a quarter of all time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def in_threads(function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[tuple[Given, Made]]:
    """Each item and what the function makes of it, in order, as many at a time as there are cores."""
    with _quick_turns(), ThreadPoolExecutor(cores()) as pool:
        waiting: deque[tuple[Given, Future[Made]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > cores() + 1:
                given, made = waiting.popleft()
                yield given, made.result()
        for given, made in waiting:
            yield given, made.result()
