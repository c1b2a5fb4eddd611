"""The Jacobians of all rows as tensors to write, and a table of their norms, singular values and ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from gencli.jacobians.entries import Check
from gencli.jacobians.rows import Confirm, Mode, RowFunction, rank, singular_values
from gencli.models.inputs import Rows

SHOWN = 10  # singular values in the table
_OVERVIEW = {"least": np.min, "median": np.median, "most": np.max}


def collect(
    function: RowFunction,
    rows: Rows,
    mode: Mode | None,
    keep: bool,
    confirm: Confirm,
    check: Check | None,
    say: Callable[[str], None],
    done: Callable[[int], None],
) -> tuple[pa.Table, dict[str, Tensor]]:
    """The table, and with `keep` the Jacobians.

    Args:
        rows: the function's.
        mode, confirm, say: see `RowFunction.jacobians`.
        check: takes the entries that it holds against differences.
        done: called with the number of rows that are done.

    Returns:
        table: one line per row, columns id, label (of classes), loss (where it is differentiated), norm (Frobenius),
            rank (see `rows.rank`), and singular_value_1, ..., the ten largest or all.
        tensors: by name [rows, *outputs, *shape]; of a loss [rows, *shape]. Empty without `keep`.
    """
    every = torch.empty(function.rows if keep else 0, function.outputs, function.size, dtype=function.dtype)
    shown = min(function.outputs, function.size, SHOWN)
    columns: dict[str, list[Any]] = {name: [] for name in ("loss", "norm", "rank")}
    columns |= {f"singular_value_{number}": [] for number in range(1, shown + 1)}
    for chunk in function.jacobians(mode, say, confirm=confirm):
        for column in columns.values():
            del column[chunk.start :]  # of a way that was left
        for values, matrix in zip(chunk.values, chunk.matrices, strict=True):
            singular = singular_values(matrix)
            found = float(values[0]), float(singular.norm()), rank(singular, function.dtype), *singular[:shown].tolist()
            for column, number in zip(columns.values(), found, strict=True):
                column.append(number)
        stop = chunk.start + len(chunk.matrices)
        if keep:
            every[chunk.start : stop] = chunk.matrices.cpu()
        if check:
            check.note(chunk)
        done(stop)
    ids = torch.arange(function.rows) if rows.ids is None else rows.ids
    known = {"id": ids.tolist()} | ({} if function.of_images else {"label": rows.labels.tolist()})
    if not function.of_loss:
        del columns["loss"]
    tensors = {
        name: part.unflatten(1, function.shape) if function.shape else part[:, 0]
        for name, part in (function.split(every) if keep else {}).items()
    }
    return pa.table(known | columns), tensors


def overview(table: pa.Table) -> pa.Table:
    """Columns quantity, least, median, most: those of the table's columns over its rows, id and label left out."""
    quantities = [name for name in table.column_names if name not in ("id", "label")]
    columns = [table[name].to_numpy() for name in quantities]
    found = {name: [float(of(column)) for column in columns] for name, of in _OVERVIEW.items()}
    return pa.table({"quantity": quantities, **found})
