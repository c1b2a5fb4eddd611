"""The options of `gencli hvp` alone, and of `gencli jacobian` for formulas; they need no torch to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import typer

from gencli.errors import GencliError
from gencli.files import endings
from gencli.losses.base import option

TOLERANCES = {"float64": 1e-10, "float32": 1e-4}  # of exact methods that should agree


@dataclass(frozen=True)
class ProductSettings:
    """Which products, and what they are held against."""

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
        typer.Option(metavar="FILE", help="Draw the error of finite differences over the step: .svg, .png or .pdf."),
        endings.FIGURE,
    ] = None

    def resolved(self, given: Collection[str]) -> ProductSettings:
        """Itself.

        Raises:
            GencliError: options that do not go together, or no kind of figure.
        """
        if self.dense and (self.vector or self.method != "auto"):
            raise GencliError("--dense: goes with neither --vector nor --method", "leave one out")
        if "" in self.words:
            raise GencliError("--vector: an empty name", "name vectors or files between commas")
        if "tolerance" in given and self.verify is False and not self.dense and self.method != "all":
            raise GencliError("--tolerance: nothing is compared", "leave --no-verify out")
        if self.plot and self.verify is False:
            raise GencliError("--plot: draws what verification finds", "leave --no-verify out")
        return self

    @property
    def words(self) -> list[str]:
        """The vectors, by name or file; none of the whole matrix."""
        given = [] if self.dense else self.vector or ["random:0"]
        return [word for words in given for word in ([words] if Path(words).exists() else words.split(","))]

    def arguments(self, files: Collection[str]) -> dict[str, Any]:
        """What bears on the products, the files among the vectors left out."""
        named = ",".join(word for word in self.words if word not in files)
        return {"vector": named or None, "method": None if self.dense else self.method, "dense": self.dense}


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
        typer.Option(metavar="FILE", help="Draw the computation graph: .svg, .png or .pdf."),
        endings.FIGURE,
    ] = None
    check_against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Compare with this matrix, one row per output.")
    ] = None
    check_tolerance: Annotated[
        float, typer.Option(min=0, help="Tolerance of --check-against, relative to max(1, |derivative|).")
    ] = 5e-4

    def resolved(self, given: Collection[str]) -> FormulaSettings:
        """Itself.

        Raises:
            GencliError: there is a model, options do not go together.
        """
        own = {field.name for field in fields(self)} & {*given}
        if own and "model" in given:
            raise GencliError(f"{option(min(own))}: is for formulas, and a model is named", "leave one of them out")
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
        raise GencliError(f"{given[0]} and {given[1]} do not go together", "leave one out")
