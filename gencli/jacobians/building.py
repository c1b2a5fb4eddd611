"""Jacobians of a model on a table's rows, as options ask for them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import torch

from gencli import objectives
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
from gencli.ranks import ALONE, Group


@dataclass(frozen=True)
class Target:
    """What Jacobians are taken of: a model's outputs, or its loss as of an epoch.

    Attributes:
        loss: None for the outputs.
        wrt: the network's input, or those of its parameters whose names match the pattern `parameters`.
    """

    model: Model
    loss: Loss | None
    epoch: int
    wrt: Literal["input", "parameters"]
    parameters: str

    def function(self, rows: Rows, dtype: torch.dtype) -> RowFunction:
        """As a function of these rows.

        Raises:
            GencliError: see `RowFunction` and `building.in_float64`.
        """

        def made(dtype: torch.dtype) -> RowFunction:
            return RowFunction(
                self.model, rows, self.wrt, self.loss, parameters=self.parameters, dtype=dtype, epoch=self.epoch
            )

        return in_float64(self.model, made) if dtype == torch.float64 else made(dtype)

    def confirmation(
        self, function: RowFunction, rows: Rows, part: range | None = None, group: Group = ALONE
    ) -> Confirmation:
        """Compares the function's Jacobians with others, in float64 unless the network fails in it.

        Args:
            part: of the rows, those whose Jacobians are asked for; None for all.
            group: the processes that divide them.

        Raises:
            GencliError: see `RowFunction.require_alone`.
        """
        part = range(function.rows) if part is None else part
        own = group.span(len(part))
        with group.summed():
            function.require_alone(part[own.start : own.stop])
        if function.dtype == torch.float64:
            return Confirmation(function, function, part)
        if rows.images.device.type in WITHOUT_FLOAT64:
            rows = rows.to(torch.device("cpu"))
        try:
            exact = self.function(rows, torch.float64)
        except (*FAILURES, WithoutFloat64) as error:
            require_enough(error)
            exact = function
        return Confirmation(function, exact, part)


def target(
    model: Model, table: ImageTable, settings: JacobianSettings, parameters: str, objective: LossSettings
) -> Target:
    """What the settings ask for, with the loss of `objectives.objective`.

    Raises:
        GencliError: options that do not go together, or no loss of this model.
    """
    if settings.wrt == "input" and parameters != "*":
        raise GencliError("--parameters: derivatives are with respect to the input", "add --wrt parameters, or omit it")
    if settings.of == "loss":
        return Target(model, *objectives.objective(model, table, objective), settings.wrt, parameters)
    for name, value in asdict(objective).items():
        if value is not None:
            raise GencliError(f"{dashed(name)}: applies only to the loss", "add --of loss, or omit it")
    return Target(model, None, 1, settings.wrt, parameters)
