"""The graph of a file as jobs with names for all files: what scripts, makefiles and workflows are written from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from gencli.errors import GencliError
from gencli.files import endings
from gencli.replay import comparison, reading
from gencli.replay.graph import File, Graph, Run
from gencli.replay.words import Commands, is_own, plugins_of

_ENDINGS = {form: f".{form}" for form in (*reading.TABLES, *reading.FIGURES, "safetensors", "pt2", "onnx")}
NOWHERE = "/dev/null"


@dataclass(frozen=True)
class Outside:
    """A file from outside, by its place among them, from 1."""

    number: int
    sha256: str
    name: str


@dataclass(frozen=True)
class Path:
    """A file that a job makes, by its name in the folder."""

    name: str


Place = Outside | Path
Word = str | Place


@dataclass
class Job:
    """A run, with the names of its files.

    Attributes:
        words: the command line, without redirections.
        copies: made before, since the result names its inputs, or takes them in a folder: from where, to which name.
        standard_input: what is read as `-`.
        outputs: the names of what is made, by option.
        besides: of what nobody needs, and the command would not compute otherwise, likewise.
    """

    run: Run
    number: int
    words: list[Word]
    copies: list[tuple[Place, str]] = field(default_factory=list)
    standard_input: Place | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    besides: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> list[Place]:
        """The files that it reads."""
        read = [word for word in self.words if isinstance(word, Outside | Path)]
        read += [place for place, _ in self.copies] + ([self.standard_input] if self.standard_input else [])
        made = {each for _, name in self.copies for each in (name, name.rpartition("/")[0])}  # in folders or by itself
        return [each for each in dict.fromkeys(read) if not (isinstance(each, Path) and each.name in made)]


@dataclass
class Plan:
    """What makes a file again.

    Attributes:
        name: of the file.
        made: under which name it is made; another one where the command would take the ending for another format.
        modules: those of plug-ins, and of networks of the user's own, that are imported.
        limits: why other bytes may come out, in words.
    """

    name: str
    made: str
    jobs: list[Job]
    outside: list[Outside]
    modules: list[str]
    limits: list[str]


def plan(graph: Graph, name: str, form: str, commands: Commands) -> Plan:
    """The jobs behind a file.

    Args:
        name: of the file, without its folder.
        form: its format, see `reading.Made`.

    Raises:
        GencliError: see `words.Commands.words`; or a name that leads out of the folder.
    """
    for each in graph.outside:
        if not each.sha256:
            raise GencliError(
                f"{name}: made from a part of {each.name}, of which no SHA-256 is known",
                "--tree shows how; without --limit, or from a copy of the object, it would be known",
            )
        if not re.fullmatch("[0-9a-f]{64}", each.sha256):
            raise GencliError(f"its provenance has {each.sha256!r:.80}, which is no SHA-256", "ask for another")
    outside = [Outside(number, each.sha256, _relative(each.name)) for number, each in enumerate(graph.outside, 1)]
    places: dict[int, Place] = {id(file): at for file, at in zip(graph.outside, outside)}
    jobs: list[Job] = []
    final = name
    for number, run in enumerate(graph.runs, 1):
        written = commands.places(run.step.command)
        job = Job(run, number, [])
        for output in run.outputs:
            if (option := output or "output") not in written:
                raise GencliError(
                    f"its step `{run.step.command}` has the output {output!r}, which it does not write here",
                    "the gencli that wrote it may know it, another version",
                )
            asked = (name, form) if run is graph.file.run and output == graph.file.output else None
            job.outputs[output] = _named(job, output, written[option], asked)
            final = job.outputs[output] if asked else final
        job.besides = _besides(job, written)

        def place(file: File) -> Place:
            if file.run is None:
                return places[id(file)]
            return Path(next(job.outputs[file.output] for job in jobs if job.run is file.run))

        _fill(job, commands, place)
        jobs.append(job)
    archs = [run.step.arguments.get("arch") for run in graph.runs]
    modules = [arch.partition(":")[0] for arch in archs if isinstance(arch, str) and is_own(arch)]
    modules += [module for run in graph.runs for module in plugins_of(run.step)]
    return Plan(name, final, jobs, outside, [*dict.fromkeys(modules)], [*_limits(graph)])


def _named(job: Job, output: str, written: endings.Writes, asked: tuple[str, str] | None) -> str:
    """What an output of a job is called: as `asked`, a name and a format, where the option takes both."""
    if asked and _takes(written, *asked):
        return asked[0]
    kind = asked[1] if asked else "parquet" if "parquet" in written.formats else written.formats[0]
    return f"{job.number}-{_slug(job.run, output)}{_ENDINGS[kind]}"


def _besides(job: Job, written: Mapping[str, endings.Writes]) -> dict[str, str]:
    """The names of files that nobody asked for and that options which were given need, by option."""
    arguments = job.run.step.arguments
    return {
        option: f"{job.number}-{_slug(job.run, option)}.parquet"
        for option in written.keys() - job.run.outputs.keys()
        if (option == "history" and arguments.get("track"))  # which train refuses without
        or any(name.startswith(f"{option}_") and value is not None for name, value in arguments.items())
    }


def _limits(graph: Graph) -> Iterator[str]:
    """Why a file may come out with other bytes: what the clock decides, or is kept of it."""
    if any(run.step.arguments.get("max_time") is not None for run in graph.runs):
        yield "how far train --max-time gets depends on the machine"
    if any(comparison.is_timed(run.step.to(output)) for run in graph.runs for output in run.outputs):
        yield f"a history holds times: {', '.join(comparison.CLOCK)}"


def _takes(written: endings.Writes, name: str, form: str) -> bool:
    """Whether the command writes this format where it is asked for a file of this name."""
    try:
        written.require("", name)
    except GencliError:
        return False
    default = "parquet" if "parquet" in written.formats else written.formats[0]
    return (endings.named(name) or (default if not written.exact else None)) == form


def _fill(job: Job, commands: Commands, place: Callable[[File], Place]) -> None:
    """Writes the command line, and what has to be copied for it."""
    for word in commands.words(job.run):
        if isinstance(word, str):
            job.words.append(word)
            continue
        read = [place(job.run.inputs[number]) for number in word.places]
        if word.name == "-" and len(read) == 1:
            job.standard_input = read[0]
            job.words.append("-")
        elif len(read) == 1 and not word.name:
            job.words.append(read[0])
        else:
            folder = f"{job.number}-inputs"
            whole = f"{folder}/{_relative(word.name or 'data')}"
            names = [whole] if len(read) == 1 else [f"{whole}/{part:05}.parquet" for part in range(len(read))]
            job.copies += zip(read, names)
            job.words.append(Path(whole))


def _relative(name: str) -> str:
    """The name, which must not lead out of a folder."""
    if name == "-":
        return "standard-input"
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise GencliError(f"its provenance names an input {name!r:.80}, which leads out of a folder", "ask for another")
    return name


def _slug(run: Run, output: str) -> str:
    word = run.step.command.rpartition(" ")[2]
    return re.sub(r"[^a-z0-9]+", "-", f"{word}-{output}" if output else word).strip("-")


def parents(plan: Plan, job: Job) -> Iterator[Job]:
    """The jobs that make what a job reads."""
    names = {each.name for each in job.needs if isinstance(each, Path)}
    for other in plan.jobs:
        if names & {*other.outputs.values()}:
            yield other
