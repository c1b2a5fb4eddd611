"""The trace of a symmetric operator from products with random vectors, each used twice.

XTrace of Epperly, Tropp and Webber 2024, "XTrace: making the most of every sample in stochastic trace estimation",
arXiv:2301.07825.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencli.curvature.lanczos import ORTHONORMAL, Matvec, State
from gencli.errors import GencliError
from gencli.files.held import Held


@dataclass(frozen=True)
class Trace:
    """Attributes:
    value: the estimate, without bias.
    standard_error: of it, by the jackknife; no less than rounding.
    products: with the operator.
    """

    value: float
    standard_error: float
    products: int


@dataclass(frozen=True)
class Parts:
    """What the estimate is made of, float64: the operator's size n, W = Qᵀ Ω, R, and H = Qᵀ A Q, all [k, k]."""

    size: int
    weights: Tensor
    triangle: Tensor
    inner: Tensor

    def estimates(self, lacked: Tensor, gone: Tensor | None = None) -> Tensor:
        """[k] the tᵢ whose bases lack the directions `lacked` [k, k], one a column, and `gone` [k] in common.

        `gone` is orthogonal to `lacked`.
        """
        inside, within, rank = self.weights, self.inner.trace(), len(self.inner) - 1
        if gone is not None:
            inside, within, rank = (
                inside - torch.outer(gone, gone @ inside),
                within - gone @ self.inner @ gone,
                rank - 1,
            )
        inside = inside - lacked * (lacked * inside).sum(0)
        quadratic = ((self.weights - 2 * inside) * self.triangle + inside * (self.inner @ inside)).sum(0)
        rest = (self.size - inside.square().sum(0)).clamp(min=torch.finfo(torch.float64).tiny)
        return within - (lacked * (self.inner @ lacked)).sum(0) + (self.size - rank) * quadratic / rest

    def jackknife(self, lacked: Tensor) -> float:
        """The standard error by the estimates that leave one probe out, which is too large rather than too small.

        Efron and Stein 1981, "The jackknife estimate of variance", doi:10.1214/aos/1176345462. The spread of the tᵢ
        themselves is too small, as they share their probes.
        """
        count, means = len(lacked), []
        for left in range(count):
            gone = lacked[:, left]
            others = torch.cat([lacked[:, :left], lacked[:, left + 1 :]], 1)
            means.append(self._without(left).estimates(_normalized(others - torch.outer(gone, gone @ others)), gone))
        leaving = torch.stack(means).mean(1)
        return ((count - 1) * leaving.var(correction=0)).sqrt().item()

    def _without(self, probe: int) -> Parts:
        kept = [number for number in range(len(self.inner)) if number != probe]
        return Parts(self.size, self.weights[:, kept], self.triangle[:, kept], self.inner)


