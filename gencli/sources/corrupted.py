"""Folders of arrays that hold each row in several versions, as CIFAR-10-C and MNIST-C are published, as one table."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files import folders
from gencli.files.stream import Input
from gencli.sources.arrayed import Arrays, ArrayTable
from gencli.sources.decoded import SPLITS, identify
from gencli.sources.folder import ImageFiles, is_litter, say_skipped
from gencli.sources.packed import Member, is_archive, members, stem

LABELS = "labels.npy"
_IMAGES = "images.npy"
_PICTURES, _TARGETS = frozenset(("images", "image", "data", "x")), frozenset(("labels", "label", "targets", "y"))
_FORM = f"a folder of NAME.npy and {LABELS}, as CIFAR-10-C, or of folders NAME of {_IMAGES} and {LABELS}, as MNIST-C"


class ArrayFiles(ImageFiles):
    """The arrays of a folder as one input, all open."""

    def __init__(self, folder: str) -> None:
        if not folders.is_folder(folder):
            raise GencliError(f"{folder}: no such folder", "check the name")
        super().__init__(folder, [*_found(folder)])
        for file in self.files:
            folders.require_file(os.path.join(folder, file))
        self._inputs = {file: Input(os.path.join(folder, file)) for file in self.files}

    def digest(self, file: str) -> bytes:
        return bytes.fromhex(self._inputs[file].sha256)

    def __getitem__(self, file: str) -> Input:
        return self._inputs[file]

    @property
    def title(self) -> str:
        """What tells the data set."""
        return self.path.name


class PackedArrays:
    """The arrays of a zip or tar, likewise, each unpacked where it is read, if it is packed at all."""

    def __init__(self, source: Input) -> None:
        self.source, self.name = source, source.name
        whole = members(source)
        left = Counter[str]()
        kept = {}
        for name in whole:
            parts = PurePosixPath(name).parts
            if any(map(is_litter, parts)) or not name.endswith(".npy"):
                left[parts[-1]] += 1
            else:
                kept[name] = parts
        tops, below = {parts[0] for parts in kept.values()}, {parts[1:] for parts in kept.values()}
        flat = (LABELS,) in below and below != {(LABELS,), (_IMAGES,)}  # which are a corruption of MNIST-C's layout
        around = len(tops) == 1 and (flat or any(len(parts) > 1 for parts in below))
        self.title = tops.pop() if around else stem(source)
        if any(len(parts) == around + 1 for parts in kept.values()):  # folders beside arrays are none of the layout's
            left.update(parts[-1] for parts in kept.values() if len(parts) > around + 1)
            kept = {name: parts for name, parts in kept.items() if len(parts) == around + 1}
        say_skipped(source.name, left)
        self._read = {"/".join(parts[around:]): whole[name] for name, parts in kept.items()}
        self.files = sorted(self._read)
        if not self.files:
            raise GencliError(f"{source.name}: no .npy files", f"give {_FORM}")

    def __getitem__(self, file: str) -> Input:
        return Member(f"{self.name}: {file}", self._read[file])


def is_packed(source: Input) -> bool:
    """Whether it is an archive of such a folder, and not .npz or .pt, which are zip too, or a zip of one pair.

    A pair are two arrays whose names say which is which, in the same words otherwise.
    """
    if not is_archive(source) or not source.starts(b"PK"):
        return is_archive(source)
    named = str(source.path).lower().endswith(".zip")
    found = [name for name in members(source) if name.endswith(".npy")] if named else []
    return len(found) > 1 and not (len(found) == 2 and _named(found))


def _found(folder: str) -> Iterator[str]:
    """The .npy files in a folder, or where there are none those in its folders."""
    here = [name for name in folders.names(folder) if not is_litter(name)]
    files = [name for name in here if name.endswith(".npy")]
    inner = [name for name in here if not files and folders.is_folder(os.path.join(folder, name))]
    left = Counter(name for name in here if name not in files and name not in inner)
    for top in inner:
        below = [name for name in folders.names(os.path.join(folder, top)) if not is_litter(name)]
        files += [f"{top}/{name}" for name in below if name.endswith(".npy")]
        left.update(name for name in below if not name.endswith(".npy"))
    say_skipped(folder, left)
    if not files:
        hint = f"give {_FORM}; of folders of pictures `gencli data folder` makes a table"
        raise GencliError(f"{folder}: no .npy files", hint)
    yield from files


class CorruptedTable:
    """The versions of the same rows one after the other, with columns `corruption` and `severity`.

    Args:
        place: a folder, or an archive of one.

    Raises:
        GencliError: files are missing, or none of the layout's, or of other rows, labels or shapes than the first;
            see `ArrayTable`.
    """

    made = None

    def __init__(self, place: str | Input, how: Arrays) -> None:
        files = ArrayFiles(place) if isinstance(place, str) else PackedArrays(place)
        self.title, self.inputs = files.name, [files if isinstance(files, ArrayFiles) else files.source]
        name, split = identify(files.title)
        pairs, split = _flat(files, split) if LABELS in files.files else _nested(files, how.split)
        how = replace(how, name=how.name or name, split=split if how.split is None else how.split)
        self._parts: list[ArrayTable] = []
        for corruption, (images, labels) in pairs.items():
            table = ArrayTable(files[images], files[labels], how, corruption.replace("_", "-"))
            self._parts.append(table)
            first = self._parts[0]
            if table.description != first.description:
                kinds = [f"{each.description.dtype} {each.description.shape}" for each in (table, first)]
                raise GencliError(
                    f"{table.title}: {kinds[0]}, not {kinds[1]} as {first.title}", "remove it from the folder"
                )
            if table.rows != first.rows or not np.array_equal(table.column("label"), first.column("label")):
                raise GencliError(
                    f"{files[labels].name}: not the labels of {first.inputs[-1].name}",
                    "give versions of the same rows; others are read one by one: gencli data arrays IMAGES LABELS",
                )
        first = self._parts[0]
        self.rows, self.schema, self.description = first.rows * len(self._parts), first.schema, first.description
        severities = int(first.column("severity")[-1])
        notes = Counter(note for table in self._parts for note in table.notes)
        said = [
            f"corruptions: {len(self._parts)}, severities: {severities}, rows of each: {first.rows // severities:,}"
        ]
        for note in [*said, *notes]:
            console.message(console.printable(f"{self.title}: {note}"))

    def column(self, name: str) -> NDArray[np.int64]:
        return np.concatenate([table.column(name) for table in self._parts])

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        start = 0
        for table in self._parts:
            own = None if keep is None else keep[start : start + table.rows]
            start += table.rows
            yield from table.batches(own)


def _flat(files: ArrayFiles | PackedArrays, split: str) -> tuple[dict[str, tuple[str, str]], str]:
    """The images and labels of each corruption, and the split, of a folder as CIFAR-10-C's."""
    pairs = {file.removesuffix(".npy"): (file, LABELS) for file in files.files if file != LABELS}
    if not pairs:
        raise GencliError(f"{files.name}: {LABELS} alone, without images", f"give {_FORM}")
    return pairs, split or "test"


