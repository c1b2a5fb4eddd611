"""A folder of images, a folder a class, as an image table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencli import tables
from gencli.errors import GencliError
from gencli.sources.decoded import SPLITS, DecodedTable, Decoding, Piece, identify
from gencli.stream import Input


class ImageFiles(Input):
    """The files of a folder as one input: its SHA-256 is that of the lines `sha256sum` would print for them."""

    def __init__(self, folder: str, files: list[str]) -> None:
        self.path, self.name, self._files = Path(os.path.abspath(folder)), folder, files

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]
        lines = (f"{hashlib.sha256(self.read(file)).hexdigest()}  {file}\n" for file in self._files)
        return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def same_file(self, status: os.stat_result) -> bool:
        return any(os.path.samestat(os.stat(self.path / file), status) for file in self._files)

    def read(self, file: str) -> bytes:
        """A file's bytes."""
        try:
            return (self.path / file).read_bytes()
        except OSError as error:
            raise GencliError(
                f"{os.path.join(self.name, file)}: cannot be read: {error.strerror}", "leave it out first"
            ) from None


class FolderTable(DecodedTable):
    """The images below a folder's folders, each a class, in the order of their names.

    Files and folders whose names start with a dot are left out, and files beside the classes' folders. The data set
    is called as the folder, or as the folder above one that is called train, test, validation or val.

    Raises:
        GencliError: no such folder, fewer than two classes, a class without images, a file that is no image.
    """

    def __init__(self, folder: str, name: str | None, split: str | None, decoding: Decoding) -> None:
        classes = _classes(folder)
        self._files = [f"{each}/{file}" for each, files in classes.items() for file in files]
        self._folder = ImageFiles(folder, self._files)
        known = _identify(self._folder.path)
        name, split = known[0] if name is None else name, known[1] if split is None else split
        labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
        columns = {"id": tables.identities(name, split, 0, len(labels)), "label": labels}
        shown = tuple(each.encode(errors="replace").decode() for each in classes)
        super().__init__([self._folder], None, columns, name, split, shown, decoding)

    def image_name(self, place: int) -> str:
        return os.path.join(self.title, self._files[place])

    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        for place in np.arange(len(self._files)) if keep is None else np.flatnonzero(keep):
            yield [self._folder.read(self._files[place])], np.array([place])


def _identify(folder: Path) -> tuple[str, str]:
    name, split = identify(folder.name)
    return (folder.parent.name, split) if split == name else (name, split)


def _classes(folder: str) -> dict[str, list[str]]:
    """The files of each class, by its name."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(each.name for each in entries if each.is_dir() and not each.name.startswith("."))
    except OSError as error:
        raise GencliError(
            f"{folder}: {error.strerror}", "name a folder that holds a folder of images a class"
        ) from None
    splits = [name for name in names if name in SPLITS and _holds_folders_alone(os.path.join(folder, name))]
    if splits:
        raise GencliError(
            f"{folder}: its folder {splits[0]!r} holds a split, no class", f"name it: {os.path.join(folder, splits[0])}"
        )
    classes = {name: sorted(_below(os.path.join(folder, name))) for name in names}
    if len(classes) < 2:
        held = f"one class alone, {names[0]!r}" if names else "no folders, so no classes"
        raise GencliError(f"{folder}: {held}", "name the folder that holds a folder of images a class")
    for name, files in classes.items():
        if not files:
            raise GencliError(
                f"{os.path.join(folder, name)}: no images", "a class needs one; remove the folder otherwise"
            )
    return classes


def _holds_folders_alone(folder: str) -> bool:
    with os.scandir(folder) as entries:
        found = [each.is_dir() for each in entries if not each.name.startswith(".")]
    return bool(found) and all(found)


def _below(folder: str) -> Iterator[str]:
    """All files below a folder, as paths from there."""
    for top, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [each for each in folders if not each.startswith(".")]
        inner = os.path.relpath(top, folder)
        yield from (os.path.normpath(os.path.join(inner, each)) for each in files if not each.startswith("."))
