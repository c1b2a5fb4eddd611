"""The options of `gencli score`; each field is one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import typer

from gencli.cli.options import dashed
from gencli.errors import GencliError
from gencli.files import endings


@dataclass(frozen=True)
class Settings:
    """What is scored, and how."""

    heading: ClassVar[str] = "Scores"

    judge: Annotated[
        bool, typer.Option("--judge", help="Write how well each score finds the corrupted rows, see above.")
    ] = False
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the intervals of --judge.")] = 0
    fitted_at: Annotated[
        float,
        typer.Option(min=0, max=1, help="Refuse networks whose accuracy on the rows that they saw is lower."),
    ] = 0.99
    test: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE", help="Image table of test rows to measure the influence on: a file or a folder of shards."
        ),
    ] = None
    influence: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the pairs of training row and test row with the strongest influence."),
        endings.RESULT,
    ] = None
    pairs: Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="Maximum number of pairs.")] = 100

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: an option that needs another one.
        """
        needs = {"seed": self.judge, "pairs": self.influence, "test": self.influence, "influence": self.test}
        others = {"seed": "--judge", "pairs": "--influence", "test": "--influence", "influence": "--test"}
        for name, there in needs.items():
            if name in given and not there:
                raise GencliError(f"{dashed(name)}: there is no {others[name]}", f"add {others[name]}, or omit it")
        return self
