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
from dataclasses import dataclass, field, replace
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import gencli
from gencli import strangers
from gencli.cli import console
from gencli.files import circumstances

KEY = "gencli.provenance"
FILE = "FILE"  # among the words of an option that takes names and files, where an input stands

_POSITIONAL = ("data", "model", "file", "images", "labels")  # of all commands but check, whose inputs are options
WORDS = ("expr",)  # arguments without an option, before the files
_SWITCHES = ("batch_norm", "nesterov")  # options that --no-… turns off
_VALUES, _A_VALUE = 1 << 22, 16  # that any text may hold, which take 72 bytes each; beyond that one in so many bytes
_DEPTH = 600  # of JSON; a step takes three levels, and Python's reader and writer end at a thousand
_STEPS = 100_000


@dataclass(frozen=True)
class Source:
    """One input of a step.

    Attributes:
        role: the argument that it was given as; `source` where the command finds it itself.
        sha256: of its content, in hexadecimal.
        step: how it was made; None where gencli did not make it.
        name: the file's, without its folder, where gencli did not make it, `-` for standard input; or as the result
            calls it.
        labels_differ: the share of its labels that differ from label_true by no step of ours; None for none.
        object: of an object of a store of which only a part was read, so that it has no sha256: address, size, version.
    """

    role: str
    sha256: str
    step: Step | None = None
    name: str = ""
    labels_differ: float | None = None
    object: str = ""

    def to_json(self) -> dict[str, Any]:
        """As files hold it."""
        made = {} if self.step is None else {"step": self.step.to_json()}
        name = {"name": self.name} if self.name or self.step is None else {}
        share = {} if self.labels_differ is None else {"labels_differ": self.labels_differ}
        part = {"object": self.object} if self.object else {}
        return {"role": self.role, "sha256": self.sha256} | made | name | share | part


@dataclass(frozen=True)
class Step:
    """How a file was made: by which command, from what.

    Attributes:
        command: its words, without `gencli`.
        arguments: by the option's name, with defaults resolved.
        versions: of the packages that bear on the result.
        inputs: in their order.
        machine: what bears on the bytes besides; see `circumstances`.
        output: the option that named the file, where it is not the command's main output.
        checked: how the result was confirmed, in words.
    """

    command: str
    arguments: dict[str, Any]
    versions: dict[str, str]
    inputs: tuple[Source, ...] = ()
    machine: dict[str, str] = field(default_factory=dict)
    output: str = ""
    checked: str = ""

    def to_json(self) -> dict[str, Any]:
        """As files hold it."""
        facts = {"command": self.command, "arguments": self.arguments, "versions": self.versions}
        more = {"machine": self.machine, "output": self.output, "checked": self.checked}
        inputs = {"inputs": [each.to_json() for each in self.inputs]}
        return facts | inputs | {name: value for name, value in more.items() if value}

    def to(self, output: str, *packages: str, names: Mapping[str, Sequence[str]] | None = None) -> Step:
        """The same step, of the file that this option names.

        Args:
            packages: those that bear on that file besides.
            names: of all inputs of a role, as that file tells them.
        """
        versions = self.versions | {package: version(package) for package in packages}
        waiting = {role: iter(each) for role, each in (names or {}).items()}
        inputs = [replace(each, name=next(waiting.get(each.role, iter(())), each.name)) for each in self.inputs]
        return replace(self, versions=versions, output=output, inputs=tuple(inputs))

    def given(self, role: str) -> list[Source]:
        """Its inputs that were given as this argument."""
        return [each for each in self.inputs if each.role == role]


def step(
    command: str, arguments: Mapping[str, Any], inputs: Sequence[Source] = (), packages: Sequence[str] = ("pyarrow",)
) -> Step:
    """One step: the command's words, its arguments by option name, its inputs (see `source`), `packages`' versions."""
    versions = {"gencli": gencli.__version__} | {package: version(package) for package in packages}
    device = arguments.get("device")
    used = {"plugin": found} if (found := strangers.plugins()) else {}
    return Step(command, {**arguments, **used}, versions, tuple(inputs), circumstances.facts(command, packages, device))


def version(package: str) -> str:
    """A package's version, which it is imported for."""
    if package == "matplotlib":  # it obeys the folder that it is imported in: see `reporting.curves`
        return metadata.version(package)
    return import_module(package).__version__


def source(role: str, sha256: str, made: Step | None, path: Path | None) -> Source:
    """One input of a step. `role` is the argument it was given as; only files made elsewhere keep their name."""
    name = path.name.encode(errors="replace").decode() if path else "-"
    return Source(role, sha256, made, "" if made else name)


def part(role: str, said: str, path: Path | None) -> Source:
    """One input of a step that read only a part of it: what is `said` of the object in place of its hash."""
    return replace(source(role, "", None, path), object=said)


