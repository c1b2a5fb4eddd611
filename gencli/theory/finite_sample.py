"""A network of 2n + d weights that fits n random labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.fitting import finite_sample
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Claim, Instances, Row

_CLASSES = 10
_DENSE = 1000  # points up to which the matrix of all hidden units is formed


@dataclass(frozen=True)
class FiniteSampleClaim(Claim):
    """A two-layer ReLU net of 2n + d weights fits any n labels.

    \b
    c(x) = sum over j of w_j max(<a, x> - b_j, 0),
    a in R^d, b and w in R^n; the n points are distinct.

    a is random; in the order of <a, x_i> each b_j is the preceding projection, so that the w are differences of slopes.
    n normal points in d dimensions get labels drawn from 0 ... 9; the claim is also checked for n/10 and n/100 points.
    The largest error relative to the range of the labels must stay below 0.001; up to 1,000 points the matrix of all
    hidden units must give the same values. The arithmetic is float64 for points of either --dtype, because w, about 1
    over the gaps between projections, loses all digits in float32. --break puts each b_j at its own point instead.
    Reads nothing; writes a table of claims.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530, theorem 1.

    \b
    Example:
      gencli check finite-sample --points 2000 --format table
    """

    name = "finite-sample"
    family = "interpolation"
    instances: Instances = 1
    points: Annotated[int, typer.Option(min=100, max=10_000_000, metavar="N", help="Number of points to fit, n.")] = (
        50_000
    )
    dimension: Annotated[int, typer.Option(min=2, max=10_000_000, metavar="D", help="Dimension of the points, d.")] = (
        3072
    )

    def __post_init__(self) -> None:
        need = self.points * (self.dimension * np.dtype(self.dtype).itemsize + 24 * 8)
        require_memory(need, f"--points {self.points}, --dimension {self.dimension}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        for number, random in self.numbered(draws):
            every = random.standard_normal((self.points, self.dimension), np.dtype(self.dtype).type)
            labels = random.integers(_CLASSES, size=self.points).astype(np.float64)
            for count in (self.points // part for part in (100, 10, 1)):
                points, instance = every[:count], f"{number}: n={count:,}, d={self.dimension:,}"
                network = finite_sample.fit(points, labels[:count], number)
                if broken:
                    network = network._replace(b=np.append(network.b[1:], network.b[-1]))
                weights = sum(part.size for part in network)
                yield Row(instance, "weights, 2n + d", weights, "=", 2 * count + self.dimension)
                found = finite_sample.predict(network, points)
                error = float(np.abs(found - labels[:count]).max()) / (_CLASSES - 1)
                yield Row(instance, "largest error / range of labels", error, "<=", 1e-3)
                if count <= _DENSE:
                    hidden = np.maximum(finite_sample.project(points, network.a)[:, None] - network.b, 0)
                    apart = float(np.abs(hidden @ network.w - found).max()) / (_CLASSES - 1)
                    yield Row(instance, "the same, all hidden units at once", apart, "<=", 1e-3)
