"""Opening what arguments name: files, folders of Parquet files, standard input; and in which order."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gencli.errors import GencliError
from gencli.files import folders
from gencli.files.stream import Input


def named_first(*wanted: tuple[str | None, Callable[[Any], Any]]) -> list[Any]:
    """Opens what arguments name, each with its own function, pipes last, so that a typo is found before any work.

    Returns:
        What the functions gave, in the arguments' order.
    """
    order = sorted(range(len(wanted)), key=lambda number: is_pipe(wanted[number][0]))
    found = {number: wanted[number][1](wanted[number][0]) for number in order}
    return [found[number] for number in range(len(wanted))]


def require_one_standard_input(*arguments: str | None) -> None:
    """Refuses more than one `-`.

    Raises:
        GencliError: there are two.
    """
    if arguments.count("-") > 1:
        raise GencliError("two inputs would come from standard input", "name files for all but one of them")


def distinct_names(places: Sequence[str]) -> list[str]:
    """Names of files: without their folders, where that tells them apart, otherwise from the folder that holds all."""
    short = [os.path.basename(os.path.normpath(place)) for place in places]
    if len(set(short)) == len(set(places)):
        return short
    whole = {place: os.path.abspath(place) for place in places if place != "-"}
    top = os.path.commonpath(map(os.path.dirname, whole.values()))
    return [os.path.relpath(whole[place], top) if place in whole else place for place in places]


def is_pipe(argument: str | None) -> bool:
    """Standard input, or what is there and is neither file nor folder."""
    if argument in (None, "-"):
        return True
    return os.path.exists(argument) and not os.path.isfile(argument) and not os.path.isdir(argument)


def open_inputs(argument: str | None, pattern: str | None = None) -> list[Input]:
    """The input that a command's argument names: a file, standard input, or a folder's Parquet files by name.

    Of a folder that has none itself those in its folders are taken, also by links, each folder once. Names that start
    with a dot are left out.

    Args:
        pattern: that the files' names, or their paths in the folder, match, as the shell's do.

    Raises:
        GencliError: no such file, a folder that cannot be read, or a name that is not a file.
    """
    if argument in (None, "-") or not os.path.isdir(str(argument)):
        return [Input(argument)]
    folder = str(argument)
    shards = next(filter(None, _shards(folder, pattern)), [])
    if not shards:
        what = "*.parquet files" if pattern is None else f"*.parquet files that match {pattern!r}"
        raise GencliError(f"{argument}: a folder without {what}", "name a file, or the folder that holds them")
    for path in shards:
        folders.require_file(path)
    _allow_files(len(shards))
    inputs = [Input(path) for path in shards]
    for each in inputs:
        each.folder, each.whole = folder, pattern is None
    return inputs


def _shards(folder: str, pattern: str | None) -> Iterator[list[str]]:
    """The Parquet files in the folder, then those in its folders too."""
    found: list[str] = []
    for top, files in folders.walk([folder]):
        paths = [os.path.normpath(os.path.join(top, name)) for name in fnmatch.filter(files, "*.parquet")]
        found += [path for path in paths if pattern is None or _matches(os.path.relpath(path, folder), pattern)]
        if top == folder:
            yield sorted(found)
    yield sorted(found)


def _matches(path: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in (path, os.path.basename(path)))


def _allow_files(count: int) -> None:
    """Raises the limit of open files, often 1,024, if `count` more are to be opened."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count + 100:
            wanted = count + 100 if hard == resource.RLIM_INFINITY else min(count + 100, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
