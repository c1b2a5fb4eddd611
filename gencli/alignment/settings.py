"""The options of `gencli spectrum --kernel`; they need no torch to be shown."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Self

import typer

from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.files import endings

EMPIRICAL = "empirical"
_SHARED = {
    "model", "data", "top", "bottom", "figure", "limit", "seed", "format", "output",
    "threads", "quiet", "verbose", "color", "debug", "version",
}  # fmt: skip
_OF_NETWORKS = {"parameters", "device", "arch", "run", "dtype", "outputs"}


@dataclass(frozen=True)
class KernelSettings:
    """A kernel in place of a model's curvature."""

    heading: ClassVar[str] = "Kernel"

    kernel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Instead compare labels with a kernel: ntk:DEPTH, arccos:DEPTH, gaussian:SCALE and the others of "
            "gencli fit kernel, without MODEL; or empirical, the model's own tangent kernel.",
        ),
    ] = None
    normalize: Annotated[
        Literal["unit", "whitened", "none"],
        typer.Option(
            help="Images of a kernel without a model: pixels/255, of norm 1 (unit), of mean 0 before that (whitened), "
            "or as they are, pixels/255 (none), as gencli fit kernel takes them."
        ),
    ] = "unit"
    outputs: Annotated[
        Literal["all", "mean"],
        typer.Option(help="Empirical kernel: of all outputs, n times classes rows, or their mean, n rows."),
    ] = "all"
    targets: Annotated[
        Literal["centered", "one-hot", "signs"],
        typer.Option(help="Labels as numbers: 0 and 1 minus the class's share of the rows, 0 and 1, or -1 and 1."),
    ] = "centered"
    step_size: Annotated[
        float | None,
        typer.Option(
            metavar="ETA",
            help="Step size of gradient descent. Default: 1/the largest eigenvalue.",
            show_default=False,
        ),
    ] = None
    fitted_at: Annotated[
        float, typer.Option(min=0, max=1, help="Train accuracy that counts as fitted by gradient descent.")
    ] = 0.99
    energy: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write eigenvalues and the labels' energy: Parquet, CSV or JSON."),
        endings.RESULT,
    ] = None
    descent: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the curve of gradient descent: Parquet, CSV or JSON."),
        endings.RESULT,
    ] = None

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: options that apply to the curvature only, to a kernel only, or to another kernel.
        """
        own = {field.name for field in fields(self)}
        if self.kernel is None:
            for name in sorted(own & {*given}):
                raise GencliError(f"{dashed(name)}: applies to a kernel", "add --kernel ntk:2")
            return self
        allowed = _SHARED | own | (_OF_NETWORKS - own)
        for name in sorted({*given} - allowed):
            raise GencliError(f"{dashed(name)}: applies to the curvature, not to --kernel", "omit one of them")
        unfit = {"normalize"} if self.empirical else _OF_NETWORKS
        for name in sorted(unfit & {*given}):
            which = "a kernel without a model" if self.empirical else "--kernel empirical"
            raise GencliError(f"{dashed(name)}: applies only to {which}", "omit it")
        if self.step_size is not None and not 0 < self.step_size < math.inf:
            raise GencliError(f"--step-size: {self.step_size:g} is out of range", "give a number above 0")
        return self

    @property
    def empirical(self) -> bool:
        """Whether it is a network's own kernel."""
        return self.kernel == EMPIRICAL

    @property
    def files(self) -> tuple[str | None, ...]:
        """The files that are written besides the table."""
        return self.energy, self.descent

    def arguments(self) -> dict[str, Any]:
        """The options that bear on the result."""
        unused = {"energy", "descent", "normalize" if self.empirical else "outputs"}
        return {name: value for name, value in asdict(self).items() if name not in unused}
