"""Products of a curvature matrix with vectors by automatic differentiation: routes that share little code.

With g = grad f, H v is grad <g, v> (reverse over reverse, double backward), the derivative of g along v (forward over
reverse), or the gradient of the derivative of f along v (reverse over forward). Pearlmutter 1994, Neural Computation
6(1), "Fast exact multiplication by the Hessian". The other matrices are J' M J, J the Jacobian of what the network
gives, M symmetric, and are multiplied by likewise, or by J itself, which takes first derivatives alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.func import grad, jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import checkpoint

from gencli.curvature.elementary import Corrected, Elementary
from gencli.curvature.layers import FastTwice

Method = Literal["double-backward", "forward-over-reverse", "reverse-over-forward"]
Route = Literal[Method, "jacobian", "finite-difference"]
Product = Callable[[Tensor], Tensor]

METHODS: tuple[Method, ...] = get_args(Method)
FAILURES = (RuntimeError, TypeError, ValueError)  # of torch's derivatives, and of networks that they are too much for


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
    """Uses torch's forward mode once, since its first use warns and takes time; later calls do nothing."""
    with warnings.catch_warnings():  # torch warns of its own code
        warnings.simplefilter("ignore", FutureWarning)
        with torch.autograd.forward_ad.dual_level():
            torch.autograd.forward_ad.make_dual(torch.zeros(()), torch.zeros(()))


@contextmanager
def differentiable() -> Iterator[None]:
    """Replaces what torch differentiates wrongly, or only once, by what it differentiates correctly.

    That is `Corrected`'s; attention, whose fused kernels have no second derivatives on a CPU; and checkpointed
    activations, which are kept: torch would compute them again from whatever parameters the network holds by then.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    hook, function = checkpoint._checkpoint_hook, checkpoint.CheckpointFunction
    torch.backends.mha.set_fastpath_enabled(False)
    checkpoint._checkpoint_hook, checkpoint.CheckpointFunction = lambda frame: nullcontext(), _Called
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), Corrected():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        checkpoint._checkpoint_hook, checkpoint.CheckpointFunction = hook, function


class _Called:
    """torch's CheckpointFunction without a checkpoint."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


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


def jacobian(batch: Batch, w: Tensor) -> tuple[Tensor, Tensor]:
    """What the network gives for the rows, and its Jacobian [outputs, size], by one reverse pass per output."""
    w = w.detach().requires_grad_()
    outputs = batch.outputs(w)
    pulled = [
        torch.autograd.grad(each, w, retain_graph=True, materialize_grads=True)[0] for each in outputs.reshape(-1)
    ]
    return outputs.detach(), torch.stack(pulled)


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
