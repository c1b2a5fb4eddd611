"""Image tables from arrays of pixels and arrays of labels, as CIFAR-10-C, CIFAR-10.1 and MNIST-C are published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.cli import console
from gencli.counts import by
from gencli.errors import GencliError
from gencli.files import arrays, arrow, tables, texts
from gencli.files.stream import Input
from gencli.files.tables import Description
from gencli.sources.classes import classes_of
from gencli.sources.decoded import identify

Layout = Literal["NHWC", "NCHW"]
_CHANNELS = (1, 3)
_ROWS = 1 << 24  # bytes of images that are looked at at a time
_VERSIONS = 5  # severities of common corruptions, one after the other in one file
_FEWEST = 20  # rows of one severity
_WHOLE = 1e-3  # gray levels from a whole number that rounding leaves, of floats that were v / 255


@dataclass(frozen=True)
class Arrays:
    """How arrays are read.

    Attributes:
        image, label: the names of the arrays in files of several.
        name, split: see `encoded.Foreign`; the split also chooses among names such as x_train and x_test.
        layout: the order of the axes, where their lengths do not tell it.
        white: the value of white, where the values do not tell it.
        severities: how many versions of the rows follow each other; None where the labels tell it.
        classes: the classes' names.
        renumber: whether classes are the labels that there are, in order.
    """

    image: str | None = None
    label: str | None = None
    name: str | None = None
    split: str | None = None
    layout: Layout | None = None
    white: Literal["1", "255"] | None = None
    severities: int | None = None
    classes: tuple[str, ...] | None = None
    renumber: bool = False


class ArrayTable:
    """The rows of an array of images, of which those of .npy stay on the disk, and of one of labels.

    Attributes:
        notes: what is to be said of them, where they are one `corruption` of a folder; otherwise it is said.

    Args:
        corruption: what the images are, where they have severities whatever the labels say.

    Raises:
        GencliError: see `arrays.read`; arrays of other shapes or lengths, values that are no gray levels, or an unclear
            order of axes or scale.
    """

    made = None

    def __init__(self, images: Input, labels: Input | None, how: Arrays, corruption: str | None = None) -> None:
        self.title, self.notes, self._corruption = images.name, list[str](), corruption
        self.inputs: Sequence[Input] = [images] if labels is None else [images, labels]
        found = arrays.read(images)
        name, pixels = _chosen(found, how.image, how.split, images.name, "image", (3, 4))
        given = found if labels is None else _columns(labels)
        given = {each: array for each, array in given.items() if labels is not None or each != name}
        if not given:
            raise GencliError(f"{images.name}: no labels beside the images", "name their file after that of the images")
        _, targets = _chosen(given, how.label, how.split, self.inputs[-1].name, "label", (1,))
        self._labels = _classes(targets, self.inputs[-1].name)
        self._pixels = _channels_last(pixels, how.layout, images.name, self.notes)
        self.rows = len(self._labels)
        if len(self._pixels) != self.rows:
            raise GencliError(
                f"{images.name}: {len(self._pixels):,} images, but {self.inputs[-1].name} has {self.rows:,} labels",
                "give one label for each image",
            )
        if not self.rows or not math.prod(self._pixels.shape):
            raise GencliError(f"{images.name}: no rows", "an image table needs at least one row")
        stem = images.path.stem if images.path else images.sha256[:16]
        known = identify(stem)
        label, split = (known[0] if how.name is None else how.name), (known[1] if how.split is None else how.split)
        self._factor, dtype = _scaled(self._pixels, how.white, images.name, self.notes)
        if how.renumber:
            values, self._labels = np.unique(self._labels, return_inverse=True)
            classes = how.classes or tuple(map(str, values))
            if len(classes) != len(values):
                raise GencliError(
                    f"{self.inputs[-1].name}: {len(values)} different labels, but --class-names has {len(classes)}",
                    "name as many classes",
                )
        else:
            classes = classes_of(None, how.classes, {"label": self._labels}, self.inputs[-1].name)
        height, width, channels = self._pixels.shape[1:]
        self.description = Description(label, split, classes, (height, width, channels), dtype)
        self._versions(how.severities, stem)
        for note in self.notes if corruption is None else ():
            console.message(console.printable(f"{self.title}: {note}"))

    def _versions(self, severities: int | None, stem: str) -> None:
        """The rows' identities, and the columns `corruption` and `severity` where there are several versions."""
        name, split = self.description.name, self.description.split
        repeats = _repeats(self._labels) if self._corruption is None else _equal(self._labels, _VERSIONS)
        count = severities or (_VERSIONS if repeats else 1)
        if self.rows % count:
            raise GencliError(f"{self.title}: {self.rows:,} rows are not {count} versions of as many", "correct it")
        if not _equal(self._labels, count):
            raise GencliError(f"{self.inputs[-1].name}: labels do not repeat {count} times", "correct --severities")
        self._ids = np.tile(tables.identities(name, split, 0, self.rows // count), count)
        self.schema = self.description.schema()
        self._severity: NDArray[np.int64] | None = None
        if count > 1 or self._corruption is not None:
            alone = self._corruption is None
            self._corruption = self._corruption or stem.replace("_", "-")
            self._severity = np.repeat(np.arange(1, count + 1), self.rows // count)
            added = (
                pa.field("corruption", pa.string(), nullable=False),
                pa.field("severity", pa.int64(), nullable=False),
            )
            for field in added:
                self.schema = self.schema.append(field)
            if count > 1 and not severities:
                why = f"since the labels repeat {count} times; --severities 1 if not"
                of = f" of {self._corruption}, {self.rows // count:,} rows each" if alone else ""
                self.notes.append(f"severities 1 to {count}{of}, {why}")

    def column(self, name: str) -> NDArray[np.int64]:
        known = {"id": self._ids, "label": self._labels, "severity": self._severity}
        return np.asarray(known[name])

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        step = self.description.group_rows
        for start in range(0, self.rows, step):
            rows = np.arange(start, min(start + step, self.rows))
            rows = rows if keep is None else rows[keep[rows]]
            if not len(rows):
                continue
            columns = [
                arrow.integers(self._ids[rows]),
                arrow.pack(self._levels(self._pixels[rows])),
                arrow.integers(self._labels[rows]),
            ]
            if self._severity is not None:
                columns += [pa.array([self._corruption] * len(rows)), arrow.integers(self._severity[rows])]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _levels(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self._factor == 1:
            return pixels.astype(self.description.dtype)
        levels = pixels.astype(np.float64) * self._factor
        return (np.rint(levels) if self.description.dtype == "uint8" else levels).astype(self.description.dtype)


def _columns(source: Input) -> Mapping[str, NDArray[Any]]:
    if arrays.is_arrays(source):
        return arrays.read(source)
    found, columns = {}, texts.columns(source)
    for name, cells in columns.items():
        if all(re.fullmatch(r"-?[0-9]{1,18}", cell) for cell in cells):
            found[name] = np.array(list(map(int, cells)), np.int64)
    if not found:
        raise GencliError(
            f"{source.name}: no column of whole numbers; its columns are {', '.join(map(repr, columns))}",
            "write labels as class numbers from 0; --class-names names them",
        )
    return found


def _chosen(
    found: Mapping[str, NDArray[Any]], wanted: str | None, split: str | None, title: str, option: str,
    sides: tuple[int, ...],
) -> tuple[str, NDArray[Any]]:  # fmt: skip
    """The name and the array that was asked for, or the only one with so many axes, or that of the split."""
    flat = {name: array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array for name, array in found.items()}
    shown = ", ".join(f"{name or 'the array'} {by(array.shape)}" for name, array in found.items()) or "nothing"
    if wanted is not None:
        if wanted not in flat:
            raise GencliError(f"{title}: no array {wanted!r}; it holds {shown}", f"--{option} names one of them")
        names = [wanted]
    else:
        names = [name for name, array in flat.items() if array.ndim in sides]
        if len(names) > 1 and split:
            names = [name for name in names if split in re.split(r"[^a-z0-9]+", name.lower())]
    if len(names) != 1 or flat[names[0]].ndim not in sides:
        what = "images, of 3 or 4 axes" if option == "image" else "labels, one number a row"
        hint = f"--{option} NAME chooses an array; --split train or test does so by their names"
        raise GencliError(f"{title}: {len(names) or 'no'} arrays of {what}: it holds {shown}", hint)
    return names[0], flat[names[0]]


def _classes(labels: NDArray[Any], title: str) -> NDArray[np.int64]:
    wrong = labels > np.iinfo(np.int64).max if labels.dtype.kind == "u" else np.zeros(len(labels), bool)
    if labels.dtype.kind in "fi":
        wrong = (labels != np.rint(labels)) | (labels < 0) | (labels >= 2.0**53)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise GencliError(f"{title}: row {row}: label {labels[row]}", "labels are class numbers from 0")
    return labels.astype(np.int64)


def _channels_last(pixels: NDArray[Any], layout: Layout | None, title: str, notes: list[str]) -> NDArray[Any]:
    """[n, height, width, channels], a view."""
    if pixels.ndim == 3:
        return pixels[..., None]
    shape: tuple[int, ...] = pixels.shape
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if layout is None:
        if first == last:
            raise GencliError(
                f"{title}: images of {by(pixels.shape[1:])}: it is unclear which axis holds the channels",
                "--layout NHWC or NCHW says so",
            )
        layout = "NCHW" if first else "NHWC"
        notes.append(f"{by(pixels.shape)} is read as {layout}")
    return pixels.transpose(0, 2, 3, 1) if layout == "NCHW" else pixels


def _scaled(pixels: NDArray[Any], white: str | None, title: str, notes: list[str]) -> tuple[int, str]:
    """By what the values are to be multiplied to be gray levels, and the dtype that holds them: it looks at all."""
    if pixels.dtype == np.uint8 and white is None:
        return 1, "uint8"
    least, most, whole, levels = math.inf, -math.inf, True, True
    step = max(1, _ROWS // max(1, pixels[0].size * 8))
    for start in range(0, len(pixels), step):
        part = pixels[start : start + step].astype(np.float64)
        if not np.isfinite(part).all():
            row = start + int(np.argwhere(~np.isfinite(part))[0][0])
            raise GencliError(f"{title}: row {row}: a value that is not finite", "remove it first")
        least, most = min(least, part.min()), max(most, part.max())
        whole = whole and bool((part == np.rint(part)).all())
        levels = levels and bool((abs(part * 255 - np.rint(part * 255)) < _WHOLE).all())
    values = f"{pixels.dtype} values of {least:g} to {most:g}"
    here = f"{title}: {values}"
    if least < 0 or most > 255 or (white == "1" and most > 1):
        raise GencliError(
            here, "gray levels lie in 0 to 255, or in 0 to 1 with --white 1: undo the normalization first"
        )
    if white is None:
        if most <= 1 and not whole:
            white = "1"
        elif most > 1 and (whole or most >= 128):
            white = "255"
        else:
            raise GencliError(f"{here}: it is unclear whether 1 or 255 is white", "--white 1 or --white 255 says so")
    if white == "255":
        return 1, "uint8" if whole else "float32"
    notes.append(f"{values} are multiplied by 255{', and are whole then' if levels else ''}")
    return 255, "uint8" if levels else "float32"


def _repeats(labels: NDArray[np.int64]) -> bool:
    """Whether labels repeat five times, and a fifth of them has no period, as labels that were dealt out have."""
    rows = len(labels) // _VERSIONS
    if rows < _FEWEST or not _equal(labels, _VERSIONS):
        return False
    periods = [each for each in range(1, rows // 2 + 1) if rows % each == 0]
    return not any((labels[each:rows] == labels[: rows - each]).all() for each in periods)


def _equal(labels: NDArray[np.int64], count: int) -> bool:
    """Whether labels are as many times the same, one after the other."""
    rows = len(labels) // count
    return len(labels) % count == 0 and np.array_equal(labels[rows:], labels[: len(labels) - rows])
