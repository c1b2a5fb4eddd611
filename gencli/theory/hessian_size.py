"""How large a Hessian is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Claim, Instances, Row
from gencli.theory.networks import Examples, Layers


@dataclass(frozen=True)
class HessianSize(Claim):
    """A net of P parameters has a P x P Hessian; 50-50-50-10: 5,500.

    \b
    P = sum over layers of inputs x outputs  (no biases)
      = 50 x 50 + 50 x 50 + 50 x 10 = 5,500;
    H = d^2 f / dw^2 has P^2 = 30,250,000 entries, and is symmetric.

    The network (tanh between the layers) is built, and the whole Hessian of its cross-entropy is computed as the
    Jacobian of the gradient; its product with a vector is compared with a double backward pass, which stores P numbers
    instead of P^2, and with a difference of gradients. --break gives the network biases. Reads nothing; writes a table
    of claims.

    \b
    Example:
      gencli check hessian-size --layers 20-10-5 --format table
    """

    name = "hessian-size"
    family = "curvature"
    packages = ("torch",)
    instances: Instances = 1
    layers: Layers = "50-50-50-10"
    examples: Examples = 20

    def __post_init__(self) -> None:
        widths, item = networks.parse_layers(self.layers), np.dtype(self.dtype).itemsize
        require_memory(2 * networks.count(widths) ** 2 * item, f"--layers {self.layers}: the Hessian, twice")
        require_memory(self.examples * sum(widths) * item * 1000, f"--examples {self.examples}")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        import torch

        widths = networks.parse_layers(self.layers)
        counted = networks.count(widths)
        for number, random in self.numbered(draws):
            f = networks.random_loss(widths, self.examples, random, self.dtype, broken)
            instance = f"{number}: {self.layers}"
            yield Row(instance, "parameters, counted by hand", len(f.w), "=", counted)
            hessian = networks.hessian(*f)
            yield Row(instance, "entries of H, P^2", hessian.numel(), "=", counted**2)
            largest = float(hessian.abs().max())
            asymmetry = float((hessian - hessian.T).abs_().max()) / largest
            yield Row(instance, "largest |H - H'| / largest |H|", asymmetry, "<=", 1000 * self.eps)
            v = torch.from_numpy(random.standard_normal(len(f.w)).astype(self.dtype))
            dense, product = hessian @ v, networks.hvp(*f, v)
            apart = float((dense - product).norm() / product.norm())
            yield Row(instance, "|H v - double backward| / |Hv|", apart, "<=", 1000 * self.eps)
            r = self.eps ** (1 / 3) / float(v.norm())
            ahead, behind = (networks.gradient(f.at, f.w + sign * r * v) for sign in (1, -1))
            difference = (ahead - behind) / (2 * r)
            apart = float((dense - difference).norm() / product.norm())
            yield Row(instance, "|H v - central difference| / |Hv|", apart, "<=", 1000 * self.eps ** (2 / 3))
