"""The spectral density of a symmetric operator by stochastic Lanczos quadrature.

Ubaru, Chen and Saad 2017, "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature", doi:10.1137/16M1104974;
for Hessians of networks Ghorbani, Krishnan and Xiao 2019, arXiv:1901.10159.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencli.curvature.lanczos import Lanczos, Matvec, State
from gencli.files.held import LARGEST, Held

_REACH, _FAR = 4, 9  # kernel widths that the curve goes beyond the outermost nodes, and where a kernel is as good as 0
_FINEST = 64 * torch.finfo(torch.float64).eps  # of the largest node: a narrower kernel has no points
_AT_ONCE = 1 << 22  # numbers
_RULE, _CLOSE = ("nodes", "weights"), 1e-6


@dataclass(frozen=True)
class Density:
    """A quadrature: the share of eigenvalues in an interval is about the mean over probes of the weights in it.

    Attributes:
        nodes, weights: a pair of [steps] float64 per probe; the weights of a probe sum to 1.
        products: with the operator.
    """

    nodes: list[Tensor]
    weights: list[Tensor]
    products: int

    def curve(self, points: int = 1000, width: float = 0.01) -> tuple[Tensor, Tensor, Tensor | None]:
        """The density, each node a normal distribution.

        Args:
            points: of the curve, evenly spaced; where that is too coarse for the distributions, each has 37 more.
            width: the distributions' standard deviation, as a share of the nodes' range; at least what float64
                tells apart.

        Returns:
            Eigenvalues [n] ascending, densities [n] whose trapezoids add up to 1, and their standard errors [n] or, of
            one probe, None; all float64.
        """
        every = torch.cat(self.nodes)
        low, high, largest = float(every.min()), float(every.max()), float(every.abs().max()) or 1.0
        spread = high - low if high - low > _FINEST * largest else largest
        sigma = max(width * spread, _FINEST * largest)
        grid = torch.linspace(low - _REACH * sigma, high + _REACH * sigma, points, dtype=torch.float64)
        if grid[1] - grid[0] > sigma / 2:
            around = torch.arange(-2 * _FAR, 2 * _FAR + 1, dtype=torch.float64) * (sigma / 2)
            grid = torch.cat([grid, (every[:, None] + around).flatten()]).unique()
        total, squares = torch.zeros_like(grid), torch.zeros_like(grid)
        for count, (nodes, weights) in enumerate(zip(self.nodes, self.weights, strict=True), 1):
            parts = grid[:, None].split(max(1, _AT_ONCE // len(nodes)))
            kernels = (torch.exp(-(((part - nodes) / sigma) ** 2) / 2) @ weights for part in parts)
            change = torch.cat([*kernels]) / (sigma * (2 * torch.pi) ** 0.5) - total
            total += change / count  # Welford 1962, doi:10.1080/00401706.1962.10490022
            squares += change.square() * ((count - 1) / count)
        probes = len(self.nodes)
        return grid, total, None if probes < 2 else (squares / (probes - 1) / probes).sqrt()


class Quadrature:
    """The estimator, one product per step; see `density`."""

    def __init__(self, size: int, probes: int, steps: int, dtype: torch.dtype, generator: torch.Generator) -> None:
        self._size, self._probes, self._steps, self._dtype = size, probes, steps, dtype
        self._generator = generator
        self._nodes: list[Tensor] = []
        self._weights: list[Tensor] = []
        self._process = Lanczos(size, steps, dtype, generator)
        self.products = 0

    @property
    def expected(self) -> int:
        """Maximum number of products in total."""
        return self._probes * min(self._steps, self._size)

    @property
    def done(self) -> bool:
        """Whether all probes are through."""
        return len(self._nodes) == self._probes

    def step(self, matvec: Matvec) -> None:
        """One product."""
        self._process.step(matvec)
        self.products += 1
        if self._process.full or not self._process.beta:  # then the rule is exact
            nodes, columns = self._process.ritz()
            self._nodes.append(nodes)
            self._weights.append(columns[0].square())
            self._process = Lanczos(self._size, self._steps, self._dtype, self._generator)

    def result(self) -> Density:
        """The quadrature, after the last step."""
        return Density(self._nodes, self._weights, self.products)

    def state(self) -> State:
        """For `load`."""
        rules = {
            f"{name}/{probe}": tensor
            for name, tensors in zip(_RULE, (self._nodes, self._weights))
            for probe, tensor in enumerate(tensors)
        }
        return self._process.state() | rules | {"through": torch.tensor([len(self._nodes), self.products])}

    def take(self, held: Held, prefix: str) -> None:
        """Loads what a checkpoint holds, if this estimate can have had it.

        Raises:
            GencliError: it cannot.
        """
        counts = held.tensor(f"{prefix}through", (2,), torch.int64, 0)
        through, products = counts.tolist()
        if through > self._probes:
            raise held.refused(f"{prefix}through", counts.tolist(), f"at most {self._probes} probes")
        state: State = {}
        for probe in range(through):
            for name, low, high in (("nodes", -LARGEST, LARGEST), ("weights", 0.0, 1 + _CLOSE)):
                key = f"{prefix}{name}/{probe}"
                steps = held.length(key, min(self._steps, self._size))
                state[f"{name}/{probe}"] = held.tensor(key, (steps,), torch.float64, low, high)
            nodes, weights = state[f"nodes/{probe}"], state[f"weights/{probe}"]
            if len(nodes) != len(weights) or (nodes.diff() < 0).any() or abs(weights.sum().item() - 1) > _CLOSE:
                raise held.refused(f"{prefix}weights/{probe}", weights.sum().item(), "a rule of ascending nodes, sum 1")
        self._process.take(held, prefix, through + 1)
        self._nodes, self._weights = ([state[f"{name}/{probe}"] for probe in range(through)] for name in _RULE)
        self.products = products
        made = sum(map(len, self._nodes)) + self._process.steps
        rest = self._process.full or (self._process.steps and (not self._process.beta or self.done))
        if made != products or self._process.kept or rest:
            raise held.refused(f"{prefix}through", counts.tolist(), f"{made} products, the process unfinished")

    def load(self, state: State) -> None:
        """Takes the state of the same estimate."""
        through, self.products = state["through"].tolist()
        self._nodes, self._weights = ([state[f"{name}/{probe}"] for probe in range(through)] for name in _RULE)
        self._process.load(state)
