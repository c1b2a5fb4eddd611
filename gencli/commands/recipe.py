"""`gencli recipe`: Makefiles that reproduce whole papers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import command, single

app = single()


@command(app, "recipe")
def recipe(
    name: Annotated[
        Literal[
            "course",
            "cui2019",
            "curvature",
            "demo",
            "double-descent",
            "edge-of-stability",
            "measures",
            "memorization",
            "noise2noise",
            "why-random-labels",
            "zhang2017",
        ]
        | None,
        typer.Argument(metavar="NAME", help="Print the path of this recipe.", show_default=False),
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORDS...", help="For --engine: variables, as VARIABLE=VALUE, and targets.", show_default=False
        ),
    ] = None,
    *,
    engine: Annotated[
        Literal["make", "snakemake", "slurm"] | None,
        typer.Option(help="Write all jobs for this engine, which tells by content what is done."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: standard output.")
    ] = None,
) -> None:
    """List Makefiles that reproduce whole papers.

    Reads nothing; writes the list of recipes, one line per recipe, or the path of one, for GNU make 4.3 or newer. All
    except demo take these variables, and `make -f ... help` describes what a recipe makes:

    \b
    SCALE    smoke (default), a minute on the embedded digits; cpu, hours on
             two cores; full, as published
    DATA     folder of CIFAR-10 as Parquet, train*.parquet and test*.parquet;
             by default it is downloaded; memorization at cpu takes MNIST
    OUT      output folder; report.html is written last
    OPTIONS  more options for every gencli train, such as '--precision bf16'

    make -j2 runs two jobs at a time, each with half the cores. Existing results are not computed again, and interrupted
    training continues from its checkpoint.

    --engine writes the jobs of a recipe, as planned by make, for another engine: a Snakefile; a bash script that
    submits itself to Slurm, one array job per stage, with the sbatch options that follow it; or a makefile. The SHA-256
    of the files that a job read and made is recorded, and the job runs again only if one of them has changed, whatever
    their modification times.

    \b
    Example:
      gencli recipe
      make -f "$(gencli recipe zhang2017)" help
      make -f "$(gencli recipe zhang2017)" -n -j2 OUT=zhang2017 SCALE=smoke
      gencli recipe zhang2017 OUT=zhang2017 SCALE=smoke --engine snakemake -o Snakefile
      gencli recipe zhang2017 OUT=zhang2017 SCALE=smoke --engine slurm -o zhang2017.sh
    """
    from gencli import recipes
    from gencli.errors import GencliError
    from gencli.files import endings
    from gencli.files.stream import Output, require_writable
    from gencli.recipes import engines, jobs

    endings.TEXT.require("-o", output)
    require_writable(output)
    if engine is None and words:
        raise GencliError(f"{words[0]}: a path takes no variables", "give them to make, or to --engine")
    if engine is not None:
        if name is None:
            raise GencliError(f"--engine {engine}: of no recipe", "name one; gencli recipe lists them")
        write = {"make": engines.makefile, "snakemake": engines.snakefile, "slurm": engines.slurm}[engine]
        text = write(jobs.read(name, words or []))
        with Output(output) as place:
            place.write(text.encode())
        return
    known = recipes.purposes()
    lines = [f"{each:{max(map(len, known)) + 2}}{purpose}" for each, purpose in known.items()]
    with Output(output) as place:
        place.write("".join(f"{line}\n" for line in ([str(recipes.path(name))] if name else lines)).encode())
