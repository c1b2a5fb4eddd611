"""`gencli corrupt`: corrupt a data set. A kind is a class of `gencli.corruptions`, its fields the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.groups import KindGroup, group
from gencli.cli.options import Data, ImagesOutput

if TYPE_CHECKING:
    from gencli.corruptions import Corruption


Seed = Annotated[
    int,
    typer.Option(
        min=0,
        help="Random seed. A kind that is applied again draws new numbers, except on a table that another tool "
        "rewrote, which no longer records its steps: give another seed there, or the same noise is repeated.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="K/N", help="Process only part K of N, K from 0; the parts together equal the whole output."),
]


def corrupt(
    kind: Corruption, data: Data = None, seed: Seed = 0, shard: Shard = None, output: ImagesOutput = None
) -> None:
    """Applies a kind of corruption."""
    from gencli.cli import console
    from gencli.cli.outputs import own_part, say, write_images
    from gencli.corruptions import Corrupted
    from gencli.counts import parse_part
    from gencli.files import provenance
    from gencli.files.shards import titled
    from gencli.files.stream import require_writable
    from gencli.files.tables import rewritten
    from gencli.sources import open_table

    shard, output = own_part(shard, output)
    require_writable(output)
    part = parse_part(shard, "--shard")
    if data in (None, "-"):
        _ = kind.files  # a missing one costs no work of those before in the pipe
    table = open_table(data)
    if rewritten(table):
        console.message(
            f"{table.title}: another tool wrote it, and its steps are not recorded; "
            "a kind that was applied before draws the same numbers again unless --seed differs"
        )
    result = Corrupted(table, kind, seed, *part)
    made = kind.arguments() | {"seed": seed, "shard": shard}
    used = ["numpy", "pyarrow", *kind.packages]
    write_images(result, output, lambda: provenance.step(result.command, made, result.sources(), used))
    words, rows = result.report()
    say(rows, titled(f"{kind.name}: {words}", shard))


class Kinds(KindGroup):
    """The kinds of corruption as commands."""

    def kinds(self) -> Mapping[str, type]:
        from gencli.corruptions import KINDS

        return KINDS

    def run(self) -> Callable[..., None]:
        return corrupt


app = group("Corrupt a data set in precisely defined, repeatable ways.", cls=Kinds)
