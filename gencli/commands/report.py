"""`gencli report`: tables and figures of histories and results."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    from gencli.options import command

    command(app, "report")(lambda: None)
