"""The options of `gencli spectrum` and `gencli hvp`; they need no torch to be shown."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import typer

from gencli.cli.options import Device, Overwrite, OwnArch, Saving, Seed, dashed
from gencli.errors import GencliError
from gencli.files import endings
from gencli.files.provenance import FILE
from gencli.files.stores import is_address
from gencli.losses.settings import LossSettings

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}  # of exact methods that should agree
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
        typer.Option(metavar="FILE", help=f"Draw density and loss to a {endings.FIGURE.endings} file."),
        endings.FIGURE,
    ] = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """The files that are written besides the table."""
        return self.density, self.vectors, self.along, self.figure

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: options of what is not computed.
        """
        pairs = self.top or self.bottom or self.condition or not (self.trace or self.density)
        for name in sorted(
            {"vectors", "along", "tolerance", "max_products", "basis"} & set(given) if not pairs else ()
        ):
            what = "eigenvectors" if name in ("vectors", "along") else "eigenvalues"
            raise GencliError(f"{dashed(name)}: no {what} are computed", "ask for some: --top 3")
        for kind, asked in (("trace", self.trace), ("density", self.density), ("along", self.along)):
            for name in sorted(name for name in given if name.startswith(f"{kind}_") and not asked):
                raise GencliError(f"{dashed(name)}: no {kind} is computed", f"ask for it with --{kind}")
        if self.figure and not (self.density or self.along or "kernel" in given):
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
    arch: OwnArch = None
    run: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Of a model of several runs, use run K, from 0."),
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


@dataclass(frozen=True)
class ProductSettings:
    """Which products to compute, and how to verify them."""

    heading: ClassVar[str] = "Products"

    vector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Vector: random:SEED, gradient, ones, eigen:K (-1 is the smallest), or a file; repeatable. "
            "Default: random:0.",
            show_default=False,
        ),
    ] = None
    method: Annotated[
        Literal["auto", "double-backward", "forward-over-reverse", "reverse-over-forward", "finite-difference", "all"],
        typer.Option(
            help="How to compute products; auto picks the first that is right; all compares every method and "
            "writes auto's."
        ),
    ] = "auto"
    dense: Annotated[
        bool, typer.Option("--dense", help="Compute the whole matrix instead, one product per column.")
    ] = False
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Verify the products. Default: if that takes fewer than 1e12 operations.",
            show_default=False,
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Allowed relative difference. Default: 1e-4; in float64 1e-10.", show_default=False),
    ] = None
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help=f"Draw the error of finite differences over the step: {endings.FIGURE.endings}."
        ),
        endings.FIGURE,
    ] = None

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: options that do not go together, or no kind of figure.
        """
        if self.dense and (self.vector or self.method != "auto"):
            raise GencliError("--dense: cannot be combined with --vector or --method", "omit one of them")
        if "" in self.words:
            raise GencliError("--vector: an empty name", "name vectors or files between commas")
        if "tolerance" in given and self.verify is False and not self.dense and self.method != "all":
            raise GencliError("--tolerance: nothing is compared", "omit --no-verify")
        if self.plot and self.verify is False:
            raise GencliError("--plot: draws what verification finds", "omit --no-verify")
        return self

    @property
    def words(self) -> list[str]:
        """The vectors, by name or file; none of the whole matrix."""
        given = [] if self.dense else self.vector or ["random:0"]
        return [
            word
            for words in given
            for word in ([words] if is_address(words) or Path(words).exists() else words.split(","))
        ]

    def arguments(self, files: Collection[str]) -> dict[str, Any]:
        """What bears on the products; in the place of each vector of a file is `FILE`."""
        words = [FILE if word in files else word for word in self.words]
        return {"vector": words or None, "method": None if self.dense else self.method, "dense": self.dense}


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
        """The options that affect only the files besides the table, if there are such files."""
        kinds = {"density": quantities.density, "along": quantities.along}
        return {
            field.name: getattr(self, field.name) for field in fields(self) if kinds.get(field.name.partition("_")[0])
        }

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: numbers that are no sizes.
        """
        if 0 < self.density_width < _FINEST:
            words = f"--density-width: {self.density_width:g} is finer than eigenvalues are known"
            raise GencliError(words, f"give {_FINEST:g} or more")
        for name in ("density_width", "along_radius", "tolerance"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise GencliError(f"{dashed(name)}: {value:g} is out of range", "give a number above 0")
        return self


@dataclass(frozen=True)
class SavingSettings(Saving):
    """Where the state is saved, and how often."""

    heading: ClassVar[str] = "Checkpoints"

    checkpoint: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Save the state to this file, also when a signal ends the run."),
        endings.CHECKPOINT,
    ] = None
    checkpoint_every: Annotated[int, typer.Option(min=1, metavar="N", help="Products between checkpoints.")] = 10
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint if it exists.")] = False
    overwrite: Overwrite = False
