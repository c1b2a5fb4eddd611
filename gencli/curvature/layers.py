"""Layers whose gradients are differentiated again as fast as the first time.

torch's own second derivatives of these layers are slow (2.14): the one by a convolution's weight is a convolution with
a kernel as large as the image, batch norm takes a dozen passes over the images, max-pooling copies to another layout,
and piecewise linear functions add zeros.

Convolution and batch norm in evaluation mode are bilinear, B(x, w). With g the gradient by the output of B, and vectors
u and v that multiply the gradients by x and w, ⟨u, ∂⟨g, B⟩/∂x⟩ + ⟨v, ∂⟨g, B⟩/∂w⟩ = ⟨g, B(u, w) + B(x, v)⟩ is linear in
g, x and w again: its gradients are B(u, w) + B(x, v), and those of ⟨g, B⟩ at v in place of w and at u in place of x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_aten: Any = torch.ops.aten


class FastTwice(TorchFunctionMode):
    """Inside this mode, convolutions, batch norm in evaluation mode, ReLU and 2-D max-pooling are such layers.

    Calls that `_LAYERS` does not cover, such as batch norm in training mode, go to torch unchanged.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        layer = _LAYERS.get(func)
        result = None if layer is None else layer(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if result is None else result


class _Convolution:
    """B(x, w), a convolution; `how` is torch's stride, padding, dilation, transposed, output_padding and groups."""

    @staticmethod
    def value(x: Tensor, w: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
        return _aten.convolution(x, w, bias, *how)

    @staticmethod
    def gradients(g: Tensor, x: Tensor, w: Tensor, how: tuple[Any, ...], needed: list[bool]) -> Any:
        return _aten.convolution_backward(g, x, w, [g.shape[1]], *how, needed)


class _Scaling:
    """B(x, w), x [n, channels, ...] times w [channels], computed by batch norm with the moments (0, 1) in `how`."""

    @staticmethod
    def value(x: Tensor, w: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
        return _aten.native_batch_norm(x, w, bias, *how, False, 0.0, 0.0)[0]

    @staticmethod
    def gradients(g: Tensor, x: Tensor, w: Tensor, how: tuple[Any, ...], needed: list[bool]) -> Any:
        return _aten.native_batch_norm_backward(g, x, w, *how, None, None, False, 0.0, needed)


class _Bilinear(torch.autograd.Function):
    """B(x, w) + bias."""

    @staticmethod
    def forward(ctx: Any, kind: Any, x: Tensor, w: Tensor, bias: Tensor | None, how: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.kind, ctx.how = kind, how
        return kind.value(x, w, bias, how)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        found: Any = _Gradients.apply(ctx.kind, g, *ctx.saved_tensors, ctx.how, [*ctx.needs_input_grad[1:4]])
        return None, *found, None


class _Gradients(torch.autograd.Function):
    """The gradients of ⟨g, B(x, w) + bias⟩ with respect to x, w and bias, None where they are not needed."""

    @staticmethod
    def forward(ctx: Any, kind: Any, g: Tensor, x: Tensor, w: Tensor, how: tuple[Any, ...], needed: list[bool]) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, x, w)
        ctx.kind, ctx.how = kind, how
        return _gradients(kind, g, x, w, how, needed)

    @staticmethod
    def backward(ctx: Any, u: Tensor | None, v: Tensor | None, c: Tensor | None) -> Any:  # type: ignore[override]
        g, x, w = ctx.saved_tensors
        # by g: B(u, w) + B(x, v), and c on every position, since the bias is added there
        parts = [] if u is None else [ctx.kind.value(u, w, None, ctx.how)]
        if v is not None:
            parts.append(ctx.kind.value(x, v, c, ctx.how))
        elif c is not None:
            parts.append(c.view(-1, *[1] * (g.ndim - 2)).expand_as(g))
        # by x and w: those of ⟨g, B⟩ at (x, v) and (u, w), both in one call at (u, v), as each needs only one of
        # them: the gradient by x depends on w alone, and the one by w on x alone, because B is bilinear
        needed = [v is not None and ctx.needs_input_grad[2], u is not None and ctx.needs_input_grad[3], False]
        of_x, of_w, _ = _gradients(ctx.kind, g, x if u is None else u, w if v is None else v, ctx.how, needed)
        return None, sum(parts[1:], *parts[:1]) if parts else None, of_x, of_w, None, None


def _gradients(kind: Any, g: Tensor, x: Tensor, w: Tensor, how: tuple[Any, ...], needed: list[bool]) -> Any:
    if not any(needed):
        return None, None, None
    found = kind.gradients(g, x, w, how, needed)
    return tuple(each if wanted else None for each, wanted in zip(found, needed, strict=True))


class _ReLU(torch.autograd.Function):
    """max(x, 0). The output is kept in place of x, as y > 0 exactly where x > 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = _aten.relu(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        return _WherePositive.apply(g, *ctx.saved_tensors)


class _WherePositive(torch.autograd.Function):
    """g where y > 0, otherwise 0.

    Linear in g, so that its derivative by g is the same function; its derivative by y is 0 almost everywhere.
    """

    @staticmethod
    def forward(ctx: Any, g: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(y)
        return _aten.threshold_backward(g, y, 0)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> Any:  # type: ignore[override]
        return _aten.threshold_backward(u, *ctx.saved_tensors, 0), None


class _MaxPool(torch.autograd.Function):
    """2-D max-pooling. The indices of the maxima are all that the derivatives need; x gives only its shape."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, how: tuple[Any, ...]) -> Tensor:
        y, place = _aten.max_pool2d_with_indices(x, *how)
        ctx.save_for_backward(x, place)
        ctx.how = how
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # type: ignore[override]
        return _Unpooled.apply(g, *ctx.saved_tensors, ctx.how), None


class _Unpooled(torch.autograd.Function):
    """Puts g at the positions of the maxima; its adjoint gathers u from these positions."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, x: Tensor, place: Tensor, how: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(place)
        return _aten.max_pool2d_with_indices_backward(g, x, *how, place)

    @staticmethod
    def backward(ctx: Any, u: Tensor) -> Any:  # type: ignore[override]
        (place,) = ctx.saved_tensors
        if not place.is_contiguous(memory_format=torch.channels_last):
            return u.flatten(2).gather(2, place.flatten(2)).view_as(place), None, None, None
        pixels, last = (each.permute(0, 2, 3, 1) for each in (u, place))
        picked = pixels.flatten(1, 2).gather(1, last.flatten(1, 2))
        return picked.view(last.shape).permute(0, 3, 1, 2), None, None, None


# each returns None for calls that it leaves to torch


def _convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
    groups: int = 1,
) -> Any:  # fmt: skip
    if isinstance(padding, str) or input.ndim != weight.ndim or weight.is_complex():
        return None
    each = [_sides(value, weight) for value in (stride, padding, dilation)]
    return _Bilinear.apply(_Convolution, input, weight, bias, (*each, False, _sides(0, weight), groups))


def _transposed(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    if input.ndim != weight.ndim or weight.is_complex():
        return None
    each = [_sides(value, weight) for value in (stride, padding, dilation)]
    return _Bilinear.apply(_Convolution, input, weight, bias, (*each, True, _sides(output_padding, weight), groups))


def _sides(value: Any, weight: Tensor) -> list[int]:
    """One number per spatial dimension of the image."""
    values = [value] if isinstance(value, int) else [*value]
    return values * (weight.ndim - 2) if len(values) == 1 else values


def _batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training or running_mean is None or running_var is None:
        return None
    # (x − mean) / √(var + eps) · weight + bias = x · scale + shift, which is bilinear in x and scale
    scale = (running_var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    moments = torch.zeros_like(running_mean), torch.ones_like(running_var)
    return _Bilinear.apply(_Scaling, input, scale, shift if bias is None else shift + bias, moments)


def _relu(input: Tensor, inplace: bool = False) -> Any:
    return None if inplace else _ReLU.apply(input)


def _max_pool(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    if input.ndim != 4:
        return None
    kernel, *each = ([value] * 2 if isinstance(value, int) else value for value in (kernel_size, padding, dilation))
    steps = kernel if stride is None else [stride] * 2 if isinstance(stride, int) else stride
    return _MaxPool.apply(input, (kernel, steps, *each, ceil_mode))


_LAYERS: dict[Any, Callable[..., Any]] = {
    torch.conv1d: _convolution, torch.conv2d: _convolution, torch.conv3d: _convolution,
    torch.conv_transpose1d: _transposed, torch.conv_transpose2d: _transposed, torch.conv_transpose3d: _transposed,
    functional.batch_norm: _batch_norm,
    functional.relu: _relu, torch.relu: _relu, torch.Tensor.relu: _relu,
    functional.max_pool2d: _max_pool, torch.max_pool2d: _max_pool,
}  # fmt: skip
