"""Operators and Jacobians of a model on a table's rows, as options ask for them."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import torch

from gencli.derivatives.operators import Operator
from gencli.derivatives.rows import RowFunction
from gencli.derivatives.settings import JacobianSettings, NetworkSettings, OperatorSettings
from gencli.errors import GencliError
from gencli.losses import Loss, LossSettings, choose
from gencli.losses.base import option
from gencli.models import Model, inputs
from gencli.models.inputs import Rows
from gencli.tables import ImageTable


def objective(model: Model, settings: LossSettings) -> tuple[Loss, int]:
    """The loss that the settings name, or else the model's own with their options, and the epoch that it is of.

    Raises:
        GencliError: see `losses.choose`.
    """
    given: dict[str, Any] = {name: value for name, value in asdict(settings).items() if value is not None}
    made = model.made["arguments"] if model.made else {}
    plain: dict[str, Any] = {"loss": "l2" if model.task == "images" else "ce"}
    own = "loss" not in given and made.get("loss") is not None
    defaults = {field.name: made.get(field.name) for field in fields(LossSettings)} if own else plain
    return choose(LossSettings(**defaults | given)), (own and made.get("epochs")) or 1


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
    return Operator(
        model, load(table, settings, device), loss, settings.operator,
        parameters=settings.parameters, dtype=getattr(torch, settings.dtype), batch_size=settings.batch_size,
        epoch=epoch,
    )  # fmt: skip


def row_loss(model: Model, of: str, settings: LossSettings) -> tuple[Loss | None, int]:
    """None for the outputs, whose options of a loss are refused; see `objective`."""
    if of == "loss":
        return objective(model, settings)
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
    return RowFunction(model, rows, settings.wrt, loss, parameters=parameters, dtype=dtype, epoch=epoch)


def precision(model: Model) -> str:
    """float64 where the model's own numbers are, otherwise float32."""
    doubles = any(each.dtype == torch.float64 for each in model.network.parameters())
    return "float64" if doubles else "float32"
