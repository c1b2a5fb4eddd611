"""The matrices of a network's affine layers: their norms, without writing them out where they are large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds

_TOLERANCE = 1e-5  # of the residual; the value's error is its square

Linear = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Affine:
    """What a layer multiplies by, a batch norm right behind it taken in.

    Attributes:
        name: in the network; empty for the network itself.
        function: (inputs of `shape`, weight) → outputs, linear in each of them; no bias.
        weight: float64, as the network keeps it; of batch norm the factors.
        shape: of its input, one image's.
        kind: `dense`: weight is the matrix, the same for each of the input's rows; `diagonal`: a factor for each
            value; `circulant`: see `gencli.models.circulant`.
        outputs: which axis of the weight counts the output's channels, None where several do.
        scale: [channels] what the circulant layer's outputs are multiplied by; others have it in their weight.
        padded: what puts zeros around the input before `function` takes it; `shape` is then from before.
        plain: the weight without the batch norm's factors, where these are in it.
    """

    name: str
    function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    weight: torch.Tensor
    shape: tuple[int, ...]
    kind: Literal["dense", "diagonal", "circulant", "other"] = "other"
    outputs: int | None = None
    scale: torch.Tensor | None = None
    padded: Linear | None = None
    plain: torch.Tensor | None = None

    def scaled(self, factors: torch.Tensor) -> Affine | None:
        """The layer with its outputs' channels [n, channels, ...] times factors [channels], None where it has none."""
        if self.kind == "circulant":
            return replace(self, scale=factors)
        if self.outputs is None:
            return None
        sides = [1] * self.weight.ndim
        sides[self.outputs] = -1
        return replace(
            self, weight=self.weight * factors.view(sides), plain=self.weight if self.plain is None else self.plain
        )

    def linear(self, inputs: torch.Tensor, change: Linear = lambda weight: weight) -> torch.Tensor:
        """A x for inputs that are padded already, the weight and the scale changed."""
        made = self.function(inputs, change(self.weight))
        return made if self.scale is None else made * change(self.scale)

    def frobenius_norm(self) -> float:
        """Of the weight as it is kept; where factors follow a circulant one, times their root mean square."""
        factor = 1.0 if self.scale is None else self.scale.square().mean().sqrt().item()
        return self.weight.norm().item() * factor

    def row_norms(self) -> torch.Tensor:
        """[outputs] the Euclidean norms of the rows of the matrix that maps a flat input to a flat output."""
        if self.kind == "circulant":  # transforms of squares lose small ones
            factors = self.weight.new_ones(self.shape) if self.scale is None else self.scale.abs()
            return (self.weight.norm() * factors.expand(self.shape)).flatten()
        ones = self.weight.new_ones(self.shape)
        return self.linear(self.padded(ones) if self.padded else ones, torch.square).flatten().clamp(min=0).sqrt()

    def spectral_norm(self) -> float:
        """The largest singular value of that matrix."""
        if self.kind == "diagonal" or not self.weight.any():
            return self.weight.abs().max().item()
        if self.kind == "circulant" and self.scale is None:  # Gray 2006, chapter 3: its eigenvalues are the transform
            return torch.fft.fft(self.weight).abs().max().item()
        if self.kind == "dense":
            return _largest(self.weight.numpy())
        pad = self.padded or (lambda inputs: inputs)
        return operator_norm(lambda inputs: self.linear(pad(inputs)), self.shape)


def operator_norm(function: Linear, shape: tuple[int, ...]) -> float:
    """The largest singular value of a linear function of float64 inputs of a shape.

    By Lanczos' method on products with it and its adjoint, to about 1e-10 of the value.
    """
    at = torch.zeros(shape, dtype=torch.float64)
    output, adjoint, *_ = torch.func.vjp(function, at)

    def forward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return function(torch.from_numpy(vector).reshape(at.shape)).numpy().ravel()

    def back(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return adjoint(torch.from_numpy(vector).reshape(output.shape))[0].numpy().ravel()

    sides = output.numel(), at.numel()
    return _largest(LinearOperator(sides, forward, back, dtype=np.float64))  # type: ignore[call-arg]


def _largest(matrix: NDArray[np.float64] | LinearOperator) -> float:
    if min(matrix.shape) == 1:
        row = matrix.ravel() if isinstance(matrix, np.ndarray) else _vector(matrix)
        return float(np.linalg.norm(row))
    start = np.random.default_rng(0).standard_normal(min(matrix.shape))
    found = svds(matrix, 1, tol=_TOLERANCE, v0=start, return_singular_vectors=False)  # type: ignore[arg-type]
    return max(np.asarray(found)[0].item(), 0.0)


def _vector(matrix: LinearOperator) -> NDArray[np.float64]:
    one = np.ones(1)
    return matrix.matvec(one) if matrix.shape[1] == 1 else matrix.rmatvec(one)
