"""What a file says about its making.

A file's provenance is its last step; a step names its command, its arguments with defaults resolved, the versions that
bear on the result, and its inputs, each by the hash of its content and, where gencli made it too, its own provenance.
Nothing in it depends on when, where or with how many threads it ran, nor on whether an input came by file or by pipe.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import gencli

KEY = "gencli.provenance"

Step = dict[str, Any]


def step(
    command: str, arguments: Mapping[str, Any], inputs: Sequence[Step] = (), packages: Sequence[str] = ("pyarrow",)
) -> Step:
    """One step: the command's words, its arguments by option name, its inputs (see `source`), `packages`' versions."""
    versions = {"gencli": gencli.__version__} | {package: metadata.version(package) for package in packages}
    return {"command": command, "arguments": dict(arguments), "versions": versions, "inputs": list(inputs)}


def source(role: str, sha256: str, made: Step | None, path: Path | None) -> Step:
    """One input of a step. `role` is the argument it was given as; only files made elsewhere keep their name."""
    entry = {"role": role, "sha256": sha256}
    return entry | ({"step": made} if made is not None else {"name": path.name if path else "-"})


def encode(made: Step, **facts: Any) -> bytes:
    """The footer's text: the step, and facts such as the number of rows that the file must have."""
    return json.dumps({**facts, "step": made}, ensure_ascii=False, separators=(",", ":")).encode()


def times(made: Step | None, command: str) -> int:
    """How many steps on the way to this file were this command, following first inputs."""
    return sum(entry["command"] == command for entry, depth in walk(made) if depth == 0)


def walk(made: Step | None, depth: int = 0) -> Iterator[tuple[Step, int]]:
    """All steps, earliest first; depth 0 is the line of first inputs, the others' own lines lie deeper."""
    if made is None:
        return
    for place, entry in enumerate(made["inputs"]):
        yield from walk(entry.get("step"), depth + (place > 0))
    yield made, depth


def command_line(made: Step) -> str:
    """The step as one would type it, its foreign inputs by name."""
    names = [entry["name"] for entry in made["inputs"] if "name" in entry and entry["name"] != "-"]
    words = ["gencli", *made["command"].split(), *names]
    for option, value in made["arguments"].items():
        flag = f"-{option}" if len(option) == 1 else f"--{option.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            words += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