def encode(made: Step, **facts: Any) -> bytes:
    """The footer's text: the step, and facts such as the number of rows that the file must have."""
    return dumps({**facts, "step": made}).encode()


def dumps(facts: Mapping[str, Any]) -> str:
    """JSON of facts of a file, whose steps are in the form of `Step.to_json`."""
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Step):
        return value.to_json()
    raise TypeError(f"{type(value).__name__} is not JSON")


def decode(text: str | bytes) -> dict[str, Any]:
    """What `encode` wrote, or a model's metadata, its step as a `Step`.

    Raises:
        ValueError: something else.
    """
    facts = parse(text)
    if "step" in facts:
        facts["step"] = _read(facts["step"], [_STEPS])
    return facts


def parse(text: str | bytes) -> dict[str, Any]:
    """A JSON object that a file holds. A file may hold anything: what comes back can be written again.

    Raises:
        ValueError: not JSON, no object, nested too deep, a name twice, far more values than characters, or a whole
            number that float64 has no place for.
    """
    if not isinstance(text, str | bytes):  # as where a header holds a number in place of metadata
        raise ValueError("not text")
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


_STEP = {"command": str, "arguments": dict, "versions": dict, "inputs": list}
_MORE = {"machine": dict, "output": str, "checked": str}


def _read(value: Any, left: list[int]) -> Step:
    """The step of JSON, in the form of `Step.to_json`; `left` is the number of steps that may still come.

    Raises:
        ValueError: another form, or too many steps.
    """
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"its provenance has more than {_STEPS:,} steps")
    facts = _checked(value, _STEP, _MORE)
    versions, machine = facts["versions"], facts.get("machine", {})
    if not all(isinstance(each, str) for each in (*versions.values(), *machine.values())):
        raise ValueError(_WRONG)
    inputs = tuple(_read_source(entry, left) for entry in facts["inputs"])
    said = facts.get("output", ""), facts.get("checked", "")
    return Step(facts["command"], facts["arguments"], versions, inputs, machine, *said)


def _read_source(value: Any, left: list[int]) -> Source:
    ours = isinstance(value, dict) and "step" in value
    own = {"step": dict} if ours else {"name": str}
    facts = _checked(value, {"role": str, "sha256": str} | own, {"labels_differ": float, "name": str, "object": str})
    made = _read(facts["step"], left) if ours else None
    said = facts.get("name", ""), facts.get("labels_differ"), facts.get("object", "")
    return Source(facts["role"], facts["sha256"], made, *said)


_WRONG = "its provenance has the wrong form"


def _checked(value: Any, needed: Mapping[str, type], optional: Mapping[str, type]) -> dict[str, Any]:
    if not isinstance(value, dict) or not needed.keys() <= value.keys():
        raise ValueError(_WRONG)
    kinds = {**needed, **optional}
    if unknown := value.keys() - kinds.keys():
        raise ValueError(f"its provenance has {min(unknown)!r}, which this version does not know")
    if not all(isinstance(each, kinds[name]) for name, each in value.items()):
        raise ValueError(_WRONG)
    return value


def times(made: Step | None, command: str) -> int:
    """The number of steps that led to this file, along first inputs, with this command."""
    return sum(entry.command == command for entry, depth in walk(made) if depth == 0)


def walk(made: Step | None, depth: int = 0) -> Iterator[tuple[Step, int]]:
    """All steps with their depth, earliest first; depth 0 is the chain of first inputs, other inputs are deeper."""
    if made is None:
        return
    for place, entry in enumerate(made.inputs):
        yield from walk(entry.step, depth + (place > 0))
    yield made, depth


def lines(made: Step | None) -> Iterator[str]:
    """How a file was made, one printable line per step; the lines of further inputs are indented."""
    for entry, depth in walk(made):
        versions = ", ".join(f"{name} {version}" for name, version in entry.versions.items())
        yield console.printable(f"{'  ' * depth}{command_line(entry)}  # {versions}")


def command_line(made: Step) -> str:
    """The step as a command line, with inputs that gencli did not make by name."""
    words = ["gencli", *made.command.split(), *(str(made.arguments[name]) for name in WORDS if name in made.arguments)]
    for entry in made.inputs:
        if entry.role == "source" or FILE in (made.arguments.get(entry.role) or ()):  # the command finds it itself
            continue
        if entry.role not in _POSITIONAL or made.command.startswith("check "):
            words += [f"--{entry.role}", entry.name or FILE]
        elif entry.name not in ("", "-"):
            words.append(entry.name)
    for option, value in made.arguments.items():
        flag = f"-{option}" if len(option) == 1 else f"--{option.replace('_', '-')}"
        if option in WORDS:
            continue
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
