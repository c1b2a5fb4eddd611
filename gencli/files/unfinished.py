"""A result on its way: beside its place, under a name that says so, until the whole of it has its own.

`history.csv` is `history.unfinished.csv` until then. At any moment the file there is whole rows, whichever way its
writer ends, and it records no provenance: it is nothing yet that a command made. Who writes it holds a lock on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from gencli.cli import console
from gencli.files import partial

_PAUSE = 0.2  # seconds between two writes at least, which take a few milliseconds each


def beside(path: Path) -> Path:
    """The name of what is on its way to a path."""
    return path.with_name(f"{path.stem}.unfinished{path.suffix}")


def is_one(path: str) -> bool:
    """Whether a file has the name of what is on its way."""
    return Path(path).stem.endswith(".unfinished")


def is_written(path: Path) -> bool:
    """Whether a process is writing there now."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
    return False


class Live:
    """What there is so far of a result, written whenever there is more.

    What goes on as before is appended, so that `tail -f` follows it; anything else takes the place of the whole. A disk
    without room ends this, not the work.

    Args:
        path: of the result.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._content, self._fd = beside(path), b"", -1
        self._last, self._failed, self._more = time.monotonic(), False, False

    def show(self, content: Callable[[], bytes], last: bool = False) -> None:
        """Writes the content, at most every 0.2 seconds; the `last` one at once, if it was not written."""
        self._more |= not last
        if self._failed or not self._more or (not last and time.monotonic() - self._last < _PAUSE):
            return
        whole, before = content(), self._content
        try:
            if before and whole.startswith(before):
                os.write(self._fd, whole[len(before) :])
            else:
                self._replace(whole)
        except OSError as error:
            self._failed = True
            console.message(f"{self.path}: {error.strerror}; the run goes on without it")
        self._content, self._more, self._last = whole, False, time.monotonic()

    def _replace(self, whole: bytes) -> None:
        place, fd = partial.create(self.path)  # locked
        try:
            os.write(fd, whole)
            os.rename(place, self.path)
        except OSError:
            partial.remove(place)
            os.close(fd)
            raise
        partial.keep(place)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd

    def close(self, complete: bool) -> None:
        """Ends it: the file goes where the whole result is complete."""
        if self._fd >= 0:
            if complete:
                self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
