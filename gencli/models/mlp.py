"""Fully connected networks."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels, hidden


def mlp(
    depth: int,
    width: int,
    activation: str | None,
    shape: Shape,
    classes: int,
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> nn.Module:
    """Linear and ReLU, or tanh, `depth` times at `width` units, then Linear to the classes; biases everywhere.

    Batch norm comes before the activation and takes the place of the bias; dropout comes after it. The papers name no
    initialization: it is torch's own.

    Zhang et al. 2017, arXiv:1611.03530, section 3 (1×512 and 3×512); with tanh Cohen, Kaur, Li, Kolter, Talwalkar 2021,
    arXiv:2103.00065 (2×200).
    """
    sizes = [shape[0] * shape[1] * shape[2]] + [width] * depth
    layers = [
        layer
        for before, after in pairwise(sizes)
        for layer in hidden(
            nn.Linear(before, after, not batch_norm), after, batch_norm, dropout, nn.Tanh if activation else nn.ReLU
        )
    ]
    return nn.Sequential(Pixels(), *layers, nn.Linear(sizes[-1], classes))


MLP = Family(
    example="mlp-KxW[-tanh]",
    pattern=r"mlp-([1-9]\d{0,3})x([1-9]\d{0,6})(-tanh)?",
    purpose="K hidden layers of W units, ReLU or tanh",
    source="Zhang et al. 2017, arXiv:1611.03530",
    build=mlp,
    options=frozenset({"batch_norm", "dropout"}),
    samples=("mlp-1x512", "mlp-3x512", "mlp-2x200-tanh"),
)
