"""The options of `gencli spectrum`, `hvp` and `jacobian` for networks; they need no torch to be shown."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, Self

import typer

from gencli.cli.options import Device, Overwrite, Saving, Seed
from gencli.errors import GencliError
from gencli.files import endings
from gencli.losses import LossSettings
from gencli.losses.base import option

_FINEST = 1e-12  # width of a density's kernels, in parts of the spectrum's range


@dataclass(frozen=True)
class QuantitySettings:
    """What to compute; the 10 largest eigenvalues where nothing is asked for."""

    heading: ClassVar[str] = "Quantities"

    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="K", help="Number of largest eigenvalues. Default: 10, if nothing else is asked for."
        ),
    ] = None
    bottom: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Number of smallest (most negative) eigenvalues.")
    ] = None
    condition: Annotated[
        bool, typer.Option("--condition", help="Condition number, or a lower bound if signs are mixed.")
    ] = False
    trace: Annotated[bool, typer.Option("--trace", help="Estimate of the trace, with its standard error.")] = False
    density: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the curve of the spectral density: Parquet, CSV or JSON."),
        endings.RESULT,
    ] = None
    vectors: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the eigenvectors (safetensors), named INDEX/PARAMETER."),
        endings.TENSORS,
    ] = None
    along: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the loss along each eigenvector: Parquet, CSV or JSON."),
        endings.RESULT,
    ] = None
    figure: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw density and loss to a .png, .svg or .pdf file."),
        endings.FIGURE,
    ] = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """What is written beside the table."""
        return self.density, self.vectors, self.along, self.figure

    def resolved(self, given: list[str]) -> QuantitySettings:
        """Refuses files of what is not computed."""
        pairs = self.top or self.bottom or self.condition or not (self.trace or self.density)
        for name in sorted(
            {"vectors", "along", "tolerance", "max_products", "basis"} & set(given) if not pairs else ()
        ):
            what = "eigenvectors" if name in ("vectors", "along") else "eigenvalues"
            raise GencliError(f"{option(name)}: no {what} are computed", "ask for some: --top 3")
        for kind, asked in (("trace", self.trace), ("density", self.density), ("along", self.along)):
            for name in sorted(name for name in given if name.startswith(f"{kind}_") and not asked):
                raise GencliError(f"{option(name)}: no {kind} is computed", f"ask for it with --{kind}")
        if self.figure and not (self.density or self.along):
            raise GencliError("--figure: nothing to draw", "ask for --density FILE or --along FILE too")
        return self


@dataclass(frozen=True)
class NetworkSettings:
    """The network and its rows."""

    heading: ClassVar[str] = "Network"

    parameters: Annotated[
        str, typer.Option(metavar="GLOB", help="Parameters to vary, by name, such as '*.weight'; the others are fixed.")
    ] = "*"
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Use only the first N rows.")] = None
    device: Device = "auto"
    arch: Annotated[
        str | None, typer.Option(metavar="NAME", help="For a model of your own network: its package.module:factory.")
    ] = None


@dataclass(frozen=True)
class OperatorSettings(NetworkSettings):
    """The matrix."""

    heading: ClassVar[str] = "Operator"

    operator: Annotated[
        Literal["hessian", "ggn", "fisher", "empirical-fisher"],
        typer.Option(help="Hessian of the mean loss, generalized Gauss-Newton matrix, or Fisher information."),
    ] = "hessian"
    batch_size: Annotated[
        int, typer.Option(min=1, help="Rows per batch; if all rows fit in one, products take half the time.")
    ] = 512
    dtype: Annotated[Literal["float32", "float64"], typer.Option(help="Precision of products and vectors.")] = "float32"


@dataclass(frozen=True)
class OwnLossSettings(LossSettings):
    """The loss, by default the one that the model was trained with."""

    heading: ClassVar[str] = "Loss"

    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Loss, as in gencli train. Default: the model's own, with the class counts of its training rows.",
            show_default=False,
        ),
    ] = None


class _WithModel:
    def resolved(self, given: Collection[str]) -> Self:
        """Refuses options without a model that they are about."""
        own = {field.name for field in fields(self)} & {*given}  # type: ignore[arg-type]
        if own and "model" not in given:
            raise GencliError(f"{option(min(own))}: is for networks, and there is no model", "name MODEL and DATA")
        return self


@dataclass(frozen=True)
class JacobianSettings(_WithModel):
    """Jacobians of networks."""

    heading: ClassVar[str] = "Networks"

    of: Annotated[
        Literal["logits", "loss"], typer.Option(help="What to differentiate: the outputs of a row, or its loss.")
    ] = "logits"
    wrt: Annotated[
        Literal["input", "parameters"],
        typer.Option(help="With respect to the network's preprocessed input, or to its parameters."),
    ] = "input"
    mode: Annotated[
        Literal["auto", "forward", "reverse"],
        typer.Option(help="One pass per input or per output; auto picks the cheaper."),
    ] = "auto"
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also compare single entries with differences in float64, over all parameters."),
    ] = False
    summary: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the table to a file too: Parquet, CSV or JSON."),
        endings.RESULT,
    ] = None


@dataclass(frozen=True)
class JacobianNetworkSettings(_WithModel, NetworkSettings):
    """Which network, and rows."""


@dataclass(frozen=True)
class JacobianLossSettings(_WithModel, OwnLossSettings):
    """Of --of loss."""


@dataclass(frozen=True)
class MethodSettings:
    """How exactly, and at what cost."""

    heading: ClassVar[str] = "Method"

    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Allowed residual, relative to the eigenvalue. Default: 1e-3, in float64 1e-6."),
    ] = None
    max_products: Annotated[
        int, typer.Option(min=1, metavar="N", help="Maximum number of products for the eigenvalues.")
    ] = 1000
    basis: Annotated[
        int | None,
        typer.Option(
            min=3, metavar="N", help="Lanczos vectors kept in memory. Default: 200, or as many as fit in 2 GiB."
        ),
    ] = None
    trace_products: Annotated[int, typer.Option(min=4, metavar="N", help="Number of products for the trace.")] = 98
    density_probes: Annotated[int, typer.Option(min=1, metavar="N", help="Number of random starts of the density.")] = 5
    density_steps: Annotated[int, typer.Option(min=1, metavar="N", help="Lanczos steps per start.")] = 50
    density_width: Annotated[
        float, typer.Option(help="Width of the density's kernel, as a share of the spectrum's range.")
    ] = 0.01
    along_radius: Annotated[float, typer.Option(help="Distance along the eigenvector on either side of the model.")] = (
        0.5
    )
    along_points: Annotated[int, typer.Option(min=2, metavar="N", help="Number of points along each eigenvector.")] = 21
    seed: Seed = 0

    def of_files(self, quantities: QuantitySettings) -> dict[str, float]:
        """Those that bear on the files beside the table alone, as far as there are such files."""
        kinds = {"density": quantities.density, "along": quantities.along}
        return {
            field.name: getattr(self, field.name) for field in fields(self) if kinds.get(field.name.partition("_")[0])
        }

    def resolved(self, given: list[str]) -> MethodSettings:
        """Refuses what is no size."""
        if 0 < self.density_width < _FINEST:
            words = f"--density-width: {self.density_width:g} is finer than eigenvalues are known"
            raise GencliError(words, f"give {_FINEST:g} or more")
        for name in ("density_width", "along_radius", "tolerance"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise GencliError(f"{option(name)}: {value:g} is out of range", "give a number above 0")
        return self


@dataclass(frozen=True)
class SavingSettings(Saving):
    """Stopping and going on."""

    heading: ClassVar[str] = "Checkpoints"

    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Save the state to this file, also when a signal ends the run."),
        endings.CHECKPOINT,
    ] = None
    checkpoint_every: Annotated[int, typer.Option(min=1, metavar="N", help="Products between checkpoints.")] = 10
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint if it exists.")] = False
    overwrite: Overwrite = False
