"""What weight decay does to the curvature of a network's loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Drawn, Floats, Instances, OnData, Panel, Row, Series
from gencli.theory.networks import Arch, Examples

if TYPE_CHECKING:
    from torch import Tensor

_RATE = 0.1


@dataclass(frozen=True)
class WeightDecayConvexity(Drawn, OnData):
    """Weight decay moves every eigenvalue of the Hessian up by lambda.

    \b
    g(w) = f(w) + lambda/2 |w|^2:  eig of the Hessian of g
      = eig of the Hessian of f + lambda;
    so g is convex around w where lambda > -(smallest eigenvalue of f's).

    f is the cross-entropy of a network on images, after some steps of gradient descent at rate 0.1; pixels are divided
    by 255. Each Hessian is computed by automatic differentiation of its own loss. The smallest lambda that makes g
    locally convex is reported twice: from the eigenvalues, and by bisection on whether a Cholesky decomposition exists.
    --break adds lambda |w|^2, without the half. Reads an image table, by default the built-in digits; writes a table of
    claims.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli check weight-decay-convexity --data test.parquet --format table
    """

    name = "weight-decay-convexity"
    family = "curvature"
    packages = ("torch", "sklearn")
    instances: Instances = 1
    arch: Arch = "mlp-1x8"
    examples: Examples = 300
    steps: Annotated[
        int, typer.Option(min=0, max=1_000_000, metavar="N", help="Number of steps of gradient descent.")
    ] = 50
    decay: Annotated[
        float, typer.Option(min=1e-6, max=1e6, metavar="LAMBDA", help="lambda of the compared Hessians.")
    ] = 0.1

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        import torch

        assert table is not None
        images, labels = networks.read(table, self.examples, self.dtype)
        for number, random in self.numbered(draws):
            f = self._loss(table, images, labels, int(random.integers(1 << 62)))
            w = f.w
            for _ in range(self.steps):
                w = w - _RATE * networks.gradient(f.at, w)
            half = 1.0 if broken else 0.5

            def hessian(decay: float) -> Tensor:
                return networks.hessian(lambda w: f.at(w) + decay * half * (w * w).sum(), w).double()  # noqa: B023

            plain = hessian(0.0)
            before, after = (torch.linalg.eigvalsh(each).numpy() for each in (plain, hessian(self.decay)))
            instance, scale = f"{number}: {self.arch}, P={len(w):,}", float(np.abs([before, after]).max())
            rounding = 100 * self.eps * len(w) ** 0.5 * scale
            apart = float(np.abs(after - (before + self.decay)).max())
            yield Row(instance, "largest |eig after - (eig + lambda)|", apart, "<=", rounding)
            least = max(0.0, -float(before[0]))
            found = _bisected(plain, scale)
            yield Row(instance, "least lambda, by bisection", least, "=", found, rounding)
            if least > 100 * rounding:
                enough, short = (float(torch.linalg.eigvalsh(hessian(part * least))[0]) for part in (1.01, 0.99))
                yield Row(instance, "smallest eig, 1.01 least lambda", enough, ">", 0.0)
                yield Row(instance, "smallest eig, 0.99 least lambda", short, "<", 0.0)
            if number == 0:
                yield _panel(before, after)

    def _loss(self, table: ImageTable, images: Tensor, labels: Tensor, seed: int) -> networks.Loss:
        classes = len(table.description.classes)
        parameters = networks.size(self.arch, images, classes) // images.element_size()
        require_memory(6 * 8 * parameters**2, f"--arch {self.arch}: the Hessian of {parameters:,} parameters")
        network = networks.build(self.arch, images, classes, seed)
        return networks.loss(network, images, labels)


def _bisected(matrix: Tensor, high: float) -> float:
    """The least λ ≥ 0 with which matrix [P, P] + λ has a Cholesky decomposition, in float64."""
    import torch

    low = 0.0
    for _ in range(50):
        middle = (low + high) / 2
        shifted = matrix + middle * torch.eye(len(matrix), dtype=matrix.dtype)
        if torch.linalg.cholesky_ex(shifted).info == 0:
            high = middle
        else:
            low = middle
    return high


def _panel(before: Floats, after: Floats) -> Panel:
    places = np.arange(len(before))
    lines = [Series("loss", places, before), Series("loss with weight decay", places, after, "--")]
    return Panel("eigenvalues of the Hessian", "place", "eigenvalue", lines, ("linear", "linear"))
