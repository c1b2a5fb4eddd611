"""A folder of images, with one folder per class, as an image table."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files import folders, tables
from gencli.files.stream import Input
from gencli.sources.classes import require_distinct
from gencli.sources.coded import in_order
from gencli.sources.decoded import SPLITS, DecodedTable, Decoding, Piece, identify

_LITTER = {"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__macosx", "@eadir"}
_SHOWN = 5


class ImageFiles(Input):
    """The files of a folder as one input: its SHA-256 is that of the lines `sha256sum` would print for them."""

    def __init__(self, folder: str, files: list[str]) -> None:
        self.path, self.name, self.files = Path(os.path.abspath(folder)), folder, files
        self._digests: dict[str, bytes] = {}  # of those that were read

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]
        lines = hashlib.sha256()
        for file in self.files:
            mark, shown = ("\\", _escaped(file)) if _escaped(file) != file else ("", file)
            lines.update(f"{mark}{self.digest(file).hex()}  {shown}\n".encode(errors="surrogateescape"))
        return lines.hexdigest()

    def digest(self, file: str) -> bytes:
        """The SHA-256 of a file's bytes."""
        return self._digests.get(file) or hashlib.sha256(self.read(file)).digest()

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

    Files and folders whose names start with a dot, and what systems leave (Thumbs.db), are skipped and counted; files
    beside the classes' folders are left out. Links are
    followed, each folder once. The data set is called as the folder, or as the folder above one that is called train,
    test, validation or val.

    Raises:
        GencliError: no such folder, one that cannot be read or is of two classes, fewer than two classes, a class
            without images, a file that is no image, or what is no file.
    """

    def __init__(self, folder: str, name: str | None, split: str | None, decoding: Decoding) -> None:
        folder = _of_split(folder, split)
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
    hint = "name a folder that holds one folder of images per class; gencli data csv reads images and labels by a list"
    if os.path.exists(folder) and not folders.is_folder(folder):
        raise GencliError(f"{folder}: not a folder", hint)
    tops = _folders(folder)
    if len(tops) < 2:
        raise GencliError(
            f"{folder}: {f'only one class, {next(iter(tops))!r}' if tops else 'no folders, so no classes'}", hint
        )
    owners: dict[folders.Identity, str] = {}
    left: Counter[str] = Counter()
    classes = {name: sorted(_below(folder, name, owners, left)) for name in tops}
    for name, files in classes.items():
        if not files:
            raise GencliError(f"{tops[name]}: no images", "a class needs at least one; otherwise remove the folder")
    say_skipped(folder, left)
    return classes


def say_skipped(title: str, left: Counter[str]) -> None:
    """How many files of these names are skipped."""
    if left:
        words = ", ".join(sorted(left)[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        console.message(console.printable(f"{title}: {left.total():,} files are skipped: {words}"))


def _folders(folder: str) -> dict[str, str]:
    """The folders in a folder, by name: whole numbers in their order."""
    names = [name for name in folders.names(folder) if not is_litter(name)]
    return {name: path for name in in_order(names) if folders.is_folder(path := os.path.join(folder, name))}


def _of_split(folder: str, split: str | None) -> str:
    """The folder, or the one in it that is of this split."""
    if os.path.exists(folder) and not folders.is_folder(folder):
        return folder  # which is refused
    splits = [name for name in _folders(folder) if name in SPLITS and _holds_folders_alone(os.path.join(folder, name))]
    if splits and split not in splits:
        raise GencliError(
            f"{folder}: holds the split{'s' * (len(splits) > 1)} {', '.join(splits)}, not classes",
            f"--split takes one, such as --split {splits[-1]}",
        )
    return os.path.join(folder, split) if splits and split else folder


def _holds_folders_alone(folder: str) -> bool:
    _, others = next(folders.walk([folder]))
    return bool(_folders(folder)) and all(map(is_litter, others))


def is_litter(name: str) -> bool:
    """Whether this is what systems leave in folders, or hidden."""
    return name.startswith(".") or name.lower() in _LITTER


def _below(folder: str, name: str, owners: dict[folders.Identity, str], left: Counter[str]) -> Iterator[str]:
    """The paths below the class's folder of all files in it and in its folders, each of which is of one class."""
    top, above = os.path.join(folder, name), os.path.realpath(folder)
    for inner, files in folders.walk([top]):
        owner = owners.setdefault(folders.identity(inner), name)
        if os.path.commonpath([above, place := os.path.realpath(inner)]) == place:
            raise GencliError(f"{inner}: links to {place}, which contains the classes", "remove the link")
        if owner != name:
            raise GencliError(f"{inner}: also a folder of class {owner!r}", "give each image one class: remove a link")
        left.update(each for each in folders.names(inner) if is_litter(each))
        for file in files:
            if is_litter(file):
                continue
            folders.require_file(os.path.join(inner, file))
            yield os.path.normpath(os.path.join(os.path.relpath(inner, top), file))
