"""How much torch's operations stretch distances: the Lipschitz constant in the Euclidean norm of each that has one.

The tables know operations by the names that torch's dispatcher gives them, without a last underscore. A constant is the
least there is unless said otherwise; that of a network, put together from them, is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from gencli.evaluation.affine import operator_norm

Constant = float | str | Callable[[], float]  # or why there is none, or what computes it once the run is over

# what moves values, keeps some of them, or moves each by no more than it was moved
UNSTRETCHED = frozenset({
    "view", "_unsafe_view", "reshape", "_reshape_alias", "permute", "transpose", "t", "squeeze", "unsqueeze", "flatten",
    "clone", "contiguous", "alias", "detach", "_to_copy", "lift_fresh", "movedim", "masked_fill",
    "slice", "select", "narrow", "unbind", "split", "split_with_sizes", "unsafe_split", "chunk",
    "flip", "roll", "diagonal", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle",
    "relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "abs", "neg", "positive", "softshrink",
    "tanh", "sin", "cos", "atan", "asinh", "log_sigmoid_forward", "logsumexp", "amax", "amin", "max", "min",
})  # fmt: skip
_SMOOTH = frozenset({"tanh", "sin", "cos", "atan", "asinh", "log_sigmoid_forward", "logsumexp"})
# each value of the result is one of the operand's, or a constant
COPIES = frozenset({
    "expand", "repeat", "as_strided", "index", "index_select", "gather", "upsample_nearest1d", "upsample_nearest2d",
    "upsample_nearest3d", "_upsample_nearest_exact2d", "constant_pad_nd", "im2col",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d",
    "replication_pad1d", "replication_pad2d", "replication_pad3d",
})  # fmt: skip
# linear, and the same for each channel [1, channels, ...], by how many sides behind them
CHANNELWISE = {
    "avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3,
    "adaptive_avg_pool1d": 1, "_adaptive_avg_pool2d": 2, "_adaptive_avg_pool3d": 3,
    "upsample_linear1d": 1, "upsample_bilinear2d": 2, "upsample_bicubic2d": 2, "upsample_trilinear3d": 3,
}  # fmt: skip
# of what makes no tensor of the operand's values
SHAPES = frozenset({
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_empty_strided",
})  # fmt: skip
REASONS = {
    **dict.fromkeys(("mul", "bmm", "mm", "addmm", "baddbmm", "dot", "glu", "_trilinear"), "multiplies activations"),
    **dict.fromkeys(("div", "reciprocal"), "divides by activations"),
    **dict.fromkeys(("hardshrink", "threshold", "round", "floor", "ceil", "sign", "gt", "ge", "lt", "le", "eq", "ne",
                     "argmax", "heaviside", "where"), "jumps, or chooses by values"),
}  # fmt: skip
_ATTENTION = "has no Lipschitz constant: attention (Kim, Papamakarios, Mnih 2021, arXiv:2006.04710)"


def why(name: str) -> str:
    """Why an operation that no table here knows has no constant."""
    if "attention" in name or "transformer" in name:
        return f"{name} {_ATTENTION}"
    return f"{name} {REASONS.get(name, 'has no Lipschitz constant that is known here')}"


def _elu(x: torch.Tensor, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> float:
    return abs(scale) * max(1.0, abs(alpha * inner))


def _celu(x: torch.Tensor, alpha: float = 1.0) -> float:
    return 1.0


def _gelu(x: torch.Tensor, approximate: str = "none") -> float:
    """Φ(√2) + √2 φ(√2); of the approximation its slope at 1.41850."""
    return 1.1289041451451548 if approximate == "none" else 1.1289930686587718


def _softplus(x: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> Constant:
    return 1.0 if threshold >= 15 else "softplus jumps at its threshold"  # by 3e-7 of 1/beta at most


def _threshold(x: torch.Tensor, threshold: float, value: float) -> Constant:
    return 1.0 if threshold == value else why("threshold")


def _rrelu(x: torch.Tensor, noise: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
           generator: Any = None) -> Constant:  # fmt: skip
    return "rrelu draws its slopes" if training else max(1.0, abs(lower + upper) / 2)


def _softmax(x: torch.Tensor, axis: int, half: bool = False) -> float:
    """Its Jacobian is a covariance: vᵀJv ≤ (max v − min v)²/4 ≤ ‖v‖²/2 (Popoviciu 1935)."""
    return 0.5 if x.shape[axis] > 1 else 0.0


def _log_softmax(x: torch.Tensor, axis: int, half: bool = False) -> float:
    """Its Jacobian I − 1pᵀ is an oblique projection, as long as 1pᵀ is: √n ‖p‖ ≤ √n."""
    return math.sqrt(x.shape[axis]) if x.shape[axis] > 1 else 0.0


def _mean(x: torch.Tensor, axes: Any = None, keep: bool = False, *, dtype: Any = None) -> float:
    return 1 / math.sqrt(_together(x, axes))


def _sum(x: torch.Tensor, axes: Any = None, keep: bool = False, *, dtype: Any = None) -> float:
    return math.sqrt(_together(x, axes))


def _together(x: torch.Tensor, axes: Any) -> int:
    return math.prod(x.shape[axis] for axis in ([axes] if isinstance(axes, int) else axes or range(x.ndim)))


def _layer_norm(x: torch.Tensor, shape: Any, weight: Any, bias: Any, epsilon: float) -> Constant:
    return _standardized("native_layer_norm", epsilon, weight)


def _group_norm(x: torch.Tensor, weight: Any, bias: Any, n: int, c: int, hw: int, g: int, epsilon: float) -> Constant:
    return _standardized("native_group_norm", epsilon, weight)


def _standardized(name: str, epsilon: float, weight: torch.Tensor | None) -> Constant:
    """Of (x − mean) / √(variance + ε) 1 / √ε, its slope where all values are equal; elsewhere it is less.

    Times the largest weight, an upper bound.
    """
    if epsilon <= 0:
        return f"{name} divides by a deviation that may be 0"
    return (1.0 if weight is None else weight.abs().max().item()) / math.sqrt(epsilon)


def _max_pool(x: torch.Tensor, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil: bool = False,
              *, sides: int, shape: Sequence[int]) -> float:  # fmt: skip
    """√ of the windows that the pixel in most of them is in: each may take its value from it."""
    kernel, padding, dilation = (_each(given, sides) for given in (kernel, padding, dilation))
    stride = _each(stride, sides) if stride else kernel
    spans = [
        [range(place * s - p, place * s - p + d * (k - 1) + 1, d) for place in range(count)]
        for count, k, s, p, d in zip(shape[-sides:], kernel, stride, padding, dilation, strict=True)
    ]
    return _most_often(spans, x.shape[-sides:])


def _adaptive_max_pool(x: torch.Tensor, size: Any, *, sides: int, shape: Sequence[int]) -> float:
    spans = [
        [range(place * side // count, -(-(place + 1) * side // count)) for place in range(count)]
        for count, side in zip(shape[-sides:], x.shape[-sides:], strict=True)
    ]
    return _most_often(spans, x.shape[-sides:])


def _most_often(spans: list[list[range]], sides: Sequence[int]) -> float:
    counts = (
        np.bincount([pixel for span in windows for pixel in span if 0 <= pixel < side])
        for windows, side in zip(spans, sides, strict=True)
    )
    return math.sqrt(math.prod(each.max().item() for each in counts))


def _each(value: Any, sides: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * sides if len(values) == 1 else values


# of an operand and the operation's other arguments
ACTIVATIONS: dict[str, Callable[..., Constant]] = {
    "gelu": _gelu,
    "silu": lambda x: 1.0998393201288670,  # the slope at 2.39936, the larger inflection
    "mish": lambda x: 1.0884981612517277,  # at 1.49057, in the same way
    "elu": _elu,
    "celu": _celu,
    "leaky_relu": lambda x, slope=0.01: max(1.0, abs(slope)),
    "_prelu_kernel": lambda x, weight: max(1.0, weight.abs().max().item()),
    "rrelu_with_noise": _rrelu,
    "hardswish": lambda x: 1.5,
    "hardsigmoid": lambda x: 1 / 6,
    "sigmoid": lambda x: 0.25,
    "softplus": _softplus,
    "erf": lambda x: 2 / math.sqrt(math.pi),
    "threshold": _threshold,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "mean": _mean,
    "sum": _sum,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
}
_POOLS: dict[str, tuple[Callable[..., float], int]] = {
    "max_pool2d_with_indices": (_max_pool, 2),
    "max_pool2d": (_max_pool, 2),
    "max_pool1d": (_max_pool, 1),
    "max_pool3d_with_indices": (_max_pool, 3),
    "adaptive_max_pool2d": (_adaptive_max_pool, 2),
    "adaptive_max_pool3d": (_adaptive_max_pool, 3),
}
_PIECES = frozenset({"leaky_relu", "_prelu_kernel", "rrelu_with_noise", "hardsigmoid", "threshold", "mean", "sum"})
TRAINED = frozenset({"_prelu_kernel", "native_layer_norm", "native_group_norm"})  # may have parameters


def piecewise_linear(name: str) -> bool:
    """Whether an operation that has a constant is piecewise linear."""
    return (
        (name in UNSTRETCHED and name not in _SMOOTH)
        or name in COPIES
        or name in CHANNELWISE
        or name in _PIECES
        or name in _POOLS
    )


def constant(
    name: str, function: Any, args: tuple[Any, ...], options: dict[str, Any], shape: Sequence[int]
) -> Constant:
    """That of an operation as a function of its first argument, or why there is none.

    Args:
        function: the operation itself.
        shape: of the result.
    """
    x = args[0]
    if name in UNSTRETCHED:
        return 1.0
    if name in ACTIVATIONS:
        return ACTIVATIONS[name](*args, **options)
    if name in _POOLS:
        pool, sides = _POOLS[name]
        return pool(*args, sides=sides, shape=shape, **options)
    if name in COPIES:
        places = torch.arange(1, x.numel() + 1, dtype=torch.float64).view(x.shape)
        padded = {"constant_pad_nd": (args[1],)}.get(name, args[1:])  # with zeros, which are no places
        found = function(places, *padded, **options).long().flatten()
        return math.sqrt(torch.bincount(found)[1:].max().item())
    if name in CHANNELWISE:
        sides = tuple(x.shape[-CHANNELWISE[name] :])
        return partial(operator_norm, lambda image: function(image.unsqueeze(1), *args[1:], **options), (1, *sides))
    return why(name)


def response_norm(size: int, alpha: float, beta: float, k: float) -> Constant:
    """An upper bound of that of xᵢ / Dᵢ^β, Dᵢ = k + α/size Σ xⱼ² over the `size` channels about i.

    Its Jacobian is diag(D^−β) − B, Bᵢⱼ = 2β α/size xᵢ xⱼ Dᵢ^(−β−1). A row of B has the norm 2β t / (k + t)^(β+1) at
    most, t = α/size Σ xⱼ², whose largest value is 2 k^−β (β / (β+1))^(β+1); each j is in `size` rows. So it is
    k^−β (1 + 2 √size (β / (β+1))^(β+1)).
    """
    if min(alpha, beta) < 0 or k <= 0:
        return "a response norm divides by what may be 0"
    return k**-beta * (1 + 2 * math.sqrt(size) * (beta / (beta + 1)) ** (beta + 1))
