"""`gencli corrupt`: damage a data set exactly. A kind is a class of `gencli.corruptions`, its fields the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from gencli.options import Data, KindGroup, Output, Seed, group

if TYPE_CHECKING:
    from gencli.corruptions import Corruption


def corrupt(kind: Corruption, data: Data = None, seed: Seed = 0, output: Output = None) -> None:
    """Applies a kind of corruption."""
    from gencli import console, provenance, tables
    from gencli.corruptions import Corrupted
    from gencli.outputs import write_images
    from gencli.sources import open_table
    from gencli.stream import require_writable

    require_writable(output)
    table = open_table(data)
    result = Corrupted(table, kind, seed)
    made = asdict(kind) | {"seed": seed}
    used = ["numpy", "pyarrow"]
    write_images(result, output, lambda: provenance.step(result.command, made, tables.sources(table, "data"), used))
    console.message(f"{kind.name}: {result.summary()}")


class Kinds(KindGroup):
    """The kinds of corruption as commands."""

    def kinds(self) -> Mapping[str, type]:
        from gencli.corruptions import KINDS

        return KINDS

    def run(self) -> Callable[..., None]:
        return corrupt


app = group("Damage a data set in exact, repeatable ways.", cls=Kinds)
