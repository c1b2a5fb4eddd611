"""`gencli how`: how a file was made, as a script that makes it again, and whether it would come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gencli.cli.options import command, single

if TYPE_CHECKING:
    from gencli.replay.graph import Graph
    from gencli.replay.plan import Plan
    from gencli.replay.reading import Made

app = single()


@command(app, "how")
def how(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that gencli wrote, or - for standard input.")],
    *,
    tree: Annotated[bool, typer.Option("--tree", help="Print the steps behind the file as a tree instead.")] = False,
    diff: Annotated[
        str | None,
        typer.Option(metavar="OTHER", help="Print the first steps at which OTHER was made differently; exit status 1."),
    ] = None,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="List the steps that would come out differently here; exit status 1 if any."),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Make the file again, aside; exit status 1 if it differs.")
    ] = False,
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of the files that are not made again, for --stale and --check. Default: the current one.",
        ),
    ] = None,
    form: Annotated[
        Literal["sh", "make", "snakemake", "ro-crate"],
        typer.Option("--format", help="A shell script, a makefile, a Snakefile, or ro-crate-metadata.json."),
    ] = "sh",
    license: Annotated[
        str | None, typer.Option(metavar="NAME", help="For ro-crate: its license, an SPDX identifier or an address.")
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Allow plug-ins and your own networks (package.module:factory) to be imported."),
    ] = False,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: standard output.")
    ] = None,
) -> None:
    """Print the script that makes a file again, byte for byte.

    Reads any file that gencli wrote; writes a shell script. Run in an empty folder, it leaves the file under its own
    name: the same bytes, where versions, processor and threads are the same; of a training history all but the times.
    Files that gencli did not make are looked for in the folder INPUTS, by default the parent folder, or named one by
    one with INPUT1, INPUT2, ...; their SHA-256 is checked before anything starts. A script holds nothing but commands
    of gencli with options that this version has.

    --check compares every intermediate file too. It names the first step that differs, the recorded facts (versions,
    processor, threads) in which it differs from this machine, and where and by how much the file itself differs.
    --format ro-crate writes a Workflow Run RO-Crate, for a folder that holds the file and the script as make.sh.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.5 -o half.parquet
      gencli how half.parquet > make.sh
      gencli how half.parquet --tree
      gencli how half.parquet --check
    """
    from gencli.errors import GencliError
    from gencli.files import endings
    from gencli.files.stream import Input, Output, require_writable
    from gencli.replay import lineage, reading
    from gencli.replay.graph import Graph

    asked = {"--tree": tree, "--diff": diff, "--stale": stale, "--check": check, "--format": form != "sh"}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        raise GencliError(f"{given[0]} and {given[1]} do not go together", "leave one out")
    if inputs is not None and not (stale or check):
        raise GencliError("--inputs: nothing is looked for", "it is for --stale and --check; a script takes INPUTS")
    if license is not None and form != "ro-crate":
        raise GencliError("--license: only a crate has one", "it is for --format ro-crate")
    (endings.CRATE if form == "ro-crate" else endings.TEXT).require("-o", output)
    require_writable(output)
    made = reading.read(Input(file))
    graph = Graph(made.step, made.source.sha256)
    if tree:
        text, same = "".join(f"{line}\n" for line in lineage.tree(graph, made.name)), True
    elif diff is not None:
        other = reading.read(Input(diff))
        lines = [*lineage.partings(made.step, other.step)]
        lines = lines or ["made alike, yet their bytes differ"] * (made.source.sha256 != other.source.sha256)
        text, same = "".join(f"{line}\n" for line in lines), not lines
    elif stale or check:
        text, same = _compared(_planned(context, graph, made, trust, inputs), graph, made, inputs or ".", check)
    else:
        text, same = _written(_planned(context, graph, made, trust), made, form, license), True
    with Output(output, [made.source]) as place:
        place.write(text.encode(errors="surrogateescape"))
    if not same:
        raise typer.Exit(1)


def _planned(context: typer.Context, graph: Graph, made: Made, trust: bool, folder: str | None = None) -> Plan:
    from gencli.replay.plan import plan
    from gencli.replay.words import Commands

    commands = Commands(context.find_root().command, trust, graph.runs, folder)  # type: ignore[arg-type]
    return plan(graph, made.name, made.form, commands)


def _written(plan: Plan, made: Made, form: str, license: str | None) -> str:
    import datetime
    import os

    from gencli.replay import crate, make, shell

    if form == "ro-crate":
        changed = datetime.datetime.fromtimestamp(os.fstat(made.source.file.fileno()).st_mtime, datetime.UTC)
        return crate.crate(plan, made.source.sha256, changed.date().isoformat(), license)
    return {"sh": shell.script, "make": make.makefile, "snakemake": make.snakefile}[form](plan)


def _compared(plan: Plan, graph: Graph, made: Made, folder: str, run: bool) -> tuple[str, bool]:
    import tempfile

    from gencli.replay import checking, inputs
    from gencli.replay import stale as staleness

    known = inputs.hashes(folder)
    if not run:
        there = {each.number: sha256 for each, _, sha256 in inputs.found(plan.outside, folder, known)}
        here = {id(file): there[number] for number, file in enumerate(graph.outside, 1)}
        found = [*staleness.reasons(graph, here)]
        return "".join(
            f"[{number}] {command}:\n" + "".join(f"  {why}\n" for why in reasons) for number, command, reasons in found
        ), not found
    places = inputs.required(plan.outside, folder, known)
    known.pop(made.source.sha256, None)
    with tempfile.TemporaryDirectory(prefix="gencli-how-") as scratch, checking.abandoned(scratch):
        checked = checking.check(plan, made.source, places, known, scratch, folder)
    return "".join(f"{line}\n" for line in checked.text(plan.name)), checked.same
