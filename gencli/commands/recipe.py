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

    \b
    Example:
      gencli recipe
      make -f "$(gencli recipe zhang2017)" help
      make -f "$(gencli recipe zhang2017)" -n -j2 OUT=zhang2017 SCALE=smoke
    """
    from gencli import recipes
    from gencli.files.stream import Output

    known = recipes.purposes()
    lines = [f"{each:{max(map(len, known)) + 2}}{purpose}" for each, purpose in known.items()]
    with Output(None) as output:
        output.write("".join(f"{line}\n" for line in ([str(recipes.path(name))] if name else lines)).encode())
