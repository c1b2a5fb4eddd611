"""`gencli export`: what gencli makes, for other tools. One file per command."""

from __future__ import annotations

from importlib import import_module

import typer

from gencli.cli.groups import LazyGroup, group

_PURPOSES = {"model": "Export a model with its preprocessing, as ONNX or for torch.export."}


class Exports(LazyGroup):
    """The commands by name."""

    def purposes(self) -> dict[str, str]:
        return _PURPOSES

    def load(self, name: str) -> typer.Typer:
        return import_module(f"gencli.commands.export.{name}").app


app = group("Export models for other tools.", cls=Exports)
