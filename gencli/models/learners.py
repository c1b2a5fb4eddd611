"""Learners in closed form as modules: `gencli.fitting` computes their numbers, here are their predictions.

Their outputs are scores, of which the largest names the class; they are no logits, and have no loss or probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gencli.errors import GencliError, require_enough
from gencli.models.base import Shape
from gencli.models.inputs import Preprocessing
from gencli.models.layers import Pixels

PLAIN_PIXELS = Preprocessing("none")
_AT_ONCE = 4096  # training rows, or hidden units
_ROWS = 1 << 31


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Images [n, height, width, channels] of a table as the learners see them: [n, d] float32, value/255."""
    return Pixels()(PLAIN_PIXELS(images))


def linear(x: torch.Tensor, y: torch.Tensor, scale: float | None) -> torch.Tensor:
    """⟨x, y⟩: [m, d] and [n, d] to [m, n]."""
    return x @ y.T


def gaussian(x: torch.Tensor, y: torch.Tensor, scale: float | None) -> torch.Tensor:
    """exp(−scale ‖x − y‖²): [m, d] and [n, d] to [m, n]."""
    squares = torch.addmm(y.square().sum(1), x, y.T, alpha=-2).add_(x.square().sum(1)[:, None])
    return squares.clamp_(min=0).mul_(-(scale or 0)).exp_()


KERNELS: dict[str, Callable[[torch.Tensor, torch.Tensor, float | None], torch.Tensor]] = {
    "gaussian": gaussian, "linear": linear
}  # fmt: skip


class Learner(nn.Module):
    """Images [n, channels, height, width] of pixels/255 to scores [n, classes].

    Attributes:
        facts: what a model file says beside the tensors; the arguments after shape and classes.
    """

    facts: dict[str, Any]


class Kernel(Learner):
    """Σ_i k(x, x_i) α_i over the training images x_i, [rows, height, width, channels]; α [rows, classes] of `dtype`."""

    images: torch.Tensor

    def __init__(
        self, shape: Shape, classes: int, kernel: str, scale: float | None, rows: int, images: str, dtype: str
    ) -> None:
        super().__init__()
        self.facts = {"kernel": kernel, "scale": scale, "rows": rows, "images": images, "dtype": dtype}
        positive = isinstance(scale, float) and 0 < scale < math.inf
        known = images in ("uint8", "float32") and dtype in ("float32", "float64")
        if not known or not (positive if kernel == "gaussian" else scale is None):
            raise ValueError
        self._kernel, self._scale = KERNELS[kernel], scale
        self.register_buffer("images", torch.empty(rows, *shape, dtype=getattr(torch, images)))
        self.alpha = nn.Parameter(torch.empty(rows, classes, dtype=getattr(torch, dtype)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = Pixels()(images).to(self.alpha.dtype)
        scores = x.new_zeros(len(x), self.alpha.shape[1])
        for known, alpha in zip(self.images.split(_AT_ONCE), self.alpha.split(_AT_ONCE), strict=True):
            scores = scores + self._kernel(x, pixels(known).to(x.dtype), self._scale) @ alpha
        return scores


class LeastSquares(Learner):
    """x W + b in float64; `weight` is W's transpose [classes, d], `bias` [classes]."""

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.facts = {}
        self.weight = nn.Parameter(torch.empty(classes, math.prod(shape), dtype=torch.float64))
        self.bias = nn.Parameter(torch.empty(classes, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(Pixels()(images).to(self.weight.dtype), self.weight, self.bias)


class FiniteSampleNetwork(Learner):
    """−|c(x) − class| with c(x) = Σ_j w_j max(⟨a, x⟩ − b_j, 0) in float64, see `gencli.fitting.finite_sample`.

    So the largest score is that of the class whose number is nearest. `a` [d], `b` and `w` [rows].
    """

    def __init__(self, shape: Shape, classes: int, rows: int) -> None:
        super().__init__()
        self.facts = {"rows": rows}
        self.classes = classes
        self.a = nn.Parameter(torch.empty(math.prod(shape), dtype=torch.float64))
        self.b = nn.Parameter(torch.empty(rows, dtype=torch.float64))
        self.w = nn.Parameter(torch.empty(rows, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        z = (Pixels()(images).to(self.a.dtype) * self.a).sum(1)
        value = torch.zeros_like(z)
        for b, w in zip(self.b.split(_AT_ONCE), self.w.split(_AT_ONCE), strict=True):
            value = value + (z[:, None] - b).clamp(min=0) @ w
        numbers = torch.arange(self.classes, device=z.device)
        return -(value[:, None] - numbers).abs()


LEARNERS: dict[str, type[Learner]] = {
    "kernel": Kernel,
    "least-squares": LeastSquares,
    "finite-sample": FiniteSampleNetwork,
}


def build(name: str, shape: Shape, classes: int, facts: Any) -> Learner:
    """The learner of this name with tensors of the right shapes, without numbers (torch's meta device).

    Raises:
        GencliError: facts that this version does not know.
    """
    try:
        rows = facts.get("rows", 1)
        if type(rows) is not int or not 0 < rows < _ROWS:
            raise ValueError
        with torch.device("meta"):
            return LEARNERS[name](shape, classes, **facts)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        require_enough(error)
        raise GencliError("its learner's options are unknown to this version", "use the gencli that wrote it") from None
