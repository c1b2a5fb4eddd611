"""`gencli corrupt`: damage a data set exactly. A kind is a class of `gencli.corruptions`, its fields the options."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from gencli.options import Data, LazyGroup, Output, Seed, command, group, single

if TYPE_CHECKING:
    from gencli.corruptions import Corruption


class Kinds(LazyGroup):
    """The kinds of corruption as commands; they need numpy, which the main help does not."""

    def purposes(self) -> dict[str, str]:
        from gencli.corruptions import KINDS

        return {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in KINDS.items()}

    def load(self, name: str) -> typer.Typer:
        from gencli.corruptions import KINDS

        def corrupt(corruption, data: Data = None, seed: Seed = 0, output: Output = None) -> None:  # type: ignore[no-untyped-def]
            _run(corruption, data, seed, output)

        corrupt.__annotations__["corruption"] = KINDS[name]
        corrupt.__doc__ = inspect.getdoc(KINDS[name])
        app = single()
        command(app, name)(corrupt)
        return app


app = group("Damage a data set in exact, repeatable ways.", cls=Kinds)


def _run(corruption: Corruption, data: str | None, seed: int, output: str | None) -> None:
    from gencli import console, provenance, tables
    from gencli.corruptions import Corrupted
    from gencli.outputs import write_images
    from gencli.sources import open_table
    from gencli.stream import require_writable

    require_writable(output)
    table = open_table(data)
    result = Corrupted(table, corruption, seed)
    made = asdict(corruption) | {"seed": seed}
    used = ["numpy", "pyarrow"]
    write_images(result, output, lambda: provenance.step(result.command, made, tables.sources(table, "data"), used))
    console.message(f"{corruption.name}: {result.summary()}")
