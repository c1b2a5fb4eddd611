"""Operators and Jacobians of a model on a table's rows, as options ask for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

import torch

from gencli.curvature.networks import WithoutFloat64
from gencli.curvature.operators import Operator
from gencli.curvature.products import FAILURES
from gencli.curvature.settings import JacobianSettings, NetworkSettings, OperatorSettings
from gencli.errors import GencliError, first_line, require_enough
from gencli.files.tables import ImageTable
from gencli.files.tensors import WITHOUT_FLOAT64
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import RowFunction
from gencli.losses import Loss, LossSettings
from gencli.losses.base import option
from gencli.models import Model, inputs
from gencli.models.inputs import Rows
from gencli.objectives import objective

_Made = TypeVar("_Made")


def load(table: ImageTable, settings: NetworkSettings, device: torch.device) -> Rows:
    """The rows that the settings leave of the table, on the device.

    Raises:
        GencliError: there are none.
    """
    if not table.rows:
        raise GencliError(f"{table.title}: no rows", "a mean needs one at least")
    rows = inputs.load(table)
    if settings.limit is not None:
        rows = rows.select(torch.arange(min(settings.limit, len(rows))))
    return rows.to(device)


def operator(
    model: Model, table: ImageTable, loss: Loss, epoch: int, settings: OperatorSettings, device: torch.device
) -> Operator:
    """The operator on the table's rows.

    Raises:
        GencliError: see `load` and `Operator`.
    """
    rows = load(table, settings, device)

    def made(dtype: torch.dtype) -> Operator:
        return Operator(
            model, rows, loss, settings.operator,
            parameters=settings.parameters, dtype=dtype, batch_size=settings.batch_size, epoch=epoch,
        )  # fmt: skip

    return _in_float64(model, made) if settings.dtype == "float64" else made(torch.float32)


def _in_float64(model: Model, made: Callable[[torch.dtype], _Made]) -> _Made:
    """What is made in float64; a network that fails in it alone is refused."""
    try:
        return made(torch.float64)
    except FAILURES as error:
        made(torch.float32)
        raise WithoutFloat64(
            f"--dtype: float64 is not to be had for {model.arch}: {first_line(error)}", "take --dtype float32"
        ) from error


def row_loss(model: Model, table: ImageTable, of: str, settings: LossSettings) -> tuple[Loss | None, int]:
    """None for the outputs, whose options of a loss are refused; see `objectives.objective`."""
    if of == "loss":
        return objective(model, table, settings)
    for name, value in asdict(settings).items():
        if value is not None:
            raise GencliError(f"{option(name)}: is for the loss", "add --of loss, or leave it out")
    return None, 1


def row_function(
    model: Model,
    rows: Rows,
    loss: Loss | None,
    epoch: int,
    settings: JacobianSettings,
    parameters: str,
    dtype: torch.dtype,
) -> RowFunction:
    """What Jacobians are taken of.

    Raises:
        GencliError: see `RowFunction`.
    """
    if settings.wrt == "input" and parameters != "*":
        raise GencliError("--parameters: the derivatives are by the input", "add --wrt parameters, or leave it out")

    def made(dtype: torch.dtype) -> RowFunction:
        return RowFunction(model, rows, settings.wrt, loss, parameters=parameters, dtype=dtype, epoch=epoch)

    return _in_float64(model, made) if dtype == torch.float64 else made(dtype)


def confirmation(
    function: RowFunction,
    model: Model,
    rows: Rows,
    loss: Loss | None,
    epoch: int,
    settings: JacobianSettings,
    parameters: str,
) -> Confirmation:
    """What holds the Jacobians of a `row_function` against others, in float64 unless the network fails in it.

    Raises:
        GencliError: see `RowFunction.require_alone`.
    """
    function.require_alone()
    if function.dtype == torch.float64:
        return Confirmation(function, function)
    if rows.images.device.type in WITHOUT_FLOAT64:
        rows = rows.to(torch.device("cpu"))
    try:
        exact = row_function(model, rows, loss, epoch, settings, parameters, torch.float64)
    except (*FAILURES, WithoutFloat64) as error:
        require_enough(error)
        exact = function
    return Confirmation(function, exact)


def precision(model: Model) -> str:
    """float64 where the model's own numbers are, otherwise float32."""
    doubles = any(each.dtype == torch.float64 for each in model.network.parameters())
    return "float64" if doubles else "float32"
