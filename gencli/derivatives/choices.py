"""The options of `gencli hvp` that are its own, which need no torch to be shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import typer

from gencli.errors import GencliError


@dataclass(frozen=True)
class ProductSettings:
    """Which products, and what they are held against."""

    heading: ClassVar[str] = "Products"

    vector: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="random:SEED, gradient, ones, eigen:K, or a file; repeatable. Default: random:0.",
            show_default=False,
        ),
    ] = None
    method: Annotated[
        Literal["double-backward", "forward-over-reverse", "reverse-over-forward", "finite-difference", "all"],
        typer.Option(help="Of the products; all writes double backward's and compares the others."),
    ] = "double-backward"
    dense: Annotated[bool, typer.Option("--dense", help="Instead: the whole matrix, a product a column.")] = False
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify", help="Default: where it takes less than 1e12 operations.", show_default=False
        ),
    ] = None
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Allowed relative disagreement. Default: 1e-4; float64 1e-10.", show_default=False),
    ] = None
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw differences' errors over steps: .svg, .png or .pdf.")
    ] = None

    def resolved(self, given: Collection[str]) -> ProductSettings:
        """Itself.

        Raises:
            GencliError: options that do not go together, or no kind of figure.
        """
        if self.dense and (self.vector or self.method != "double-backward"):
            raise GencliError("--dense: goes with neither --vector nor --method", "leave one out")
        if self.plot and self.verify is False:
            raise GencliError("--plot: draws what verification finds", "leave --no-verify out")
        if self.plot and not self.plot.endswith((".svg", ".png", ".pdf")):
            raise GencliError(f"--plot: {self.plot}: not a .svg, .png or .pdf file", "the ending says which to draw")
        return self

    @property
    def words(self) -> list[str]:
        """The vectors, by name or file; none of the whole matrix."""
        return [] if self.dense else [word for words in self.vector or ["random:0"] for word in words.split(",")]

    def arguments(self, files: Collection[str]) -> dict[str, Any]:
        """What bears on the products, the files among the vectors left out."""
        named = ",".join(word for word in self.words if word not in files)
        return {"vector": named or None, "method": None if self.dense else self.method, "dense": self.dense}
