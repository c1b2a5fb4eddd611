"""`gencli data`: bring data in as an image table, look at it, and take it out. One file a command."""

from __future__ import annotations

from importlib import import_module

import typer

from gencli.cli.options import LazyGroup, group
from gencli.commands.data import downloads

_PURPOSES = {name: source.purpose for name, source in downloads.SOURCES.items()} | {
    "digits": "Handwritten digits, 8x8, gray; no download.",
    "export": "Images for other tools: as hubs publish them, or files.",
    "folder": "Images in a folder a class, in any of 14 formats.",
    "parquet": "Parquet that others made, such as public hubs publish.",
    "repeat": "An image table several times over, for tests of scale.",
    "show": "What a table holds, by class, and a sheet of its images.",
    "synthetic": "Images made to order, whose truth is known.",
}


class Sources(LazyGroup):
    """The commands by name."""

    def purposes(self) -> dict[str, str]:
        return _PURPOSES

    def load(self, name: str) -> typer.Typer:
        if name in downloads.SOURCES:
            return downloads.app(name)
        return import_module(f"gencli.commands.data.{name}").app


app = group("Bring data in as an image table.", cls=Sources)
