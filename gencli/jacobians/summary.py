"""The Jacobians of all rows as tensors to write, and a table of their norms, singular values and ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencli.files.tensors import double
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.entries import Check
from gencli.jacobians.rows import Mode, RowFunction, rank, singular_values
from gencli.models.inputs import Rows
from gencli.ranks import ALONE, Group

SHOWN = 10  # singular values in the table
_AT_ONCE = 256  # rows whose singular values are computed in float64
_OVERVIEW = {"least": np.min, "median": np.median, "most": np.max}


def collect(
    function: RowFunction,
    rows: Rows,
    mode: Mode | None,
    keep: bool,
    confirm: Confirmation,
    check: Check | None,
    say: Callable[[str], None],
    done: Callable[[int], None],
    part: range | None = None,
    group: Group = ALONE,
) -> tuple[pa.Table, dict[str, Tensor]]:
    """The table, and with `keep` the Jacobians.

    Args:
        rows: the function's.
        mode, confirm, say: see `RowFunction.jacobians`.
        check: takes the entries that it holds against differences.
        done: called with the number of rows that are done.
        part: the rows, all if None.
        group: the processes that divide them; the first gets all, the others their own.

    Returns:
        table: one line per row, columns id, label (of classes), loss (where it is differentiated), norm (Frobenius),
            rank (see `rows.rank`), and singular_value_1, ..., the ten largest or all.
        tensors: by name [rows, *outputs, *shape]; of a loss [rows, *shape]. Empty without `keep`.
    """
    part = range(function.rows) if part is None else part
    here = group.span(len(part))
    own = part[here.start : here.stop]
    every = torch.empty(len(own) if keep else 0, function.outputs, function.size, dtype=function.dtype)
    shown = min(function.outputs, function.size, SHOWN)
    columns = {name: np.empty(len(own)) for name in ("loss", "norm")} | {"rank": np.empty(len(own), np.int64)}
    columns |= {f"singular_value_{number}": np.empty(len(own)) for number in range(1, shown + 1)}
    with group.summed():
        for chunk in function.jacobians(mode, say, own, confirm):
            start = chunk.start - own.start  # once more from the first one, where a way is left
            stop = start + len(chunk.matrices)
            found = double(chunk.values[:, :1]), *_figures(chunk.matrices, shown, function.dtype)
            for column, values in zip(columns.values(), torch.cat([each.cpu() for each in found], 1).T, strict=True):
                column[start:stop] = values
            if keep:
                every[start:stop] = chunk.matrices.cpu()
            if check:
                check.note(chunk)
            done(stop * group.size)
    of_rows = rows.identities().items()
    known = {name: values[part.start : part.stop] for name, values in of_rows if name != "label_true"}
    if function.of_images:
        del known["label"]
    if not function.of_loss:
        del columns["loss"]
    columns = _joined(group.each(lambda: columns))
    confirm.gather(group)
    if check:
        check.gather(group, own)
    every = group.whole(every, len(part)) if keep else every
    tensors = {
        name: each.unflatten(1, function.shape) if function.shape else each[:, 0]
        for name, each in (function.split(every) if keep else {}).items()
    }
    return pa.table(known | columns), tensors


def overview(table: pa.Table) -> pa.Table:
    """Columns quantity, least, median, most: those of the table's columns over its rows, id and label left out."""
    quantities = [name for name in table.column_names if name not in ("id", "label")]
    columns = [table[name].to_numpy() for name in quantities]
    found = {name: [float(of(column)) for column in columns] for name, of in _OVERVIEW.items()}
    return pa.table({"quantity": quantities, **found})


def _figures(matrices: Tensor, shown: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """[rows, …] float64 of the rows' Jacobians: the norm, the rank, and the largest singular values."""
    singular = torch.cat([singular_values(part) for part in matrices.split(_AT_ONCE)])
    return singular.norm(dim=1, keepdim=True), rank(singular, dtype)[:, None], singular[:, :shown]


def _joined(parts: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The columns of all processes, one after the other."""
    return {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
