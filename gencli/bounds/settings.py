"""The options of `gencli bound`; they need no torch to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import typer

from gencli.cli.options import Device, OwnArch, Seed, dashed
from gencli.errors import GencliError
from gencli.files import endings

LEAST_DELTA = 1e-300  # of less float64 keeps fewer digits
Broken = Literal["union-bound", "prior-rows"]


@dataclass(frozen=True)
class Shared:
    """What all kinds have."""

    heading: ClassVar[str] = "Bound"

    delta: Annotated[
        float,
        typer.Option(metavar="P", help="Probability with which the bound may fail, in all of its parts together."),
    ] = 0.05
    loss: Annotated[str, typer.Option(metavar="NAME", help="Loss to bound; 0-1, the error rate, is the only one.")] = (
        "0-1"
    )
    test: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Image table of test rows, whose error rate is shown beside the bound."),
    ] = None
    certificate: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write all that gencli bound verify needs besides the rows (safetensors)."),
        endings.TENSORS,
    ] = None
    run: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Of a model of several runs, use run K, from 0.")
    ] = None
    arch: OwnArch = None
    device: Device = "auto"

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: a number that is no probability, or a loss that is not bounded.
        """
        if not LEAST_DELTA <= self.delta < 1:
            raise GencliError(
                f"--delta: {self.delta:g} is not a probability from {LEAST_DELTA:g} to below 1",
                "give one such as 0.05: 95 % confidence",
            )
        if self.loss != "0-1":
            raise GencliError(
                f"--loss: {self.loss!r} is not bounded here",
                "only 0-1, the error rate, is: it lies in [0, 1]; omit --loss",
            )
        return self


@dataclass(frozen=True)
class PacBayesSettings(Shared):
    """Of `pac-bayes`."""

    prior_fraction: Annotated[
        float,
        typer.Option(
            metavar="P", help="Train the prior on this fraction of the rows, which the bound leaves out. Default: none."
        ),
    ] = 0.0
    epochs: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="Passes over the rows.")] = 60
    prior_epochs: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Passes over the prior's rows.")
    ] = 20
    prior_lr: Annotated[float, typer.Option(min=1e-9, max=10, help="Adam's learning rate for the prior's means.")] = (
        1e-3
    )
    lr: Annotated[float, typer.Option(min=1e-9, max=10, help="Adam's learning rate for means.")] = 1e-3
    lr_deviation: Annotated[
        float, typer.Option(min=1e-9, max=10, help="The same for logarithms of standard deviations.")
    ] = 1e-2
    deviation: Annotated[
        float, typer.Option(min=1e-6, max=1, help="Standard deviation of the weights at the start.")
    ] = 0.03
    batch_size: Annotated[int, typer.Option(min=1, max=1 << 20, metavar="N", help="Rows per step.")] = 250
    draws: Annotated[
        int,
        typer.Option(min=1, max=1_000_000_000, metavar="N", help="Number of draws of weights that estimate the error."),
    ] = 1_000_000
    seed: Seed = 0
    broken: Annotated[
        Broken | None,
        typer.Option(
            "--break",
            allow_from_autoenv=False,
            help="Break the bound on purpose: forget the union bound, or count the prior's rows too; "
            "gencli bound verify must find it.",
        ),
    ] = None

    def resolved(self, given: Collection[str]) -> Self:
        """Itself; see `Shared.resolved`."""
        super().resolved(given)
        if not 0 <= self.prior_fraction < 1:
            raise GencliError(
                f"--prior-fraction: {self.prior_fraction:g} leaves the bound no rows",
                "give a fraction from 0 to below 1",
            )
        needless = [dashed(name) for name in ("prior_epochs", "prior_lr") if name in given]
        needless += ["--break prior-rows"] if self.broken == "prior-rows" else []
        if needless and not self.prior_fraction:
            raise GencliError(f"{needless[0]}: no prior is trained", "add --prior-fraction 0.5")
        return self


@dataclass(frozen=True)
class CompressionSettings(Shared):
    """Of `compression`."""

    subspace: Annotated[
        int,
        typer.Option(
            min=0, max=1 << 30, metavar="D", help="Train in a random subspace of D dimensions; 0 codes all weights."
        ),
    ] = 2000
    levels: Annotated[
        int, typer.Option(min=2, max=256, metavar="K", help="Number of values that a coded number can take.")
    ] = 7
    epochs: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Passes over the rows, a third of them quantized.")
    ] = 30
    lr: Annotated[float, typer.Option(min=1e-9, max=10, help="Adam's learning rate.")] = 0.01
    batch_size: Annotated[int, typer.Option(min=1, max=1 << 20, metavar="N", help="Rows per step.")] = 250
    seed: Seed = 0


@dataclass(frozen=True)
class HoldoutSettings(Shared):
    """Of `holdout`."""

    train: Annotated[
        str,
        typer.Option(
            metavar="TABLE",
            help="Image table that the model was trained on: none of its rows may be held out.",
        ),
    ] = ""

    def resolved(self, given: Collection[str]) -> Self:
        """Itself; see `Shared.resolved`."""
        super().resolved(given)
        if not self.train:
            raise GencliError(
                "--train: rows count as held out only if it is known which were not", "name the training table"
            )
        return self
