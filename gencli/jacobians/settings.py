"""The options of `gencli jacobian` for networks; they need no torch to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar, Literal, Self

import typer

from gencli.cli.options import dashed
from gencli.curvature.settings import NetworkSettings, OwnLossSettings
from gencli.errors import GencliError
from gencli.files import endings


class _WithModel:
    def resolved(self, given: Collection[str]) -> Self:
        """Refuses options without a model that they are about."""
        own = {field.name for field in fields(self)} & {*given}  # type: ignore[arg-type]
        if own and "model" not in given:
            raise GencliError(f"{dashed(min(own))}: applies to networks, but no model is given", "name MODEL and DATA")
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
