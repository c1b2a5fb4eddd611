"""Columns of an image table as numpy arrays and back, sharing memory, without pyarrow.compute (60 ms to load)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gencli.tables import Description


def integers(values: NDArray[np.int64]) -> pa.Array:
    """[n] int64 as an Arrow array, without a copy and without what `pa.array` loads for masked arrays (20 ms)."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def values(column: pa.Array) -> NDArray[np.int64]:
    """[n] int64 of an Arrow array without missing values, sharing its memory."""
    return np.frombuffer(column.buffers()[1], np.int64)[column.offset :][: len(column)]


def select(batch: pa.RecordBatch, keep: NDArray[np.bool_]) -> pa.RecordBatch:
    """The rows of a checked batch that the mask `keep` [rows] marks."""
    columns = []
    for column in batch.columns:
        if pa.types.is_int64(column.type) and not column.null_count:
            columns.append(integers(values(column)[keep]))
        elif pa.types.is_fixed_size_binary(column.type) and not column.null_count:
            size = column.type.byte_width
            rows = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * size :][: len(column) * size]
            columns.append(pack(rows.reshape(-1, size)[keep]))
        else:
            columns.append(column.filter(pa.array(keep)))  # loads pyarrow.compute, 60 ms
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def pack(images: NDArray[Any]) -> pa.Array:
    """[n, height, width, channels] as n fixed-size binary values, without a copy where it is contiguous."""
    flat = np.ascontiguousarray(images)
    size = math.prod(flat.shape[1:]) * flat.itemsize
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(flat), [None, pa.py_buffer(flat)])


def unpack(batch: pa.RecordBatch, description: Description, column: str = "image") -> NDArray[Any]:
    """The batch's images, [n, height, width, channels] of the description's dtype; they share the batch's memory."""
    packed = batch.column(column)
    values = np.frombuffer(packed.buffers()[1], description.dtype)
    size = int(np.prod(description.shape))
    return values[packed.offset * size :][: len(packed) * size].reshape(-1, *description.shape)
