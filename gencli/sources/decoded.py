"""Image tables whose images are decoded as they are read, as Parquet with encoded images and folders of them are."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.cli import console
from gencli.counts import number
from gencli.errors import GencliError
from gencli.files import arrow, provenance, tables
from gencli.files.stream import Input
from gencli.files.tables import Description
from gencli.machine import cores, free_memory
from gencli.sources import pixels
from gencli.sources.pixels import BadImage
from gencli.sources.processes import in_processes

Places = NDArray[np.int64]
SPLITS = ("train", "test", "validation", "val")
Piece = tuple[list[bytes | None], Places]


@dataclass(frozen=True)
class Decoding:
    """How images are decoded: see `pixels.decode`."""

    mode: Literal["gray", "rgb"] | None = None
    size: tuple[int, ...] | None = None
    crop: tuple[int, int] | None = None
    ends: tuple[float, float] | None = None


class DecodedTable(ABC):
    """An image table of encoded images.

    Args:
        columns: its other columns, [rows] int64 or text each, by name: `id`, `label`, and what there is besides.
        name, split, classes: of the description; its shape is that of the first image.
        targets: whether an image's target follows it.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        made: provenance.Step | None,
        columns: Mapping[str, NDArray[np.int64] | pa.Array],
        name: str,
        split: str,
        classes: tuple[str, ...],
        decoding: Decoding,
        targets: bool = False,
    ) -> None:
        self.title = inputs[0].name if len(inputs) == 1 else f"{inputs[0].name} and {len(inputs) - 1} more"
        self.inputs, self.made = inputs, made
        self.rows = len(columns["label"])
        self._columns, self._decoding = columns, vars(decoding)
        self._each = 2 if targets else 1
        self._said: set[str] = set()  # of what the images' decoding noted
        first, places = next(self.values(1))
        with self._named(deque([places])):
            shape = pixels.decode(first, most=_room(), **self._decoding)[0].shape
        self.description = Description(name, split, classes, (shape[1], shape[2], shape[3]))
        names = ("id", "image", *(each for each in columns if each != "id"), *(["target"] if targets else []))
        self.schema = self.description.schema(names)
        for each, column in columns.items():
            if not isinstance(column, np.ndarray):
                field = pa.field(each, column.type, nullable=bool(column.null_count))
                self.schema = self.schema.set(names.index(each), field)

    @abstractmethod
    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        """Encoded images of the rows that `keep` marks, a few rows at a time but at most `count`, and their places.

        Each is followed by its target, where there are targets.
        """

    def values(self, count: int, keep: NDArray[np.bool_] | None = None) -> Iterator[Piece]:
        """The same, `count` at a time where that is not too many bytes."""
        values: list[bytes | None] = []
        places: list[Places] = []
        size = 0
        for more, where in self.pieces(count, keep):
            if values and (sum(map(len, places)) + len(where) > count or size > most_bytes()):
                yield values, np.concatenate(places)
                values, places, size = [], [], 0
            values += more
            places.append(where)
            size += sum(len(each) for each in more if each)
        if values:
            yield values, np.concatenate(places)

    @abstractmethod
    def image_name(self, place: int) -> str:
        """The name of the image at a place, in messages."""

    def column(self, name: str) -> NDArray[np.int64]:
        return np.asarray(self._columns[name])

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        waiting: deque[Places] = deque()  # the places of the parts that are being decoded

        def parts() -> Iterator[list[bytes | None]]:
            for part, places in self.values(self.description.group_rows, keep):
                waiting.append(places)
                yield part

        decoded = in_processes("decode", parts(), shape=self.description.shape, most=_room(), **self._decoding)
        notes, rows = Counter[str](), 0
        while True:
            with self._named(waiting):
                part = next(decoded, None)
            if part is None:
                break
            images, noted = part
            places = waiting.popleft()
            notes += noted
            rows += len(places)
            columns = {
                name: arrow.integers(column[places])
                if isinstance(column, np.ndarray)
                else column.take(pa.array(places))
                for name, column in self._columns.items()
            }
            columns["image"] = arrow.pack(images[:: self._each])
            if self._each > 1:
                columns["target"] = arrow.pack(images[1::2])
            yield pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)
        self._say(notes, rows)

    def _say(self, notes: Counter[str], rows: int) -> None:
        """Each note once, of Pillow's warnings the most frequent for all."""
        warned = Counter({note: count for note, count in notes.items() if note.startswith(pixels.WARNED)})
        said = notes - warned
        if warned:
            said[warned.most_common(1)[0][0]] = warned.total()
        for note, count in sorted(said.items()):
            if note not in self._said:
                console.message(f"{self.title}: {count:,} of {rows:,} images: {console.printable(note)}")
        self._said |= said.keys()

    @contextmanager
    def _named(self, waiting: deque[Places]) -> Iterator[None]:
        """Decoding within: says which image was bad, of the part that waits longest."""
        try:
            yield
        except BadImage as bad:
            place, words, hint = bad.args
            raise GencliError(f"{self.image_name(int(waiting[0][place // self._each]))}: {words}", hint) from None


def most_bytes() -> int:
    """Of the encoded images in a part: those that wait for all cores take 32 MB, more where that is 1 MB a part."""
    return max(1 << 20, (16 << 20) // cores())


def _room() -> int:
    """Bytes of memory for an image that is being decoded, as many at a time as there are cores."""
    return free_memory() // cores()


def identify(stem: str) -> tuple[str, str]:
    """The data set's name and split that a file's name tells: `cifar10-train` is of `cifar10`, its split `train`."""
    stem = re.sub(r"-\d{5}-of-\d{5}(-[0-9a-f]{16})?$", "", stem)  # shards as hubs name them
    known = re.fullmatch(rf"(?:(.+)[-_.])?({'|'.join(SPLITS)})", stem)
    return (known[1] or stem, known[2]) if known else (stem, "")


def parse_shape(text: str | None, where: str = "--shape") -> tuple[int, int, int] | None:
    """`32x32x3` as height, width, channels."""
    return _numbers(text, where, (3,), "HEIGHTxWIDTHxCHANNELS, such as 32x32x3")


def parse_size(text: str | None) -> tuple[int, ...] | None:
    """`--size`: `64` is the shorter side, `64x48` height and width."""
    return _numbers(text, "--size", (1, 2), "the shorter side, such as 64, or HEIGHTxWIDTH")


def parse_crop(text: str | None) -> tuple[int, int] | None:
    """`--crop`: `56` is height and width, so is `56x56`."""
    numbers = _numbers(text, "--crop", (1, 2), "the side of a square, such as 56, or HEIGHTxWIDTH")
    return numbers and (numbers[0], numbers[-1])


def parse_range(text: str | None) -> tuple[float, float] | None:
    """`--range`: `0,4095` as the values that become 0 and 255."""
    if text is None:
        return None
    try:
        low, high = map(number, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (low < high and math.isfinite(high - low)):
        raise GencliError(f"--range: {text!r} is not a range", "write LOW,HIGH, two numbers, such as 0,4095")
    return low, high


def _numbers(text: str | None, where: str, counts: tuple[int, ...], form: str) -> Any:
    if text is None:
        return None
    words = text.split("x")
    numbers = tuple(int(word) for word in words if re.fullmatch(r"\d{1,9}", word, re.ASCII))
    shape = numbers if len(numbers) == 3 else (*(numbers * 2)[:2], 1)
    if len(numbers) != len(words) or len(numbers) not in counts or not tables.is_shape(shape):
        what = "shape" if counts == (3,) else "size"
        raise GencliError(f"{where}: {text!r} is not a {what}", f"write {form}")
    return numbers
