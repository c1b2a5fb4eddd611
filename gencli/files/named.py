"""Opening what arguments name: files, folders of Parquet files, standard input; and in which order."""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gencli.errors import GencliError
from gencli.files import folders
from gencli.files.stores import is_address, shown, within
from gencli.files.stream import Input


def named_first(*wanted: tuple[str | None, Callable[[Any], Any]]) -> list[Any]:
    """Opens what arguments name, each with its own function, pipes last, so that a typo is found before any work.

    Objects of stores come before pipes.

    Returns:
        What the functions gave, in the arguments' order.
    """
    order = sorted(range(len(wanted)), key=lambda number: (is_pipe(wanted[number][0]), is_address(wanted[number][0])))
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
    places = [*map(shown, places)]
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


def open_inputs(argument: str | None, pattern: str | None = None, part: bool = False) -> list[Input]:
    """The input that a command's argument names: a file, standard input, or a folder's Parquet files by name.

    Files and folders may be objects of stores, by their addresses.

    Of a folder that has none itself those in its folders are taken, also by links, each folder once. Names that start
    with a dot are left out.

    Args:
        pattern: that the files' names, or their paths in the folder, match, as the shell's do.
        part: whether an object is fetched as it is read, see `Input`; those of a folder are.

    Raises:
        GencliError: no such file, a folder that cannot be read, or a name that is not a file.
    """
    held = within(str(argument)) if is_address(argument) else None
    if held is None and (argument in (None, "-") or not os.path.isdir(str(argument))):
        return [Input(argument, part)]
    folder = str(argument)
    shards = next(filter(None, _shards(folder, pattern) if held is None else _objects(folder, held, pattern)), [])
    if not shards:
        what = "*.parquet files" if pattern is None else f"*.parquet files that match {pattern!r}"
        raise GencliError(
            f"{argument}: a folder without {what}",
            "name a file, or the folder that holds them; gencli data folder makes an image table of folders of images",
        )
    for path in shards if held is None else ():
        folders.require_file(path)
    _allow_files(len(shards))
    inputs = [Input(path, part or held is not None) for path in shards]
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


def _objects(folder: str, held: list[str], pattern: str | None) -> Iterator[list[str]]:
    """The Parquet objects in a folder of a store, then those in its folders too."""
    top = f"{folder.rstrip('/')}/"
    found = [path for path in held if path.endswith(".parquet") and "/." not in f"/{path.removeprefix(top)}"]
    found = [path for path in found if pattern is None or _matches(path.removeprefix(top), pattern)]
    yield [path for path in found if "/" not in path.removeprefix(top)]
    yield found


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
