"""A plan as a shell script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from gencli.cli import console
from gencli.replay.plan import NOWHERE, Job, Outside, Path, Place, Plan, Word

_WIDTH = 100
_HEAD = """\
#!/bin/sh
# Makes {name} again. Run it in an empty folder.
# What it was made with: {machine}.
{limits}(
set -eu
NEWLINE='
'
for each in $(env | sed -n 's/^\\(GENCLI_[A-Z_0-9]*\\)=.*/\\1/p'); do unset "$each"; done  # options are all said here
INPUTS=${{INPUTS:-..}}  # the folder of what comes from outside
"""
_EMPTY = """\
for each in * .[!.]* ..?*; do
  if { [ -e "$each" ] || [ -L "$each" ]; } && ! [ "$each" -ef "$0" ]; then
    printf '%s\\n' "$each: the folder is not empty" >&2
    exit 2
  fi
done
"""
CHECKS = """\
fail() { printf '%s\\n' "$1" >&2; exit 2; }
sha256() { if command -v sha256sum > /dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }
of_folder() {  # of what sha256sum prints of its arrays, or of its images, class by class
  export LC_ALL=C
  cd "$1" && if [ -e labels.npy ]; then sha256 *.npy; else for class in *; do
    if [ -d "$class" ]; then find -L "$class" -name '.*' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; fi
  done; fi | sha256
}
check() {
  [ -r "$1" ] || fail "$1: no such file; name the folder that holds it with INPUTS=DIR, or the file with $3=FILE"
  found=$(if [ -d "$1" ]; then of_folder "$1"; else sha256 < "$1"; fi | cut -d ' ' -f 1)
  [ "$found" = "$2" ] || fail "$1: SHA-256 $found, not $2"
}
"""  # functions of the shell; `checked` calls them


def script(plan: Plan) -> str:
    """A script for any POSIX shell that makes the file, and before that checks what it needs.

    What comes from outside is looked for in the folder INPUTS, by default the one above, or named by a variable each.
    """
    last = plan.jobs[-1].run.step
    machine = ", ".join(f"{name} {value}" for name, value in {**last.versions, **last.machine}.items())
    text = _HEAD.format(name=console.printable(plan.name), machine=console.printable(machine), limits=limits(plan))
    for each in plan.outside:
        name = variable(each)
        text += f'{name}=${{{name}:-}}; [ "${name}" ] || {name}=$INPUTS/{quoted(each.name)}\n'
    text += _EMPTY
    if plan.outside:
        text += CHECKS + "".join(f"{checked(each)}\n" for each in plan.outside)
    if plan.modules:
        facts = [fact for job in plan.jobs for fact in job.run.step.machine.items()]
        known = [value for name, value in facts if name == "network" or name.startswith("plug-in ")]
        said = f"; SHA-256 {', '.join(dict.fromkeys(known))}" if known else ""
        imported = ", ".join(plan.modules)
        text += f"# imports {console.printable(imported)}, which is looked for in INPUTS too{console.printable(said)}\n"
        text += 'PYTHONPATH=$(cd "$INPUTS" && pwd)${PYTHONPATH:+:$PYTHONPATH}\nexport PYTHONPATH\n'
    text += "\n" + "\n".join(_lines(plan))
    if plan.made != plan.name:
        text += f"\nmv {_path(plan.made)} {_path(plan.name)}"
    return text + "\n)\n"


def limits(plan: Plan) -> str:
    """Comments that say why other bytes may come out."""
    return "".join(f"# Its bytes may differ: {why}.\n" for why in plan.limits)


def _lines(plan: Plan) -> Iterator[str]:
    """The commands; those whose only reader is the next one are a pipe."""
    piped: list[str] = []
    for number, job in enumerate(plan.jobs):
        yield from prepared(job)
        following = plan.jobs[number + 1] if number + 1 < len(plan.jobs) else None
        line = _command(job, bool(piped))
        if following is not None and _is_piped(plan, job, following):
            piped.append(line)
            continue
        yield " |\n  ".join([*piped, f"{line}{_written(job)}"])
        piped = []


def checked(each: Outside) -> str:
    """The line that refuses another file than this one."""
    return f'check "${variable(each)}" {each.sha256} {variable(each)}'


def prepared(job: Job) -> Iterator[str]:
    """The lines that copy what a job reads, where it must have other names."""
    folders = dict.fromkeys(name.rpartition("/")[0] for _, name in job.copies)
    if folders:
        yield f"mkdir -p {' '.join(map(_path, folders))}"
    for place, name in job.copies:
        yield f"cp {word(place)} {_path(name)}"


def _is_piped(plan: Plan, job: Job, following: Job) -> bool:
    """Whether a job makes one thing, which only the next one reads, and that as its first argument."""
    made = Path(job.outputs.get("", ""))
    readers = [each for each in plan.jobs if made in each.needs]
    read = [number for number, each in enumerate(following.words) if isinstance(each, Outside | Path)]
    alone = set(job.outputs) == {""} and readers == [following] and not (following.copies or following.standard_input)
    alone &= "torchrun" not in (job.words[0], following.words[0])  # whose processes share no standard streams
    if not alone or not read or following.words.count(made) != 1 or following.words[read[0]] != made:
        return False
    return not str(following.words[read[0] - 1]).startswith("-")


def alone(job: Job) -> str:
    """The whole command line of a job, outside any pipe."""
    return f"{_command(job)}{_written(job)}"


def _command(job: Job, piped: bool = False) -> str:
    """The command line of a job, without its main output; `piped` gets what it reads first from a pipe."""
    words = [*job.words]
    if piped:
        words[next(number for number, each in enumerate(words) if isinstance(each, Path))] = "-"
    for option, name in (job.outputs | job.besides).items():
        if option:
            words += [f"--{option.replace('_', '-')}", Path(name)]
    return _wrapped([word(each) for each in words])


def _wrapped(words: list[str]) -> str:
    """The words in lines of a bearable length, where no word has lines of its own."""
    lines = [""]
    for each in words:
        if lines[-1] and len(lines[-1]) + len(each) > _WIDTH:
            lines.append("")
        lines[-1] += f" {each}" if lines[-1] else each
    return " \\\n    ".join(lines)


def _written(job: Job) -> str:
    """Where the main output goes, and what is read as standard input."""
    read = f" < {word(job.standard_input)}" if job.standard_input else ""
    main = job.outputs.get("")
    if main is None:
        return f"{read} > {NOWHERE}"
    kept = f" || [ -e {_path(main)} ]" if job.run.step.arguments.get("keep") is True else ""  # its status is 2
    return f"{read} -o {_path(main)}{kept}"


def word(each: Word | Place) -> str:
    """A word of a command line, quoted; what comes from outside as its variable."""
    if isinstance(each, Outside):
        return f'"${variable(each)}"'
    return _path(each.name) if isinstance(each, Path) else quoted(each)


def _path(name: str) -> str:
    """A file's name as no option and no standard stream."""
    return quoted(f"./{name}" if name.startswith("-") else name)


def quoted(text: str) -> str:
    """Text as one word of any POSIX shell, in which nothing steers a terminal or turns its text around."""
    parts = re.split(r"(\n)|([^ -~\n]+)", text)
    if len(parts) == 1 or text.isprintable():
        return shlex.quote(text)
    return "".join(_part(each) for each in parts if each)


def _part(text: str) -> str:
    if text == "\n":
        return '"$NEWLINE"'
    if text.isprintable():
        return shlex.quote(text)
    octal = "".join(f"\\{byte:03o}" for byte in text.encode(errors="surrogateescape"))
    return f"\"$(printf '{octal}')\""


def variable(each: Outside) -> str:
    """The name of the variable that holds its place."""
    return f"INPUT{each.number}"
