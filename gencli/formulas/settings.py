"""The options of `gencli jacobian` for formulas; they need no torch to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Self

import typer

from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.files import endings


@dataclass(frozen=True)
class FormulaSettings:
    """Formulas, points, and what is asked about them."""

    heading: ClassVar[str] = "Formulas"

    formula: Annotated[
        list[str] | None,
        typer.Option("-f", "--formula", metavar="FORMULA", help="Formula; repeatable; semicolons separate several."),
    ] = None
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="File of more formulas, one per line; # starts a comment.")
    ] = None
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POINT|FILE", help="Point, such as 1,2 or pi/2,0; repeatable; or a file with one point per row."
        ),
    ] = None
    difference: Annotated[
        Literal["forward", "central", "richardson", "extended"] | None,
        typer.Option(help="Numeric method, see above. Default: forward if --step is a number, otherwise extended."),
    ] = None
    step: Annotated[
        str, typer.Option(metavar="X|auto", help="Step of the numeric method; auto picks the best one at each point.")
    ] = "auto"
    hessian: Annotated[bool, typer.Option("--hessian", help="Compute the Hessian of each formula instead.")] = False
    hvp: Annotated[
        str | None, typer.Option(metavar="VECTOR|FILE", help="Compute the Hessians times this vector instead.")
    ] = None
    trace: Annotated[
        Literal["forward", "reverse"] | None,
        typer.Option(help="Show the evaluation trace: value and tangents, or adjoints, of each node."),
    ] = None
    graph: Annotated[
        str | None,
        typer.Option(metavar="FILE", help=f"Draw the computation graph: {endings.FIGURE.endings}."),
        endings.FIGURE,
    ] = None
    check_against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with this matrix, one row per output.")
    ] = None
    check_tolerance: Annotated[
        float, typer.Option(min=0, help="Tolerance of --check-against, relative to max(1, |derivative|).")
    ] = 5e-4

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: there is a model, options do not go together.
        """
        own = {field.name for field in fields(self)} & {*given}
        if own and "model" in given:
            raise GencliError(f"{dashed(min(own))}: applies to formulas, but a model is given", "omit one of them")
        if "check_tolerance" in given and self.check_against is None:
            raise GencliError("--check-tolerance: nothing is compared", "name a matrix with --check-against")
        second = {"--hessian": self.hessian, "--hvp": self.hvp}
        refuse_together({"--trace": self.trace, "--check-against": self.check_against})
        refuse_together(second | {"--trace": self.trace})
        refuse_together(second | {"--graph": self.graph})
        return self


def refuse_together(options: dict[str, Any]) -> None:
    """Refuses more than one of these options.

    Raises:
        GencliError: two have values.
    """
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        raise GencliError(f"{given[0]} and {given[1]} do not go together", "omit one of them")
