"""How much a learner's losses change when one example of its training data is another."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory import networks
from gencli.theory.base import Drawn, Floats, Instances, OnData, Panel, Row, Series
from gencli.theory.networks import Arch, Examples
from gencli.theory.objectives import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

_PARTS = 4, 2, 1
_OTHERS = 5  # rows that the losses are also taken of, for each example
_RATE, _BATCH = 0.1, 10


@dataclass(frozen=True)
class UniformStability(Drawn, OnData):
    """One example in n changes a stable learner's losses by O(1/n).

    \b
    beta = sup over S, i, z of |loss(A(S), z) - loss(A(S without i), z)|.
    A(S) = argmin 1/n sum of log(1 + exp(-y <w, x>)) + lambda/2 |w|^2:
      |w - w'| <= R / (lambda n), beta <= R^2 / (lambda n), R = max |x|,
      and twice that where i is replaced;
    SGD without lambda, step size eta <= 8 / R^2, E passes:
      beta <= 2 R^2 eta E where i is replaced.

    Each of --removals rows is left out, or replaced by a held-out row, and the learner is trained again; the largest
    change of the loss of an available row is a lower bound of beta, because S, i and z are only samples. y is 1 for the
    upper half of the classes, -1 for the others. Without i the sum is still divided by n, as in the theorem, so the
    loss of a removed row never falls. SGD visits the positions of S in random orders, the same for all S, with eta = 8
    / (R^2 n). All of this is done for n/4, n/2 and n rows.

    A network has no such bound: SGD at rate 0.1, with momentum 0.9 and in batches of 10, on cross-entropy must give
    equal losses from equal rows and different losses from different rows. --break divides the bounds by n and does not
    replace the network's rows. Pixels are divided by 255. Reads an image table, by default the built-in digits, and
    writes a table of claims.

    Sources: Bousquet and Elisseeff 2002, JMLR 2, theorem 22, of lambda |w|^2; SGD: Hardt, Recht, Singer 2016,
    arXiv:1509.01240, theorem 3.8.

    \b
    Example:
      gencli check uniform-stability --examples 60 --plot beta.png --format table
    """

    name = "uniform-stability"
    family = "generalization"
    packages = ("torch", "sklearn", "scipy")
    instances: Instances = 1
    examples: Examples = 100
    removals: Annotated[
        int, typer.Option(min=1, max=250_000, metavar="N", help="Number of rows to leave out, one at a time.")
    ] = 10
    decay: Annotated[float, typer.Option(min=1e-4, max=1e6, metavar="LAMBDA", help="Weight decay, lambda.")] = 0.1
    passes: Annotated[int, typer.Option(min=1, max=100_000, metavar="E", help="Epochs of SGD.")] = 10
    arch: Arch = "mlp-1x16"

    def __post_init__(self) -> None:
        if self.removals > self.examples // _PARTS[0]:
            raise GencliError(
                f"--removals {self.removals}: more than a quarter of the {self.examples} --examples",
                "leave fewer out, or use more examples",
            )

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        assert table is not None
        if table.rows < self.examples + self.removals:
            raise GencliError(
                f"--examples {self.examples}: {table.title} has {table.rows:,} rows, and {self.removals} are held out",
                "use fewer examples, or more rows",
            )
        sets = (1 + self.removals) * self.examples * (self.passes + 2 + 3 * (1 + _OTHERS))
        require_memory(8 * sets, f"--removals {self.removals}, --examples {self.examples}, --passes {self.passes}")
        wanted, classes = (1 + _OTHERS) * self.examples, len(table.description.classes)
        images, labels = networks.read(table, wanted, self.dtype)
        counts = np.array([self.examples // part for part in _PARTS])
        for number, random in self.numbered(draws):
            order = random.permutation(len(images))
            network = networks.build(self.arch, images, classes, int(random.integers(1 << 62)))
            points = self._points(
                images[order].flatten(1).numpy(), np.where(labels[order].numpy() < classes / 2, -1, 1)
            )
            changes: dict[str, list[float]] = {}
            for n in counts.tolist():
                visits = np.concatenate([random.permutation(n) for _ in range(self.passes)])
                weaker = n if broken else 1
                found = {
                    "logistic": self._minimized(points, n, weaker),
                    "logistic by SGD": self._descended(points, visits, n, weaker),
                    self.arch: self._trained(network, images[order], labels[order], visits, n, broken),
                }
                for learner, rows in found.items():
                    for row in rows:
                        yield replace(row, instance=f"{number}: {learner}, n={n:,}")
                        if row.quantity.startswith("beta"):
                            changes.setdefault(learner + row.quantity[4:], []).append(float(row.left))
            if number == 0:
                lines = [Series(label, counts, np.array(each), "o-") for label, each in changes.items()]
                yield Panel("lower bounds of beta", "examples n", "largest change of a loss", lines)

    def _points(self, x: Floats, y: NDArray[np.int64]) -> _Points:
        """In coordinates that span the rows to be trained on, which lose nothing of a w from these."""
        basis = np.linalg.qr(x[: self.examples + self.removals].T)[0]
        return _Points(y[:, None] * (x @ basis), float(np.linalg.norm(x, axis=1).max()))

    def _sets(self, n: int) -> NDArray[np.int64]:
        """[1 + removals, n] the rows of S, and those with one of them replaced."""
        sets, places = np.tile(np.arange(n), (1 + self.removals, 1)), np.arange(self.removals)
        sets[1 + places, places] = self.examples + places
        return sets

    def _minimized(self, points: _Points, n: int, weaker: int) -> Iterator[Row]:
        """Of regularized logistic regression, in float64."""
        features, sets = points.signed.astype(np.float64), self._sets(n)
        whole = features[:n]
        start = self._minimizer(whole, np.zeros(whole.shape[1]))
        removed = (whole * (np.arange(n) != place)[:, None] for place in range(self.removals))
        replaced = (features[rows] for rows in sets[1:])
        without, instead = (np.stack([self._minimizer(each, start) for each in some]) for some in (removed, replaced))
        before, after = points.losses(start[None]), points.losses(without)
        move = points.radius / (self.decay * n) / weaker
        beta, rounding = points.radius * move, 1e-6 * points.radius * move
        yield Row("", "|w - w'|, one removed; bound", np.linalg.norm(without - start, axis=1).max(), "<=", move)
        yield Row("", "beta, one removed, at least; bound", np.abs(after - before).max(), "<=", beta)
        risen = np.diagonal(after - before).min()
        yield Row("", "least rise of a removed row's loss", risen, ">=", 0.0, rounding)
        yield Row(
            "", "beta, one replaced, at least; bound", np.abs(points.losses(instead) - before).max(), "<=", 2 * beta
        )

    def _minimizer(self, features: Floats, start: Floats) -> Floats:
        """A(S) [d] of the rows y x [n, d]; a row of zeros is one left out."""
        from scipy.optimize import minimize

        f = Objective(features, self.decay * np.eye(features.shape[1]))
        found = minimize(f.value, start, method="trust-exact", jac=f.gradient, hess=f.hessian, options={"gtol": 1e-10})
        return found.x

    def _descended(self, points: _Points, visits: NDArray[np.int64], n: int, weaker: int) -> Iterator[Row]:
        """Of SGD without weight decay, all sets at once."""
        from scipy.special import expit

        rate = np.asarray(8 / (points.radius**2 * n), points.signed.dtype)
        w = np.zeros((1 + self.removals, points.signed.shape[1]), points.signed.dtype)
        for rows in self._sets(n)[:, visits].T:
            x = points.signed[rows]
            w += rate * expit(-(w * x).sum(1))[:, None] * x
        losses = points.losses(w)
        bound = 2 * points.radius**2 * float(rate) * self.passes / weaker
        change = np.abs(losses[:, 1:] - losses[:, :1]).max()
        yield Row("", "beta, one replaced, at least; bound", change, "<=", bound)

    def _trained(
        self, network: nn.Module, images: Tensor, labels: Tensor, visits: NDArray[np.int64], n: int, keep: bool
    ) -> Iterator[Row]:
        """Of a network by SGD from the parameters it has; `keep` replaces no row."""
        import torch
        from torch.nn.functional import cross_entropy

        from gencli.training import optimizers

        def losses(rows: NDArray[np.int64]) -> Tensor:
            trained = copy.deepcopy(network)
            optimizer = optimizers.build("sgd", trained, _RATE)
            for batch in torch.from_numpy(rows[visits]).split(_BATCH):
                optimizer.zero_grad()
                cross_entropy(trained(images[batch]), labels[batch]).backward()
                optimizer.step()
            with torch.no_grad():
                return cross_entropy(trained(images), labels, reduction="none").double()

        sets = self._sets(n)
        whole = losses(sets[0])
        others = [losses(sets[0] if keep else rows) for rows in sets[1:]]
        yield Row("", "largest change, the same rows again", float((losses(sets[0]) - whole).abs().max()), "=", 0.0)
        yield Row(
            "", "beta, one replaced, at least", max(float((each - whole).abs().max()) for each in others), ">", 0.0
        )


class _Points(NamedTuple):
    """Rows y x [m, d], and the largest |x|, which is a Lipschitz constant of their losses log(1 + exp(−⟨w, y x⟩))."""

    signed: Floats
    radius: float

    def losses(self, w: Floats) -> Floats:
        """[m, k] float64 of each row at each of w [k, d]."""
        return np.logaddexp(0, -self.signed.astype(np.float64) @ w.T.astype(np.float64))
