"""Learners in closed form as modules: `gencli.fitting` computes their numbers, here are their predictions.

Their outputs are scores, of which the largest names the class; they are no logits, and have no loss or probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gencli import kernels
from gencli.errors import GencliError, require_enough
from gencli.machine import require_memory
from gencli.models.base import Shape
from gencli.models.inputs import Preprocessing
from gencli.models.layers import Pixels
from gencli.randomness import derive

PLAIN_PIXELS = Preprocessing("none")
_AT_ONCE = 4096  # training rows, or hidden units
_NUMBERS = 1 << 24  # of points at a time
_ROWS = 1 << 31


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Images [n, height, width, channels] of a table as the learners see them: [n, d] float32, value/255."""
    return Pixels()(PLAIN_PIXELS(images))


class Learner(nn.Module):
    """Images [n, channels, height, width] of pixels/255 to scores [n, classes].

    Attributes:
        facts: what a model file says beside the tensors; the arguments after shape and classes.
    """

    facts: dict[str, Any]


class _Anew(TorchFunctionMode):
    """Within, what tensors' methods compute in place is a new tensor."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__"):
            func = getattr(torch.Tensor, name[:-1])
        return func(*args, **(kwargs or {}))


class Kernel(Learner):
    """Σ_i k(x, x_i) α_i over the training images x_i, [rows, height, width, channels]; α [rows, classes] of `dtype`.

    A kernel that is linear in its points z is ⟨z, Σ_i z_i α_i⟩, with a sum that is computed once.
    """

    images: torch.Tensor

    def __init__(self, shape: Shape, classes: int, rows: int, images: str, dtype: str, **kernel: Any) -> None:
        super().__init__()
        self.facts = kernel | {"rows": rows, "images": images, "dtype": dtype}
        if images not in ("uint8", "float32") or dtype not in ("float32", "float64"):
            raise ValueError
        self._kernel, self._shape = kernels.read(kernel), shape
        self._weights: torch.Tensor | None = None
        self.register_buffer("images", torch.empty(rows, *shape, dtype=getattr(torch, images)))
        self.alpha = nn.Parameter(torch.empty(rows, classes, dtype=getattr(torch, dtype)))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self._kernel.points(Pixels()(images).to(self.alpha.dtype), self._shape)
        if self._kernel.linear:
            if self._weights is None or self._weights.device != x.device:
                self._weights = self._sum(x, lambda known: known.T)
            return x @ self._weights
        derived = torch.is_grad_enabled()
        with _Anew() if derived else nullcontext():
            return self._sum(x, lambda known: self._kernel.matrix(x, known, derived))

    def _sum(self, like: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Σ over parts of the training rows: a function of their points, times their α."""
        step, total = max(1, min(_AT_ONCE, _NUMBERS // like.shape[1])), like.new_zeros(1)
        for known, alpha in zip(self.images.split(step), self.alpha.split(step), strict=True):
            total = total + function(self._kernel.points(pixels(known).to(like.dtype), self._shape)) @ alpha
        return total


class LeastSquares(Learner):
    """x W + b in float64; `weight` is W's transpose [classes, d], `bias` [classes]."""

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.facts = {}
        self.weight = nn.Parameter(torch.empty(classes, math.prod(shape), dtype=torch.float64))
        self.bias = nn.Parameter(torch.empty(classes, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(Pixels()(images).to(self.weight.dtype), self.weight, self.bias)


class RandomFeatures(Learner):
    """⟨φ(x), a⟩ of random features φ [features], in float64; `weight` is a's transpose [classes, features].

    Of map `fourier` φ_j(x) = √(2/N) cos(⟨w_j, x⟩ + b_j), w_j normal of variance 2·scale, b_j uniform on [0, 2π): of
    many features ⟨φ(x), φ(x')⟩ is the kernel gaussian:SCALE (Rahimi, Recht 2007, "Random features for large-scale
    kernel machines"). Of `relu` φ_j(x) = √(2/N) max(0, √(2/d) ⟨w_j, x⟩), w_j standard normal, of the kernel arccos:1.
    The w_j and b_j are drawn from `seed` in their order, so that fewer features are the first of many.
    """

    def __init__(self, shape: Shape, classes: int, features: int, map: str, scale: float | None, seed: int) -> None:
        super().__init__()
        self.facts = {"features": features, "map": map, "scale": scale, "seed": seed}
        known = type(features) is type(seed) is int and features > 0
        positive = isinstance(scale, float) and 0 < scale < math.inf
        if not known or map not in ("fourier", "relu") or not (positive if map == "fourier" else scale is None):
            raise ValueError
        self._size = features, math.prod(shape)
        self._drawn: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self.weight = nn.Parameter(torch.empty(classes, features, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.features(Pixels()(images)) @ self.weight.T

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """φ [n, features] float64 of pixels [n, d]."""
        directions, phases = self._draw(x.device)
        made = x.double() @ directions.T
        made = made.clamp_(min=0) if phases is None else made.add_(phases).cos_()
        return made.mul_(math.sqrt(2 / self._size[0]))

    def _draw(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self._drawn is None or self._drawn[0].device != device:
            (count, d), facts = self._size, self.facts
            require_memory(8 * count * d, f"{count:,} random features of {d:,} pixels", "use fewer features")
            random, phases = (
                np.random.Generator(np.random.Philox(derive(facts["seed"], "random-features", facts["map"], what)))
                for what in ("directions", "phases")
            )
            deviation = math.sqrt(2 * facts["scale"] if facts["map"] == "fourier" else 2 / d)
            drawn = torch.from_numpy(random.standard_normal((count, d))).mul_(deviation).to(device)
            shift = torch.from_numpy(phases.uniform(0, 2 * math.pi, count)).to(device)
            self._drawn = drawn, shift if facts["map"] == "fourier" else None
        return self._drawn


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
    "random-features": RandomFeatures,
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
