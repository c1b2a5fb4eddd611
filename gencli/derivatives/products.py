"""Products of a curvature matrix with vectors by automatic differentiation: three routes that share little code.

With g = grad f, H v is grad <g, v> (reverse over reverse, double backward), the derivative of g along v (forward over
reverse), or the gradient of the derivative of f along v (reverse over forward). Pearlmutter 1994, Neural Computation
6(1), "Fast exact multiplication by the Hessian". The other matrices are J' M J, J the Jacobian of what the network
gives, M symmetric, and are multiplied by likewise.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from gencli.derivatives.layers import FastTwice

Method = Literal["double-backward", "forward-over-reverse", "reverse-over-forward"]
Product = Callable[[Tensor], Tensor]

METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Batch:
    """What some rows add to a curvature matrix; its functions can be differentiated twice, by torch.func too.

    Attributes:
        outputs: of the parameters [size], what the network gives for the rows, any shape.
        objective: of outputs, the rows' share of the mean loss, a scalar.
        link: of outputs, a tensor of their shape whose Jacobian is M; None for the Hessian of the objective.
    """

    outputs: Callable[[Tensor], Tensor]
    objective: Callable[[Tensor], Tensor]
    link: Callable[[Tensor], Tensor] | None

    def loss(self, w: Tensor) -> Tensor:
        """The share of the mean loss at parameters w [size]."""
        return self.objective(self.outputs(w))


def product(batch: Batch, w: Tensor, method: Method) -> Product:
    """What multiplies vectors [size] by the batch's share of the matrix at the parameters w [size].

    Double backward keeps the gradient's graph: each further vector costs one pass more, and the memory of a gradient's
    gradient stays taken until the product is dropped.
    """
    w = w.detach()
    if method == "double-backward":
        return _double_backward(batch, w) if batch.link is None else _reverse(batch, w, batch.link)
    load_forward_mode()
    over = _forward_over_reverse if method == "forward-over-reverse" else _reverse_over_forward

    def multiply(v: Tensor) -> Tensor:
        with Elementary():
            return over(batch, w, v).detach()

    return multiply


@cache
def load_forward_mode() -> None:
    with warnings.catch_warnings():  # torch warns of its own code
        warnings.simplefilter("ignore", FutureWarning)
        with torch.autograd.forward_ad.dual_level():
            torch.autograd.forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


@contextmanager
def differentiable() -> Iterator[None]:
    """Attention by formulas that have second derivatives; torch's fused kernels have none on a CPU."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _double_backward(batch: Batch, w: Tensor) -> Product:
    w = w.clone().requires_grad_()
    with FastTwice():
        (gradient,) = torch.autograd.grad(batch.loss(w), w, create_graph=True)

    def multiply(v: Tensor) -> Tensor:
        if not gradient.requires_grad:  # the loss is linear
            return torch.zeros_like(v)
        return torch.autograd.grad(gradient, w, v, retain_graph=True)[0]

    return multiply


def _reverse(batch: Batch, w: Tensor, link: Callable[[Tensor], Tensor]) -> Product:
    w = w.clone().requires_grad_()
    with FastTwice():
        outputs = batch.outputs(w)
        dual = torch.zeros_like(outputs, requires_grad=True)
        (pulled,) = torch.autograd.grad(
            outputs, w, dual, create_graph=True
        )  # J' dual, whose derivative over dual is J'
    middle: Any = vjp(link, outputs.detach())[1]

    def multiply(v: Tensor) -> Tensor:
        (pushed,) = torch.autograd.grad(pulled, dual, v, retain_graph=True)
        return torch.autograd.grad(outputs, w, middle(pushed)[0], retain_graph=True)[0].detach()

    return multiply


def _forward_over_reverse(batch: Batch, w: Tensor, v: Tensor) -> Tensor:
    if batch.link is None:
        return jvp(grad(batch.loss), (w,), (v,))[1]
    link = batch.link
    pushed = jvp(lambda w: link(batch.outputs(w)), (w,), (v,))[1]
    return vjp(batch.outputs, w)[1](pushed)[0]


def _reverse_over_forward(batch: Batch, w: Tensor, v: Tensor) -> Tensor:
    if batch.link is None:
        return grad(lambda w: jvp(batch.loss, (w,), (v,))[1])(w)
    link, outputs = batch.link, batch.outputs(w)

    def half_form(v: Tensor) -> Tensor:  # v' J' M J v / 2
        pushed = jvp(batch.outputs, (w,), (v,))[1]
        return (pushed * jvp(link, (outputs,), (pushed,))[1]).sum() / 2

    return grad(half_form)(v)


class Elementary(TorchFunctionMode):
    """Functions for which torch's derivatives of derivatives are wrong or missing, by arithmetic.

    Reverse over forward is silently wrong for layer and instance norm, and missing for glu; forward over reverse is
    missing for the Huber loss (torch 2.14).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula = _FORMULAS.get(func)
        if formula is None:
            return func(*args, **(kwargs or {}))
        return formula(*args, **(kwargs or {}))


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


_FORMULAS: dict[Any, Callable[..., Tensor]] = {
    functional.layer_norm: _layer_norm, torch.layer_norm: _layer_norm,
    functional.instance_norm: _instance_norm, torch.instance_norm: _instance_norm,
    functional.glu: _glu,
    functional.huber_loss: _huber_loss,
}  # fmt: skip
