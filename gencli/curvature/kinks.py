"""Which operations of a network have kinks, where derivatives jump, and whether it leaves float64."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_KINKED = {
    "relu", "relu6", "leaky_relu", "prelu", "_prelu_kernel", "rrelu_with_noise", "threshold", "hardtanh", "hardswish",
    "hardsigmoid", "elu", "celu", "selu", "softshrink", "hardshrink", "abs", "sign", "floor", "ceil", "round", "trunc",
    "clamp", "clamp_min", "clamp_max", "maximum", "minimum", "max", "min", "amax", "amin", "median", "sort", "topk",
    "max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "fractional_max_pool2d", "mkldnn_max_pool2d", "l1_loss", "smooth_l1_loss", "huber_loss",
}  # fmt: skip


class Kinks(TorchDispatchMode):
    """Collects, while it is on, the names of torch's operations whose first or second derivative jumps somewhere.

    Attributes:
        names: in the order in which they came.
        narrow: a type that numbers of float64 were put into, which loses digits; "" where none were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.narrow = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.rstrip("_")
        if name in _KINKED and name not in self.names:
            self.names.append(name)
        made = func(*args, **(kwargs or {}))
        if name == "_to_copy" and args[0].dtype == torch.float64 and made.is_floating_point() and made.itemsize < 8:
            self.narrow = str(made.dtype).removeprefix("torch.")
        return made
