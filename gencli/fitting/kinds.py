"""The learners as commands: their options, what they refuse before they start, and their help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gencli import kernels, machine
from gencli.cli.options import Overwrite, Saving, Seed
from gencli.errors import GencliError
from gencli.files import endings
from gencli.fitting.base import Fitted, Learner, Progress
from gencli.machine import require_memory

if TYPE_CHECKING:
    from gencli.files.provenance import Step
    from gencli.files.tables import Description
    from gencli.models.inputs import Rows
    from gencli.ranks import Group

_ASIDE = ("memory", "checkpoint", "checkpoint_every", "resume", "overwrite")  # no bearing on the result
_FEWER = "use fewer rows: gencli corrupt subsample"
_KERNELS = "; ".join(f"{kind.form}, {kind.effect}" for kind in kernels.KERNELS.values())


@dataclass(frozen=True)
class FiniteSampleLearner(Learner):
    """Fit a two-layer ReLU net of 2n + d weights to any n labels.

    \b
    c(x) = sum over j of w_j max(<a, x> - b_j, 0),
    a in R^d random, b and w in R^n; the class is the number nearest to c(x).

    In the order of <a, x_i> each b_j is the preceding projection, so that the w are differences of slopes: no system is
    solved. Images are divided by 255; the arithmetic is float64. Equal images with one label count once; with two
    labels they are refused, because no function fits both. Reads an image table; writes a model (safetensors) for
    gencli eval, without loss or probabilities.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530, theorem 1.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 1 -o random.parquet
      gencli fit finite-sample random.parquet | gencli eval - random.parquet
    """

    name = "finite-sample"
    seed: Seed = 0

    def require(self, rows: int, description: Description) -> None:
        d = _values(description)
        require_memory(rows * (2 * description.row_bytes + 4 * d + 100), f"{rows:,} rows", _FEWER)

    def fit(self, rows: Rows, classes: int, title: str, made: Step, progress: Progress, group: Group) -> Fitted:
        import numpy as np
        import torch

        from gencli.fitting import finite_sample
        from gencli.fitting.rows import distinct, require_finite
        from gencli.models.learners import pixels

        require_finite(rows, title)
        rows = distinct(rows, title, "no function fits both: omit one of them")
        points, labels = pixels(rows.images).numpy(), rows.labels.numpy()
        network = finite_sample.fit(points, labels, self.seed)
        values = finite_sample.predict(network, points)
        predicted = np.rint(values).clip(0, classes - 1)
        found = {
            "rows": len(labels),
            "relative_residual": float(np.linalg.norm(values - labels) / (np.linalg.norm(labels) or 1)),
            "train_accuracy": float((predicted == labels).mean()),
        }
        tensors = {name: torch.from_numpy(part) for name, part in network._asdict().items()}
        return Fitted(tensors, {"rows": len(labels)}, found)


@dataclass(frozen=True)
class Kernel(Learner, Saving):
    """Fit kernel interpolation or ridge regression on pixels.

    \b
    f_c(x) = sum over i of alpha_ic k(x, x_i),  (K + ridge I) alpha = Y,
    of pixels/255 without preprocessing, Y one-hot labels; the class with the
    largest f_c is predicted. Targets -1 and 1 would predict the same classes.

    ntk:DEPTH and arccos:DEPTH belong to ReLU networks of DEPTH hidden layers without biases, whose weights are
    sqrt(2 / fan-in) times normal numbers, in the limit of infinite width; the gradient is by those numbers.
    random-conv:FILTERS subtracts the mean of each 6x6 patch and divides it by sqrt(variance + 10/255^2); it is a linear
    kernel of 8 FILTERS features.

    Without --ridge, f is the interpolant of least norm. Then equal images with one label count once; with two labels
    they are refused, as is a K without full rank. The relative residual |(K + ridge I) alpha - Y| / |Y| is computed in
    float64 from alpha itself; one above --tolerance is an error. Up to 10,000 rows, or with more than 256 classes, K is
    one matrix of 4 n^2 bytes (8 n^2 with --dtype float64), factored in place by Cholesky's method, and alpha is refined
    until the residual stops falling. More rows take conjugate gradients for all classes at once, preconditioned by a
    partial Cholesky factor of 8 sqrt(n) pivots drawn by --seed, until the residual is within the tolerance. Half of K
    is in memory, 2 n^2 bytes; what does not fit is computed again for each product, which changes no number.

    Several kernels (repeat --kernel, or use commas) are compared on --validation-fraction of each class's rows, held
    out by --seed; the most accurate one is then fitted to all rows. Reads an image table; writes a model (safetensors)
    with the training images for gencli eval, without loss or probabilities.

    Source: Zhang, Bengio, Hardt, Recht, Vinyals 2017, arXiv:1611.03530, section 5; Cho, Saul 2009 (arccos); Jacot,
    Gabriel, Hongler 2018, arXiv:1806.07572 (ntk); Coates, Lee, Ng 2011 (random-conv). Chen,
    Epperly, Tropp, Webber 2023, arXiv:2207.06503 (pivots); Diaz, Epperly, Frangella, Tropp, Webber 2023,
    arXiv:2304.12465 (preconditioner); Dubrulle 2001, ETNA 12 (conjugate gradients).

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli data digits | gencli fit kernel --kernel gaussian:0.02 |
        gencli eval - test.parquet
      gencli data digits | gencli fit kernel --kernel ntk:2 --ridge 0.001 |
        gencli eval - test.parquet
      gencli data digits | gencli fit kernel --kernel laplace:0.1 --solver cg \\
        --tolerance 1e-4 --memory 8G --checkpoint fit.checkpoint --resume -o model.safetensors
    """

    name = "kernel"
    alone = ""
    packages = ("torch", "numpy", "scipy", "pyarrow")
    kernel: Annotated[list[str], typer.Option("--kernel", metavar="NAME", help=f"Kernel, of images x: {_KERNELS}.")]
    ridge: Annotated[float, typer.Option(min=0, help="Added to the diagonal of the kernel matrix K.")] = 0.0
    validation_fraction: Annotated[
        float, typer.Option(min=0, max=0.9, metavar="F", help="Share of each class's rows held out to choose a kernel.")
    ] = 0.0
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the held-out rows, of pivots and of random filters.")
    ] = 0
    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="Precision of K, of its factor and of predictions.")
    ] = "float32"
    solver: Annotated[
        Literal["auto", "cholesky", "cg"],
        typer.Option(help="Cholesky's method, or conjugate gradients; auto: cholesky for at most 10,000 rows."),
    ] = "auto"
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest relative residual |(K + ridge I) alpha - Y| / |Y|.")
    ] = 1e-3
    max_products: Annotated[
        int, typer.Option(min=1, metavar="N", help="Largest number of products with K of conjugate gradients.")
    ] = 1000
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Maximum memory, such as 8G. Default: four fifths of what is free."),
    ] = None
    keep: Annotated[
        bool, typer.Option("--keep", help="Write the model even if the tolerance is not reached; the exit status is 2.")
    ] = False
    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Save the iterations to this file, also when a signal ends the run."),
        endings.CHECKPOINT,
    ] = None
    checkpoint_every: Annotated[int, typer.Option(min=1, metavar="N", help="Products between checkpoints.")] = 10
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint if it exists.")] = False
    overwrite: Overwrite = False

    def __post_init__(self) -> None:
        if len(self.kernels) > 1 and not self.validation_fraction:
            raise GencliError(
                f"--kernel: {len(self.kernels)} kernels, but no held-out rows to choose by",
                "give --validation-fraction 0.2",
            )

    @property
    def kernels(self) -> list[kernels.Kernel]:
        """The kernels to choose from."""
        return [kernels.parse(word, self.seed) for words in self.kernel for word in words.split(",")]

    def arguments(self) -> dict[str, Any]:
        used = {name: value for name, value in super().arguments().items() if name not in _ASIDE}
        return used | {"kernel": ",".join(self.kernel)}

    @property
    def room(self) -> int | None:
        """--memory in bytes.

        Raises:
            GencliError: it is not a size.
        """
        if self.memory is None:
            return None
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])(?:i?B)?", self.memory, re.ASCII | re.IGNORECASE)
        if not found or not float(found[1]):
            raise GencliError(f"--memory: {self.memory!r} is not a size", "give a number with K, M, G or T, such as 8G")
        return int(float(found[1]) * 1024 ** (1 + "KMGT".index(found[2].upper())))

    def require(self, rows: int, description: Description) -> None:
        from gencli.fitting import cholesky, iterative

        size, classes = 4 if self.dtype == "float32" else 8, len(description.classes)
        points = max(kernel.dimension(description.shape) for kernel in self.kernels)
        if self.solver == "cholesky" or (self.solver == "auto" and rows <= iterative.DIRECT):
            need = cholesky.memory(rows, size) + _TARGETS * rows * classes * size
            need += rows * (2 * description.row_bytes + 4 * _values(description) + size * points)
        else:
            need = iterative.needed(rows, points, classes, size, description.row_bytes)
        require_memory(need, f"{rows:,} rows", _FEWER)
        if self.room is not None and need > self.room:
            raise GencliError(f"--memory {self.memory}: {rows:,} rows take {machine.size(need)} at least", _FEWER)

    def fit(self, rows: Rows, classes: int, title: str, made: Step, progress: Progress, group: Group) -> Fitted:
        from gencli.fitting import kernel
        from gencli.fitting.rows import require_finite

        require_finite(rows, title)
        return kernel.choose(rows, classes, title, self.kernels, self, made, progress, group)


@dataclass(frozen=True)
class LeastSquares(Learner):
    """Fit linear least squares on pixels, of least norm.

    \b
    W and b minimize |X W + b - Y|^2 + ridge |W|^2, X pixels/255, Y one-hot
    labels; of several such W, it is the one of least norm; b is not penalized.
    The class with the largest score x W + b is predicted.

    Computed in float64, by QR decompositions of blocks of rows and the singular values of their triangle, so that
    constant pixels and repeated images do no harm. Reads an image table; writes a model (safetensors) for gencli eval,
    without loss or probabilities.

    Source: Hastie, Tibshirani, Friedman 2009, The Elements of Statistical Learning, sections 3.4.1 and 4.2.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli data digits | gencli fit least-squares --ridge 1 |
        gencli eval - test.parquet
    """

    name = "least-squares"
    ridge: Annotated[float, typer.Option(min=0, help="Coefficient of the ridge penalty.")] = 0.0

    def require(self, rows: int, description: Description) -> None:
        from gencli.fitting import least_squares

        d = _values(description)
        need = least_squares.memory(rows, d, len(description.classes)) + rows * (description.row_bytes + 4 * d)
        require_memory(need, f"{rows:,} rows", f"{_FEWER}, or images of fewer pixels")

    def fit(self, rows: Rows, classes: int, title: str, made: Step, progress: Progress, group: Group) -> Fitted:
        import numpy as np
        import torch

        from gencli.fitting import least_squares
        from gencli.fitting.rows import one_hot, require_finite
        from gencli.models.learners import pixels

        require_finite(rows, title)
        points, targets = pixels(rows.images).numpy(), one_hot(rows, classes)
        w, b = least_squares.fit(points, targets, self.ridge, progress)
        scores = points @ w.astype(np.float32) + b
        found = {
            "rows": len(rows),
            "relative_residual": float(np.linalg.norm(scores - targets) / np.linalg.norm(targets)),
            "train_accuracy": float((scores.argmax(1) == rows.labels.numpy()).mean()),
        }
        return Fitted({"weight": torch.from_numpy(w.T), "bias": torch.from_numpy(b)}, {}, found)


_TARGETS = 4  # one-hot labels, their coefficients, K times these and residuals


def _values(description: Description) -> int:
    height, width, channels = description.shape
    return height * width * channels
