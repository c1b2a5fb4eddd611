"""A folder of images, with one folder per class, as an image table."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import folders, tables
from gencli.files.stream import Input
from gencli.sources.classes import require_distinct
from gencli.sources.decoded import SPLITS, DecodedTable, Decoding, Piece, identify


class ImageFiles(Input):
    """The files of a folder as one input: its SHA-256 is that of the lines `sha256sum` would print for them."""

    def __init__(self, folder: str, files: list[str]) -> None:
        self.path, self.name, self.files = Path(os.path.abspath(folder)), folder, files
        self._digests: dict[str, bytes] = {}  # of those that were read

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]
        lines = hashlib.sha256()
        for file in self.files:
            digest = self._digests.get(file) or hashlib.sha256(self.read(file)).digest()
            mark, shown = ("\\", _escaped(file)) if _escaped(file) != file else ("", file)
            lines.update(f"{mark}{digest.hex()}  {shown}\n".encode(errors="surrogateescape"))
        return lines.hexdigest()

    def same_file(self, status: os.stat_result) -> bool:
        return any(os.path.samestat(os.stat(self.path / file), status) for file in self.files)

    def read(self, file: str) -> bytes:
        """A file's bytes.

        Raises:
            GencliError: it cannot be read, or was another when it was read before.
        """
        path = os.path.join(self.name, file)
        content = folders.read(path)
        digest = hashlib.sha256(content).digest()
        if self._digests.setdefault(file, digest) != digest:
            raise GencliError(f"{path}: changed while it was read", "run the command again when no process writes it")
        return content


def _escaped(file: str) -> str:
    return file.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def image_files(folder: str) -> ImageFiles:
    """The images below a folder's folders as one input.

    Raises:
        GencliError: see `FolderTable`.
    """
    return _image_files(folder, _classes(folder))


def _image_files(folder: str, classes: dict[str, list[str]]) -> ImageFiles:
    return ImageFiles(folder, [f"{each}/{file}" for each, files in classes.items() for file in files])


class FolderTable(DecodedTable):
    """The images below a folder's folders, each a class, in the order of their names.

    Files and folders whose names start with a dot are left out, and files beside the classes' folders. Links are
    followed, each folder once. The data set is called as the folder, or as the folder above one that is called train,
    test, validation or val.

    Raises:
        GencliError: no such folder, one that cannot be read or is of two classes, fewer than two classes, a class
            without images, a file that is no image, or what is no file.
    """

    def __init__(self, folder: str, name: str | None, split: str | None, decoding: Decoding) -> None:
        classes = _classes(folder)
        self._folder = _image_files(folder, classes)
        self._files = self._folder.files
        known = _identify(self._folder.path)
        name, split = known[0] if name is None else name, known[1] if split is None else split
        labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
        columns = {"id": tables.identities(name, split, 0, len(labels)), "label": labels}
        shown = tuple(each.encode(errors="replace").decode() for each in classes)
        require_distinct(shown, folder, "rename one; names that are not UTF-8 are not distinguished")
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
    hint = "name a folder that holds one folder of images per class"
    if os.path.exists(folder) and not folders.is_folder(folder):
        raise GencliError(f"{folder}: not a folder", hint)
    tops = {name: os.path.join(folder, name) for name in folders.names(folder) if not name.startswith(".")}
    tops = {name: path for name, path in tops.items() if folders.is_folder(path)}
    splits = [name for name in tops if name in SPLITS and _holds_folders_alone(tops[name])]
    if splits:
        raise GencliError(
            f"{folder}: its folder {splits[0]!r} holds a split, not a class", f"name it: {tops[splits[0]]}"
        )
    if len(tops) < 2:
        raise GencliError(
            f"{folder}: {f'only one class, {next(iter(tops))!r}' if tops else 'no folders, so no classes'}", hint
        )
    owners: dict[folders.Identity, str] = {}
    classes = {name: sorted(_below(folder, name, owners)) for name in tops}
    for name, files in classes.items():
        if not files:
            raise GencliError(f"{tops[name]}: no images", "a class needs at least one; otherwise remove the folder")
    return classes


def _holds_folders_alone(folder: str) -> bool:
    _, others = next(folders.walk([folder]))
    inner = [name for name in folders.names(folder) if not name.startswith(".")]
    return bool(inner) and not others


def _below(folder: str, name: str, owners: dict[folders.Identity, str]) -> Iterator[str]:
    """The paths below the class's folder of all files in it and in its folders, each of which is of one class."""
    top, above = os.path.join(folder, name), os.path.realpath(folder)
    for inner, files in folders.walk([top]):
        owner = owners.setdefault(folders.identity(inner), name)
        if os.path.commonpath([above, place := os.path.realpath(inner)]) == place:
            raise GencliError(f"{inner}: links to {place}, which contains the classes", "remove the link")
        if owner != name:
            raise GencliError(f"{inner}: also a folder of class {owner!r}", "give each image one class: remove a link")
        for file in files:
            folders.require_file(os.path.join(inner, file))
            yield os.path.normpath(os.path.join(os.path.relpath(inner, top), file))
