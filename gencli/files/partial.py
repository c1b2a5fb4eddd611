"""Incomplete files and folders: written next to their destination, under a temporary name, until they are complete.

They are locked meanwhile, so that the next run that writes there recognizes leftovers of a killed run and removes them.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from gencli.cli import console, signals

_SHORT = 64  # bytes that any file system takes; beside a longer name there is one no longer
_written: set[Path] = set()  # no signal leaves one behind


@signals.before_dying
def _remove_all() -> None:
    for path in list(_written):  # a thread may add one
        _delete(path)


def create(place: Path, folder: bool = False) -> tuple[Path, int]:
    """Creates a new file, or folder, next to its destination; leftovers of killed runs there are removed.

    Returns:
        Its path, and a descriptor that locks it until it is closed; of a file it is open for writing.

    Raises:
        OSError: it cannot be made.
    """
    start = _start(place)
    with suppress(OSError):  # a folder that cannot be listed
        for name in os.listdir(place.parent):
            if name.startswith(start) and re.fullmatch(r"[0-9a-f]{8}\.partial", name[len(start) :]):
                _remove_left(place.with_name(name))
    while True:
        path = _fresh(place)
        try:
            if folder:
                path.mkdir()
            fd = os.open(path, os.O_RDONLY if folder else os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError:
            remove(path)
            raise
        _lock(fd)
        if path.exists():
            return path, fd
        os.close(fd)  # another run took it for one that was left, before it was locked
        _written.discard(path)


def second_name(path: Path) -> Path | None:
    """Gives a file that is there a second name, beside it; None where there is none, or names are unique."""
    second = _fresh(path)
    try:
        os.link(path, second)
    except OSError:
        keep(second)
        return None
    return second


def _start(place: Path) -> str:
    room = max(len(os.fsencode(place.name)), _SHORT) - len("..01234567.partial")
    return f".{os.fsencode(place.name)[:room].decode(errors='ignore')}."


def _fresh(place: Path) -> Path:
    path = place.with_name(f"{_start(place)}{secrets.token_hex(4)}.partial")
    _written.add(path)
    return path


def keep(path: Path) -> None:
    """Records that it got its name."""
    _written.discard(path)


def remove(path: Path) -> None:
    """Removes it, if it exists."""
    _delete(path)
    _written.discard(path)


def _delete(path: Path) -> None:
    with suppress(OSError):  # what went wrong before counts for more, and the next run tries again
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _remove_left(path: Path) -> None:
    with suppress(OSError):
        fd = os.open(path, (os.O_RDONLY if path.is_dir() else os.O_WRONLY) | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if _lock(fd, fcntl.LOCK_NB):
                _delete(path)
                if path.exists():
                    return
                console.message(f"{path}: removed, left behind by a killed run")
        finally:
            os.close(fd)


def _lock(fd: int, how: int = 0) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | how)
    except OSError:
        return False  # another's, or a file system without locks
    return True
