"""Provenance: how a file was made, recorded in the file.

A file's provenance is its last step; a step names its command, its arguments with defaults resolved, the versions that
bear on the result, and its inputs, each by the hash of its content and, where gencli made it too, its own provenance.
Nothing in it depends on when or where it ran, nor on whether an input came by file or by pipe.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import gencli
from gencli.cli import console

KEY = "gencli.provenance"

Step = dict[str, Any]
_POSITIONAL = ("data", "model", "file")  # of all commands but check, whose inputs are options
_SWITCHES = ("batch_norm", "nesterov")  # options that --no-… turns off
_VALUES, _A_VALUE = 1 << 22, 16  # that any text may hold, which take 72 bytes each; beyond that one in so many bytes
_DEPTH = 600  # of JSON; a step takes three levels, and Python's reader and writer end at a thousand


def step(
    command: str, arguments: Mapping[str, Any], inputs: Sequence[Step] = (), packages: Sequence[str] = ("pyarrow",)
) -> Step:
    """One step: the command's words, its arguments by option name, its inputs (see `source`), `packages`' versions."""
    versions = {"gencli": gencli.__version__} | {package: _version(package) for package in packages}
    return {"command": command, "arguments": dict(arguments), "versions": versions, "inputs": list(inputs)}


def _version(package: str) -> str:
    if package == "matplotlib":  # it obeys the folder that it is imported in: see `reporting.curves`
        return metadata.version(package)
    return import_module(package).__version__


def source(role: str, sha256: str, made: Step | None, path: Path | None) -> Step:
    """One input of a step. `role` is the argument it was given as; only files made elsewhere keep their name."""
    entry = {"role": role, "sha256": sha256}
    if made is not None:
        return entry | {"step": made}
    return entry | {"name": path.name.encode(errors="replace").decode() if path else "-"}


def encode(made: Step, **facts: Any) -> bytes:
    """The footer's text: the step, and facts such as the number of rows that the file must have."""
    return json.dumps({**facts, "step": made}, ensure_ascii=False, separators=(",", ":")).encode()


def decode(text: str | bytes) -> dict[str, Any]:
    """What `encode` wrote, or a model's metadata.

    Raises:
        ValueError: something else.
    """
    facts = parse(text)
    if "step" in facts and not _is_step(facts["step"]):
        raise ValueError("its provenance has the wrong form")
    return facts


def parse(text: str | bytes) -> dict[str, Any]:
    """A JSON object that a file holds. A file may hold anything: what comes back can be written again.

    Raises:
        ValueError: not JSON, no object, nested too deep, a name twice, far more values than characters, or a whole
            number that float64 has no place for.
    """
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > max(_VALUES, len(data) // _A_VALUE):
        raise ValueError(f"{values:,} values in {len(data):,} bytes")
    try:
        facts = json.loads(text, object_pairs_hook=_interned, parse_int=_whole)
        if not isinstance(facts, dict) or _depth(facts) > _DEPTH:
            raise ValueError("not an object, or nested too deep")
        json.dumps(facts, ensure_ascii=False).encode()  # lone surrogates
    except RecursionError:
        raise ValueError("nested too deep") from None
    return facts


def _whole(text: str) -> int:
    try:
        float(value := int(text))
    except OverflowError:
        raise ValueError("a number that is too large") from None
    return value


def _interned(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Their dictionary; thousands of files say much the same, and each text of it is kept once."""
    found = {sys.intern(name): sys.intern(value) if isinstance(value, str) else value for name, value in pairs}
    if len(found) != len(pairs):
        raise ValueError("an object names something twice")
    return found


def _depth(value: Any) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def _is_step(value: Any) -> bool:
    kinds = {"command": str, "arguments": dict, "versions": dict, "inputs": list}
    return _has(value, kinds) and all(
        _has(entry, {"role": str, "sha256": str})
        and (_is_step(entry["step"]) if "step" in entry else _has(entry, {"name": str}))
        for entry in value["inputs"]
    )


def _has(value: Any, kinds: Mapping[str, type]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())


def times(made: Step | None, command: str) -> int:
    """The number of steps that led to this file, along first inputs, with this command."""
    return sum(entry["command"] == command for entry, depth in walk(made) if depth == 0)


def walk(made: Step | None, depth: int = 0) -> Iterator[tuple[Step, int]]:
    """All steps with their depth, earliest first; depth 0 is the chain of first inputs, other inputs are deeper."""
    if made is None:
        return
    for place, entry in enumerate(made["inputs"]):
        yield from walk(entry.get("step"), depth + (place > 0))
    yield made, depth


def lines(made: Step | None) -> Iterator[str]:
    """How a file was made, one printable line per step; the lines of further inputs are indented."""
    for entry, depth in walk(made):
        versions = ", ".join(f"{name} {version}" for name, version in entry["versions"].items())
        yield console.printable(f"{'  ' * depth}{command_line(entry)}  # {versions}")


def command_line(made: Step) -> str:
    """The step as a command line, with inputs that gencli did not make by name."""
    words = ["gencli", *made["command"].split()]
    for entry in made["inputs"]:
        if entry["role"] != "source" and entry.get("name", "-") != "-":  # a source the command finds itself
            positional = entry["role"] in _POSITIONAL and not made["command"].startswith("check ")
            words += [entry["name"]] if positional else [f"--{entry['role']}", entry["name"]]
    for option, value in made["arguments"].items():
        flag = f"-{option}" if len(option) == 1 else f"--{option.replace('_', '-')}"
        if option == "processes":
            words[:1] = ["torchrun", "--nproc-per-node", str(value), "-m", "gencli"]
        elif isinstance(value, list):
            words += [word for each in value for word in (flag, str(each))]
        elif value is True:
            words.append(flag)
        elif value is False and option in _SWITCHES:
            words.append(f"--no-{flag[2:]}")
        elif value is not None and value is not False:
            words += [flag, f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)]
    return shlex.join(words)
