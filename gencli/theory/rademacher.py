"""How well a family of networks can correlate with random signs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from gencli.errors import GencliError
from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Drawn, Floats, Instances, OnData, Panel, Row, Series
from gencli.theory.networks import Arch, Examples

if TYPE_CHECKING:
    from torch import Tensor, nn

_RATE = 0.01
_CHANCE = 0.001  # with which a mean over draws may exceed its expectation by more than the tolerance


@dataclass(frozen=True)
class Rademacher(Drawn, OnData):
    """Nets fitted to random signs bound Rademacher complexity.

    \b
    R(F) = E sup over f in F of 1/n sum over i of s_i f(x_i), s_i = -1, 1;
    f in [-1, 1]:  R(F) <= 1;
    ReLU nets of d layers without biases, |W_j| <= M_j (Frobenius):
    R(F) <= 1/n M_1 ... M_d (sqrt(2 d log 2) + 1) sqrt(sum of |x_i|^2).

    A network with one output f is trained on the first rows, labelled by random signs, by Adam (Kingma and Ba 2015) for
    the hinge loss; its output, clipped to [-1, 1], then correlates with the signs. The mean over the --draws is a lower
    bound of R, because training does not find the supremum. It is compared with 1 and, for networks of dense layers and
    ReLU, with the second bound, for the family with the largest norms that training reached: a bias is the weight of an
    input 1, so that |W_j|^2 + |b_j|^2 + 1 counts, and |x_i|^2 + 1. A bound above 1 is called vacuous.

    The same network without biases is then trained for f itself, within norms that make the bound --bound, and so is a
    linear function, whose supremum is M |sum of s_i x_i| / n. The bounds are on expectations, so McDiarmid's deviation
    of the mean over the draws, at 99.9 %, is their tolerance. --break divides the bounds by sqrt(n). Pixels are divided
    by 255. Reads an image table, by default the built-in digits; writes a table of claims.

    Sources: Bartlett and Mendelson 2002, JMLR 3; the bound: Golowich, Rakhlin, Shamir 2018, arXiv:1712.06541, theorem
    1; the experiment: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530, section 2.2.

    \b
    Example:
      gencli check rademacher --arch mlp-1x32 --plot signs.png --format table
    """

    name = "rademacher"
    family = "generalization"
    packages = ("torch", "sklearn")
    instances: Instances = 1
    arch: Arch = "mlp-1x64"
    examples: Examples = 200
    draws: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Number of random sign vectors.")] = 3
    steps: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Full-batch steps per training.")] = 400
    bound: Annotated[
        float, typer.Option(min=1e-6, max=1e6, metavar="R", help="Norm bound of the constrained families.")
    ] = 0.5

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        import torch

        assert table is not None
        images, _ = networks.read(table, self.examples, self.dtype)
        n, total = len(images), float(images.double().square().sum())
        need = self.draws * (3 * 8 * n + 2 * 8 * self.steps + 2 * networks.size(self.arch, images, 1))
        require_memory(need, f"--draws {self.draws}, --steps {self.steps}, --arch {self.arch}")
        shrink = n**-0.5 if broken else 1.0
        for number, random in self.numbered(draws):
            signs = torch.from_numpy(random.choice([-1.0, 1.0], (self.draws, n)).astype(self.dtype))
            seed = int(random.integers(1 << 62))
            free = [self._train(self.arch, images, each, seed) for each in signs]
            depth, estimate = _depth(free[0][0]), _mean(free)
            instance = f"{number}: {self.arch}, n={n:,}, trained"
            yield Row(instance, "estimate, trivial bound", estimate, "<=", shrink)
            series = [_line(self.arch, free)]
            if depth:
                right = _bound(np.max([_norms(network) for network, _ in free], 0), total + n, n) * shrink
                yield self._row(instance, estimate, right, depth)
            for arch, layers in (({self.arch: depth} if depth else {}) | {"linear": 1}).items():
                norm = float((self.bound / _bound(np.ones(layers), total, n)) ** (1 / layers))
                limited = [self._train(arch, images, each, seed, norm) for each in signs]
                instance = f"{number}: {arch}, n={n:,}, |W| <= {norm:.3g}, no biases"
                if arch == "linear":
                    best = [norm * float((each @ images.flatten(1)).norm()) / n for each in signs]
                    if (reached := _mean(limited) / np.mean(best)) < 0.99:
                        raise GencliError(
                            f"--steps: after {self.steps:,} the linear function is at {reached:.3f} of its supremum",
                            "give more: what training does not find bounds nothing",
                        )
                    yield Row(
                        instance, "estimate, the supremum itself", _mean(limited), "<=", np.mean(best), 100 * self.eps
                    )
                    yield Row(instance, "estimate, 99 % of the supremum", _mean(limited), ">=", 0.99 * np.mean(best))
                yield self._row(instance, _mean(limited), self.bound * shrink, layers)
                series.append(_line(f"{arch}, norms limited", limited))
            if number == 0:
                ends = np.array([0, self.steps])
                for label, height in {"bound of limited norms": self.bound, "trivial bound": 1.0}.items():
                    series.append(Series(label, ends, np.full(2, height), ":"))
                yield Panel("training on random signs", "steps", "correlation", series, ("linear", "linear"))

    def _row(self, instance: str, estimate: float, bound: float, layers: int) -> Row:
        """The bound is on the expectation over signs: one sign changes a supremum by 2 M_1 … M_d |x_i| / n at most."""
        sampling = bound / _depth_factor(layers) * math.sqrt(2 * math.log(1 / _CHANCE) / self.draws)
        return Row(instance, "estimate, norm-based bound" + " (vacuous)" * (bound > 1), estimate, "<=", bound, sampling)

    def _train(
        self, arch: str, images: Tensor, signs: Tensor, seed: int, limit: float | None = None
    ) -> tuple[nn.Module, Floats]:
        """A network after training, and its correlations [steps + 1] with the signs [n] before each step and after all.

        Args:
            limit: of each layer's Frobenius norm, for f itself without biases; None for the hinge loss and f clipped.
        """
        from gencli.training import optimizers

        network = networks.build(arch, images, 1, seed)
        for name, parameter in network.named_parameters() if limit else ():
            if name.endswith("bias"):
                parameter.requires_grad_(False).zero_()
        optimizer, path = optimizers.build("adamw", network, _RATE), np.empty(self.steps + 1)
        for step in range(self.steps + 1):
            if limit:
                _project(network, limit)
            margins = signs * network(images)[:, 0]
            path[step] = float((margins if limit else margins.clamp(-1, 1)).detach().mean())
            if step == self.steps:
                break
            optimizer.zero_grad()
            (-margins if limit else (1 - margins).clamp(min=0)).mean().backward()
            rate = 1 - step / self.steps
            if limit:
                _climb(network, limit * rate)
                continue
            for group in optimizer.param_groups:
                group["lr"] = _RATE * rate
            optimizer.step()
        return network, path


def _depth(network: nn.Module) -> int:
    """How many dense layers it has; 0 where it is more than those and ReLU."""
    from torch import nn

    from gencli.models.layers import Pixels

    chain = isinstance(network, nn.Sequential) and all(
        isinstance(part, Pixels | nn.Linear | nn.ReLU) for part in network
    )
    return sum(isinstance(part, nn.Linear) for part in network.modules()) if chain else 0


def _depth_factor(layers: int) -> float:
    return math.sqrt(2 * layers * math.log(2)) + 1


def _bound(norms: Floats, squares: float, n: int) -> float:
    """Of networks whose layers have these norms [d], on n inputs whose squared lengths sum to `squares`."""
    return float(np.prod(norms)) * _depth_factor(len(norms)) * math.sqrt(squares) / n


def _norms(network: nn.Module) -> list[float]:
    """Of the layers with their biases as weights of an input 1, which all but the last pass on."""
    from torch import nn

    layers = [part for part in network.modules() if isinstance(part, nn.Linear)]
    squares = [sum(float(each.detach().double().square().sum()) for each in layer.parameters()) for layer in layers]
    return [math.sqrt(square + (layer is not layers[-1])) for layer, square in zip(layers, squares, strict=True)]


def _project(network: nn.Module, limit: float) -> None:
    """Shrinks the layers whose Frobenius norm is above the limit."""
    for parameter in network.parameters():
        parameter.data.mul_(limit / max(limit, float(parameter.data.norm())))


def _climb(network: nn.Module, length: float) -> None:
    """Moves each layer by this much down its gradient; to a linear function's supremum, where Adam's steps miss it."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.data.sub_(parameter.grad, alpha=length / max(float(parameter.grad.norm()), 1e-30))


def _mean(trained: Sequence[tuple[nn.Module, Floats]]) -> float:
    return float(np.mean([path[-1] for _, path in trained]))


def _line(label: str, trained: Sequence[tuple[nn.Module, Floats]]) -> Series:
    path = np.mean([path for _, path in trained], 0)
    return Series(label, np.arange(len(path)), path)
