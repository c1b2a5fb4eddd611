"""Operators of a model on a table's rows, as options ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from gencli.curvature.networks import WithoutFloat64
from gencli.curvature.operators import Operator
from gencli.curvature.products import FAILURES
from gencli.curvature.settings import NetworkSettings, OperatorSettings
from gencli.errors import GencliError, first_line
from gencli.files.tables import ImageTable
from gencli.losses import Loss
from gencli.models import Model, paged
from gencli.models.inputs import Rows
from gencli.ranks import ALONE, Group

_Made = TypeVar("_Made")


def load(
    table: ImageTable, settings: NetworkSettings, device: torch.device, again: bool = False, group: Group = ALONE
) -> Rows:  # fmt: skip
    """The rows that the settings leave of the table, on the device.

    Args:
        again, group: see `paged.held`.

    Raises:
        GencliError: there are none.
    """
    if not table.rows:
        raise GencliError(f"{table.title}: no rows", "a mean needs at least one row")
    return paged.held(table, settings.limit, device, again, group)


def operator(
    model: Model, table: ImageTable, loss: Loss, epoch: int, settings: OperatorSettings, device: torch.device,
    group: Group = ALONE,
) -> Operator:  # fmt: skip
    """The operator on the table's rows.

    Raises:
        GencliError: see `load` and `Operator`.
    """
    rows = load(table, settings, device, True, group)

    def made(dtype: torch.dtype) -> Operator:
        return Operator(
            model, rows, loss, settings.operator,
            parameters=settings.parameters, dtype=dtype, batch_size=settings.batch_size, epoch=epoch, group=group,
        )  # fmt: skip

    return in_float64(model, made) if settings.dtype == "float64" else made(torch.float32)


def in_float64(model: Model, made: Callable[[torch.dtype], _Made]) -> _Made:
    """Builds in float64; a network that fails only in float64 is refused."""
    try:
        return made(torch.float64)
    except FAILURES as error:
        made(torch.float32)
        raise WithoutFloat64(
            f"--dtype: float64 is not available for {model.arch}: {first_line(error)}", "use --dtype float32"
        ) from error


def precision(model: Model) -> str:
    """float64 where the model's own numbers are, otherwise float32."""
    doubles = any(each.dtype == torch.float64 for each in model.network.parameters())
    return "float64" if doubles else "float32"
