"""Jacobians of a model on a table's rows, as options ask for them."""

from __future__ import annotations

from dataclasses import asdict

import torch

from gencli.cli.options import dashed
from gencli.curvature.building import in_float64
from gencli.curvature.networks import WithoutFloat64
from gencli.curvature.products import FAILURES
from gencli.errors import GencliError, require_enough
from gencli.files.tables import ImageTable
from gencli.files.tensors import WITHOUT_FLOAT64
from gencli.jacobians.confirmation import Confirmation
from gencli.jacobians.rows import RowFunction
from gencli.jacobians.settings import JacobianSettings
from gencli.losses import Loss
from gencli.losses.settings import LossSettings
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.objectives import objective


def row_loss(model: Model, table: ImageTable, of: str, settings: LossSettings) -> tuple[Loss | None, int]:
    """None for the outputs, whose options of a loss are refused; see `objectives.objective`."""
    if of == "loss":
        return objective(model, table, settings)
    for name, value in asdict(settings).items():
        if value is not None:
            raise GencliError(f"{dashed(name)}: applies only to the loss", "add --of loss, or omit it")
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
        raise GencliError("--parameters: derivatives are with respect to the input", "add --wrt parameters, or omit it")

    def made(dtype: torch.dtype) -> RowFunction:
        return RowFunction(model, rows, settings.wrt, loss, parameters=parameters, dtype=dtype, epoch=epoch)

    return in_float64(model, made) if dtype == torch.float64 else made(dtype)


def confirmation(
    function: RowFunction,
    model: Model,
    rows: Rows,
    loss: Loss | None,
    epoch: int,
    settings: JacobianSettings,
    parameters: str,
) -> Confirmation:
    """Compares the Jacobians of a `row_function` with others, in float64 unless the network fails in it.

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
