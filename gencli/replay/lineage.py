"""The ancestry of a file in lines, and the first steps at which two files part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from gencli.cli import console
from gencli.files.provenance import Source, Step, command_line
from gencli.replay.graph import File, Graph


def tree(graph: Graph, name: str) -> Iterator[str]:
    """The ancestry, the file first; what a step reads stands below it. What was shown stands there by its number."""
    numbers = {id(run): number for number, run in enumerate(graph.runs, 1)}
    shown: set[int] = set()

    def below(file: File, role: str, indent: str, last: str) -> Iterator[str]:
        if file.run is None:
            known = f"SHA-256 {file.sha256}" if file.sha256 else "of which a part was read"
            yield f"{indent}{role}{file.name}, from outside, {known}"
            return
        number = numbers[id(file.run)]
        output = f", {file.output}" if file.output else ""
        if number in shown:
            yield f"{indent}{role}[{number}]{output}, see there"
            return
        shown.add(number)
        yield f"{indent}{role}[{number}]{output} {command_line(replace(file.run.step, inputs=()))}"
        inputs = list(zip(file.run.inputs, file.run.step.inputs))
        for place, (each, source) in enumerate(inputs, 1):
            end = place == len(inputs)
            mark, line = ("└─ ", "   ") if end else ("├─ ", "│  ")
            yield from below(each, f"{source.role}: ", last + mark, last + line)

    for line in below(graph.file, "", f"{name}: ", ""):
        yield console.printable(line)
    made_with: dict[str, dict[str, None]] = {}
    for run in graph.runs:
        for fact, value in {**run.step.versions, **run.step.machine}.items():
            made_with.setdefault(fact, {})[value] = None
    yield console.printable("made with " + "; ".join(f"{fact} {' and '.join(of)}" for fact, of in made_with.items()))


def partings(one: Step, other: Step) -> Iterator[str]:
    """The first steps at which two files part, and in what; nothing where they were made alike."""
    if one == other:
        return
    found = False
    for mine, theirs in zip(one.inputs, other.inputs):
        if mine.role == theirs.role and mine.step is not None and theirs.step is not None:
            for line in partings(mine.step, theirs.step):
                found = True
                yield line
    own = [*_different(one, other)]
    if own and not (found and _alike(one, other)):
        yield f"{one.command}:" if one.command == other.command else f"{one.command} and {other.command}:"
        yield from own


def _alike(one: Step, other: Step) -> bool:
    """Whether nothing but what they read differs."""
    return (one.command, one.arguments, one.versions, one.machine, one.output) == (
        other.command, other.arguments, other.versions, other.machine, other.output,
    ) and len(one.inputs) == len(other.inputs)  # fmt: skip


def _different(one: Step, other: Step) -> Iterator[str]:
    parts = ("arguments", "versions", "machine") if one.command == other.command else ()
    for part in parts:
        yield from facts(getattr(one, part), getattr(other, part), part == "arguments")
    if one.output != other.output:
        yield f"  output: {one.output or 'main'} and {other.output or 'main'}"
    if len(one.inputs) != len(other.inputs):
        yield f"  {len(one.inputs)} inputs and {len(other.inputs)}"
    for mine, theirs in zip(one.inputs, other.inputs):
        if mine.role != theirs.role or (None in (mine.step, theirs.step) and mine != theirs):
            yield f"  input: {_source(mine)} and {_source(theirs)}"
        elif mine.step is not None and mine.step == theirs.step and mine.sha256 != theirs.sha256:
            yield f"  {mine.role}: made alike, yet {mine.sha256[:12]} and {theirs.sha256[:12]}"


def _source(source: Source) -> str:
    return console.printable(f"{source.role} {source.name or 'made by gencli'}, SHA-256 {source.sha256}")


def facts(one: dict[str, Any], other: dict[str, Any], options: bool = False) -> Iterator[str]:
    """What differs of facts by name, in words."""
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name):
            shown = f"--{name.replace('_', '-')}" if options else name
            yield f"  {shown}: {_value(one.get(name))} and {_value(other.get(name))}"


def _value(value: Any) -> str:
    return "none" if value is None else console.printable(str(value), 200)
