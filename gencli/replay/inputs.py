"""What comes from outside, looked for in a folder: by its name, or else by its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.replay.plan import Outside


def hashes(folder: str) -> dict[str, str]:
    """The regular files in a folder, none below it, by the SHA-256 of their content.

    Raises:
        GencliError: there is no such folder, or a file cannot be read.
    """
    if not os.path.isdir(folder):
        raise GencliError(
            f"--inputs: {folder}: no such folder", "name the folder of the files that gencli did not make"
        )
    paths = sorted(each.path for each in os.scandir(folder) if each.is_file())
    return {Input(path).sha256: path for path in paths if os.path.getsize(path)}


def found(outside: list[Outside], folder: str, known: dict[str, str]) -> Iterator[tuple[Outside, str, str]]:
    """For each its place and SHA-256; both empty where nothing is. `known`: see `hashes`."""
    for each in outside:
        place = os.path.join(folder, each.name)
        if each.sha256 in known:
            yield each, known[each.sha256], each.sha256
        elif os.path.isdir(place):
            yield each, place, _folder(place)
        elif os.path.isfile(place):
            yield each, place, Input(place).sha256
        else:
            yield each, "", ""


def _folder(place: str) -> str:
    from gencli.sources.corrupted import LABELS, ArrayFiles
    from gencli.sources.folder import image_files

    flat = os.path.exists(os.path.join(place, LABELS))
    return (ArrayFiles(place) if flat else image_files(place)).sha256


def required(outside: list[Outside], folder: str, known: dict[str, str]) -> dict[Outside, str]:
    """The places of all of them.

    Raises:
        GencliError: one is not there, or is another.
    """
    places: dict[Outside, str] = {}
    for each, place, sha256 in found(outside, folder, known):
        if not place:
            raise GencliError(
                f"{Path(folder, each.name)}: no such file; SHA-256 {each.sha256} is needed",
                "--inputs DIR names the folder of the files that gencli did not make",
            )
        if sha256 != each.sha256:
            raise GencliError(f"{place}: SHA-256 {sha256}, but {each.sha256} was read", "find the file that it was")
        places[each] = os.path.abspath(place)
    return places
