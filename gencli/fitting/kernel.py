"""Kernel interpolation and ridge regression, and the choice of a kernel by rows held out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from gencli import machine
from gencli.errors import GencliError
from gencli.files.provenance import Step
from gencli.fitting import cholesky, gram, iterative
from gencli.fitting.base import Fitted, Progress
from gencli.fitting.gram import Matrix
from gencli.fitting.rows import first_places, one_hot, require_points
from gencli.fitting.saving import Saved, Saving
from gencli.kernels import Kernel
from gencli.models import learners
from gencli.models.inputs import Rows
from gencli.models.learners import PLAIN_PIXELS, pixels
from gencli.ranks import Group
from gencli.training.validation import split

_AT_ONCE = 250
_SHARE = 0.8  # of the free memory; the rest is left to other programs, and to files that the system caches
_PER_PRODUCT = 1000  # multiplications per element of K in all iterations, about


class Settings(iterative.Settings, Saving, Protocol):
    """The options other than the kernels, see `gencli.fitting.kinds.Kernel`."""

    @property
    def validation_fraction(self) -> float: ...
    @property
    def dtype(self) -> str: ...
    @property
    def solver(self) -> str: ...
    @property
    def keep(self) -> bool: ...


def choose(
    rows: Rows, classes: int, title: str, kernels: list[Kernel], settings: Settings, made: Step, progress: Progress,
    group: Group,
) -> Fitted:  # fmt: skip
    """Fits to all rows the kernel that is most accurate on held-out rows, the first of several equals.

    A single kernel is only evaluated on them; without a validation fraction it is fitted at once.

    Args:
        made: the step that the model will name.
        group: the processes that share the products with K.

    Raises:
        GencliError: see `_Fitting.fit`.
    """
    fraction, held = settings.validation_fraction, None
    train = everything = np.arange(len(rows))
    if fraction:
        views = split(rows, fraction, settings.seed, copied=False)
        train, held = (view.place.numpy() for view in views if view.place is not None)
    tries = kernels if held is not None else []
    saved = Saved(settings, made, len(tries), group)
    fitting = _Fitting(rows, classes, title, settings, saved, len(tries), group)
    ends = np.cumsum([0, *(fitting.work(len(train)) for _ in tries), fitting.work(len(rows))])
    ends = ends / ends[-1]

    def told(place: int) -> Progress:
        start, stop = ends[place], ends[place + 1]
        return lambda done, line="", note="done", /: progress(start + (stop - start) * done, line, note)

    for place, kernel in enumerate(tries):
        if place == len(saved.accuracies):
            one = fitting.fit(kernel, train, told(place))
            saved.tried(_accuracy(one, rows.select(torch.from_numpy(held)), classes))
        progress(ends[place + 1], f"{kernel.word}: validation accuracy {saved.accuracies[place]:.4f}")
    accuracies = {kernel.word: accuracy for kernel, accuracy in zip(tries, saved.accuracies)}
    best = max(tries or kernels, key=lambda kernel: accuracies.get(kernel.word, 0))
    fitted = fitting.fit(best, everything, told(len(tries)))
    found = {"chosen": best.word, "validation_accuracy": accuracies} | fitted.found
    return Fitted(fitted.tensors, fitted.facts, found, fitted.failed)


class _Fitting:
    """Fits of several kernels to the same rows, or to some of them, which share what they can."""

    def __init__(
        self, rows: Rows, classes: int, title: str, settings: Settings, saved: Saved, tries: int, group: Group
    ) -> None:
        self._group = group
        self._rows, self._classes, self._title, self._settings, self._saved = rows, classes, title, settings, saved
        height, width, channels = rows.images.shape[1:]
        self._shape, self._shared, self._tries = (height, width, channels), None, tries

    def direct(self, n: int, classes: int) -> bool:
        """Whether n rows are solved by Cholesky's method."""
        asked = self._settings.solver
        return asked == "cholesky" or (asked == "auto" and (n <= iterative.DIRECT or classes > iterative.CLASSES))

    def work(self, n: int) -> float:
        """Multiplications, about."""
        half = n * n * self._rows.images[0].numel() / 2
        return half + (n**3 / 6 if self.direct(n, 1) else n * n * _PER_PRODUCT)

    def fit(self, kernel: Kernel, index: NDArray[np.int64], progress: Progress) -> Fitted:
        """Solves (K + ridge I) α = one-hot labels, K_ij = k(x_i, x_j), over the distinct images if ridge is 0.

        Args:
            index: of the rows, ascending.

        Raises:
            GencliError: no ridge, and an image with two labels, one that the kernel maps to 0 or a kernel without full
                rank; a checkpoint, and nothing to save in it; K is too near to a singular matrix for the arithmetic;
                or the residual is above the tolerance.
        """
        settings, classes = self._settings, self._classes
        rows = self._rows.select(torch.from_numpy(index))
        if not settings.ridge:
            hint = "no function fits both: remove one, or use --ridge 0.001, which averages"
            first = first_places(rows, self._title, hint)
            rows, index = rows.select(torch.from_numpy(first)), index[first]
        n, d = len(rows), kernel.dimension(self._shape)
        if kernel.linear and n > d and not settings.ridge:
            raise GencliError(
                f"--kernel {kernel.word}: {n:,} distinct images of {d:,} "
                f"{'pixels' if kernel.word == 'linear' else 'features'}: K has rank at most {d:,}",
                "use --ridge 0.001, or gencli fit least-squares",
            )
        products = self._products(kernel)
        if not settings.ridge and kernel.zero:
            require_points(rows, torch.from_numpy(products.points[index]), self._title, kernel.word)
        targets, present = one_hot(rows, classes), np.unique(rows.labels.numpy())
        if self.direct(n, len(present)):
            self._require_no_checkpoint(n)
            machine.require_alone(f"{n:,} rows by Cholesky's method, whose steps follow each other: --solver cg")
            alpha, scores = self._factored(kernel, products.points[index], targets, progress)
            solver, reached, facts = "cholesky", True, {}
        else:
            with gram.one_thread_each():
                found = self._iterated(kernel, products, index, targets[:, present].astype(np.float64), progress)
            alpha, scores = np.zeros((n, classes), settings.dtype), np.zeros((n, classes))
            alpha[:, present], scores[:, present] = found.alpha, found.scores
            solver, reached, facts = "conjugate gradients", found.reached, found.facts
        residual = float(np.linalg.norm(targets - scores - settings.ridge * alpha) / np.linalg.norm(targets))
        failed = None
        if not (reached and residual <= settings.tolerance):
            failed = self._missed(kernel, n, residual, facts)
            if not settings.keep:
                raise failed
        found = {
            "rows": n,
            "solver": solver,
            "relative_residual": residual,
            "train_accuracy": float((scores.argmax(1) == rows.labels.numpy()).mean()),
        }
        images = str(rows.images.dtype).removeprefix("torch.")
        of_kernel = kernel.facts() | {"rows": n, "images": images, "dtype": settings.dtype}
        tensors = {"images": rows.images, "alpha": torch.from_numpy(alpha)}
        return Fitted(tensors, of_kernel, found | facts, failed)

    def _require_no_checkpoint(self, n: int) -> None:
        if self._settings.checkpoint and not self._tries:
            raise GencliError(
                f"--checkpoint: {n:,} rows are solved by Cholesky's method, which has no state to save",
                "omit it, or use --solver cg",
            )

    def _products(self, kernel: Kernel) -> gram.Products:
        """Of the kernel's points of all rows; those of the kernel before, where they are the same points."""
        points = kernel.points(pixels(self._rows.images).to(getattr(torch, self._settings.dtype)), self._shape)
        if self._shared is None or not np.array_equal(self._shared.points, points.numpy()):
            self._shared = gram.Products(points.numpy())
        return self._shared

    def _factored(self, kernel: Kernel, points: Matrix, targets: Matrix, progress: Progress) -> tuple[Matrix, Matrix]:
        x, settings = torch.from_numpy(points), self._settings

        def block(part: slice, others: slice) -> Matrix:
            return kernel.matrix(x[part], x[others]).numpy()

        try:
            return cholesky.solve(block, targets.astype(settings.dtype), settings.ridge, points.shape[1], progress)
        except cholesky.NotPositive as error:
            words = f"--kernel {kernel.word}: {len(points):,} rows: K is not positive definite in {settings.dtype}"
            raise GencliError(f"{words}, from row {error} on", self._hint(kernel)) from None

    def _iterated(
        self, kernel: Kernel, products: gram.Products, index: NDArray[np.int64], targets: Matrix, progress: Progress
    ) -> iterative.Solution:
        settings, itemsize = self._settings, products.points.itemsize
        n, m = targets.shape
        room = int(_SHARE * machine.free_memory() / machine.local()) - iterative.memory(n, m, itemsize)
        if settings.room is not None:
            (whole, d), row = products.points.shape, self._rows.images[0]
            room = min(room, settings.room - iterative.needed(whole, d, m, itemsize, row.nbytes))
        shared = gram.halves(len(products.points), itemsize)
        if products.kept:
            room -= shared * (settings.room is not None)  # what is free lacks them already
        elif self._tries > 1 and room >= shared + gram.halves(n, itemsize):
            products.keep()
            room -= shared
        return iterative.solve(
            gram.Gram(products, kernel.values, index, self._group), targets, room, settings, self._saved, progress
        )

    def _missed(self, kernel: Kernel, n: int, residual: float, facts: dict[str, int]) -> GencliError:
        after = f" after {facts['products']:,} products" if facts else ""
        words = f"relative residual {residual:.1e}{after}, above --tolerance {self._settings.tolerance:g}"
        more = facts and facts["products"] >= self._settings.max_products
        words += "" if more else f": K is too near to singular for {self._settings.dtype}"
        hint = ("raise --max-products, or " if more else "") + "use --solver cholesky, or " if facts else ""
        return GencliError(f"--kernel {kernel.word}: {n:,} rows: {words}", hint + self._hint(kernel))

    def _hint(self, kernel: Kernel) -> str:
        hint = "use --ridge 0.001"
        hint += ", or a narrower kernel, a larger number" if kernel.name in ("gaussian", "laplace") else ""
        return hint + (", or --dtype float64" if self._settings.dtype == "float32" else "")


@torch.no_grad()
def _accuracy(fitted: Fitted, rows: Rows, classes: int) -> float:
    height, width, channels = rows.images.shape[1:]
    with torch.device("meta"):
        learner = learners.Kernel((height, width, channels), classes, **fitted.facts)
    learner.load_state_dict(fitted.tensors, assign=True)
    batches = zip(rows.images.split(_AT_ONCE), rows.labels.split(_AT_ONCE), strict=True)
    right = sum(int((learner(PLAIN_PIXELS(images)).argmax(1) == labels).sum()) for images, labels in batches)
    return right / len(rows)
