"""Images that stay in their file: a batch of them is read when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gencli.files import arrow
from gencli.files.tables import ImageTable
from gencli.models.inputs import Rows, load
from gencli.ranks import ALONE, Group

HELD = 1 << 30  # bytes of images that are held in memory, where they are needed again and again


class Paged:
    """A column of images as a tensor [rows, height, width, channels] that is read in slices, best from start to end.

    Args:
        rows: the first ones, which alone there are.
        column: `image` or `target`.
        device: where slices lie.
        own: those that are held in memory, from when one of them is asked for.
    """

    def __init__(self, table: ImageTable, rows: int, column: str, device: torch.device, own: range = range(0)) -> None:
        self._table, self._rows, self._column, self.device, self._own = table, rows, column, device, own
        self.shape = torch.Size((rows, *table.description.shape))
        self._next, self._read = 0, table.batches()
        self._left: pa.RecordBatch | None = None

    def __len__(self) -> int:
        return self._rows

    def to(self, device: torch.device) -> Paged:
        """The same images, whose slices lie on another device."""
        if self._own and device == self.device:
            return self  # what is held once serves both
        return Paged(self._table, self._rows, self._column, device, self._own)

    def __getitem__(self, which: Any) -> Tensor:
        """The rows of a slice without steps, or `which` [m] int64, in their order."""
        if isinstance(which, slice):
            start, stop, _ = which.indices(self._rows)
            if start in self._own and stop <= self._own.stop:
                return self._held[start - self._own.start : stop - self._own.start]
            return self._pixels(self._slice(start, stop))
        numbers = which.cpu().numpy()
        if len(numbers) and (np.diff(numbers) == 1).all():
            return self[int(numbers[0]) : int(numbers[-1]) + 1]
        wanted = np.zeros(self._table.rows, bool)
        wanted[numbers] = True
        found = self._pixels([batch for batch in self._table.batches(wanted) if batch.num_rows])
        return found[torch.from_numpy(np.searchsorted(np.flatnonzero(wanted), numbers)).to(self.device)]

    @cached_property
    def _held(self) -> Tensor:
        places = np.arange(self._table.rows)
        wanted = (places >= self._own.start) & (places < self._own.stop)
        return self._pixels([batch for batch in self._table.batches(wanted) if batch.num_rows])

    def _slice(self, start: int, stop: int) -> list[pa.RecordBatch]:
        """From where the last one ended, or anew."""
        if start != self._next:
            wanted = np.ones(self._table.rows, bool)
            wanted[:start] = False
            self._read, self._left, self._next = self._table.batches(wanted), None, start
        found: list[pa.RecordBatch] = []
        while self._next < stop:
            batch = next(self._read) if self._left is None else self._left
            part = batch.slice(0, stop - self._next)
            self._left = batch.slice(part.num_rows) if part.num_rows < batch.num_rows else None
            self._next += part.num_rows
            found.append(part)
        return found

    def _pixels(self, batches: list[pa.RecordBatch]) -> Tensor:
        description = self._table.description
        parts = [arrow.unpack(batch, description, self._column) for batch in batches]
        empty = np.empty((0, *description.shape), description.dtype)
        return torch.from_numpy(np.concatenate([empty, *parts])).to(self.device)


def held(
    table: ImageTable, limit: int | None, device: torch.device, again: bool = False, group: Group = ALONE
) -> Rows:  # fmt: skip
    """The first rows of a table on a device; of others no image is read.

    Args:
        limit: how many; None for all.
        again: whether images beyond `HELD` bytes may stay in their file, and be read again each time.
        group: the images of rows that other processes take stay there.
    """
    rows = table.rows if limit is None else min(limit, table.rows)
    names = [name for name in ("image", "target") if name in table.schema.names]
    own = group.span(rows)
    large = again and len(own) * len(names) * table.description.row_bytes > HELD
    if large or len(own) < rows:
        found = load(table, np.zeros(table.rows, bool)).select(torch.arange(rows)).to(device)
        kept = range(0) if large else own
        images = {name: cast(Tensor, Paged(table, rows, name, device, kept)) for name in names}
        return replace(found, images=images["image"], targets=images.get("target"), place=None)
    if rows == table.rows:
        return load(table).to(device)
    return replace(load(table, np.arange(table.rows) < rows).select(torch.arange(rows)), place=None).to(device)
