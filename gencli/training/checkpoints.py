"""Checkpoints: a run's whole state in one safetensors file, written aside and renamed, and when to write it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gencli import console, signals, tensors
from gencli.errors import GencliError
from gencli.losses.base import option
from gencli.provenance import Step
from gencli.stream import Input, Output
from gencli.training.loop import Epoch, Training

_FORMAT = 1
_SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass
class Cadence:
    """When to write: every so many epochs, steps or seconds."""

    unit: str
    every: float
    _last: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Cadence:
        """`1ep`, `500` (steps) or `5min` (also s and h).

        Raises:
            GencliError: something else.
        """
        match = re.fullmatch(r"(\d{1,9})(ep|s|min|h|)", text, re.ASCII)
        if match is None or int(match[1]) == 0:
            raise GencliError(f"--checkpoint-every: {text!r}", "give epochs, steps or a time: 1ep, 500, 5min")
        number, unit = int(match[1]), match[2]
        if unit in _SECONDS:
            return cls("seconds", number * _SECONDS[unit], time.monotonic())
        return cls({"ep": "epochs", "": "steps"}[unit], number)

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


def write(path: str, training: Training, made: Step) -> None:
    """Writes a run's state; `made` is the step that the finished model would name."""
    content, facts = training.state()
    if training.group.rank > 0:
        return
    with Output(path, binary=True) as output:
        tensors.write(output, content, {"checkpoint": _FORMAT, "state": facts, "step": made})


def run(
    training: Training,
    path: str | None,
    every: str,
    resumes: bool,
    made: Step,
    progress: Callable[[int, Epoch | None], None],
) -> None:
    """Runs a training; with a path it is saved there as often as `every` says, and when a signal ends the process.

    Args:
        resumes: goes on from the checkpoint if it is there.
        made: the step that the result will name; a checkpoint of another one is refused.
        progress: see `Training.run`.
    """
    if path is None:
        return training.run(progress)
    cadence = Cadence.parse(every)
    if resumes:
        there = resume(path, training, made)
        console.message(
            f"{path}: " + (f"resumed after step {training.step:,}" if there else "not there, starting anew")
        )
    with signals.deferred() as arrived:

        def saved(step: int, epoch: Epoch | None) -> None:
            progress(step, epoch)
            number, due = training.group.most(arrived() or 0, cadence.due(step, epoch))
            if number or due:
                write(path, training, made)
            if number:
                console.message(f"{path}: stopped after step {step:,}; --resume goes on from there")
                signals.die(number)

        training.run(saved)
    return write(path, training, made)


def resume(path: str, training: Training, made: Step) -> bool:
    """Puts a checkpoint's state into a run that is just set up; whether there was one.

    Raises:
        GencliError: no checkpoint, or one of other settings, data or versions.
    """
    if not Path(path).exists():
        return False
    source = Input(path)
    facts = tensors.read_metadata(source)
    if facts.get("checkpoint") != _FORMAT or "step" not in facts:
        raise GencliError(f"{path}: tensors, but no checkpoint that this version knows", "name another, or remove it")
    if differences := _differences(facts["step"], made):
        raise GencliError(
            f"{path}: a checkpoint of another run: " + "; ".join(differences),
            "run it as before, or remove the checkpoint",
        )
    training.load_state(tensors.read(source), facts["state"])
    return True


def _differences(was: Step, now: Step) -> list[str]:
    """In words."""
    found = [
        f"{option(name) if part == 'arguments' else name} was {_word(was[part].get(name))}, "
        f"is {_word(now[part].get(name))}"
        for part in ("arguments", "versions")
        for name in dict.fromkeys([*was[part], *now[part]])
        if was[part].get(name) != now[part].get(name)
    ]
    hashes = [[(entry["role"], entry["sha256"]) for entry in step["inputs"]] for step in (was, now)]
    return found + (["the data were others"] if hashes[0] != hashes[1] else [])


def _word(value: Any) -> str:
    return "not set" if value is None else str(value)
