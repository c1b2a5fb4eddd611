"""`gencli data`: bring data in as an image table, look at it, and take it out. One file a command."""

from __future__ import annotations

from importlib import import_module

import typer

from gencli.options import LazyGroup, group

_PURPOSES = {
    "digits": "Handwritten digits, 8x8, gray; no download.",
    "parquet": "Parquet that others made, such as public hubs publish.",
}


class Sources(LazyGroup):
    """The commands by name."""

    def purposes(self) -> dict[str, str]:
        return _PURPOSES

    def load(self, name: str) -> typer.Typer:
        return import_module(f"gencli.commands.data.{name}").app


app = group("Bring data in as an image table.", cls=Sources)
