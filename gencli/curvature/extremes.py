"""Extreme eigenpairs of a symmetric operator, searched by the Lanczos process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gencli.curvature.lanczos import Lanczos, Matvec, State
from gencli.errors import GencliError
from gencli.files.held import Held

TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-6}
_MOST_VECTORS, _MEMORY = 200, 1 << 31
_EXTRA = 20  # minimum number of vectors beyond twice the wanted eigenpairs
_CLOSE = 1e-6  # another processor's rounding


@dataclass(frozen=True)
class Pairs:
    """Eigenpairs, the outermost first.

    Attributes:
        values: [k] float64.
        vectors: [k, size], of length 1, their largest entry positive.
        residuals: [k] float64, ‖A v − λ v‖ as the process computes it, at least its rounding; an eigenvalue lies within
            this distance.
        products: number of products with the operator, shared by all pairs.
        converged: whether every residual is within the tolerance.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    products: int
    converged: bool


class Extremes:
    """The search for the `top` largest and `bottom` smallest eigenvalues in one space; see `leading`.

    Attributes:
        expected: an estimate of the number of products.
        done: whether it ended; converged: whether it found all.
    """

    def __init__(
        self,
        size: int,
        top: int,
        bottom: int,
        dtype: torch.dtype,
        generator: torch.Generator,
        tolerance: float | None = None,
        most_products: int | None = None,
        vectors: int | None = None,
        start: Tensor | None = None,
    ) -> None:
        for option, wanted in (("--top", top), ("--bottom", bottom)):
            if not 0 <= wanted <= size:
                raise GencliError(f"{option}: {wanted} eigenvalues, but the matrix has {size}", f"use {size} or fewer")
        self.top, self.bottom, self._most_products = top, bottom, most_products
        self.tolerance = TOLERANCES[dtype] if tolerance is None else tolerance
        self.expected = least = min(size, 2 * (top + bottom) + _EXTRA)
        fits = _MEMORY // (size * dtype.itemsize)
        chosen = max(least, min(_MOST_VECTORS, fits)) if vectors is None else vectors
        if chosen < min(size, top + bottom + 2):
            raise GencliError(
                f"--basis: {chosen} vectors for {top + bottom} eigenpairs", f"use {least} or more, or fewer eigenpairs"
            )
        self.process = Lanczos(size, chosen, dtype, generator, start)
        self.converged = self.done = False

    @property
    def products(self) -> int:
        """With the operator, so far."""
        return self.process.products

    def step(self, matvec: Matvec) -> None:
        """One product, and a restart where there is no room for the next."""
        process = self.process
        process.step(matvec)
        if process.steps < min(self.top + self.bottom, process.basis.shape[1]):
            return
        values, columns = process.ritz()
        settled = self._settled(values)
        self.converged = self._are_found(values, columns) and settled
        self.done = self.converged or self._spent
        if process.full and not self.done:
            room = process.steps - self.top - self.bottom
            spare = max(0, min(self.top + self.bottom, room // 2))  # neighbours of these speed up the next round
            kept = self._wanted(len(values), spare)
            process.restart(values[kept], columns[:, kept])

    @property
    def _spent(self) -> bool:
        return self._most_products is not None and self.products >= self._most_products

    @property
    def _slack(self) -> float:
        """The coupling below which a subspace counts as invariant: small couplings amplify earlier rounding errors."""
        return self.process.rounding / torch.finfo(self.process.basis.dtype).eps ** 0.5

    def _are_found(self, values: Tensor, columns: Tensor, scale: float = 1.0) -> bool:
        """Whether the residuals of the wanted pairs are at most `scale` times the allowed ones."""
        residuals = self.process.beta * columns[-1].abs()  # ‖A V y − θ V y‖ = β |eᵀ y|, as v has norm 1
        allowed = self.tolerance * torch.maximum(values.abs(), self.tolerance * values.abs().max())
        return bool((residuals <= scale * allowed)[self._wanted(len(values))].all())

    def _settled(self, values: Tensor) -> bool:
        """Whether an invariant subspace can hide no copy of a wanted eigenvalue.

        From one starting vector the process finds one vector of each eigenspace. If the random vector drawn next is
        itself an eigenvector, then, with probability one, the whole remaining space has its eigenvalue.
        """
        process, slack = self.process, self._slack
        if process.beta > slack or process.complete:
            return True
        alone, rest = process.block == 1, process.projected[process.steps - 1, process.steps - 1]
        process.block = 0
        above = not self.top or values[-self.top] >= rest - slack
        return bool(alone and above and (not self.bottom or values[self.bottom - 1] <= rest + slack))

    def _wanted(self, count: int, spare: int = 0) -> list[int]:
        """The wanted positions among `count` ascending values, and `spare` more shared between the requested ends."""
        share = spare // 2 if self.top and self.bottom else spare
        low = self.bottom + share if self.bottom else 0
        high = self.top + share if self.top else 0
        return sorted({*range(min(low, count)), *range(max(0, count - high), count)})

    def pairs(self, which: Literal["top", "bottom"]) -> Pairs:
        """The pairs found at one end of the spectrum."""
        values, columns = self.process.ritz()
        chosen = slice(len(values) - self.top, None) if which == "top" else slice(self.bottom)
        values, columns = values[chosen], columns[:, chosen]
        if which == "top":
            values, columns = values.flip(0), columns.flip(1)
        vectors = self.process.vectors(columns)
        if len(vectors):
            signs = vectors.gather(1, vectors.abs().argmax(1, keepdim=True)).sign()
            vectors = vectors / (signs * vectors.norm(dim=1, keepdim=True))
        residuals = (self.process.beta * columns[-1].abs()).clamp(min=self.process.rounding)
        return Pairs(values, vectors, residuals, self.products, self.converged)

    def take(self, held: Held, prefix: str) -> None:
        """See `Lanczos.take`."""
        process = self.process
        process.take(held, prefix)
        ended = held.tensor(f"{prefix}ended", (2,), torch.bool)
        self.converged, self.done = (bool(each) for each in ended.view(torch.uint8).tolist())
        pairs = process.ritz()
        enough = process.steps >= min(self.top + self.bottom, process.basis.shape[1])
        found, surely = (enough and self._are_found(*pairs, scale) for scale in (1 + _CLOSE, 1 - _CLOSE))
        surely = surely and (process.complete or process.beta > self._slack) and process.steps > process.kept
        fits = found if self.converged else not surely
        if not fits or self.done != (self.converged or (enough and self._spent)) or (process.full and not self.done):
            raise held.refused(f"{prefix}ended", [self.converged, self.done], "what the eigenpairs say")

    def state(self) -> State:
        """For `load`."""
        return self.process.state() | {"ended": torch.tensor([self.converged, self.done])}

    def load(self, state: State) -> None:
        """Loads the state of a search for the same pairs."""
        self.process.load(state)
        self.converged, self.done = state["ended"].tolist()


def leading(
    matvec: Matvec,
    size: int,
    k: int,
    which: Literal["top", "bottom"] = "top",
    tolerance: float | None = None,
    dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
    most_products: int = 1000,
    vectors: int | None = None,
    start: Tensor | None = None,
) -> Pairs:
    """The k largest or smallest eigenvalues, in algebraic order, and their vectors.

    Args:
        matvec: a symmetric operator's product with a vector [size].
        tolerance: an eigenpair has converged if its residual ‖A v − λ v‖ is at most tolerance · max(|λ|, tolerance · μ)
            with μ the largest absolute eigenvalue seen; 1e-3 in float32 and 1e-6 in float64 where None. The
            eigenvalue is more accurate: its error is of the order of the squared residual. Copies of an eigenvalue
            with many eigenvectors may be missed.
        generator: of the first vector; one of seed 0 where None.
        most_products: maximum number of products, after which the search ends, converged or not.
        vectors: size of the basis at which it restarts; by default 200, or as many as fit in 2 GiB.
        start: the first vector [size], of any length but 0; what is orthogonal to it is not found.

    Raises:
        GencliError: more eigenvalues than the operator has, no room for them, or products that are not finite.
    """
    ends = {"top": 0, "bottom": 0} | {which: k}
    generator = generator or torch.Generator().manual_seed(0)
    search = Extremes(size, **ends, dtype=dtype, generator=generator, tolerance=tolerance,
                      most_products=most_products, vectors=vectors, start=start)  # fmt: skip
    while not search.done:
        search.step(matvec)
    return search.pairs(which)
