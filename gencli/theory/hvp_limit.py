"""Products with the Hessian as limits of differences of gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Drawn, Floats, Panel, Row, Series, slope
from gencli.theory.networks import Examples, Layers

if TYPE_CHECKING:
    from torch import Tensor

_LARGEST, _FITTED = 0.1, 6
_ORDERS = {"forward": 1, "central": 2}


@dataclass(frozen=True)
class HvpLimit(Drawn):
    """Differences of gradients tend to Hv: error O(r), central O(r^2).

    \b
    (grad f(w + rv) - grad f(w)) / r         =  Hv + O(r)
    (grad f(w + rv) - grad f(w - rv)) / 2r   =  Hv + O(r^2)
    R_v g = d/dr g(w + rv) at r = 0 is linear and obeys the product
    rule: R_v (a g + h) = a R_v g + R_v h, R_v (g h) = h R_v g + g R_v h;
    R_v grad f = Hv.

    f is the cross-entropy of a network with tanh and biases on random examples; each coordinate of v has the magnitude
    of that of w. Hv comes from reverse-over-reverse derivatives; the measured slopes are those of the logarithm of the
    error over the logarithm of r, from 0.1 down to where rounding is still small. R_v of the sum and of the product are
    automatic derivatives with respect to r; the right-hand sides are central differences. --break swaps the divisors 2r
    and r. Reads nothing; writes a table of claims.

    Source: Pearlmutter 1994, Neural Computation 6(1), "Fast exact multiplication by the Hessian".

    \b
    Example:
      gencli check hvp-limit --layers 10-5 --plot errors.png --format table
    """

    name = "hvp-limit"
    family = "curvature"
    packages = ("torch",)
    layers: Layers = "10-8-5"
    examples: Examples = 20

    def __post_init__(self) -> None:
        widths = networks.parse_layers(self.layers)
        need = (self.examples * sum(widths) + networks.count(widths)) * 8 * 10
        require_memory(need, f"--layers {self.layers}, --examples {self.examples}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        import torch

        shown: list[Series] = []
        for number, random in self.numbered(draws):
            widths = networks.parse_layers(self.layers)
            f = networks.random_loss(widths, self.examples, random, self.dtype, bias=True)
            v, u = (f.w * torch.from_numpy(random.standard_normal(len(f.w)).astype(self.dtype)) for _ in "vu")
            product = networks.hvp(*f, v)
            sizes = np.geomspace(self.eps**0.25, _LARGEST, _FITTED)
            for name, order in _ORDERS.items():
                factor = (2 if name == "forward" else 0.5) if broken else 1

                def errors(sizes: Floats) -> Floats:
                    found = [_difference(f, v, r, name) / factor for r in sizes]  # noqa: B023
                    return np.array([float((each - product).norm()) for each in found])  # noqa: B023

                instance, measured = f"{number}: {name}", errors(sizes)
                yield Row(instance, "log-log slope of the error over r", slope(sizes, measured), "=", order, 0.2)
                relative = measured[0] / float(product.norm())
                yield Row(instance, "smallest |error| / |Hv|", relative, "<=", 100 * sizes[0] ** order)
                if number == 0:
                    every = np.geomspace(10 * self.eps, 1, 31)
                    shown.append(Series(name, every, errors(every)))
            yield from self._operator(f"{number}: R_v", f, v, u)
        sizes = np.geomspace(self.eps**0.25, 1, 2)
        shown += [Series(f"r^{order}" if order > 1 else "r", sizes, sizes**order, ":") for order in _ORDERS.values()]
        yield Panel("error of Hv from differences of gradients", "r", "|error|", shown)

    def _operator(self, instance: str, f: networks.Loss, v: Tensor, u: Tensor) -> Iterator[Row]:
        import torch

        def exact(g: Callable[[Tensor], Tensor]) -> float:
            return float(networks.gradient(lambda r: g(f.w + r * v), torch.zeros((), dtype=f.w.dtype)))

        def central(g: Callable[[Tensor], Tensor]) -> float:
            r = self.eps ** (1 / 3)
            return float(g(f.w + r * v) - g(f.w - r * v)) / (2 * r)

        def other(w: Tensor) -> Tensor:
            return (w * u).sum().sin() + (w * w).mean()

        tolerance = 100 * self.eps ** (2 / 3)
        left, right = exact(lambda w: 3 * f.at(w) + other(w)), 3 * central(f.at) + central(other)
        yield Row(instance, "R_v(3f + h), 3 R_v f + R_v h", left, "=", right, tolerance)
        left = exact(lambda w: f.at(w) * other(w))
        right = float(other(f.w)) * central(f.at) + float(f.at(f.w)) * central(other)
        yield Row(instance, "R_v(f h), h R_v f + f R_v h", left, "=", right, tolerance)


def _difference(f: networks.Loss, v: Tensor, r: float, kind: str) -> Tensor:
    ahead = networks.gradient(f.at, f.w + r * v)
    if kind == "forward":
        return (ahead - networks.gradient(f.at, f.w)) / r
    return (ahead - networks.gradient(f.at, f.w - r * v)) / (2 * r)
