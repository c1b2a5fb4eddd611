"""A plan as a makefile, and as a Snakefile: one rule a job, in which the shell finds what it needs in variables."""

from __future__ import annotations

from collections.abc import Iterator

from gencli.cli import console
from gencli.errors import GencliError
from gencli.replay import shell
from gencli.replay.plan import Outside, Path, Plan

_MAKE = """\
# Makes {name} again: GNU make, in an empty folder; INPUTS is the folder of what comes from outside.
{limits}SHELL = /bin/sh
MAKEFLAGS += --no-builtin-rules
unexport $(filter GENCLI_%,$(.VARIABLES))
.DELETE_ON_ERROR:
.DEFAULT_GOAL := {target}
INPUTS ?= ..
define NEWLINE


endef
define CHECKS
{checks}
endef
export NEWLINE CHECKS
"""
_SNAKE = """\
# Makes {name} again: snakemake, in an empty folder; INPUTS is the folder of what comes from outside.
{limits}import os

for each in [each for each in os.environ if each.startswith("GENCLI_")]:
    del os.environ[each]
INPUTS = os.environ.get("INPUTS", "..")
os.environ["NEWLINE"] = "\\n"
os.environ["CHECKS"] = {checks!r}
"""


def makefile(plan: Plan) -> str:
    """A makefile for GNU make 4.3 or newer, whose default target is the file.

    Raises:
        GencliError: a name that make cannot hold.
    """
    text = _MAKE.format(
        name=console.printable(plan.name),
        target=_target(plan.name),
        checks=_dollars(shell.CHECKS),
        limits=shell.limits(plan),
    )
    for each in plan.outside:
        _target(each.name.replace("/", ""))
        text += f"export {shell.variable(each)} ?= $(INPUTS)/{each.name}\n"
    if plan.modules:
        text += "export PYTHONPATH := $(abspath $(INPUTS)):$(PYTHONPATH)\n"
    for made, needs, line in _rules(plan):
        grouped = " &:" if len(made) > 1 else ":"
        text += f"\n{' '.join(map(_target, made))}{grouped} {' '.join(map(_target, needs))}".rstrip()
        text += f"\n\t{_dollars(line)}\n"
    return text


def snakefile(plan: Plan) -> str:
    """A Snakefile, whose first rule's input is the file."""
    text = _SNAKE.format(name=console.printable(plan.name), checks=shell.CHECKS, limits=shell.limits(plan))
    for each in plan.outside:
        text += f"os.environ.setdefault({shell.variable(each)!r}, os.path.join(INPUTS, {each.name!r}))\n"
    if plan.modules:
        text += 'os.environ["PYTHONPATH"] = os.path.abspath(INPUTS) + ":" + os.environ.get("PYTHONPATH", "")\n'
    text += f"\nrule all:\n    input: {_braces(plan.name)!r}\n"
    for number, (made, needs, line) in enumerate(_rules(plan), 1):
        text += f"\nrule job_{number}:\n"
        text += f"    input: {', '.join(repr(_braces(each)) for each in needs)}\n" if needs else ""
        text += f"    output: {', '.join(repr(_braces(each)) for each in made)}\n    shell: {_braces(line)!r}\n"
    return text


def _rules(plan: Plan) -> Iterator[tuple[list[str], list[str], str]]:
    """What is made, of what, by which line of shell."""
    for each in plan.outside:
        mark = _checked(each)
        yield [mark], [], f'eval "$CHECKS"; {shell.checked(each)} && : > {mark}'
    for job in plan.jobs:
        needs = [_checked(each) if isinstance(each, Outside) else each.name for each in job.needs]
        yield [*job.outputs.values()], needs, " && ".join([*shell.prepared(job), shell.alone(job)])
    if plan.made != plan.name:
        yield [plan.name], [plan.made], f"cp {shell.word(Path(plan.made))} {shell.word(Path(plan.name))}"


def _checked(each: Outside) -> str:
    return f".checked-{each.number}"


def _dollars(line: str) -> str:
    return line.replace("$", "$$")


def _braces(text: str) -> str:
    """Text in which Snakemake replaces nothing."""
    return text.replace("{", "{{").replace("}", "}}")


def _target(name: str) -> str:
    if not name.isprintable() or set(name) & set(" :;#%$\\=&|*?[]~'\"<>()`!"):
        raise GencliError(f"{name!r:.80}: a name that make cannot hold", "take --format sh")
    return name
