"""Groups of commands, loaded when they are called."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from gencli.cli.options import Version, command, single


class LazyGroup(TyperGroup):
    """A command group whose commands are loaded when they are called: its help needs only names and purposes.

    Building all commands would take a third of the time of importing typer, and grow with every command.
    """

    @abstractmethod
    def purposes(self) -> Mapping[str, str]:
        """One line on each command, by name."""

    @abstractmethod
    def load(self, name: str) -> typer.Typer:
        """The app of a command."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.purposes())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        known = cmd_name in self.purposes()
        for name in [cmd_name] if known else self.purposes():  # all of them, so that the nearest can be named
            self.commands[name] = typer.main.get_command(self.load(name))
        return self.commands[cmd_name] if known else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.purposes().items()))


class KindGroup(LazyGroup):
    """A command group over kinds of one thing: dataclasses whose fields are options and whose docstrings are helps.

    They are loaded with the libraries they need, which the main help does without.
    """

    @abstractmethod
    def kinds(self) -> Mapping[str, type]:
        """The dataclasses by name."""

    @abstractmethod
    def run(self) -> Callable[..., None]:
        """What each command calls; its parameter `kind` is the dataclass with the options' values."""

    def purposes(self) -> Mapping[str, str]:
        return {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in self.kinds().items()}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """By family, where kinds have one."""
        families: dict[str, list[tuple[str, str]]] = {}
        for name, purpose in self.purposes().items():
            families.setdefault(getattr(self.kinds()[name], "family", "kinds"), []).append((name, purpose))
        for family, rows in families.items():
            with formatter.section(family.capitalize()):
                formatter.write_dl(rows)

    def load(self, name: str) -> typer.Typer:
        kind, run = self.kinds()[name], self.run()

        @functools.wraps(run)
        def function(**values: Any) -> None:
            run(**values)

        function.__annotations__ = run.__annotations__ | {"kind": kind}
        function.__doc__ = inspect.getdoc(kind)
        app = single()
        why = {"alone": kind.alone} if hasattr(kind, "alone") else {}  # pyright: ignore[reportAttributeAccessIssue]
        command(app, name, **why)(function)
        return app


def group(help: str, **settings: Any) -> typer.Typer:
    """An app for a command group."""
    app = typer.Typer(help=help, rich_markup_mode=None, add_completion=False, no_args_is_help=True, **settings)

    @app.callback()
    def options(version: Version = False) -> None:
        pass

    return app