class XTrace:
    """The estimator, a product a step; see `trace`."""

    def __init__(self, size: int, products: int, dtype: torch.dtype, generator: torch.Generator) -> None:
        if products < 4:
            raise GencliError(f"--trace-products: {products} is too few", "take 4 or more")
        self.probes = min(products // 2, size)
        drawn = torch.randn(self.probes, size, dtype=torch.float64, generator=generator)
        self._probes = (drawn * (size**0.5 / drawn.norm(dim=1, keepdim=True))).to(dtype)
        self._first, self._second = (torch.zeros_like(self._probes) for _ in range(2))
        self._triangle = torch.zeros(self.probes, self.probes, dtype=dtype)
        self.products = 0

    @property
    def expected(self) -> int:
        """Products in all."""
        return 2 * self.probes

    @property
    def done(self) -> bool:
        """Whether all products are made."""
        return self.products == 2 * self.probes

    def step(self, matvec: Matvec) -> None:
        """One product: with a probe, later with a vector of the basis of the probes' images."""
        number, second = self.products % self.probes, self.products >= self.probes
        image = matvec((self._first if second else self._probes)[number])
        if not image.isfinite().all():
            raise GencliError("a product with the operator is not finite", "check the model and the data")
        (self._second if second else self._first)[number] = image
        self.products += 1
        if self.products == self.probes:
            basis, triangle = torch.linalg.qr(self._first.T)
            self._triangle = triangle.contiguous()  # as a checkpoint brings it: sums are in one order
            self._first = basis.T.contiguous()

    def result(self) -> Trace:
        """The estimate, after the last step.

        With Q R = A Ω, and Qᵢ the basis of the images of all probes but ωᵢ, each probe gives
        tᵢ = tr Qᵢᵀ A Qᵢ + (n − k + 1) uᵀ A u / uᵀ u, where u = (I − Qᵢ Qᵢᵀ) ωᵢ; the estimate is their mean. The
        directions sᵢ that Qᵢ lacks in Q are the normalized columns of R⁻ᵀ.
        """
        size = self._probes.shape[1]
        inner = (self._first @ self._second.T).double()
        weights, triangle = (self._first @ self._probes.T).double(), self._triangle.double()
        parts = Parts(size, weights, triangle, (inner + inner.T) / 2)
        eps = torch.finfo(self._first.dtype).eps
        rounding = eps * inner.diagonal().abs().sum().item()
        if self.probes == size:
            return Trace(inner.trace().item(), rounding, self.products)
        lacked = _lacked(triangle, eps)
        value = parts.estimates(lacked).mean().item()
        return Trace(value, max(rounding, parts.jackknife(lacked)), self.products)

    def state(self) -> State:
        """For `load`."""
        return {
            "first": self._first, "second": self._second, "triangle": self._triangle,
            "products": torch.tensor([self.products]),
        }  # fmt: skip

    def take(self, held: Held, prefix: str) -> None:
        """Loads what a checkpoint holds, if this estimate can have had it.

        Raises:
            GencliError: it cannot.
        """
        kind, (probes, size) = self._probes.dtype, self._probes.shape
        products = held.tensor(f"{prefix}products", (1,), torch.int64, 0, 2 * probes)
        state = {name: held.tensor(f"{prefix}{name}", (probes, size), kind) for name in ("first", "second")}
        state["triangle"] = held.tensor(f"{prefix}triangle", (probes, probes), kind)
        self.load(state | {"products": products})
        through = self.products >= probes
        for name, done in (("first", self.products), ("second", max(0, self.products - probes))):
            if state[name][done:].any():
                raise held.refused(f"{prefix}{name}", "numbers", f"zeros from row {done}")
        if not torch.equal(self._triangle, self._triangle.triu() if through else torch.zeros_like(self._triangle)):
            raise held.refused(f"{prefix}triangle", "other numbers", "a triangle" if through else "zeros")
        apart = (self._first @ self._first.T - torch.eye(probes, dtype=kind)).abs().max().item() if through else 0.0
        if apart > ORTHONORMAL * torch.finfo(kind).eps ** 0.5:
            raise held.refused(f"{prefix}first", f"{apart:.2g} from orthonormal", "an orthonormal basis")

    def load(self, state: State) -> None:
        """Takes the state of the same estimate."""
        self._first, self._second, self._triangle = (state[name].clone() for name in ("first", "second", "triangle"))
        self.products = int(state["products"])


def _lacked(triangle: Tensor, eps: float) -> Tensor:
    """[k, k] float64, column i orthogonal to all columns of the triangle but its own."""
    diagonal = triangle.diagonal()
    least = (eps * triangle.abs().max()).item() or 1.0
    raised = triangle + torch.diag(torch.where(diagonal.abs() < least, least - diagonal, 0.0))
    inverse = torch.linalg.solve_triangular(raised, torch.eye(len(raised), dtype=raised.dtype), upper=True)
    return _normalized(inverse.T)


def _normalized(columns: Tensor) -> Tensor:
    return torch.nn.functional.normalize(columns, dim=0)
