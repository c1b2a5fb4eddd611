"""What a history tracks of the loss's geometry: sharpness, gradient, distances; see `tracking`."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from gencli.curvature import extremes, routes
from gencli.curvature.operators import Operator
from gencli.errors import GencliError
from gencli.evaluation.predictions import batch_size
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.randomness import derive
from gencli.training.settings import Settings
from gencli.training.tracking import tracked

_VECTORS = 64  # of Lanczos' basis


class Geometry:
    """Of the mean loss over a run's rows, at its network's parameters in evaluation mode, without weight decay.

    sharpness is the largest eigenvalue of its Hessian: of Lanczos in float32, once the residual is below 1e-3 of it, so
    that an eigenvalue is within that; None where that takes more than 1,000 products. Its first vector is the sum of
    the eigenvector before and of a random one as long, so that no eigenvector is hidden from it. Products are by the
    first route that `curvature.routes` finds right.

    Attributes:
        vector: [parameters] float32, the last eigenvector; zeros before the first.
    """

    def __init__(self, model: Model, rows: Rows, loss: Loss, settings: Settings) -> None:
        """At the network's initial parameters."""
        self._model, self._rows, self._loss, self._settings = model, rows, loss, settings
        self._names = tracked(settings.track)
        self._start = self._parameters()
        self.vector = torch.zeros(len(self._start), dtype=torch.float32)
        self._route: routes.Route | None = None

    def _parameters(self) -> Tensor:
        trained = [each for each in self._model.network.parameters() if each.requires_grad]
        return torch.cat([each.detach().reshape(-1) for each in trained])

    @cached_property
    def _held(self) -> Rows:
        return self._rows.held()[0]

    def _operator(self, epoch: int) -> Operator:
        size = max(self._settings.batch_size, batch_size(self._model.network))
        made = Operator(self._model, self._held, self._loss, batch_size=size, epoch=epoch)
        if self._route is None:
            routes.choose(made)
            self._route = made.route
        made.route = self._route
        return made

    def prepare(self) -> None:
        """Finds the route of products.

        Raises:
            GencliError: the network has none, or no such loss.
            CheckFailed: a derivative of the network is wrong.
        """
        if "sharpness" in self._names:
            self._operator(1)

    def measure(self, epoch: int) -> dict[str, float | None]:
        """The figures that are tracked, after an epoch, from 1; none between those that count."""
        if not self._settings.tracked_after(epoch):
            return {}
        found: dict[str, float | None] = {}
        if {"sharpness", "gradient_norm"} & {*self._names}:
            operator = self._operator(epoch)
            if "sharpness" in self._names:
                found["sharpness"] = self._sharpness(operator, epoch)
            if "gradient_norm" in self._names:
                found["gradient_norm"] = double(operator.gradient()).norm().item()
        now = self._parameters()
        if "distance" in self._names:
            found["distance"] = (double(now) - double(self._start)).norm().item()
        if "weight_norm" in self._names:
            found["weight_norm"] = double(now).norm().item()
        return found

    def _sharpness(self, operator: Operator, epoch: int) -> float | None:
        generator = torch.Generator().manual_seed(derive(self._settings.seed, "sharpness", epoch))
        drawn = torch.randn(operator.size, generator=generator)
        start = self.vector + drawn / drawn.norm()
        try:
            pairs = extremes.leading(
                operator.matvec, operator.size, 1, start=start, vectors=min(_VECTORS, operator.size)
            )
        except GencliError:  # a product that is not finite, as of a network that is diverging
            return None
        if not pairs.converged:
            return None
        self.vector = pairs.vectors[0].clone()
        return pairs.values[0].item()
