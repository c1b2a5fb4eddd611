"""What is written of a training run besides its model; options of `gencli train` that have no bearing on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import typer

from gencli.cli import stdout
from gencli.cli.options import Overwrite, Saving, dashed
from gencli.counts import TIMES, seconds
from gencli.errors import GencliError
from gencli.files import endings
from gencli.training.settings import Settings

if TYPE_CHECKING:
    from gencli.models.start import Start


def parse_cadence(text: str) -> tuple[float, str]:
    """How many of what: epochs of `1ep`, steps of `500`, seconds of `5min` or another time.

    Raises:
        GencliError: it is something else.
    """
    count = re.fullmatch(r"(\d{1,9})(ep|)", text, re.ASCII)
    found = (int(count[1]), "epochs" if count[2] else "steps") if count else (seconds(text) or 0, "seconds")
    if not found[0]:
        raise GencliError(f"--checkpoint-every: {text!r}", f"give epochs, steps or a time: 1ep, 500, {TIMES}")
    return found


@dataclass(frozen=True)
class Starting:
    """The file that a network starts from; what of it, and what stays, is in `settings.StartSettings`."""

    heading: ClassVar[str] = "Start"

    init: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Start from a model's tensors, or from safetensors of the same names, in place of random ones.",
        ),
    ] = None

    def require(self, settings: Settings) -> None:
        """Refuses options of a file where there is none.

        Raises:
            GencliError: there is none.
        """
        for name in ("init_except", "init_run"):
            if self.init is None and getattr(settings, name) is not None:
                raise GencliError(f"{dashed(name)}: there is no file to start from", "name it with --init")

    def opened(self, settings: Settings) -> Callable[[str], Start]:
        """Opens the file; see `Start.read`."""
        from gencli.models.start import Start

        runs = settings.count if settings.several else None
        return lambda place: Start.read(place, settings.init_except, settings.init_run, runs)


@dataclass(frozen=True)
class Records:
    """What is measured and written of a run besides its model; it has no bearing on that."""

    heading: ClassVar[str] = "Records"

    eval_data: Annotated[
        str | None, typer.Option(metavar="TABLE", help="Evaluate on this table after every epoch; never trained on.")
    ] = None
    history: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write the history, one row per epoch (and run): Parquet, CSV, JSON, or JSON lines (.jsonl); the "
            "first row of text holds its provenance. While the run lasts, and after one that was interrupted, "
            "NAME.unfinished.csv holds the rows so far; see report --follow.",
        ),
        endings.RESULT,
    ] = None
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Write the model after every N epochs too, beside -o NAME.safetensors as NAME.epoch0005.safetensors; "
            "it is the model of --stop-epoch 5.",
        ),
    ] = None
    dynamics: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write how each training row was learned, one line per row (and run): Parquet, CSV or JSON.",
        ),
        endings.RESULT,
    ] = None
    el2n_epoch: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="EPOCH", help="The epoch of el2n. Default: 10, or the last one.", show_default=False
        ),
    ] = None

    def resolved(self, given: Collection[str]) -> Self:
        if self.el2n_epoch is not None and self.dynamics is None:
            raise GencliError("--el2n-epoch: there are no dynamics", "it is for --dynamics")
        return self

    def saved(self, settings: Settings, output: str | None) -> dict[int, str]:
        """The files of the models of --save-every, by epoch.

        Raises:
            GencliError: they have no place, or are none of the run's course.
        """
        if self.save_every is None:
            return {}
        if self.save_every > settings.last_epoch:
            raise GencliError(f"--save-every: {self.save_every} of {settings.last_epoch} epochs", "give fewer")
        if output is None or stdout.is_it(output) or (os.path.exists(output) and not os.path.isfile(output)):
            raise GencliError("--save-every: models are saved beside a file", "name one with -o")
        reasons = {
            "--runs and --vary": (settings.several, "networks are not all at one epoch"),
            "--early-stop": (settings.early_stop is not None, "the model is of the best epoch so far"),
        }
        for name in [name for name, (holds, _) in reasons.items() if holds]:
            raise GencliError(f"--save-every and {name}: {reasons[name][1]}", "omit one of them")
        stem, ending = os.path.splitext(output)
        epochs = range(self.save_every, settings.last_epoch + 1, self.save_every)
        return {epoch: f"{stem}.epoch{epoch:04}{ending}" for epoch in epochs}

    def watched(self, settings: Settings, rehearsed: bool = False) -> int | None:
        """The epoch of el2n; None without dynamics. A run that is only `rehearsed` needs no files.

        Raises:
            GencliError: it is beyond the last one, or what is tracked has no history to be in.
        """
        if settings.track is not None and self.history is None and not rehearsed:
            raise GencliError("--track: there is no history", "name a file with --history")
        if self.dynamics is None:
            return None
        if (self.el2n_epoch or 0) > settings.last_epoch:
            raise GencliError(f"--el2n-epoch: {self.el2n_epoch} of {settings.last_epoch} epochs", "give an earlier one")
        return self.el2n_epoch or min(10, settings.last_epoch)


@dataclass(frozen=True)
class Checkpoints(Saving):
    """What is saved on the way; it has no bearing on the result."""

    heading: ClassVar[str] = "Interruption"

    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Save the complete state of the run to this file, also when the run is interrupted."
        ),
        endings.CHECKPOINT,
    ] = None
    checkpoint_every: Annotated[
        str, typer.Option(metavar="TIME", help="How often to save: epochs, steps or time, such as 1ep, 500, 5min.")
    ] = "1ep"
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from the checkpoint if it exists; the result is the same as without interruption. More "
            "--epochs than before follow, where --schedule does not depend on how many there are.",
        ),
    ] = False
    overwrite: Overwrite = False

    def resolved(self, given: Collection[str]) -> Self:
        parse_cadence(self.checkpoint_every)
        return super().resolved(given)
