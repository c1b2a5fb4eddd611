"""`gencli check`: theorems as commands. A claim is a class of `gencli.theory`, its fields the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.common import Version
from gencli.cli.groups import KindGroup, group
from gencli.cli.options import Format, ResultOutput, Seed

if TYPE_CHECKING:
    from gencli.theory import All
    from gencli.theory.base import Claim

Break = Annotated[
    bool,
    typer.Option("--break", allow_from_autoenv=False, help="Break the claim on purpose: the check must fail."),
]


def check(
    kind: Claim | All, seed: Seed = 0, broken: Break = False, format: Format = None, output: ResultOutput = None
) -> None:
    """Checks a claim."""
    from gencli import machine, theory
    from gencli.cli import console, outputs
    from gencli.files import provenance, stream, tables, tensors
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.files.together import Together

    plot = getattr(kind, "plot", None)
    stream.require_writable(output, plot)
    require_one_standard_input(getattr(kind, "data", None), getattr(kind, "model", None))
    given = (getattr(kind, "data", None) or "", getattr(kind, "model", None) or "")
    table, named = named_first((given[0], lambda _: kind.table()), (given[1], lambda _: kind.files()))
    inputs = [*(table.inputs if table else []), *named.values()]

    def step() -> provenance.Step:
        made = theory.arguments(kind) | {"seed": seed, "break": broken, "threads": machine.cores()}  # of sums
        used = theory.packages(kind)
        sources = tables.sources(table, "data") if table else []
        for option, file in named.items():
            sources.append(provenance.source(option, file.sha256, tensors.read_metadata(file).get("step"), file.path))
        return provenance.step(f"check {kind.name}", made, sources, used)

    with Together() as places:
        write = outputs.open_result(places, output, format, inputs)
        draw = outputs.open_figure(places, plot, inputs)
        with console.progress("claims", len(kind.claims())) as advance:
            checked = theory.check(kind, table, seed, broken, advance)
        if draw:
            from gencli.theory import drawing

            draw(partial(drawing.image, checked.panels), step().to("plot"))
        form = format or outputs.result_format(output)
        rows = theory.worded(checked.rows) if form == "md" else checked.rows
        for page, title in theory.pages(kind, checked) if form == "table" else [(rows, "")]:
            write(page, step, title)
    console.message(checked.verdict(broken))
    if checked.false.num_rows:
        raise typer.Exit(1)


class Claims(KindGroup):
    """The claims as commands, and all of them together."""

    def kinds(self) -> Mapping[str, type]:
        from gencli import theory

        return theory.kinds()

    def run(self) -> Callable[..., None]:
        return check


def _list(value: bool) -> None:
    if value:
        from gencli.theory import CLAIMS, statement

        for name, claim in CLAIMS.items():
            print(f"{name:24}{statement(claim)}")
        raise typer.Exit


app = group("Check a theorem by computation; exit status 1 if it fails.", cls=Claims)


@app.callback()
def _options(
    claims: Annotated[
        bool,
        typer.Option(
            "--list",
            callback=_list,
            is_eager=True,
            allow_from_autoenv=False,
            help="List the claims with what they say, and exit.",
        ),
    ] = False,
    version: Version = False,
) -> None:
    pass
