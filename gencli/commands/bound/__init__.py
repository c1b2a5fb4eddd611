"""`gencli bound`: certificates of generalization. One file per command."""

from __future__ import annotations

from importlib import import_module

import typer

from gencli.cli.groups import LazyGroup, group

_PURPOSES = {
    "pac-bayes": "Bound the error of random weights by PAC-Bayes.",
    "compression": "Bound the error of a network in few bits.",
    "holdout": "Bound the error by rows that training never saw.",
    "verify": "Check a certificate again; exit status 1 if it is wrong.",
}


class Kinds(LazyGroup):
    """The commands by name."""

    def purposes(self) -> dict[str, str]:
        return _PURPOSES

    def load(self, name: str) -> typer.Typer:
        return import_module(f"gencli.commands.bound.{name.replace('-', '_')}").app


app = group("Bound the error rate on unseen rows, with certificates.", cls=Kinds)
