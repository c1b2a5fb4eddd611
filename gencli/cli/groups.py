"""Groups of commands, loaded when they are called."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from gencli import strangers
from gencli.cli import suggestions
from gencli.cli.common import common
from gencli.cli.options import command, single
from gencli.errors import GencliError


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
        """The command of this name, imported only now; None where there is none."""
        if cmd_name not in self.purposes():
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = typer.main.get_command(self.load(cmd_name))
        return self.commands[cmd_name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words before a command; what is wrong with them is explained."""
        with suggestions.explained(self, ctx, args):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command, with the options before it as its own; `help COMMAND` is `COMMAND --help`."""
        if args[0] == "help" and ctx.parent is None:
            args = [*(word for word in args if word != "help"), "--help"]
            if len(args) == 1:
                print(ctx.get_help())
                raise typer.Exit
        if args[0] not in self.purposes():
            if not args[0].isprintable():
                return super().resolve_command(ctx, args)
            ctx.fail(f"No such command {args[0]!r}{suggestions.meant(self._near(ctx, args[0])) or '.'}")
        given = [word for each in self.params for word in _words(each, ctx)]
        return args[0], self.get_command(ctx, args[0]), [*given, *args[1:]]

    def _near(self, ctx: Any, word: str) -> list[str]:
        """The commands of this group that a word is like, or any that is called so, or is like it."""
        root = ctx.find_root()
        known = {name: path for name, path in root.command.paths(root, root.info_name) if name not in self.purposes()}
        own = [] if word in known else suggestions.alike(word, {name: name for name in self.purposes()})
        return own or ([known[word]] if word in known else suggestions.alike(word, known))

    def paths(self, ctx: Any, path: str) -> Iterator[tuple[str, str]]:
        """The name of each command below, and how it is called."""
        for name in self.purposes():
            yield name, f"{path} {name}"
            if isinstance(below := self.get_command(ctx, name), LazyGroup):
                yield from below.paths(ctx, f"{path} {name}")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The section of the help that lists them, importing none."""
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

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        kind = self.kinds().get(cmd_name)
        if kind is None or kind.__module__.startswith("gencli."):
            return super().get_command(ctx, cmd_name)
        with strangers.theirs(f"{cmd_name} of {kind.__module__}: its options fail", "they are its fields, as of ours"):
            made = super().get_command(ctx, cmd_name)
            flags = [flag for each in made.params for flag in (*each.opts, *each.secondary_opts)]
        if twice := [flag for flag in flags if flags.count(flag) > 1]:
            raise GencliError(f"{cmd_name} of {kind.__module__}: {twice[0]} is two options", "name its own differently")
        return made

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


def _words(option: Any, ctx: Any) -> list[str]:
    """An option that was given before the command, as it is given after it."""
    if getattr(ctx.get_parameter_source(option.name), "name", "") != "COMMANDLINE":
        return []
    if option.is_flag:
        return [option.opts[-1]]
    given = ctx.params[option.name]
    return [word for value in (given if option.multiple else [given]) for word in (option.opts[-1], str(value))]


def group(help: str, **settings: Any) -> typer.Typer:
    """An app for a command group. Its commands take the options before them; see `LazyGroup.resolve_command`."""
    app = typer.Typer(help=help, rich_markup_mode=None, add_completion=False, no_args_is_help=True, **settings)

    def options(**_: Any) -> None:
        pass

    options.__signature__ = inspect.Signature(common(of_group=True))  # type: ignore[attr-defined]
    app.callback()(options)
    return app
