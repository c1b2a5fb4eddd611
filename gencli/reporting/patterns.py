"""The files that `report` is given: names and quoted patterns."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import IO

from gencli.cli import stdout
from gencli.counts import numbered
from gencli.errors import GencliError
from gencli.files import folders
from gencli.files.stores import is_address


def expand(names: Sequence[str]) -> list[str]:
    """The files that names and patterns match, each once despite links; those of a pattern sorted, numbers as such.

    Addresses of objects are kept as they are.

    `**` is any folders, also by links, without those whose names start with a dot.

    Raises:
        GencliError: no file matches a pattern, a folder cannot be read, or what matches is neither file nor folder.
    """
    found: dict[str, str] = {}
    for name in names:
        kept = name == "-" or is_address(name)
        pattern = not kept and glob.has_magic(name) and not os.path.exists(name)
        matches = sorted(_files(name), key=numbered) if pattern else [name]
        if not matches:
            raise GencliError(f"{name}: no file matches", "check the pattern and the folder")
        for match in matches:
            found.setdefault(match if kept else os.path.realpath(match), match)
    return list(found.values())


def _files(pattern: str) -> Iterator[str]:
    found = ["/" if pattern.startswith("/") else ""]
    for part in filter(None, (pattern + "/*" if pattern.endswith("**") else pattern).split("/")):
        if part == "**":
            found = [folder for folder, _ in folders.walk(filter(folders.is_folder, found))]
        elif glob.has_magic(part):
            found = [os.path.join(folder, name) for folder in found for name in _names(folder) if _fits(name, part)]
        else:
            found = [path for folder in found if folders.is_there(path := os.path.join(folder, part))]
    for path in found:
        if not folders.is_folder(path):
            folders.require_file(path)
            yield path


def _names(folder: str) -> list[str]:
    return folders.names(folder) if folders.is_folder(folder) else []


def _fits(name: str, part: str) -> bool:
    return fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))


def refuse_overwriting(names: Sequence[str | None], destinations: Sequence[str | None]) -> None:
    """Refuses an output that is one of the inputs, before any is read; None is no input, and standard output.

    Raises:
        GencliError: one is.
    """
    read = [found for name in names if name is not None and (found := _status(name, sys.stdin))]
    for destination in destinations:
        written = _status("-" if stdout.is_it(destination) else str(destination), sys.stdout)
        there = is_address(destination) and destination in names
        if there or (written and any(os.path.samestat(written, found) for found in read)):
            shown = "standard output" if stdout.is_it(destination) else destination
            raise GencliError(f"{shown}: the output is the input", "write to another file, then rename it")


def _status(name: str, standard: IO[str] | None) -> os.stat_result | None:
    """Of a regular file; of `-` the standard stream's."""
    with contextlib.suppress(OSError, AttributeError):
        found = os.fstat(standard.fileno()) if name == "-" else os.stat(name)  # pyright: ignore[reportOptionalMemberAccess]
        return found if stat.S_ISREG(found.st_mode) else None
    return None
