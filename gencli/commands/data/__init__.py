"""`gencli data`: load data as an image table, inspect it, and export it. One file per command."""

from __future__ import annotations

from importlib import import_module

import typer

from gencli.cli.groups import LazyGroup, group
from gencli.commands.data import downloads

_PURPOSES = {name: source.purpose for name, source in downloads.SOURCES.items()} | {
    "arrays": "Load images and labels from NumPy's and PyTorch's files.",
    "csv": "Load images that a CSV file lists with their labels.",
    "digits": "Load handwritten digits, 8x8, gray; no download.",
    "export": "Export images for other tools, as Parquet or as files.",
    "folder": "Load images from one folder per class, in any of 14 formats.",
    "parquet": "Load Parquet from other tools, such as public hubs.",
    "repeat": "Repeat an image table several times, for tests of scale.",
    "synthetic": "Generate images whose true distribution is known.",
    "webdataset": "Load shards of webdataset: samples in tar files.",
    "where": "Keep the rows for which an SQL condition holds.",
}


class Sources(LazyGroup):
    """The commands by name."""

    def purposes(self) -> dict[str, str]:
        return _PURPOSES

    def load(self, name: str) -> typer.Typer:
        if name in downloads.SOURCES:
            return downloads.app(name)
        return import_module(f"gencli.commands.data.{name}").app


app = group("Load data as an image table.", cls=Sources)
