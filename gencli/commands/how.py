"""`gencli how`: how a file was made, as a script that makes it again."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import command, single

app = single()


@command(app, "how")
def how(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that gencli wrote, or - for standard input.")],
    *,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow networks of your own, package.module:factory, to be imported.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: standard output."),
    ] = None,
) -> None:
    """Print the script that makes a file again, byte for byte.

    Reads any file that gencli wrote; writes a shell script. Run in an empty folder, it leaves the file under its own
    name: with the same versions, processor and number of threads the same bytes. What came from outside is looked for
    in the folder INPUTS, by default the one above, and its SHA-256 is checked before anything starts. A script holds
    nothing but commands of gencli, with options that this version has.

    \\b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.5 -o half.parquet
      gencli how half.parquet
    """
    import os

    from gencli.files.stream import Input, Output
    from gencli.replay import reading, shell
    from gencli.replay.graph import Graph
    from gencli.replay.plan import plan
    from gencli.replay.words import Commands

    source = Input(file)
    made = reading.read(source)
    name = os.path.basename(source.name) if source.path else "made"
    jobs = plan(Graph(made.step, source.sha256), name, made.form, Commands(context.find_root().command, trust))  # type: ignore[arg-type]
    with Output(output, [source]) as place:
        place.write(shell.script(jobs).encode(errors="surrogateescape"))
