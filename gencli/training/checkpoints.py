"""Checkpoints of training: a run's whole state, and when to write it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gencli.cli import console, signals
from gencli.errors import GencliError
from gencli.files import checkpoints
from gencli.files.held import Held
from gencli.files.provenance import Step
from gencli.files.stream import Input, require_writable
from gencli.training.loop import Training
from gencli.training.records import Checkpoints, parse_cadence
from gencli.training.schedules import SCHEDULES
from gencli.training.several import Several
from gencli.training.states import Epoch


@dataclass
class Cadence:
    """When to write: every given number of epochs, steps or seconds."""

    unit: str
    every: float
    _last: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Cadence:
        """See `parse_cadence`."""
        every, unit = parse_cadence(text)
        return cls(unit, every, time.monotonic())

    def due(self, step: int, epoch: Epoch | None) -> bool:
        """Whether to write now, after this step, or after this epoch."""
        if self.unit == "epochs":
            return epoch is not None and epoch.epoch % self.every == 0
        if self.unit == "steps":
            return epoch is None and step % self.every == 0
        if time.monotonic() - self._last < self.every:
            return False
        self._last = time.monotonic()
        return True


def write(path: str, training: Training | Several, made: Step) -> None:
    """Writes a run's state; `made` is the step that the finished model would name."""
    content, facts = training.state()
    if training.group.rank == 0:
        checkpoints.write(path, checkpoints.TRAINING, content, made, f"step {training.step:,}", facts)


def run(
    training: Training | Several,
    saving: Checkpoints,
    inputs: Sequence[Input],
    made: Step,
    progress: Callable[[int, Epoch | None], None],
) -> None:
    """Runs a training; with a checkpoint it is saved at intervals, and when a signal or a reader's end ends it.

    Args:
        inputs: what is read, which no checkpoint may replace.
        made: the step that the result will name; a checkpoint of another one is refused.
        progress: see `Training.run`.
    """
    path = saving.checkpoint
    if path is None:
        return training.run(progress)
    if isinstance(training, Several) and training.group.size > 1:
        raise GencliError(
            f"--checkpoint: {training.group.size} processes, each at a step of its own",
            "omit it, or start gencli alone",
        )
    if training.group.rank == 0:
        require_writable(path, inputs=inputs)
    if isinstance(training, Training):
        training.resumable = True
    cadence = Cadence.parse(saving.checkpoint_every)
    if saving.resume:
        resume(path, training, made)
    with signals.deferred() as arrived:

        def saved(step: int, epoch: Epoch | None) -> None:
            gone = None
            try:
                progress(step, epoch)
            except BrokenPipeError as error:
                gone = error
            number, due, alone = training.group.most(arrived() or 0, cadence.due(step, epoch), gone is not None)
            if number or due or alone:
                write(path, training, made)
            if number or gone:
                why = "" if number else "the output pipe was closed; "
                console.message(f"{path}: {why}stopped after step {step:,}; --resume continues from there")
            if number:
                signals.die(number)
            if gone:
                raise gone

        training.run(saved)
    return write(path, training, made)


def resume(path: str, training: Training | Several, made: Step) -> None:
    """Puts a checkpoint's state, if there is one, into a run that is just set up.

    Raises:
        GencliError: see `read`; or no state of this run.
    """
    held = read(path, made)
    if held is not None:
        training.load_state(held)
        more = (
            "" if held.before is None else f"; it was to end at epoch {held.before}, now at {made.arguments['epochs']}"
        )
        console.message(f"{path}: resumed after step {training.step:,}{more}")


def read(path: str, made: Step) -> Held | None:
    """A run's checkpoint, unverified; None if there is none. It may have been to end earlier.

    Raises:
        GencliError: no checkpoint, one of other settings, data or versions, or of fewer epochs that were others.
    """
    held, asked = checkpoints.read(path, checkpoints.TRAINING, made, grows="epochs"), made.arguments
    if held is None or held.before is None:
        return held
    reasons = {
        f"--schedule {asked['schedule']} depends on how many there are": SCHEDULES[
            asked["schedule"].partition(":")[0]
        ].whole,
        "runs of --runs and --vary have ended": asked["runs"] is not None or asked["vary"] is not None,
        "where it ended was for --max-time to say": asked["max_time"] is not None,
    }
    for why in [why for why, holds in reasons.items() if holds]:
        what = f"{path}: a checkpoint of another run: --epochs was {held.before}, is {asked['epochs']}: {why}"
        raise GencliError(what, "run it as before, or start from its model with --init")
    return held
