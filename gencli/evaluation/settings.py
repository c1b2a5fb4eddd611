"""What `gencli eval` measures beyond the rows of its table; each field is an option."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

import typer

from gencli.errors import GencliError
from gencli.files import endings
from gencli.files.named import require_one_standard_input

DIRECTIONS, ASCENTS = 10, 10  # in which sharpness is measured at random, and that look for the worst


@dataclass(frozen=True)
class Requests:
    """What is asked for."""

    heading: ClassVar[str] = "Measurements"

    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN,...",
            help="One row per value of this column, or of several, instead of per class; label is the value, or "
            "its number.",
        ),
    ] = None
    top: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="K", help="Add top_K: the label is among the K largest; repeatable."),
    ] = None
    run: Annotated[
        int | None,
        typer.Option(min=0, metavar="K", help="Of models of several runs, evaluate only run K, from 0."),
    ] = None
    intervals: Annotated[
        bool, typer.Option("--intervals", help="Add accuracy_low and accuracy_high: 95 % bootstrap intervals.")
    ] = False
    norm: Annotated[
        bool, typer.Option("--norm", help="Add norm: the L2 norm of all trained parameters, in the last row.")
    ] = False
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of the bootstrap and of the random directions of --measures.")
    ] = 0
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write one line per data row with its prediction: Parquet, CSV or JSON, by extension."
        ),
        endings.RESULT,
    ] = None
    confusion: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the confusion matrix: one row per class, one column per predicted class."
        ),
        endings.RESULT,
    ] = None
    measures: Annotated[
        bool, typer.Option("--measures", help="Compute capacity measures of the weights instead, see above.")
    ] = False
    history: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Take steps_to_loss of --measures from this output of gencli train --history."
        ),
    ] = None
    reached: Annotated[
        float, typer.Option(min=0, metavar="LOSS", help="The train_loss that steps_to_loss counts to.")
    ] = 0.1

    def resolved(self, given: Collection[str]) -> Self:
        """Itself.

        Raises:
            GencliError: options that exclude each other.
        """
        others = {"by", "top", "intervals", "norm", "predictions", "confusion"}
        for name in sorted(others & set(given)) if self.measures else ():
            raise GencliError(f"--{name} and --measures do not go together", "omit one of them")
        if self.history is not None and not self.measures:
            raise GencliError("--history: no measures are asked for", "add --measures")
        if "reached" in given and self.history is None:
            raise GencliError("--reached: there is no history", "name it with --history")
        if "seed" in given and not (self.intervals or self.measures):
            raise GencliError("--seed: nothing is drawn", "it is for --intervals and --measures")
        return self

    @property
    def drawn(self) -> int | None:
        """The seed, where something is drawn."""
        return self.seed if self.intervals or self.measures else None

    def places(self, model: str, more: list[str]) -> tuple[list[str], list[str]]:
        """The arguments that are models, and those that are image tables: safetensors files are models.

        Raises:
            GencliError: several are standard input, or there are several where one is measured.
        """
        models, tables = [model, *filter(_is_model, more)], [place for place in more if not _is_model(place)]
        if not tables and not self.measures:
            tables = ["-"]
        require_one_standard_input(*models, *tables, self.history or "")
        if self.history is not None and not tables:
            raise GencliError("--history: no table, and steps_to_loss is a measure on data", "name the training table")
        if self.measures and (len(models) > 1 or len(tables) > 1):
            raise GencliError(
                f"--measures: {len(models)} models, {len(tables)} tables", "use one model, with one table or none"
            )
        return models, tables

    def require_part(self, shard: str | None, form: str | None, output: str | None) -> None:
        """Refuses what `--shard` does not write.

        Raises:
            GencliError: other files than that of a part, or another format.
        """
        from gencli.files import shards

        others = {"measures": self.measures, "predictions": self.predictions, "confusion": self.confusion}
        for name in [name for name, value in others.items() if value] if shard else ():
            raise GencliError(f"--{name} and --shard do not go together", "omit one of them")
        shards.require_kept(shard, form, output)

    def require_classes(self, why: str, data: bool) -> None:
        """Refuses options that need classes, for image-to-image networks; `why` names the network."""
        asked = {"top": self.top, "intervals": self.intervals, "confusion": self.confusion}
        for name in [name for name, value in asked.items() if value]:
            raise GencliError(f"{why}, to which --{name} does not apply", "omit it")
        if self.measures and data:
            raise GencliError(f"{why}, and measures on data need classes", "omit the table")


def _is_model(place: str) -> bool:
    with suppress(OSError):
        if stat.S_ISREG(os.stat(place).st_mode):  # what a pipe holds can be read once
            with open(place, "rb") as file:
                return file.read(9)[8:] == b"{"
    return False
