"""`gencli corrupt`: damage a data set exactly. A kind is a class of `gencli.corruptions`, its fields the options."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from gencli.options import Data, Output, Seed, command, group

if TYPE_CHECKING:
    from gencli.corruptions import Corruption


class Kinds(TyperGroup):
    """The kinds as commands, read only when they are asked for: they need numpy, the main help does not."""

    def list_commands(self, ctx: Any) -> list[str]:
        from gencli.corruptions import KINDS

        if not self.commands:
            app = typer.Typer(rich_markup_mode=None)
            for kind in KINDS.values():
                _register(app, kind)
            self.commands = typer.main.get_group(app).commands
        return list(self.commands)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        self.list_commands(ctx)
        return super().get_command(ctx, cmd_name)


app = group("Damage a data set in exact, repeatable ways.", cls=Kinds)


def _register(app: typer.Typer, kind: type[Corruption]) -> None:
    def corrupt(corruption, data: Data = None, seed: Seed = 0, output: Output = None) -> None:  # type: ignore[no-untyped-def]
        _run(corruption, data, seed, output)

    corrupt.__annotations__["corruption"] = kind
    corrupt.__doc__ = inspect.getdoc(kind)
    command(app, kind.name)(corrupt)


def _run(corruption: Corruption, data: str | None, seed: int, output: str | None) -> None:
    from gencli import console, provenance, tables
    from gencli.corruptions import Corrupted
    from gencli.outputs import write_images
    from gencli.sources import open_table

    table = open_table(data)
    result = Corrupted(table, corruption, seed)
    made = asdict(corruption) | {"seed": seed}
    used = ["numpy", "pyarrow"]
    write_images(result, output, lambda: provenance.step(result.command, made, tables.sources(table, "data"), used))
    console.message(f"{corruption.name}: {result.summary()}")
