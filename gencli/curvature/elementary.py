"""Functions of torch whose derivatives of derivatives are wrong or missing, by arithmetic that has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_torch: Any = torch


class Corrected(TorchFunctionMode):
    """Within, weight norm and hard sigmoid are such formulas.

    A second derivative of torch's weight norm takes the norm for a constant and is 2 to 20 % off, and forward mode is
    missing; that of hard sigmoid is missing, and its gradient in float64 2e-8 off (torch 2.14).
    """

    formulas: ClassVar[dict[Any, Callable[..., Tensor]]]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula: Any = self.formulas.get(func, func)
        return formula(*args, **(kwargs or {}))


class Elementary(Corrected):
    """Within, those are that torch cannot differentiate in forward mode and again.

    Reverse over forward is silently wrong for layer and instance norm, and missing for glu; forward over reverse is
    missing for the Huber loss (torch 2.14).
    """


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    return functional.relu6(input + 3) / 6 if not inplace else input.copy_(_hardsigmoid(input.clone()))


def _standardized(values: Tensor, dimensions: list[int], eps: float) -> Tensor:
    centered = values - values.mean(dimensions, keepdim=True)
    return centered * (centered.square().mean(dimensions, keepdim=True) + eps).rsqrt()


def _layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    values = _standardized(input, list(range(-len(normalized_shape), 0)), eps)
    values = values if weight is None else values * weight
    return values if bias is None else values + bias


def _instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    channels = -1, *(1,) * (input.ndim - 2)
    if use_input_stats or running_mean is None or running_var is None:
        values = _standardized(input, list(range(2, input.ndim)), eps)
    else:
        values = (input - running_mean.view(channels)) * (running_var.view(channels) + eps).rsqrt()
    values = values if weight is None else values * weight.view(channels)
    return values if bias is None else values + bias.view(channels)


def _glu(input: Tensor, dim: int = -1) -> Tensor:
    values, gates = input.chunk(2, dim)
    return values * gates.sigmoid()


def _huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    error = input - target
    size = error.abs()
    losses = torch.where(size <= delta, error.square() / 2, delta * (size - delta / 2))
    losses = losses if weight is None else losses * weight
    return losses if reduction == "none" else losses.sum() if reduction == "sum" else losses.mean()


Corrected.formulas = {
    _torch._weight_norm: _weight_norm,
    functional.hardsigmoid: _hardsigmoid, _torch._C._nn.hardsigmoid: _hardsigmoid,
}  # fmt: skip
Elementary.formulas = {
    functional.layer_norm: _layer_norm, torch.layer_norm: _layer_norm,
    functional.instance_norm: _instance_norm, torch.instance_norm: _instance_norm,
    functional.glu: _glu,
    functional.huber_loss: _huber_loss,
}  # fmt: skip
