"""Checkpoints: the state of a run in one safetensors file, written aside and renamed, that only the same run takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gencli import console, tensors
from gencli.errors import GencliError
from gencli.provenance import Step
from gencli.stream import Input, Output

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = 1


def write(path: str, kind: str, content: dict[str, Tensor], made: Step, state: Any = None) -> None:
    """Writes tensors and what JSON holds of a state; `made` is the step that the finished result would name."""
    with Output(path, binary=True) as output:
        tensors.write(output, content, {kind: _FORMAT, "state": state, "step": made})


def read(path: str, kind: str, made: Step) -> tuple[dict[str, Tensor], Any] | None:
    """What `write` wrote; None where there is no file.

    Raises:
        GencliError: no checkpoint of this kind, or one of other settings, data or versions.
    """
    if not Path(path).exists():
        console.message(f"{path}: not there, starting anew")
        return None
    source = Input(path)
    try:
        facts = tensors.read_metadata(source)
    except GencliError as wrong:
        raise GencliError(wrong.message, "name another checkpoint, or remove it") from None
    if facts.get(kind) != _FORMAT or "step" not in facts:
        raise GencliError(f"{path}: tensors, but no checkpoint that this version knows", "name another, or remove it")
    if differences := _differences(facts["step"], made):
        raise GencliError(
            f"{path}: a checkpoint of another run: " + "; ".join(differences),
            "run it as before, or remove the checkpoint",
        )
    return tensors.read(source), facts["state"]


def _differences(was: Step, now: Step) -> list[str]:
    """In words."""
    found = [
        f"{_option(name) if part == 'arguments' else name} was {_word(was[part].get(name))}, "
        f"is {_word(now[part].get(name))}"
        for part in ("arguments", "versions")
        for name in dict.fromkeys([*was[part], *now[part]])
        if was[part].get(name) != now[part].get(name)
    ]
    hashes = [[(entry["role"], entry["sha256"]) for entry in step["inputs"]] for step in (was, now)]
    return found + (["the model or the data were others"] if hashes[0] != hashes[1] else [])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _word(value: Any) -> str:
    return "not set" if value is None else str(value)