def _nested(files: ArrayFiles | PackedArrays, split: str | None) -> tuple[dict[str, tuple[str, str]], str]:
    """The same of folders as MNIST-C's, which may hold several splits."""
    if any("/" not in file for file in files.files):
        pairs = [" ".join(pair) for pair in _named(files.files)]
        hint = f"give one pair of its files: {'; '.join(pairs)}" if pairs else f"give {_FORM}"
        raise GencliError(f"{files.name}: no {LABELS}", console.printable(hint, 300))
    tops = dict.fromkeys(os.path.dirname(file) for file in files.files)
    splits = sorted({each for file in files.files for each in SPLITS if os.path.basename(file).startswith(f"{each}_")})
    if len(splits) > 1 and split not in splits:
        raise GencliError(f"{files.name}: holds the splits {', '.join(splits)}", f"--split {splits[0]} takes one")
    split = split if split in splits else "".join(splits)
    found = {}
    for top in tops:
        pair = tuple(f"{top}/{f'{split}_' if split else ''}{name}" for name in (_IMAGES, LABELS))
        for file in pair:
            if file not in files.files:
                raise GencliError(f"{os.path.join(files.name, file)}: no such file", f"give {_FORM}")
        found[top] = pair
    known = {f"{top}/{each}{name}" for top in tops for each in ("", *(f"{word}_" for word in splits))
             for name in (_IMAGES, LABELS)}  # fmt: skip
    if stray := [file for file in files.files if file not in known]:
        raise GencliError(f"{os.path.join(files.name, stray[0])}: neither images nor labels", "remove it")
    return found, split


def _named(files: list[str]) -> list[tuple[str, str]]:
    """The files that are called as images and labels of each other, such as CIFAR-10.1's v4 and v6."""
    words = {file: re.split(r"([^a-z]+)", file.lower()) for file in files}

    def called(file: str, names: frozenset[str]) -> list[str] | None:
        return ["" if word in names else word for word in words[file]] if names & {*words[file]} else None

    pairs = ((file, other) for file in files if called(file, _PICTURES) for other in files)
    return [pair for pair in pairs if called(pair[0], _PICTURES) == called(pair[1], _TARGETS)]
