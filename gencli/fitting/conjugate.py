"""(K + ridge I) α = Y by conjugate gradients for all columns of Y at once, to a residual that is computed in float64.

One product with K serves the block of all columns. The recursions run in float64 around products in K's precision;
when they say that the tolerance is reached, the residual of the rounded α is computed anew in float64, and the
iterations start again from it where it is still too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from gencli.files.held import Held
from gencli.fitting.gram import Floats, Gram, Matrix

_PARTS = ("solution", "rest", "basis", "directions", "triangle", "numbers")


class Solver:
    """Block conjugate gradients for P (K + ridge I) P, whose blocks of residuals are kept orthonormal.

    The variant that orthogonalizes each block by QR (Dubrulle 2001, "Retooling the method of block conjugate
    gradients", ETNA 12, algorithm BCGrQ) of the method of O'Leary 1980: it stays stable where columns converge at
    different times. P is the symmetric root of a preconditioner, see `gencli.fitting.preconditioner`.

    Attributes:
        products: with K so far.
        residual: ‖(K + ridge I) α − Y‖ / ‖Y‖, in float64 from α itself, at the last look; 1 before.
        estimate: the same by the recursion.
        scores: K α at that look, [n, m].
        reached: whether the tolerance was met then.
        over: whether that look was the last.
    """

    def __init__(
        self, gram: Gram, precondition: Callable[[Floats], Floats], targets: Floats, ridge: float, tolerance: float
    ) -> None:
        """`targets`: Y [n, m], no column of which is 0, m at most n."""
        self._gram, self._precondition, self._ridge = gram, precondition, ridge
        self._targets, self._tolerance = targets, tolerance
        self._length = np.linalg.norm(targets)
        self.products, self.residual = 0, 1.0
        self.reached = self.over = self._stuck = False
        self.scores = np.zeros_like(targets)
        self._solution = np.zeros_like(targets)
        self._start(targets)

    @property
    def alpha(self) -> Matrix:
        """[n, m], in K's dtype."""
        return self._solution.astype(self._gram.dtype)

    @property
    def estimate(self) -> float:
        """The relative residual that the iterations carry along."""
        return float(np.linalg.norm(self._rest) / self._length)

    def run(self, most: int) -> Iterator[None]:
        """Iterates until the tolerance is reached, `most` products are made or rounding stops it; yields at each one.

        It is over, without the tolerance, where iterations from the residual of α did not halve that.
        """
        while not self.over:
            last = self.products + 1 >= most  # a look takes a product too
            if self._stuck or self.estimate <= self._tolerance or last:
                self._look(last)
            else:
                self._stuck = not self._step()
            self.products += 1
            yield

    def state(self) -> dict[str, torch.Tensor]:
        """For `take`, while it is not over."""
        parts = (self._solution, self._rest, self._basis, self._directions, self._triangle)
        numbers = np.array([self.residual, self.products, self._stuck])
        return {name: torch.from_numpy(part) for name, part in zip(_PARTS, (*parts, numbers), strict=True)}

    def take(self, held: Held, most: int) -> None:
        """Takes the state of the same equations.

        Raises:
            GencliError: it is none.
        """
        n, m = self._targets.shape
        shapes = ((n, m), (n, m), (n, m), (n, m), (m, m))
        parts = [held.tensor(name, shape, torch.float64).numpy() for name, shape in zip(_PARTS, shapes)]
        self._solution, self._rest, self._basis, self._directions, self._triangle = parts
        self.residual, products, stuck = held.tensor(_PARTS[-1], (3,), torch.float64, 0, max(most, 1)).tolist()
        if products % 1 or stuck not in (0, 1):
            raise held.refused(_PARTS[-1], [self.residual, products, stuck], "a residual, a count, and 0 or 1")
        self.products, self._stuck = int(products), bool(stuck)

    def _start(self, rest: Floats) -> None:
        self._rest = rest
        self._basis, self._triangle = np.linalg.qr(self._precondition(rest))
        self._directions = self._basis

    def _step(self) -> bool:
        """One iteration; False where K + ridge I is not positive in this arithmetic along these directions."""
        along = self._precondition(self._directions)
        image = self._gram.product(along) + self._ridge * along
        inner = along.T @ image
        try:
            lower = np.linalg.cholesky((inner + inner.T) / 2)
        except np.linalg.LinAlgError:
            return False
        inverse = np.linalg.inv(lower)
        inverse = inverse.T @ inverse
        if not np.isfinite(inverse).all():
            return False
        step = inverse @ self._triangle
        self._solution = self._solution + along @ step
        self._rest = self._rest - image @ step
        self._basis, triangle = np.linalg.qr(self._basis - self._precondition(image) @ inverse)
        self._directions = self._basis + self._directions @ triangle.T
        self._triangle = triangle @ self._triangle
        return True

    def _look(self, last: bool) -> None:
        """Computes the residual of the rounded α in float64, and starts again from it unless it is over."""
        alpha = self.alpha.astype(np.float64)
        self.scores = self._gram.product(alpha, exact=True)
        rest = self._targets - self.scores - self._ridge * alpha
        before, self.residual = self.residual, float(np.linalg.norm(rest) / self._length)
        self.reached = self.residual <= self._tolerance
        self.over = last or self.reached or not self.residual < before / 2
        if not self.over:
            self._solution, self._stuck = alpha, False
            self._start(rest)
