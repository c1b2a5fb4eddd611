"""A recipe's jobs for make, Snakemake and Slurm, which know by content what is done.

A job leaves a record in OUT/.done, a file of sha256sum's: a hash of its command, and those of what it read and made.
What its record is true of is not made again, whatever the times of files are; a record that is not true is put aside
before anything starts. Records are what the engines see of the jobs.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from gencli.recipes.jobs import Grid, Job

GUARD = r"""
hash_of() { if command -v sha256sum > /dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }
# whether a record is of this command, and what it read and made is as it was
is_true() { [ "$(head -n 1 "$1" 2> /dev/null)" = "# $2" ] && hash_of --check --status "$1" 2> /dev/null; }
verify() {
  local record said
  while read -r record said; do
    if [ -e "$record" ] && ! is_true "$record" "$said"; then mv "$record" "$record.old"; fi
  done <<< "$RECORDS"
}
# job RECORD HASH COMMAND READS... -- MAKES...
job() {
  local record=$1 said=$2 command=$3 reads=() makes each before status=0
  shift 3
  while [ "$1" != -- ]; do reads+=("$1"); shift; done
  shift
  makes=("$@")
  for each in "${reads[@]}"; do
    if ! [ -e "$each" ]; then printf '%s\n' "$each: was not made" >&2; return 2; fi
  done
  if ! [ -e "$record" ] && [ -e "$record.old" ]; then mv "$record.old" "$record"; fi  # it may be true again by now
  if is_true "$record" "$said"; then touch "$record"; return; fi
  rm -f "$record" "$record.old"
  for each in "$record" "${makes[@]}"; do mkdir -p "$(dirname "$each")"; done
  before=$(if [ ${#reads[@]} -gt 0 ]; then hash_of "${reads[@]}"; fi) || return
  bash -euo pipefail -c "$command" || status=$?
  if [ $status -ne 0 ]; then rm -f "${makes[@]}"; return $status; fi
  {
    printf '# %s\n' "$said"
    [ -z "$before" ] || printf '%s\n' "$before"
    for each in "${makes[@]}"; do if [ -e "$each" ]; then hash_of "$each" || return; fi; done
  } > "$record.new" && mv "$record.new" "$record"
}
""".strip()  # functions of bash

_MAKE = """\
# {title}: GNU make 4.3 or newer; make -j2 runs two jobs at a time, each with half the cores.
SHELL := bash
.DEFAULT_GOAL := all
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu)
JOBS = $(or $(patsubst -j%,%,$(firstword $(filter -j%,$(MAKEFLAGS)))),$(if $(filter -j,$(MAKEFLAGS)),$(CORES),1))
export OMP_NUM_THREADS = $(shell echo $$(( $(CORES) > $(JOBS) ? $(CORES) / $(JOBS) : 1 )))
define GUARD
{guard}
endef
export GUARD
.PHONY: all looked-at
all: {goals}
"""
_SNAKE = """\
# {title}: snakemake 9 or newer; --cores 8 --config threads=2 runs four jobs at a time.
import os
import subprocess

os.environ["GUARD"] = {guard!r}
os.environ["RECORDS"] = {records!r}
if workflow.is_main_process:
    subprocess.run(["bash", "-c", 'eval "$GUARD"; verify'], check=True)
THREADS = int(config.get("threads", 1))

rule all:
    input: {goals}
"""
_SLURM = """\
#!/bin/bash
# {title}: bash FILE [OPTIONS of sbatch, such as --partition=gpu --gres=gpu:1 --time=4:00:00 --cpus-per-task=4]
# submits what is not done, an array a stage; after a failure or a time limit the same command submits the rest.
#SBATCH --job-name={name}
#SBATCH --requeue
#SBATCH --open-mode=append
# shellcheck disable=SC2016 # commands are expanded by the shell that runs them
set -euo pipefail
RECORDS={records}
{guard}

task() {{
  local status=0
  case $1 in
{cases}
  *) printf '%s\\n' "$1: no such task" >&2; status=2 ;;
  esac
  return $status
}}

if [ -n "${{SLURM_ARRAY_TASK_ID:-}}" ]; then
  export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
  task "$SLURM_ARRAY_TASK_ID"
  exit
fi

# the tasks of each stage, and of each task the records that it leaves and the tasks that it waits for
STAGES=({stages})
LEAVES=({leaves})
WAITS=({waits})
mkdir -p {logs}
verify
waiting=() previous=
for stage in "${{STAGES[@]}}"; do
  tasks=
  for task in $stage; do
    for record in ${{LEAVES[task]}}; do
      [ -e "$record" ] || waiting[task]=1
    done
    for before in ${{WAITS[task]}}; do
      [ -z "${{waiting[before]:-}}" ] || waiting[task]=1
    done
    [ -z "${{waiting[task]:-}}" ] || tasks+=${{tasks:+,}}$task
  done
  [ -n "$tasks" ] || continue
  previous=$(sbatch --parsable --array="$tasks" ${{previous:+--dependency=afterany:"${{previous%%;*}}"}} \\
    --output={logs}/%A_%a.log "$@" "$0")
  printf '%s\\n' "${{previous%%;*}}: tasks $tasks"
done
[ -n "$previous" ] || printf '%s\\n' 'all is done'
"""


def makefile(grid: Grid) -> str:
    """A makefile for GNU make 4.3 or newer, which looks at every job, whatever the times of files are."""
    text = _MAKE.format(title=_title(grid), guard=_dollars(GUARD), goals=" ".join(_goals(grid)))
    for each in grid.jobs:
        needs = " ".join([*(_record(grid, before) for before in each.after), *_outside(grid, each), "looked-at"])
        if each.outputs:
            text += f"\n{_record(grid, each)}: {needs}\n\t@{_dollars(_guarded(grid, each))}\n"
        else:
            text += f"\nall: {each.name}\n{each.name}: {needs}\n\t@{_dollars(_direct(grid, each))}\n"
    return text


def snakefile(grid: Grid) -> str:
    """A Snakefile, whose first rule's input are the records of all that is asked for."""
    goals = ", ".join(map(repr, _goals(grid)))
    text = _SNAKE.format(title=_title(grid), guard=GUARD, records=_records(grid), goals=goals)
    shown = "; ".join(each.command for each in grid.jobs if not each.outputs)
    text += f"    shell: {_braces(shown)!r}\n" if shown else ""
    for number, each in enumerate(grid.jobs, 1):
        if each.outputs:
            needs = [*(_record(grid, before) for before in each.after), *_outside(grid, each)]
            text += f"\nrule job_{number}: # {each.name}\n"
            text += f"    input: {', '.join(map(repr, needs))}\n" if needs else ""
            text += f"    output: update({_record(grid, each)!r})\n    threads: THREADS\n"
            text += f"    shell: {_braces(_guarded(grid, each))!r}\n"
    return text


def slurm(grid: Grid) -> str:
    """A script of bash that submits itself, one array a stage; what takes seconds is one task of its stage."""
    tasks = [*_tasks(grid)]
    of = {id(job): number for number, task in enumerate(tasks) for job in task}
    lines = ["".join(f"\n    {_direct(grid, each)} || status=$?" for each in task) for task in tasks]
    cases = [f"  {number}){line} ;;" for number, line in enumerate(lines)]
    stages = [[number for number, task in enumerate(tasks) if task[0].stage == stage] for stage in _stages(grid)]
    leaves = [[_record(grid, each) for each in task if each.outputs] for task in tasks]
    waits = [sorted({of[id(before)] for each in task for before in each.after}) for task in tasks]
    return _SLURM.format(
        title=_title(grid), name=grid.name, records=shlex.quote(_records(grid)), guard=GUARD, cases="\n".join(cases),
        stages=_list(stages), leaves=_list(leaves), waits=_list(waits), logs=f"{grid.out}/slurm",
    )  # fmt: skip


def _stages(grid: Grid) -> list[int]:
    return sorted({each.stage for each in grid.jobs})


def _tasks(grid: Grid) -> Iterator[list[Job]]:
    for stage in _stages(grid):
        light = [each for each in grid.jobs if each.stage == stage and each.light]
        yield from filter(None, [light])
        yield from ([each] for each in grid.jobs if each.stage == stage and not each.light)


def _list(rows: list[list[int]] | list[list[str]]) -> str:
    return " ".join(f'"{" ".join(map(str, row))}"' for row in rows)


def _title(grid: Grid) -> str:
    return f"The recipe {' '.join([grid.name, *grid.words])}"


def _record(grid: Grid, job: Job) -> str:
    return str(PurePosixPath(grid.out, ".done", f"{job.name}.sha256"))


def _records(grid: Grid) -> str:
    return "\n".join(f"{_record(grid, each)} {each.said}" for each in grid.jobs if each.outputs)


def _goals(grid: Grid) -> list[str]:
    """The records that no other job waits for."""
    before = {id(each) for job in grid.jobs if job.outputs for each in job.after}
    return [_record(grid, each) for each in grid.jobs if each.outputs and id(each) not in before]


def _outside(grid: Grid, job: Job) -> list[str]:
    """What it reads that no job makes."""
    made = {output for each in grid.jobs for output in each.outputs}
    return [each for each in job.needs if each not in made]


def _direct(grid: Grid, job: Job) -> str:
    """The line of bash that runs a job unless it is done."""
    if not job.outputs:
        return f"bash -euo pipefail -c {shlex.quote(job.command)}"
    words = [_record(grid, job), job.said, job.command, *job.needs, "--", *job.outputs]
    return f"job {' '.join(map(shlex.quote, words))}"


def _guarded(grid: Grid, job: Job) -> str:
    return f'eval "$GUARD"; {_direct(grid, job)}'


def _dollars(text: str) -> str:
    return text.replace("$", "$$")


def _braces(text: str) -> str:
    """Text in which Snakemake replaces nothing."""
    return text.replace("{", "{{").replace("}", "}}")
