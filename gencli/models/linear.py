"""Softmax regression on pixels."""

from __future__ import annotations

from torch import nn

from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels


def linear(shape: Shape, classes: int) -> nn.Module:
    """One dense layer from the pixels to the classes; torch's own initialization."""
    return nn.Sequential(Pixels(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


LINEAR = Family(
    example="linear",
    pattern="linear",
    purpose="one dense layer, softmax regression",
    source="textbook",
    build=linear,
    samples=("linear",),
)
