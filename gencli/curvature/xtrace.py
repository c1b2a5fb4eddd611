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
    value: the estimate, unbiased.
    standard_error: of the estimate, by the jackknife, at least the rounding error.
    products: number of products with the operator.
    """

    value: float
    standard_error: float
    products: int


@dataclass(frozen=True)
class Parts:
    """The estimate in small matrices, float64: the operator's size n, W = Qᵀ Ω, R, and H = Qᵀ A Q, all [k, k]."""

    size: int
    weights: Tensor
    triangle: Tensor
    inner: Tensor

    def estimates(self, lacked: Tensor, gone: Tensor | None = None) -> Tensor:
        """The tᵢ [k], whose bases omit the columns sᵢ of `lacked` [k, k] and, all of them, `gone` [k].

        The directions are coordinates in Q, of norm 1; `gone` is orthogonal to `lacked`.
        """
        inside, within, rank = self.weights, self.inner.trace(), len(self.inner) - 1
        if gone is not None:
            inside, within, rank = (
                inside - torch.outer(gone, gone @ inside),
                within - gone @ self.inner @ gone,
                rank - 1,
            )
        # With Qᵢ Qᵢᵀ = Q (I − sᵢ sᵢᵀ) Qᵀ, column i of `inside` is Qᵀ Qᵢ Qᵢᵀ ωᵢ, the part of wᵢ = Qᵀ ωᵢ that Qᵢ spans.
        inside = inside - lacked * (lacked * inside).sum(0)
        # uᵀ A u of u = ωᵢ − Q·inside has three terms without a new product, since A ωᵢ = Q rᵢ: ωᵢᵀ A ωᵢ = wᵢᵀ rᵢ,
        # ωᵢᵀ A Q·inside = rᵢᵀ inside, and insideᵀ H inside (Epperly, Tropp and Webber 2024).
        quadratic = ((self.weights - 2 * inside) * self.triangle + inside * (self.inner @ inside)).sum(0)
        # |u|² = |ωᵢ|² − |inside|², by Pythagoras; the probes have |ωᵢ|² = n
        rest = (self.size - inside.square().sum(0)).clamp(min=torch.finfo(torch.float64).tiny)
        # tr Qᵢᵀ A Qᵢ = tr H − sᵢᵀ H sᵢ, since the columns of Qᵢ and Q sᵢ together span Q
        return within - (lacked * (self.inner @ lacked)).sum(0) + (self.size - rank) * quadratic / rest

    def jackknife(self, lacked: Tensor) -> float:
        """The standard error from estimates that leave out one probe each, which is biased upwards.

        Efron and Stein 1981, "The jackknife estimate of variance", doi:10.1214/aos/1176345462. The spread of the tᵢ
        themselves is too small, as they share their probes.
        """
        count, means = len(lacked), []
        for left in range(count):
            gone = lacked[:, left]  # the direction of Q that the images of the other probes do not span
            others = torch.cat([lacked[:, :left], lacked[:, left + 1 :]], 1)
            means.append(self._without(left).estimates(_normalized(others - torch.outer(gone, gone @ others)), gone))
        leaving = torch.stack(means).mean(1)
        return ((count - 1) * leaving.var(correction=0)).sqrt().item()

    def _without(self, probe: int) -> Parts:
        kept = [number for number in range(len(self.inner)) if number != probe]
        return Parts(self.size, self.weights[:, kept], self.triangle[:, kept], self.inner)


class XTrace:
    """The estimator, one product per step.

    Args:
        size: n, of the operator [n, n].
        products: 2k, twice the number of probes, at least 4; at most n probes are used.
        dtype: of probes and products.
        generator: of the probes, on the CPU.

    Raises:
        GencliError: too few products.
    """

    def __init__(self, size: int, products: int, dtype: torch.dtype, generator: torch.Generator) -> None:
        if products < 4:
            raise GencliError(f"--trace-products: {products} is too few", "use 4 or more")
        self.probes = min(products // 2, size)
        # uniform on the sphere of radius √n, so that E ω ωᵀ = I and |ω|² = n exactly, which `estimates` uses
        drawn = torch.randn(self.probes, size, dtype=torch.float64, generator=generator)
        self._probes = (drawn * (size**0.5 / drawn.norm(dim=1, keepdim=True))).to(dtype)
        self._first, self._second = (torch.zeros_like(self._probes) for _ in range(2))
        self._triangle = torch.zeros(self.probes, self.probes, dtype=dtype)
        self.products = 0

    @property
    def expected(self) -> int:
        """The number of products in total."""
        return 2 * self.probes

    @property
    def done(self) -> bool:
        """Whether all products have been computed."""
        return self.products == 2 * self.probes

    def step(self, matvec: Matvec) -> None:
        """Computes one product: first A ω for every probe, then A q for every vector of the basis Q of these images.

        Raises:
            GencliError: a product is not finite.
        """
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
        directions sᵢ that Qᵢ lacks in Q are the normalized columns of R⁻ᵀ (Epperly, Tropp and Webber 2024).
        """
        size = self._probes.shape[1]
        inner = (self._first @ self._second.T).double()
        weights, triangle = (self._first @ self._probes.T).double(), self._triangle.double()
        parts = Parts(size, weights, triangle, (inner + inner.T) / 2)
        eps = torch.finfo(self._first.dtype).eps
        rounding = eps * inner.diagonal().abs().sum().item()
        if self.probes == size:  # Q spans everything, so that tr Qᵀ A Q is the trace itself
            return Trace(inner.trace().item(), rounding, self.products)
        lacked = _lacked(triangle, eps)
        value = parts.estimates(lacked).mean().item()
        return Trace(value, max(rounding, parts.jackknife(lacked)), self.products)

    def state(self) -> State:
        """The tensors that `load` takes."""
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
    """The sᵢ as columns [k, k] float64: column i is orthogonal to all columns of the triangle R but the i-th.

    Qᵢ spans Q rⱼ for j ≠ i, and R⁻¹ R = I says that row i of R⁻¹ is orthogonal to exactly these rⱼ. Diagonal entries
    below rounding are raised to it, so that R has an inverse when the images of the probes are dependent.
    """
    diagonal = triangle.diagonal()
    least = (eps * triangle.abs().max()).item() or 1.0
    raised = triangle + torch.diag(torch.where(diagonal.abs() < least, least - diagonal, 0.0))
    inverse = torch.linalg.solve_triangular(raised, torch.eye(len(raised), dtype=raised.dtype), upper=True)
    return _normalized(inverse.T)


def _normalized(columns: Tensor) -> Tensor:
    return torch.nn.functional.normalize(columns, dim=0)
