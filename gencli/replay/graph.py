"""The ancestry of a file as a graph: runs of commands, each once, and the files between them.

Provenance is a tree, in which what several files share stands several times, and each output of one run for itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gencli.errors import GencliError
from gencli.files.provenance import Source, Step, dumps

_ASIDE = "eval-data"  # which a training only measures, so that its model does not record it
_FORGED = "the file was not written by gencli, or was changed; ask for another"


@dataclass(eq=False)
class Run:
    """One run of a command.

    Attributes:
        step: with the arguments and inputs of all its outputs.
        inputs: the files that it reads, one for each of the step's inputs.
        outputs: the content's SHA-256 of those that are known, by option; "" is the main one.
    """

    step: Step
    inputs: list[File]
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class File:
    """A file on the way.

    Attributes:
        run: that made it; None where it came from outside.
        output: which of the run's outputs it is.
        name: of what came from outside; without a SHA-256 it is what is said of an object read in part.
    """

    sha256: str
    run: Run | None
    output: str = ""
    name: str = ""


class Graph:
    """The runs behind a file, in an order in which they can be made, and what they need from outside.

    Args:
        made: the file's last step.
        sha256: of the file.

    Raises:
        GencliError: the file is one of its own ancestors.
    """

    def __init__(self, made: Step, sha256: str) -> None:
        self.outside: list[File] = []
        self._known: dict[str, File] = {}
        self._like: dict[str, list[Run]] = {}
        self._above: set[str] = {sha256}
        self.file = self._made(made, sha256)
        self.runs = [*_in_order(self.file, set())]

    def _made(self, made: Step, sha256: str) -> File:
        inputs = [self._file(each) for each in made.inputs]
        run = self._run(made, inputs, sha256)
        run.outputs[made.output] = sha256
        return File(sha256, run, made.output)

    def _file(self, source: Source) -> File:
        if source.sha256 in self._above:
            raise GencliError(f"its provenance goes in a circle, at {source.sha256[:12]}", _FORGED)
        if source.step is None:
            name = source.object or source.name
            key = f"{source.sha256} {source.role == 'source'} {name}"
            if key not in self._known:
                self._known[key] = File(source.sha256, None, name=name)
                if source.role != "source":
                    self.outside.append(self._known[key])
            return self._known[key]
        key = _digest([source.sha256, _identity(source.step)])
        if key not in self._known:
            self._above.add(source.sha256)
            self._known[key] = self._made(source.step, source.sha256)
            self._above.remove(source.sha256)
        return self._known[key]

    def _run(self, made: Step, inputs: list[File], sha256: str) -> Run:
        """The run of this step: one that is known by another of its outputs, or a new one."""
        main = [(each.role, each.sha256) for each in made.inputs if each.role != _ASIDE]
        alike = self._like.setdefault(_digest([made.command, main]), [])
        for run in alike:
            if run.outputs.get(made.output, sha256) == sha256 and _agree(run.step, made):
                if len(made.inputs) > len(run.step.inputs) or _names(made) > _names(run.step):
                    run.step, run.inputs = replace(run.step, inputs=made.inputs), inputs
                run.step = replace(run.step, arguments=made.arguments | run.step.arguments)
                return run
        run = Run(made, inputs)
        alike.append(run)
        return run


def _names(made: Step) -> int:
    return sum(bool(each.name) for each in made.inputs)


def _agree(one: Step, other: Step) -> bool:
    """Whether both can be of one run: what both record is equal. An output records what bears on it alone."""
    pairs = ((one.arguments, other.arguments), (one.versions, other.versions), (one.machine, other.machine))
    aside = [[each.sha256 for each in step.given(_ASIDE)] for step in (one, other)]
    return all(left[name] == right[name] for left, right in pairs for name in left.keys() & right.keys()) and (
        aside[0] == aside[1] or not all(aside)
    )


def _identity(made: Step) -> list[Any]:
    inputs = [(each.role, each.sha256, each.name) for each in made.inputs]
    return [made.command, made.arguments, made.versions, made.machine, made.output, inputs]


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(dumps({"": facts}).encode()).hexdigest()


def _in_order(file: File, seen: set[int]) -> Iterator[Run]:
    """The runs behind a file, each once, after those that it reads from."""
    run = file.run
    if run is not None and id(run) not in seen:
        seen.add(id(run))
        for each in run.inputs:
            yield from _in_order(each, seen)
        yield run
