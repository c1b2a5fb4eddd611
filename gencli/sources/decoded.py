"""Image tables whose images are decoded as they are read, as Parquet with encoded images and folders of them are."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import arrow, provenance, tables
from gencli.errors import GencliError
from gencli.sources import pixels
from gencli.sources.pixels import BadImage
from gencli.sources.processes import in_processes
from gencli.stream import Input
from gencli.tables import Description

Places = NDArray[np.int64]
SPLITS = ("train", "test", "validation", "val")


@dataclass(frozen=True)
class Decoding:
    """How images are decoded: see `pixels.decode`."""

    mode: Literal["gray", "rgb"] | None = None
    size: tuple[int, ...] | None = None
    crop: tuple[int, int] | None = None


class DecodedTable(ABC):
    """An image table of encoded images.

    Args:
        columns: its integers, [rows] int64 each, by name: `id`, `label`, and `label_true` where there is one.
        name, split, classes: of the description; its shape is that of the first image.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        made: provenance.Step | None,
        columns: dict[str, NDArray[np.int64]],
        name: str,
        split: str,
        classes: tuple[str, ...],
        decoding: Decoding,
    ) -> None:
        self.title = inputs[0].name if len(inputs) == 1 else f"{inputs[0].name} and {len(inputs) - 1} more"
        self.inputs, self.made = inputs, made
        self.rows = len(columns["label"])
        self._columns, self._decoding = columns, vars(decoding)
        first, places = next(self.values(1))
        with self._named(deque([places])):
            shape = pixels.decode(first, **self._decoding).shape
        self.description = Description(name, split, classes, (shape[1], shape[2], shape[3]))
        self.schema = self.description.schema(("id", "image", *(each for each in columns if each != "id")))

    @abstractmethod
    def values(self, count: int, keep: NDArray[np.bool_] | None = None) -> Iterator[tuple[list[bytes | None], Places]]:
        """Encoded images of the rows that `keep` marks, at most `count` at a time, and their places in the table."""

    @abstractmethod
    def image_name(self, place: int) -> str:
        """How messages call the image at a place."""

    def column(self, name: str) -> NDArray[np.int64]:
        return self._columns[name]

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        waiting: deque[Places] = deque()  # the places of the parts that are being decoded

        def parts() -> Iterator[list[bytes | None]]:
            for part, places in self.values(self.description.group_rows, keep):
                waiting.append(places)
                yield part

        decoded = in_processes("decode", parts(), shape=self.description.shape, **self._decoding)
        while True:
            with self._named(waiting):
                images = next(decoded, None)
            if images is None:
                return
            places = waiting.popleft()
            columns = {name: arrow.integers(column[places]) for name, column in self._columns.items()}
            columns["image"] = arrow.pack(images)
            yield pa.RecordBatch.from_arrays([columns[name] for name in self.schema.names], schema=self.schema)

    @contextmanager
    def _named(self, waiting: deque[Places]) -> Iterator[None]:
        """Decoding within: says which image was bad, of the part that waits longest."""
        try:
            yield
        except BadImage as bad:
            place, words, hint = bad.args
            raise GencliError(f"{self.image_name(int(waiting[0][place]))}: {words}", hint) from None


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


def _numbers(text: str | None, where: str, counts: tuple[int, ...], form: str) -> Any:
    if text is None:
        return None
    words = text.split("x")
    numbers = tuple(int(word) for word in words if re.fullmatch(r"\d{1,9}", word, re.ASCII))
    shape = numbers if len(numbers) == 3 else (*(numbers * 2)[:2], 1)
    if len(numbers) != len(words) or len(numbers) not in counts or not tables.is_shape(shape):
        what = "shape" if counts == (3,) else "size"
        raise GencliError(f"{where}: {text!r} is no {what}", f"write {form}")
    return numbers
