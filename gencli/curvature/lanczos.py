"""The Lanczos process of a symmetric operator; `extremes` searches eigenpairs with it.

Thick restart as in Wu and Simon 2000, "Thick-restart Lanczos method for large symmetric eigenvalue problems",
doi:10.1137/S0895479898334605. Every vector is orthogonalized twice against all kept vectors ("twice is
enough": Kahan, in Parlett 1998, The Symmetric Eigenvalue Problem); otherwise rounding makes the process find the same
eigenvalues again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gencli.errors import GencliError
from gencli.files.held import LARGEST, Held

Matvec = Callable[[Tensor], Tensor]
State = dict[str, Tensor]

ORTHONORMAL = 10  # allowed departure of a basis from orthonormal, in square roots of a unit in the last place
_NO_DIRECTION = 10  # units in the last place: a vector of rounding errors


class Lanczos:
    """The process: A V = V T + β v eᵀ with an orthonormal basis V and a small symmetric T.

    Attributes:
        basis: [most + 1, size]; its first `steps` rows are V, the next one is v.
        projected: [most, most] float64; its leading `steps` rows and columns are T.
        beta: the coupling to v; 0 if V spans an invariant subspace, and v is a new random vector.
        products: number of products with the operator so far.
        kept: the Ritz pairs that the last restart kept, 0 before the first.
    """

    def __init__(
        self, size: int, most: int, dtype: torch.dtype, generator: torch.Generator, start: Tensor | None = None
    ) -> None:
        self._generator, self._most = generator, min(most, size)
        self.basis = torch.zeros(self._most + 1, size, dtype=dtype)
        self.projected = torch.zeros(self._most, self._most, dtype=torch.float64)
        self.steps = self.products = self.block = self.kept = 0
        self.beta = 0.0
        if start is None:
            self._draw()
        else:
            self.basis[0] = start / start.norm()

    @property
    def full(self) -> bool:
        """Whether there is no room for another step."""
        return self.steps == self._most

    @property
    def complete(self) -> bool:
        """Whether V spans the whole space."""
        return self.steps == self.basis.shape[1]

    @property
    def rounding(self) -> float:
        """A unit in the last place of the operator's norm."""
        return torch.finfo(self.basis.dtype).eps * self.projected.abs().max().item()

    def step(self, matvec: Matvec) -> None:
        """Appends v to V, with one product.

        A v is orthogonalized against V; the coefficient along v itself is the new diagonal entry of T, the norm of the
        remainder is β, and the remainder, normalized, is the next v. Only the diagonal coefficient is stored: the
        others follow from the symmetry of T, but for rounding.

        Raises:
            GencliError: a product is not finite.
        """
        row = self.steps
        image = matvec(self.basis[row]).to(self.basis, copy=True)
        self.products += 1
        if not image.isfinite().all():
            raise GencliError("a product with the operator is not finite", "check the model and the data")
        self.steps += 1
        coefficients, image = self._orthogonalized(image)
        self.projected[row, row] = coefficients[row]
        self.block += 1
        self.beta = image.norm().item()
        # a remainder of rounding errors has no direction: V is invariant, and the process needs a new start
        if self.complete or self.beta <= _NO_DIRECTION * self.rounding:
            self.beta = 0.0
        if self.beta:
            self.basis[self.steps] = image / self.beta
        elif not self.complete:
            self._draw()
        if self.steps < self._most:
            self.projected[row, row + 1] = self.projected[row + 1, row] = self.beta

    def _orthogonalized(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        found, known = vector.new_zeros(self.steps), self.basis[: self.steps]
        for _ in range(2):
            coefficients = known @ vector
            vector = vector - coefficients @ known
            found += coefficients
        return found, vector

    def _draw(self) -> None:
        drawn = torch.randn(self.basis.shape[1], dtype=torch.float64, generator=self._generator)
        _, vector = self._orthogonalized(drawn.to(self.basis.dtype))
        self.basis[self.steps] = vector / vector.norm()

    def ritz(self) -> tuple[Tensor, Tensor]:
        """Ritz values [steps] ascending and their vectors as columns [steps, steps], both float64."""
        return tuple(torch.linalg.eigh(self.projected[: self.steps, : self.steps]))  # type: ignore[return-value]

    def vectors(self, columns: Tensor) -> Tensor:
        """V times columns [steps, k] float64: [k, size]."""
        return columns.T.to(self.basis.dtype) @ self.basis[: self.steps]

    def least_image(self) -> float:
        """The least ‖A x‖ of unit vectors x in V's span: no absolute eigenvalue lies above all of them but below it.

        Since A V y = [V v] [T; β eᵀ] y and [V v] is orthonormal, it is the smallest singular value of T with the row β
        eᵀ below it.
        """
        last = torch.zeros(1, self.steps, dtype=torch.float64)
        last[0, -1] = self.beta
        return torch.linalg.svdvals(torch.cat([self.projected[: self.steps, : self.steps], last]))[-1].item()

    def restart(self, values: Tensor, columns: Tensor) -> None:
        """Keeps only these Ritz pairs, and v.

        A (V y) = V y θ + β (eᵀ y) v for each pair (θ, y), so that the new T is diagonal with the values θ, and each
        kept vector is coupled to v by β times the last entry of its y (Wu and Simon 2000): an arrow.
        """
        kept, room = len(values), self.basis[self.steps].clone()  # v, whose row the Ritz vectors may overwrite
        self.basis[:kept] = self.vectors(columns)
        self.basis[kept] = room
        coupling = self.beta * columns[-1]
        self.projected.zero_()
        self.projected[range(kept), range(kept)] = values
        self.projected[:kept, kept] = self.projected[kept, :kept] = coupling
        self.steps = self.kept = kept

    def state(self) -> State:
        """What `load` needs to continue with the same numbers."""
        counts = torch.tensor([self.steps, self.products, self.block, self.kept])
        return {
            "basis": self.basis[: self.steps + 1], "projected": self.projected, "counts": counts,
            "beta": torch.tensor([self.beta], dtype=torch.float64), "generator": self._generator.get_state(),
        }  # fmt: skip

    def load(self, state: State) -> None:
        """Loads the state of the same process."""
        self.steps, self.products, self.block, self.kept = state["counts"].tolist()
        self.basis[: self.steps + 1] = state["basis"]
        self.projected = state["projected"].clone()
        self.beta = state["beta"].item()
        self._generator.set_state(state["generator"])

    def take(self, held: Held, prefix: str, draws: int = 1) -> None:
        """Loads what a checkpoint holds, if this process can have had it after so many draws, or some more.

        Raises:
            GencliError: it cannot.
        """
        most, (_, size), kind = self._most, self.basis.shape, self.basis.dtype
        counts = held.tensor(f"{prefix}counts", (4,), torch.int64, 0)
        steps, products, block, kept = counts.tolist()
        restarted = 0 < kept < most <= products and kept <= steps
        if not (steps <= most and block <= products and (restarted or (kept == 0 and steps == products))):
            raise held.refused(f"{prefix}counts", counts.tolist(), "steps, products, block and kept pairs of one run")
        state = {
            "counts": counts,
            "basis": held.tensor(f"{prefix}basis", (steps + 1, size), kind),
            "projected": held.tensor(f"{prefix}projected", (most, most), torch.float64),
            "beta": held.tensor(f"{prefix}beta", (1,), torch.float64, 0.0, LARGEST if steps else 0.0),
            "generator": held.tensor(f"{prefix}generator", tuple(self._generator.get_state().shape), torch.uint8),
        }
        self._require_drawn(held, f"{prefix}generator", state["generator"], draws, products)
        self.load(state)
        known = self.basis[: steps + (not self.complete)]
        apart = (known @ known.T - torch.eye(len(known), dtype=kind)).abs().max().item()
        if apart > ORTHONORMAL * torch.finfo(kind).eps ** 0.5:
            raise held.refused(f"{prefix}basis", f"{apart:.2g} from orthonormal", "an orthonormal basis")
        shaped = self._shaped()
        for row, column in (self.projected != shaped).nonzero()[:1].tolist():
            key = f"{prefix}projected[{row},{column}]"
            raise held.refused(key, self.projected[row, column].item(), shaped[row, column].item())

    def _shaped(self) -> Tensor:
        """T with its coupling in the only possible form: symmetric, an arrow of the kept pairs, then tridiagonal."""
        kept, steps, shaped = self.kept, self.steps, torch.zeros_like(self.projected)
        places = torch.arange(steps)
        shaped[places, places] = self.projected[places, places]
        sides = [(row, kept) for row in range(kept)] + [(row, row + 1) for row in range(kept, steps)]
        for row, column in sides:
            if column < self._most:
                coupled = column == steps > kept
                shaped[row, column] = shaped[column, row] = self.beta if coupled else self.projected[row, column]
        return shaped

    def _require_drawn(self, held: Held, key: str, given: Tensor, draws: int, products: int) -> None:
        """Requires a generator's state from this run's stream, after `draws` vectors or a few more."""
        stream = torch.Generator()
        stream.set_state(self._generator.get_state())
        for draw in range(1, draws + products + 2):
            if draw >= draws and torch.equal(stream.get_state(), given):
                return
            torch.randn(self.basis.shape[1], dtype=torch.float64, generator=stream)
        raise held.refused(key, "another state", "one of this run's own stream")
