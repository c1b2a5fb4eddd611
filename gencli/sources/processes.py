"""Decoding and encoding on all cores: a few processes that run `pixels`.

Not threads: most of the work on a small image is Pillow's Python code, and threads took longer than none. Not
`multiprocessing`'s pools: their workers hold both ends of their queues, so they stay when the parent is killed.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Literal

from gencli.cli import console
from gencli.errors import GencliError
from gencli.machine import cores
from gencli.sources import pixels
from gencli.sources.pixels import BadImage


def in_processes(function: Literal["decode", "encode"], parts: Iterable[Any], **others: Any) -> Iterator[Any]:
    """`pixels.decode` or `pixels.encode` of each part, in order; at most two parts per core are held at a time.

    Raises:
        BadImage: of the first part that has one.
    """
    coming = iter(parts)
    first, second = next(coming, None), next(coming, None)
    if first is None:
        return
    if second is None or cores() == 1:  # a worker takes as long to start as a thousand small images
        for part in _chain(first, second, coming):
            yield getattr(pixels, function)(part, **others)
        return
    with _Workers(cores()) as workers:
        waiting: deque[Future[Any]] = deque()
        for part in _chain(first, second, coming):
            waiting.append(workers.submit(function, part, others))
            if len(waiting) == 2 * cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _chain(first: Any, second: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    if second is not None:
        yield second
    yield from rest


class _Workers:
    """Processes, each with a thread here that waits for its answers."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count)
        self._idle: SimpleQueue[Connection] = SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ends: list[Connection] = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            script = [sys.executable, "-P", pixels.__file__, str(theirs.fileno())]
            # in a group of its own, so that Ctrl-C does not reach it: it ends when our end of the line is closed
            process = subprocess.Popen(  # noqa: S603 - this Python on our own file
                script,
                pass_fds=[theirs.fileno()],
                process_group=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if console.debug else subprocess.DEVNULL,
            )
            theirs.close()
            self._processes.append(process)
            self._ends.append(Connection(ours.detach()))
            self._idle.put(self._ends[-1])

    def submit(self, function: str, part: Any, others: dict[str, Any]) -> Future[Any]:
        return self._threads.submit(self._call, function, part, others)

    def _call(self, function: str, part: Any, others: dict[str, Any]) -> Any:
        worker = self._idle.get()
        try:
            worker.send((function, part, others))
            worked, answer = worker.recv()
        except (EOFError, OSError):
            raise GencliError(
                "a worker process for images died", "--debug shows its output; --threads 1 uses no worker"
            ) from None
        finally:
            self._idle.put(worker)
        if not worked:
            raise BadImage(*answer)
        return answer

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        for end in self._ends:
            end.close()
        for process in self._processes:
            process.wait()
