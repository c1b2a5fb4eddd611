"""Which steps behind a file would come out differently here and now, without running them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gencli.files import circumstances, provenance
from gencli.files.provenance import Step
from gencli.replay import lineage
from gencli.replay.graph import File, Graph


def reasons(graph: Graph, here: Mapping[int, str]) -> Iterator[tuple[int, str, list[str]]]:
    """For each run that would differ its number from 1, its command, and why.

    Args:
        here: the SHA-256 of what is there for the files from outside, by `id`; empty where nothing is.
    """
    old: set[int] = set()
    for number, run in enumerate(graph.runs, 1):
        found = [*_changed(run.step)]
        for file, source in zip(run.inputs, run.step.inputs):
            if file.run is not None and id(file.run) in old:
                found.append(f"{source.role}: its step [{graph.runs.index(file.run) + 1}] would differ")
            elif file.run is None and source.role != "source":
                found += _input(source.role, file, here[id(file)])
        if found:
            old.add(id(run))
            yield number, run.step.command, found


def _input(role: str, file: File, found: str) -> Iterator[str]:
    if not found:
        yield f"{role}: {file.name}: no such file; it had SHA-256 {file.sha256}"
    elif found != file.sha256:
        yield f"{role}: {file.name}: SHA-256 {file.sha256}, now {found}"


def _changed(step: Step) -> Iterator[str]:
    versions = {name: _version(name) for name in step.versions}
    packages = [name for name in step.versions if versions[name] is not None]
    machine = circumstances.facts(step.command, packages, step.arguments.get("device")) if step.machine else {}
    machine = {
        name: value for name, value in machine.items() if not name.startswith("plug-in ") or name in step.machine
    }
    for line in (*lineage.facts(step.versions, versions), *lineage.facts(step.machine, machine)):
        yield line.strip().replace(" and ", ", now ")


def _version(package: str) -> str | None:
    try:
        return provenance.version(package)
    except ImportError:
        return None
