"""Least squares on random features: the learner as a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gencli.cli.options import Seed
from gencli.errors import GencliError
from gencli.fitting.base import Fitted, Learner, Progress
from gencli.machine import require_memory

if TYPE_CHECKING:
    from gencli.files.provenance import Step
    from gencli.files.tables import Description
    from gencli.models.inputs import Rows
    from gencli.ranks import Group

_MOST = 1 << 24
_SCALE = 0.02
_FIELD = "{features}"


@dataclass(frozen=True)
class RandomFeatures(Learner):
    """Fit least squares on random features, of least norm.

    \b
    f_c(x) = sum over j of a_jc phi_j(x), N features phi_j, a that minimizes
    |Phi a - Y|^2 + ridge |a|^2; of several such a, it is the one of least norm.
    fourier  phi_j = sqrt(2/N) cos(<w_j, x> + b_j), w_j normal of variance
             2 SCALE, b_j uniform: for many N the kernel gaussian:SCALE
    relu     phi_j = sqrt(2/N) max(0, sqrt(2/d) <w_j, x>): the kernel arccos:1
    of pixels/255, Y one-hot labels, without a constant term. The class with the
    largest f_c is predicted.

    Computed in float64 by QR decompositions and singular values, without those below rounding, max(n, N) 2^-52 of the
    largest: so also at N = n, where rows are interpolated first, and where the norm and the test error peak. From
    there on, without --ridge, equal images with two labels are refused, as no function fits both. Fewer features are
    the first of more. Several --features (100,200,...) are fitted in one call, each to the file that it would be by
    itself: -o names them by {features}. Reads an image table; writes models (safetensors) for gencli eval, without
    loss or probabilities.

    Source: Rahimi, Recht 2007, Random features for large-scale kernel machines; Belkin, Hsu, Ma, Mandal 2019,
    arXiv:1812.11118.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli data digits --sample 200 |
        gencli fit random-features --features 50,200,800 -o "rf-{features}.safetensors"
      gencli eval rf-50.safetensors rf-200.safetensors rf-800.safetensors \\
        test.parquet --norm
    """

    name = "random-features"
    features: Annotated[
        str, typer.Option("--features", metavar="N", help="Number of features; several with commas: 100,200,400.")
    ]
    kind: Annotated[Literal["fourier", "relu"], typer.Option(help="The features, see above.")] = "fourier"
    scale: Annotated[
        float | None,
        typer.Option(min=0, help=f"SCALE of fourier's kernel.  [default: {_SCALE:g}]", show_default=False),
    ] = None
    ridge: Annotated[float, typer.Option(min=0, help="Coefficient of the ridge penalty.")] = 0.0
    seed: Seed = 0

    def __post_init__(self) -> None:
        if len(set(self.sizes)) < len(self.sizes):
            raise GencliError(f"--features: {self.features!r} names a size twice", "give each once")
        if self.kind == "fourier" and self.scale is None:
            object.__setattr__(self, "scale", _SCALE)
        if self.scale is not None and (self.kind == "relu" or not self.scale):
            why = "relu features have none" if self.kind == "relu" else "cosines of 0 tell no images apart"
            raise GencliError(f"--scale: {why}", "omit it, or give --kind fourier --scale 0.02")

    @property
    def sizes(self) -> list[int]:
        """The numbers of features."""
        words = self.features.split(",")
        for word in words:
            if not (word.isascii() and word.isdecimal() and len(word) < 10 and 0 < int(word) <= _MOST):
                raise GencliError(
                    f"--features: {word!r} is not a number of features, 1 to {_MOST:,}", "write 500, or 100,200,400"
                )
        return [int(word) for word in words]

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | ({"features": self.sizes[0]} if len(self.sizes) == 1 else {})

    def parts(self) -> Sequence[RandomFeatures]:
        return [replace(self, features=str(size)) for size in self.sizes]

    def places(self, destination: str | None) -> list[str | None]:
        if len(self.sizes) > 1 and _FIELD not in (destination or ""):
            raise GencliError(
                f"-o: {len(self.sizes)} models, one for each of --features, but one place",
                "name each by its features: -o 'rf-{features}.safetensors'",
            )
        return [destination and destination.replace(_FIELD, str(size)) for size in self.sizes]

    def require(self, rows: int, description: Description) -> None:
        from math import prod

        from gencli.fitting import least_squares

        d, most, classes = prod(description.shape), max(self.sizes), len(description.classes)
        need = rows * (description.row_bytes + 12 * d + 16 * most) + 8 * most * d
        need += least_squares.memory(rows, most, classes)
        require_memory(need, f"{rows:,} rows, {most:,} features", "use fewer of them: gencli corrupt subsample")

    def fit(self, rows: Rows, classes: int, title: str, made: Step, progress: Progress, group: Group) -> Fitted:
        import numpy as np
        import torch

        from gencli.fitting import least_squares
        from gencli.fitting.rows import distinct, one_hot, require_finite
        from gencli.models import learners

        require_finite(rows, title)
        [size] = self.sizes
        facts: dict[str, Any] = {"features": size, "map": self.kind, "scale": self.scale, "seed": self.seed}
        if not self.ridge and size >= len(rows):
            distinct(rows, title, "no function fits both: remove one, or use --ridge 0.001, which averages")
        height, width, channels = rows.images.shape[1:]
        with torch.device("meta"):
            learner = learners.RandomFeatures((height, width, channels), classes, **facts)
        points, targets = learner.features(learners.pixels(rows.images)).numpy(), one_hot(rows, classes)
        if not np.isfinite(points).all():
            raise GencliError(f"--scale: features of {self.scale:g} are not finite", "give a smaller one, such as 0.02")
        a, _ = least_squares.fit(points, targets, self.ridge, progress, intercept=False)
        scores = points @ a
        found = {
            "rows": len(rows),
            "relative_residual": float(np.linalg.norm(scores - targets) / np.linalg.norm(targets)),
            "train_accuracy": float((scores.argmax(1) == rows.labels.numpy()).mean()),
            "norm": float(np.linalg.norm(a)),
        }
        return Fitted({"weight": torch.from_numpy(np.ascontiguousarray(a.T))}, facts, found)
