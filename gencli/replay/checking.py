"""A file made again in a scratch folder: what is made on the way is compared by its hash, itself by its numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path as Folder

from gencli.cli import console
from gencli.cli.signals import before_dying
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.replay import comparison, lineage, reading
from gencli.replay.plan import Job, Outside, Path, Place, Plan, parents


@dataclass
class Checked:
    """What came of it.

    Attributes:
        lines: one for each job.
        first: the first job that made something else, in words; empty for none.
        facts: in which it was made differently from here.
        end: how the file itself differs.
        limits: why it may, see `Plan`.
    """

    lines: list[str] = field(default_factory=list)
    first: str = ""
    facts: list[str] = field(default_factory=list)
    end: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether all is as it was."""
        return not self.first and not self.end

    def text(self, name: str) -> Iterator[str]:
        """The lines for people."""
        yield from self.lines
        if self.first:
            yield f"first to differ: {self.first}"
            yield from (f"  {line}" for line in self.facts or ["it was made with what is here, as far as is recorded"])
            yield from (f"  {why}" for why in self.limits)
        yield f"{name}: {'differs' if self.end else 'the same'}"
        yield from (f"  {line}" for line in self.end)


def check(
    plan: Plan, original: Input, places: Mapping[Outside, str], known: Mapping[str, str], scratch: str,
    folder: str = ".",
) -> Checked:  # fmt: skip
    """Makes the file again in the folder `scratch`, and compares.

    Args:
        places: of what comes from outside.
        known: files by SHA-256; what is among them needs not be made.
        folder: where the modules of plug-ins, and of networks of the user's own, are looked for besides.

    Raises:
        GencliError: a command fails.
    """
    found = Checked(limits=plan.limits)
    needed = {id(job) for job in _needed(plan, known)}
    with console.progress("steps", len(plan.jobs)) as advance:
        for number, job in enumerate(plan.jobs, 1):
            advance(number - 1, job.run.step.command)
            title = f"[{number}] {job.run.step.command}"
            if id(job) not in needed:
                _take(job, known, scratch)
                found.lines.append(f"{title}: there already, not made again")
                continue
            _run(job, places, scratch, os.path.abspath(folder) if plan.modules else "")
            wrong = [*_wrong(job, plan, scratch)]
            found.lines.append(f"{title}: " + (f"differs: {', '.join(wrong)}" if wrong else "the same"))
            if wrong and not found.first:
                found.first = title
                again = reading.read(Input(str(Folder(scratch, next(iter(job.outputs.values()))))))
                before, after = job.run.step, again.step
                lines = (*lineage.facts(before.versions, after.versions), *lineage.facts(before.machine, after.machine))
                found.facts = [line.strip().replace(" and ", ", here ") for line in lines]
    found.end = comparison.differences(original, Input(str(Folder(scratch, plan.made))))
    return found


@contextmanager
def abandoned(scratch: str) -> Iterator[None]:
    """Within, a signal that ends this process ends the command that runs too, and removes the folder."""

    def abandon() -> None:
        for child in _going:
            child.terminate()
        shutil.rmtree(scratch, ignore_errors=True)

    before_dying(abandon)
    yield


def _needed(plan: Plan, known: Mapping[str, str]) -> Iterator[Job]:
    """The jobs that have to run: the last one, and those before it whose files are not there."""
    waiting = [job for job in plan.jobs if plan.made in job.outputs.values()]
    while waiting:
        job = waiting.pop()
        yield job
        waiting += [each for each in parents(plan, job) if not {*each.run.outputs.values()} <= known.keys()]


def _take(job: Job, known: Mapping[str, str], scratch: str) -> None:
    """Links to files that are there, under the names that other jobs read."""
    for option, name in job.outputs.items():
        if (place := known.get(job.run.outputs[option])) is not None:
            os.symlink(os.path.abspath(place), Folder(scratch, name))


def _wrong(job: Job, plan: Plan, scratch: str) -> Iterator[str]:
    """What of a job is another than it was; what holds the time is compared only at the end."""
    for option, name in job.outputs.items():
        if comparison.is_timed(job.run.step.to(option)) or _reads_times(plan, job):
            continue
        sha256 = Input(str(Folder(scratch, name))).sha256
        if sha256 != job.run.outputs[option]:
            yield f"{option or 'output'} has SHA-256 {sha256[:12]}, not {job.run.outputs[option][:12]}"


def _reads_times(plan: Plan, job: Job) -> bool:
    """Whether something that holds the time is behind it."""
    read = {each.name for each in job.needs if isinstance(each, Path)}
    return any(
        _reads_times(plan, each)
        or any(comparison.is_timed(each.run.step.to(o)) for o, name in each.outputs.items() if name in read)
        for each in parents(plan, job)
    )


_going: list[subprocess.Popen[bytes]] = []  # the command that runs
_START = {"gencli": [sys.executable, "-m", "gencli"], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}


def _environment() -> dict[str, str]:
    """Ours, in which no variable sets an option."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GENCLI_")}


def _run(job: Job, places: Mapping[Outside, str], scratch: str, modules: str) -> None:
    def word(each: str | Place) -> str:
        if isinstance(each, Outside):
            return places[each]
        return each if isinstance(each, str) else f"./{each.name}"

    for place, name in job.copies:
        target = Folder(scratch, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = Folder(scratch, word(place))
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    words = [*map(word, job.words), *(["-o", f"./{job.outputs['']}"] if "" in job.outputs else [])]
    for option, name in (job.outputs | job.besides).items():
        words += [f"--{option.replace('_', '-')}", f"./{name}"] if option else []
    words[:1] = _START[words[0]]
    read = Folder(scratch, word(job.standard_input)) if job.standard_input else Folder(os.devnull)
    with read.open("rb") as file:  # the words are those of `words.Commands`, and no shell reads them
        pipe, nowhere, ours = subprocess.PIPE, subprocess.DEVNULL, _environment()
        if modules:
            ours["PYTHONPATH"] = os.pathsep.join(filter(None, (modules, ours.get("PYTHONPATH"))))
        child = subprocess.Popen(words, cwd=scratch, env=ours, stdin=file, stdout=nowhere, stderr=pipe)  # noqa: S603
    _going[:] = [child]
    _, told = child.communicate()
    _going.clear()
    made = all(Folder(scratch, name).exists() for name in job.outputs.values())
    if child.returncode not in (0, 1) and not (made and job.run.step.arguments.get("keep") is True):
        # 1 is a check that found something; with `fit kernel --keep` 2 is a tolerance that is not reached
        said = told.decode(errors="replace").strip().splitlines() or [""]
        wrong = next((line for line in said if line.startswith("gencli")), said[-1])
        raise GencliError(
            f"`{job.run.step.command}` fails here: {console.printable(wrong, 300)}", "see `gencli how` FILE"
        )
