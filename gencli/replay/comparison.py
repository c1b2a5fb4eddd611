"""Where two files of one kind differ, and by how much: columns and rows, tensors, provenance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gencli.files import arrow, parquet, tensors
from gencli.files.provenance import Source, Step
from gencli.files.stream import Input
from gencli.replay import lineage, reading
from gencli.reporting import readers

if TYPE_CHECKING:
    from torch import Tensor

CLOCK = ("seconds", "images_per_second")  # columns of a history, which no run can repeat


def is_timed(step: Step) -> bool:
    """Whether a file of this step holds the time that it took."""
    return step.command == "train" and step.output == "history"


def differences(old: Input, new: Input) -> list[str]:
    """In words what differs between two files, which the clock alone may; one line for each column or tensor."""
    if old.sha256 == new.sha256:
        return []
    before, after = reading.read(old), reading.read(new)
    if before.form != after.form:
        return [f"{before.form}, now {after.form}"]
    found = [*lineage.partings(_timeless(before.step), _timeless(after.step))]
    if before.form in reading.TABLES:
        found = [*_tables(old, new, is_timed(before.step)), *found]
    elif before.form == "safetensors":
        found = [*_tensors(old, new), *found]
    elif reading.shown(old, before.form) != reading.shown(new, after.form):
        found.append("another picture" if before.form in reading.FIGURES else "another graph")
    timed = any(is_timed(each) for each in _steps(before.step))
    return found or ([] if timed else ["other bytes, of the same content"])


def _steps(step: Step) -> Iterator[Step]:
    yield step
    for each in step.inputs:
        if each.step is not None:
            yield from _steps(each.step)


def _timeless(step: Step) -> Step:
    """The step without the hashes of files that hold the time."""
    return replace(step, inputs=tuple(_without(each) for each in step.inputs))


def _without(source: Source) -> Source:
    if source.step is None:
        return source
    step = _timeless(source.step)
    timed = any(is_timed(each) for each in _steps(source.step))
    return replace(source, step=step, sha256="" if timed else source.sha256)


def _tables(old: Input, new: Input, timed: bool) -> Iterator[str]:
    one, other = (_rows(each) for each in (old, new))
    if one.num_rows != other.num_rows:
        yield f"{one.num_rows:,} rows, now {other.num_rows:,}"
    for name in dict.fromkeys([*one.column_names, *other.column_names]):
        if name not in one.column_names or name not in other.column_names:
            yield f"column `{name}`: {'gone' if name in one.column_names else 'new'}"
        elif not (timed and name in CLOCK):
            rows = min(one.num_rows, other.num_rows)
            yield from _columns(name, one.column(name).slice(0, rows), other.column(name).slice(0, rows))


def _rows(source: Input) -> pa.Table:
    if parquet.is_parquet(source):
        return parquet.read(parquet.open_file(source))
    return readers.made_of(source, readers.from_text(source)[1])[1]


def _columns(name: str, one: pa.ChunkedArray, other: pa.ChunkedArray) -> Iterator[str]:
    if one.type != other.type:
        yield f"column `{name}`: {one.type}, now {other.type}"
        return
    if one.equals(other):
        return
    if pa.types.is_fixed_size_binary(one.type):
        left, right = (np.stack([np.frombuffer(each, np.uint8) for each in part.to_pylist()]) for part in (one, other))
        wrong = (left != right).any(1)
        largest = f", values by up to {np.abs(left.astype(int) - right).max()}"
    else:
        values = [arrow.plain(part.combine_chunks()) for part in (one, other)]
        pairs = list(zip(*(part.to_pylist() for part in values)))
        wrong = np.array([not _same(*pair) for pair in pairs], bool)
        numbers = [abs(a - b) for a, b in pairs if isinstance(a, int | float) and isinstance(b, int | float)]
        largest = f", by up to {np.nanmax(numbers):g}" if numbers else ""
    if wrong.any():
        count = f"{wrong.sum():,} of {len(wrong):,} rows differ"
        yield f"column `{name}`: {count}{largest}, the first is row {wrong.argmax()}"


def _same(one: Any, other: Any) -> bool:
    nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return nan or bool(one == other)


def _gap(one: Tensor, other: Tensor) -> Tensor:
    """How far apart they are; 0 where both are NaN, as in a run that failed, or the same infinity."""
    return (one - other).abs().masked_fill((one == other) | (one.isnan() & other.isnan()), 0)


def _tensors(old: Input, new: Input) -> Iterator[str]:

    one, other = (tensors.read(each) for each in (old, new))
    for name in dict.fromkeys([*one, *other]):
        left, right = one.get(name), other.get(name)
        if left is None or right is None:
            yield f"tensor {name}: {'gone' if right is None else 'new'}"
        elif left.shape != right.shape or left.dtype != right.dtype:
            yield f"tensor {name}: {left.dtype} {[*left.shape]}, now {right.dtype} {[*right.shape]}"
        elif (gap := _gap(left.double(), right.double())).any():  # that of NaN and a number is NaN, which counts
            place = int(gap.flatten().nan_to_num(float("inf")).argmax())
            index = [int(each) for each in np.unravel_index(place, tuple(left.shape) or (1,))]
            count = f"{int((gap != 0).sum()):,} of {gap.numel():,} numbers differ"
            yield f"tensor {name}: {count}, by up to {gap.flatten()[place]:g}, at {index}"
    before, after = (tensors.read_metadata(each) for each in (old, new))
    for facts in (before, after):
        facts.pop("step")
        facts.pop("training", None)  # the step's arguments again
    yield from (f"metadata:{line}" for line in lineage.facts(before, after))
