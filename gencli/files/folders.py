"""Folder listings: each folder once whatever links exist, with nothing skipped silently."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from gencli import machine
from gencli.errors import GencliError

Identity = tuple[int, int]

_KINDS = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_LARGE = 1 << 24
_LEADS_NOWHERE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)


def names(folder: str) -> list[str]:
    """The names in a folder, sorted.

    Raises:
        GencliError: it cannot be read.
    """
    try:
        return sorted(os.listdir(folder or "."))
    except OSError as error:
        raise _unreadable(folder, error) from None


def walk(tops: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """These folders and those below, also by links, each once, and the names of all else in them, sorted.

    Those nearest come first, of them folders before links to some; names that start with a dot are left out.

    Raises:
        GencliError: one cannot be read.
    """
    seen: set[Identity] = set()
    level = [*tops]
    while level:
        following: list[str] = []
        for folder in level:
            if (which := identity(folder)) in seen:
                continue
            seen.add(which)
            below, others = _listed(folder)
            yield folder, others
            following += below
        level = following


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """The folders in a folder as paths, links to some last, and the names of all else."""
    inner: list[tuple[bool, str]] = []
    others: list[str] = []
    try:
        with os.scandir(folder or ".") as entries:
            for each in entries:
                if each.name.startswith("."):
                    continue
                path, link = os.path.join(folder, each.name), each.is_symlink()
                if is_folder(path) if link else each.is_dir():
                    inner.append((link, path))
                else:
                    others.append(each.name)
    except OSError as error:
        raise _unreadable(folder, error) from None
    return [path for _, path in sorted(inner)], sorted(others)


def identity(folder: str) -> Identity:
    """A key that identifies a folder, whichever path leads to it.

    Raises:
        GencliError: it cannot be read.
    """
    try:
        status = os.stat(folder or ".")
    except OSError as error:
        raise _unreadable(folder, error) from None
    return status.st_dev, status.st_ino


def is_folder(path: str) -> bool:
    """Whether a path is a folder, or a link to one.

    Raises:
        GencliError: it cannot be determined.
    """
    status = _status(path or ".", os.stat)
    return status is not None and stat.S_ISDIR(status.st_mode)


def is_there(path: str) -> bool:
    """Whether a file or folder of this name exists.

    Raises:
        GencliError: it cannot be determined.
    """
    return _status(path, os.lstat) is not None


def _status(path: str, ask: Callable[[str], os.stat_result]) -> os.stat_result | None:
    try:
        return ask(path)
    except OSError as error:
        if error.errno in _LEADS_NOWHERE:
            return None
        raise _unreadable(path, error) from None


def require_file(path: str) -> None:
    """Refuses an entry of a folder that is not a regular file: opening it could block, or reading it never end.

    Raises:
        GencliError: a named pipe, a socket, a device, a link that leads nowhere.
    """
    try:
        _require_regular(path, os.stat(path))
    except OSError as error:
        raise _unreadable(path, error) from None


def _require_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
        raise GencliError(f"{path}: {what}", "remove it from the folder; only regular files are read")


def read(path: str) -> bytes:
    """A file's content.

    Raises:
        GencliError: no file, one that cannot be read or is being written, or more than fits in memory.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # a pipe would wait
            status = os.fstat(file.fileno())
            _require_regular(path, status)
            if status.st_size > _LARGE:  # to ask takes longer than to read a small file
                machine.require_memory(status.st_size, path, "remove it from the folder")
            content = file.read(status.st_size + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(content) != status.st_size:
        raise GencliError(f"{path}: changed while it was read", "run the command again when no process writes it")
    return content


def _unreadable(path: str, error: OSError) -> GencliError:
    if error.errno in _LEADS_NOWHERE and os.path.islink(path):
        return GencliError(f"{path}: a broken link", "repair it, or remove it")
    if error.errno == errno.ENOENT:
        return GencliError(f"{path}: no such file or folder", "check the name, and whether it was removed meanwhile")
    return GencliError(f"{path or '.'}: cannot be read: {error.strerror}", "make it readable, or remove it")
