"""Checkpoints: the state of a run in one safetensors file, renamed when complete, that only the same run accepts."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gencli.cli import console, stdout
from gencli.cli.options import Saving, dashed
from gencli.errors import GencliError
from gencli.files import tensors
from gencli.files.held import Held
from gencli.files.provenance import Step
from gencli.files.stores import is_address
from gencli.files.stream import Input, Output

if TYPE_CHECKING:
    from torch import Tensor

TRAINING, SPECTRUM, FIT = "checkpoint", "spectrum", "fit"  # kinds, as files name them
OF = {TRAINING: "training", SPECTRUM: "a spectrum", FIT: "a fit"}
_FORMAT = 2
_ANEW = "give --overwrite instead of --resume to start over"
_NOT_OURS = "name another checkpoint; a file that is not a checkpoint is not overwritten"


def require(saving: Saving, kind: str) -> None:
    """Refuses, before any work, to start over where a checkpoint exists, or to use a file that is no such checkpoint.

    Raises:
        GencliError: a checkpoint exists without --resume or --overwrite, or the file is not a checkpoint of this kind.
    """
    path = saving.checkpoint
    if path is None:
        return
    special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    if special or is_address(path) or stdout.is_it(path) or stdout.number(path) is not None:
        raise GencliError(f"--checkpoint: {path} is not a regular file, from which a run could continue", "name a file")
    if not os.path.isfile(path):  # what cannot be written is refused elsewhere
        return
    if os.path.getsize(path) == 0:
        if saving.overwrite:
            return
        raise GencliError(f"{path}: empty, not a checkpoint", _ANEW if saving.resume else "--overwrite replaces it")
    facts = _facts(Input(path), kind, "name another checkpoint" if saving.resume else _NOT_OURS)
    if not (saving.resume or saving.overwrite):
        at = console.printable(facts["at"], 80)
        hint = "--resume continues from it, --overwrite starts over"
        raise GencliError(f"{path}: already holds a checkpoint at {at}", hint)


def write(path: str, kind: str, content: dict[str, Tensor], made: Step, at: str, state: Any = None) -> None:
    """Writes tensors and what JSON holds of a state.

    Args:
        made: the step that the finished result would name.
        at: how far the run is, in words.
    """
    with Output(path, binary=True) as output:
        tensors.write(output, content, {kind: _FORMAT, "at": at, "state": state or {}, "step": made})


def read(path: str, kind: str, made: Step, free: Collection[str] = (), grows: str = "") -> Held | None:
    """Reads what `write` wrote, unverified; None if the file does not exist.

    Args:
        free: arguments that may differ, as they only tell how far the run goes.
        grows: the argument that may be larger than it was, which `Held.before` then is.

    Raises:
        GencliError: no checkpoint of this kind, or one of other settings, data or versions.
    """
    if not Path(path).exists():
        console.message(f"{path}: no such file, starting over")
        return None
    source = Input(path)
    facts = _facts(source, kind, "name another checkpoint")
    before = facts["step"].arguments.get(grows)
    grown = type(before) is int and before < made.arguments[grows]
    if differences(facts["step"], made, {*free, grows} if grown else free):
        found = differences(facts["step"], made, free)
        raise GencliError(
            f"{path}: a checkpoint of another run: " + "; ".join(found),
            f"run it as before, or {_ANEW}",
        )
    held = Held(path, tensors.read(source), facts["state"], facts["at"])
    held.before = before if grown else None
    return held


def _facts(source: Input, kind: str, hint: str) -> dict[str, Any]:
    try:
        facts = tensors.read_metadata(source)
    except GencliError as wrong:
        raise GencliError(wrong.message, hint) from None
    if kind not in facts:
        raise GencliError(f"{source.name}: tensors, but no checkpoint of {OF[kind]}", hint)
    if facts[kind] != _FORMAT or facts.keys() != {kind, "at", "state", "step"} or not isinstance(facts["at"], str):
        raise GencliError(f"{source.name}: a checkpoint of another version", "name another, or remove it")
    return facts


def differences(was: Step, now: Step, free: Collection[str] = ()) -> list[str]:
    """In which two steps differ, arguments that are `free` left out, in words."""
    found = [
        f"{_named(name) if before is was.arguments else name} was {_word(before.get(name))}, "
        f"is {_word(after.get(name))}"
        for before, after in ((was.arguments, now.arguments), (was.versions, now.versions), (was.machine, now.machine))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name) and not (before is was.arguments and name in free)
    ]
    hashes = [[(entry.role, entry.sha256) for entry in step.inputs] for step in (was, now)]
    before, after = ([each for each in mine if each not in others] for mine, others in (hashes, hashes[::-1]))
    roles = dict.fromkeys(role for role, _ in before + after)
    order = [] if roles or hashes[0] == hashes[1] else ["its files are in another order"]
    return found + [f"{role}: another file" for role in roles] + order


def _named(argument: str) -> str:
    return f"the number of {argument}" if argument == "processes" else dashed(argument)


def _word(value: Any) -> str:
    return "not set" if value is None else str(value)
