"""`gencli recipe`: Makefiles that reproduce whole papers."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import command, single

app = single()


@command(app, "recipe")
def recipe(
    name: Annotated[
        Literal["course", "cui2019", "curvature", "demo", "noise2noise", "zhang2017"] | None,
        typer.Argument(metavar="NAME", help="Print the path of this recipe.", show_default=False),
    ] = None,
) -> None:
    """Makefiles that reproduce whole papers; lists them.

    Reads nothing; writes the recipes with a line each, or the path of one, for GNU make 4.3 or newer. All but demo
    take these variables, and `make -f ... help` says what each makes:

    \b
    SCALE    smoke, a minute on the embedded digits, the default; cpu, hours on
             two cores; full, as published
    DATA     folder of CIFAR-10 as Parquet, train*.parquet and test*.parquet;
             without one it is downloaded
    OUT      folder for what is made, last of it report.html
    OPTIONS  more options for every gencli train, as '--precision bf16'

    make -j2 runs two jobs at a time, each with half the cores. What is there already is not made again, and training
    that was interrupted goes on from where it was.

    \b
    Example:
      gencli recipe
      make -f "$(gencli recipe zhang2017)" help
      make -f "$(gencli recipe zhang2017)" -n -j2 OUT=zhang2017 SCALE=smoke
    """
    from gencli import recipes
    from gencli.files.stream import Output

    lines = [f"{each:13}{purpose}" for each, purpose in recipes.purposes().items()]
    with Output(None) as output:
        output.write("".join(f"{line}\n" for line in ([str(recipes.path(name))] if name else lines)).encode())
