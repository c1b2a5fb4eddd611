"""The jobs of a recipe: what its Makefile would run, what each job reads and makes, as make itself tells.

`make -n --trace -p` prints every command that would run, below the target that it makes, and then all rules with their
prerequisites; so a recipe is written once, for all engines.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gencli import recipes
from gencli.errors import GencliError

_TRACE = re.compile(r"\S+:\d+: (?:update )?target '(.+?)' (?:due to:|does not exist)")
_RULE = re.compile(r"([^#%\s:=]+):(?!=) ?([^=]*)")
# options of a command that name what it makes
_MADE = {
    "-o", "--output", "--history", "--dynamics", "--density", "--along", "--figure", "--influence", "--energy",
    "--descent", "--graph", "--predictions", ">",
}  # fmt: skip
_HEAVY = re.compile(r"\bgencli (train|fit|score|spectrum|hvp|jacobian|bound|check) ")


@dataclass(eq=False)
class Job:
    """What makes some files.

    Attributes:
        name: the path of the first of them in the output folder; of what is only shown, its target's.
        command: for bash, in one line.
        outputs: the files; none of what is only shown.
        needs: the files that it reads, made by other jobs or from elsewhere.
        after: the jobs that come before it.
    """

    name: str
    command: str
    outputs: list[str]
    needs: list[str] = field(default_factory=list)
    after: list[Job] = field(default_factory=list)

    @property
    def said(self) -> str:
        """A hash of the command and the names of its files."""
        return hashlib.sha256("\n".join([self.command, *self.needs, "--", *self.outputs]).encode()).hexdigest()

    @property
    def light(self) -> bool:
        """Whether it takes seconds, as what reads, corrupts and reports does."""
        return not _HEAVY.search(self.command)

    @cached_property
    def stage(self) -> int:
        """How many jobs follow each other before it, at most."""
        return max((each.stage + 1 for each in self.after), default=0)


@dataclass
class Grid:
    """All jobs of a recipe, in an order in which they can run.

    Attributes:
        words: what make was told.
        out: the output folder.
    """

    name: str
    words: list[str]
    out: str
    jobs: list[Job]


def read(name: str, words: Sequence[str]) -> Grid:
    """The jobs that make would run for these variables and targets, as if nothing was done.

    Raises:
        GencliError: what make says is wrong, or there is no make.
    """
    planned, _, database = _made(name, words).partition("\n# Make data base")
    out = next(iter(re.findall(r"^OUT [:?]?= (.*)$", database, re.MULTILINE)), "")
    rules = dict(_rules(database))
    jobs: list[Job] = []
    commands = dict(_commands(planned))
    for target, command in commands.items():
        needs, phony = rules[target]
        made = [word for word in _made_by(command, rules) if word.startswith(f"{out}/") and word not in commands]
        outputs = [] if phony else list(dict.fromkeys([target, *made]))
        jobs.append(Job((outputs or [target])[0].removeprefix(f"{out}/"), command, outputs, needs))
    makers = {output: job for job in jobs for output in job.outputs}
    folder = next((word[5:] for word in words if word.startswith("DATA=")), "")
    for job in jobs:
        words_of = _words(job.command)
        needs = dict.fromkeys([*job.needs, *(word for word in words_of if word in makers)])
        job.after = [makers[each] for each in dict.fromkeys(map(_plain, needs)) if each in makers]
        job.after = list(dict.fromkeys(each for each in job.after if each is not job))
        outside = [word for word in words_of if word.startswith(recipes.folder())]
        if folder and f"gencli data parquet {folder} " in job.command:
            outside += sorted(glob.glob(f"{glob.escape(folder)}/*.parquet"))
        mine = [each for each in needs if each in makers and makers[each] is not job]
        job.needs = list(dict.fromkeys([*mine, *outside]))
    return Grid(name, list(words), out, jobs)


def _plain(need: str) -> str:
    return need.removeprefix("|")


def _made(name: str, words: Sequence[str]) -> str:
    make = shutil.which("gmake") or shutil.which("make")
    if make is None:
        raise GencliError("there is no make, which tells what a recipe runs", "install GNU make 4.3 or newer")
    command = [make, "-pnB", "--trace", "--no-print-directory", "-f", str(recipes.path(name)), *words]
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    told = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | {"LC_ALL": "C"})  # noqa: S603
    if told.returncode:
        line = next((each for each in told.stderr.splitlines() if "***" in each), told.stderr.strip() or "make failed")
        raise GencliError(
            re.sub(r"^.*\*\*\* (\[\S+\] )?|\s*Stop\.$", "", line),
            f'make -f "$(gencli recipe {name})" help tells variables and targets',
        )
    return told.stdout


def _commands(planned: str) -> Iterator[tuple[str, str]]:
    """Each target and the lines of its recipe as one, without those that go on in the next."""
    target, lines = "", list[str]()
    for line in planned.partition("\n# GNU Make ")[0].replace("\\\n", " ").splitlines():
        known = _TRACE.match(line)
        if known is None:
            lines += [line.strip().rstrip(";")] if target else []
            continue
        if lines:
            yield target, "; ".join(lines)
        target, lines = known[1], []
    if lines:
        yield target, "; ".join(lines)


def _rules(database: str) -> Iterator[tuple[str, tuple[list[str], bool]]]:
    """Each target's prerequisites, those whose time does not count with `|` before them, and whether it is no file."""
    for block in database.split("\n\n"):
        for known in filter(None, map(_RULE.fullmatch, block.splitlines())):
            normal, _, order = known[2].partition("|")
            needs = [*normal.split(), *(f"|{each}" for each in order.split())]
            yield known[1], (needs, "Phony target" in block)


def _words(command: str) -> list[str]:
    """The words of a command line, for all that shell has between them."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    return [*words]


def _made_by(command: str, known: Iterable[str]) -> Iterator[str]:
    """What options of a command name as its outputs; of a name with braces all that are known of its form."""
    words = _words(command)
    for before, word in itertools.pairwise(words):
        if before in _MADE and "{" in word:
            form = re.sub(r"\\\{[^}]*\}", "[^/]+", re.escape(word))
            yield from sorted(each for each in known if re.fullmatch(form, each))
        elif before in _MADE:
            yield word
