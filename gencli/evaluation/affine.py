"""A network's affine layers: dense, convolutional and circulant layers, and batch norm with its running statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch import nn

from gencli.models import Shape
from gencli.models.circulant import Circulant

_WEIGHTED = nn.Linear, nn.Conv2d, Circulant
_NORMS = nn.BatchNorm1d, nn.BatchNorm2d
_TOLERANCE = 1e-5  # of the residual; the value's error is its square


@dataclass(frozen=True)
class Affine:
    """One layer.

    Attributes:
        name: in the network; empty for the network itself.
        module: what computes it, in float64 and evaluation mode.
        state: its tensors, with which `module` computes it; batch norm's are folded into weight and bias.
        shape: of one input, without the batch.
    """

    name: str
    module: nn.Module
    state: dict[str, torch.Tensor]
    shape: tuple[int, ...]

    @property
    def normalizes(self) -> bool:
        """Whether it is batch norm, which takes each channel by itself."""
        return isinstance(self.module, _NORMS)

    @property
    def weight(self) -> torch.Tensor:
        """As the module keeps it; of batch norm the factors."""
        return self.state["weight"]

    def named(self, change: Callable[[str, torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
        """Its weight and bias, changed, and what else it has, under their names in the network."""
        return {
            f"{self.name}.{key}".removeprefix("."): change(key, value) if key in ("weight", "bias") else value
            for key, value in self.state.items()
        }

    def linear(self, inputs: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor] = lambda w: w) -> Any:
        """Its linear part, with its weight changed, of inputs [n, *shape]."""
        state = {key: torch.zeros_like(value) if key == "bias" else value for key, value in self.state.items()}
        return torch.func.functional_call(self.module, state | {"weight": change(self.weight)}, inputs)

    def row_norms(self) -> torch.Tensor:
        """[outputs] the Euclidean norms of the rows of the matrix that maps a flat input to a flat output."""
        if isinstance(self.module, Circulant):  # transforms of squares lose small ones
            return self.weight.norm().expand(self.module.size)
        return self.linear(self.weight.new_ones(1, *self.shape), torch.square).flatten().sqrt()

    def spectral_norm(self) -> float:
        """The largest singular value of that matrix."""
        if self.normalizes or not self.weight.any():
            return self.weight.abs().max().item()
        if isinstance(self.module, Circulant):  # Gray 2006, chapter 3: its eigenvalues are the transform
            return torch.fft.fft(self.weight).abs().max().item()
        matrix = self.weight.numpy() if isinstance(self.module, nn.Linear) else self._operator()
        if min(matrix.shape) == 1:
            return self.row_norms().norm().item()
        start = np.random.default_rng(0).standard_normal(min(matrix.shape))
        found = svds(matrix, 1, tol=_TOLERANCE, v0=start, return_singular_vectors=False)  # type: ignore[arg-type]
        return np.asarray(found)[0].item()

    def _operator(self) -> LinearOperator:
        at = self.weight.new_zeros(1, *self.shape)
        output, adjoint = torch.func.vjp(self.linear, at)[:2]

        def forward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            return self.linear(torch.from_numpy(vector).view(at.shape)).numpy().ravel()

        def back(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            return adjoint(torch.from_numpy(vector).view(output.shape))[0].numpy().ravel()

        return LinearOperator((output.numel(), at.numel()), forward, back, dtype=np.float64)  # type: ignore[call-arg]


@torch.no_grad()
def affine_layers(network: nn.Module, input_shape: Shape) -> tuple[list[Affine], list[str]]:
    """The affine layers in the order of their first calls, and the names of the modules that are something else.

    Those are modules with parameters of their own that are no such layer, and layers that are not called as modules.

    Args:
        network: in float64 and evaluation mode, on the CPU.
        input_shape: height, width, channels of the images that it gets.
    """
    modules, shapes = dict(network.named_modules()), dict[str, tuple[int, ...]]()

    def note(name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            shapes.setdefault(name, tuple(inputs[0].shape[1:]))

        return hook

    affine = {name: module for name, module in modules.items() if isinstance(module, (*_WEIGHTED, *_NORMS))}
    hooks = [module.register_forward_pre_hook(note(name)) for name, module in affine.items()]
    try:
        network(torch.zeros(1, input_shape[2], *input_shape[:2], dtype=torch.float64))
    finally:
        for hook in hooks:
            hook.remove()
    states = {name: _state(module) for name, module in affine.items()}
    layers = [Affine(name, affine[name], state, shape) for name, shape in shapes.items() if (state := states[name])]
    known = {layer.name for layer in layers}
    own = {name for name, module in modules.items() if name in affine or list(module.parameters(recurse=False))}
    return layers, [name or type(network).__name__ for name in modules if name in own - known]


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    tensors = {name: getattr(module, name).detach() for name in ("weight", "bias") if getattr(module, name) is not None}
    if not isinstance(module, _NORMS):
        return tensors
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None or tensors.keys() != {"weight", "bias"}:
        return {}
    scale = tensors["weight"] / (variance + module.eps).sqrt()
    return {
        "weight": scale,
        "bias": tensors["bias"] - scale * mean,
        "running_mean": torch.zeros_like(mean),
        "running_var": torch.full_like(variance, 1 - module.eps),
    }
