"""Rows whose images stay in their file: a window of them is in memory at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gencli.files import arrow
from gencli.files.tables import ImageTable
from gencli.models.inputs import Rows


class Streamed(Rows):
    """Rows of a table whose images are read when a batch asks for them.

    An epoch's order is random by row group, and random within each window of as many groups as hold `window` rows; two
    rows of one group are thus always seen within a window of each other. Two windows are in memory at most, beside some
    fifty bytes a row. `images` and `targets` are empty and only say the images' type, shape and device.

    Args:
        keep: the mask [rows] of the rows whose images this process reads; None for all.
        window: rows.
    """

    def __init__(self, table: ImageTable, keep: NDArray[np.bool_] | None, window: int) -> None:
        description, names = table.description, table.schema.names
        kept = np.ones(table.rows, bool) if keep is None else keep
        empty = torch.from_numpy(np.empty((0, *description.shape), description.dtype))
        columns = {
            name: torch.from_numpy(table.column(name).copy()) if name in names else None
            for name in ("label", "label_true", "id")
        }
        labels = columns["label"]
        assert labels is not None
        numbers = torch.arange(table.rows)
        place = torch.where(torch.from_numpy(kept), numbers, -1)
        targets = empty if "target" in names else None
        super().__init__(empty, labels, columns["label_true"], targets, columns["id"], place)
        self._numbers, self._kept, self._table, self._size = numbers, kept, table, window
        self._window_of = torch.zeros(0, dtype=torch.int64)  # by row group, in the present epoch
        self._mine = kept  # what is read of them in the present epoch
        self._loaded: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # window → rows' numbers, and images

    def to(self, device: torch.device) -> Streamed:
        moved = copy.copy(self)
        for name in ("images", "labels", "labels_true", "targets", "ids", "place"):
            tensor = getattr(self, name)
            setattr(moved, name, None if tensor is None else tensor.to(device))
        return moved

    def select(self, index: torch.Tensor) -> Streamed:
        chosen = copy.copy(self)
        for name in ("labels", "labels_true", "ids", "place"):
            tensor = getattr(self, name)
            setattr(chosen, name, None if tensor is None else tensor[index])
        chosen._numbers = self._numbers[index.cpu()]
        return chosen

    def view(self, index: torch.Tensor) -> Streamed:
        return self.select(index)  # which copies no image

    def held(self) -> tuple[Streamed, torch.Tensor]:
        assert self.place is not None
        numbers = (self.place >= 0).nonzero().squeeze(1)
        return self.select(numbers), numbers

    def parts(self) -> Iterator[Rows]:
        numbers = self._numbers.numpy()
        wanted = np.zeros(self._table.rows, bool)
        wanted[numbers] = True
        start = 0
        for batch in self._table.batches(wanted & self._kept):
            if stop := start + batch.num_rows:
                part = torch.arange(start, stop, device=self.labels.device)
                chosen = {name: getattr(self, name) for name in ("labels", "labels_true", "ids")}
                columns = {name: each[part] for name, each in chosen.items() if each is not None}
                pixels = {"images": "image"} | ({} if self.targets is None else {"targets": "target"})
                yield Rows(**columns, **{name: self._pixels(batch, column) for name, column in pixels.items()})
                start = stop

    def order(self, generator: torch.Generator) -> torch.Tensor:
        size = self._table.description.group_rows
        groups = self._numbers // size
        sizes = groups.bincount(minlength=-(-self._table.rows // size))
        shuffled = torch.randperm(len(sizes), generator=generator)
        ends = sizes[shuffled].cumsum(0)
        self._window_of = torch.empty_like(shuffled)
        self._window_of[shuffled] = (ends - 1).clamp(min=0) // self._size
        self._loaded.clear()
        self._mine = np.zeros(self._table.rows, bool)
        self._mine[self._numbers.numpy()] = True  # without those held out
        self._mine &= self._kept
        mixed = torch.randperm(len(self), generator=generator)
        return mixed[self._window_of[groups[mixed]].argsort(stable=True)].to(self.labels.device)

    def gather(self, place: torch.Tensor, targets: bool) -> torch.Tensor:
        """The images [n, height, width, channels] at these places [n], with `targets` their targets as more channels.

        Only the windows that they are in are in memory.
        """
        numbers = place.cpu()
        windows = self._window_of[numbers // self._table.description.group_rows]
        wanted = windows.unique().tolist()
        for old in self._loaded.keys() - set(wanted):
            del self._loaded[old]
        height, width, channels = self.images.shape[1:]
        gathered = self.images.new_empty(len(place), height, width, channels * (1 + targets))
        for window in wanted:
            if window not in self._loaded:
                self._loaded[window] = self._read(window, targets)
            rows, images = self._loaded[window]
            mine = windows == window
            gathered[mine.to(place.device)] = images[torch.searchsorted(rows, numbers[mine]).to(place.device)]
        return gathered

    def _read(self, window: int, targets: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The table's rows that a window holds here, [m] int64 ascending, and their images, and targets as channels."""
        groups = (self._window_of == window).numpy().repeat(self._table.description.group_rows)
        here = self._mine & groups[: self._table.rows]
        names = ["image", "target"][: 1 + targets]
        parts = [
            torch.cat([self._pixels(batch, name) for name in names], 3)
            for batch in self._table.batches(here)
            if batch.num_rows
        ]
        return torch.from_numpy(np.flatnonzero(here)), torch.cat(parts)

    def _pixels(self, batch: pa.RecordBatch, name: str) -> torch.Tensor:
        return torch.tensor(arrow.unpack(batch, self._table.description, name), device=self.images.device)
