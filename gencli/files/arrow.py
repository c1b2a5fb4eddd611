"""Columns of an image table as numpy arrays and back, sharing memory, without pyarrow.compute (60 ms to load).

And Arrow's other spellings of the same values, as other tools write them, in ours: those it takes pyarrow.compute for.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.counts import by

if TYPE_CHECKING:
    from gencli.files.tables import Description


def integers(values: NDArray[np.int64]) -> pa.Array:
    """[n] int64 as an Arrow array, without a copy and without what `pa.array` loads for masked arrays (20 ms)."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def values(column: pa.Array) -> NDArray[np.int64]:
    """[n] int64 of an Arrow array without missing values, sharing its memory."""
    if not len(column):
        return np.empty(0, np.int64)  # there may be no buffer
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


def plain_type(kind: pa.DataType) -> pa.DataType:
    """What a column's values are: without extensions, dictionaries and run ends, lists and strings in one spelling."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.FixedShapeTensorType):
        return pa.bool_() if kind.extension_name == "arrow.bool8" else plain_type(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        return pa.large_list(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    return pa.binary() if types.is_large_binary(kind) or types.is_binary_view(kind) else kind


def plain(column: pa.Array) -> pa.Array:
    """The column in its plain type."""
    wanted, inner = plain_type(column.type), column
    if column.type == wanted:
        return column
    if isinstance(column, pa.ExtensionArray):
        inner = plain(column.storage)
    elif pa.types.is_dictionary(column.type):
        inner = plain(column.dictionary_decode())
    elif pa.types.is_run_end_encoded(column.type):
        import pyarrow.compute as pc

        inner = plain(pc.call_function("run_end_decode", [column]))
    return inner if inner.type == wanted else inner.cast(wanted)


def holds_integers(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold whole numbers."""
    kind, types = plain_type(kind), pa.types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings of bytes."""
    return pa.types.is_binary(plain_type(kind)) or pa.types.is_fixed_size_binary(plain_type(kind))


def holds_pixels(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold raw images: bytes, lists of numbers, or tensors."""
    return holds_bytes(kind) or _numbers(kind) is not None


def _numbers(kind: pa.DataType) -> pa.DataType | None:
    """The type of the numbers in lists or tensors."""
    kind = plain_type(kind)
    if isinstance(kind, pa.FixedShapeTensorType):
        return kind.value_type
    depth = 0
    while _is_list(kind):
        depth, kind = depth + 1, plain_type(kind.value_type)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return kind if 1 <= depth <= 3 and number else None


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def shape_of(column: Any) -> tuple[tuple[int, ...] | None, str]:
    """The shape of a column's first image, where nested lists or tensors tell it, and the dtype of all."""
    dtype = "uint8" if pa.types.is_integer(_numbers(column.type)) else "float32"
    column = plain(column.slice(0, 1))
    if isinstance(column.type, pa.FixedShapeTensorType):
        shape = _tensors(column).shape[1:]
    else:
        sides = []
        while _is_list(column.type) and len(column) and column[0].is_valid:
            sides.append(len(column[0]))
            column = plain(column.flatten())
        shape = tuple(sides)
    return (*shape, 1)[:3] if len(shape) > 1 else None, dtype


def to_integers(column: pa.Array) -> NDArray[np.int64]:
    """[n] int64 of a column without missing values that can hold whole numbers.

    Raises:
        ValueError: its first row whose value is none of 64 bits, and the value.
    """
    column = plain(column)
    if column.type == pa.int64():
        return values(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_decimal(column.type):
        numbers = np.array([int(each) if each == int(each) else float(each) for each in column.to_pylist()], object)
    else:
        numbers = column.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind == "f":
        numbers = numbers.astype(np.float64)
    bad = np.zeros(0, bool)
    if numbers.dtype.kind == "u":
        bad = numbers > np.uint64(2**63 - 1)
    elif numbers.dtype.kind != "i":
        most = 2.0**53 if numbers.dtype.kind == "f" else 2.0**63  # floats beyond were rounded
        bad = (numbers < -most) | (numbers >= most) | np.array([each % 1 != 0 for each in numbers], bool)
    if bad.any():
        raise ValueError(int(np.argmax(bad)), numbers[np.argmax(bad)])
    return numbers.astype(np.int64)


def to_images(column: pa.Array, shape: tuple[int, ...], dtype: str) -> pa.Array:
    """A column of raw images without missing values as fixed-size binary of this shape (height, width, channels).

    Raises:
        ValueError: its first row that is no such image, and what it is.
    """
    column = plain(column)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if isinstance(column.type, pa.FixedShapeTensorType):
        numbers = _tensors(column)
        if len(numbers) and (*numbers.shape[1:], 1)[: len(shape)] != tuple(shape):
            raise ValueError(0, f"an image of {by(numbers.shape[1:])}")
    elif _is_list(column.type):
        numbers = _listed(column, shape)
    else:
        if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == size:
            return column
        import pyarrow.compute as pc  # 50 ms, for this alone

        lengths = pc.call_function("binary_length", [column]).to_numpy()
        wrong = np.flatnonzero(lengths != size)
        if len(wrong):
            raise ValueError(int(wrong[0]), f"an image of {lengths[wrong[0]]} bytes")
        return column.cast(pa.binary()).cast(pa.binary(size))
    numbers = numbers.reshape(len(column), *shape)
    if dtype == "uint8":
        wrong = np.argwhere((numbers < 0) | (numbers > 255)) if numbers.dtype.kind in "iu" else np.zeros((1, 4), int)
    else:
        wrong = np.argwhere(abs(numbers) > np.finfo(np.float32).max)
    if len(wrong) and len(numbers):
        raise ValueError(int(wrong[0][0]), f"an image with the value {numbers[tuple(wrong[0])]}, not {dtype}")
    return pack(numbers.astype(dtype))


def _tensors(column: Any) -> NDArray[Any]:
    """[n, height, width, channels] of tensors: by the names of their dimensions, or in their permutation.

    Not by pyarrow's own conversion, which permutes wrongly (26.0).
    """
    kind, storage = column.type, column.storage
    numbers = storage.flatten().to_numpy(zero_copy_only=False).reshape(len(column), *kind.shape)
    names = kind.dim_names or []
    order = [names.index(name) for name in "HWC"] if sorted(names) == ["C", "H", "W"] else kind.permutation
    return numbers.transpose(0, *(1 + place for place in order)) if order else numbers


def _listed(column: pa.Array, shape: tuple[int, ...]) -> NDArray[Any]:
    """The numbers of nested lists, which have this shape, flat ones its product."""
    depth, kind = 1, plain_type(column.type.value_type)
    while _is_list(kind):
        depth, kind = depth + 1, plain_type(kind.value_type)
    whole = {1: (math.prod(shape),), 2: shape[:2] if shape[2:] == (1,) else (-1,), 3: shape}[depth]
    inside = 1  # lists in a row
    for length in whole:
        fixed = pa.types.is_fixed_size_list(column.type)
        lengths = np.full(len(column), column.type.list_size) if fixed else column.value_lengths().to_numpy(False)
        wrong = np.flatnonzero((lengths != length) | np.asarray(column.is_null()))
        if len(wrong):
            raise ValueError(int(wrong[0]) // inside, f"an image with {lengths[wrong[0]]} values where {length} belong")
        column, inside = plain(column.flatten()), inside * length
    if column.null_count:
        row = int(np.flatnonzero(column.is_null())[0]) // inside
        raise ValueError(row, "an image with a missing value")
    return column.to_numpy(zero_copy_only=False)
