"""The options that every command has, and what they set."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import typer
from typer.models import ParameterInfo

import gencli
from gencli import machine
from gencli.cli import console
from gencli.errors import GencliError

_LARGEST = (1 << 63) - 1


def _show_version(value: bool) -> None:
    if value:
        print(f"gencli {gencli.__version__}")
        raise typer.Exit


def _set_quiet(value: bool) -> None:
    console.quiet = value


def _set_verbose(value: bool) -> None:
    console.verbose = value


def _set_debug(value: bool) -> None:
    console.debug = value


def _set_color(value: str | None) -> None:
    console.color = value


def require_64_bits(option: str, value: int) -> None:
    """Refuses a number that no file holds."""
    if value > _LARGEST:
        raise GencliError(f"{option}: {value} takes more than 64 bits", "give a smaller number")


# other ways to set the number of threads: with them the order of sums is not that of the number that is recorded
_THREADS = (
    "GOTO_NUM_THREADS", "MKL_DOMAIN_NUM_THREADS", "MKL_DYNAMIC", "MKL_NUM_THREADS", "OMP_DYNAMIC",
    "OMP_MAX_ACTIVE_LEVELS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS",
)  # fmt: skip


def _set_threads(value: int | None) -> None:
    """By variables that numpy, pyarrow and torch read when they are loaded, which is later."""
    for name in _THREADS:
        os.environ.pop(name, None)
    if value is not None:
        require_64_bits("--threads", value)
        os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(value)


def early(words: Sequence[str]) -> None:
    """What --threads and --deterministic say, before code of a plug-in loads the libraries that heed them; --debug."""
    console.debug = "--debug" in words
    if "--deterministic" in words:
        machine.pin()
    early_threads(words)


def early_threads(words: Sequence[str]) -> None:
    """What --threads says, before kinds of a command load the libraries that heed it."""
    given = dict(pairwise(words)) | dict(word.split("=", 1) for word in words if "=" in word)
    threads = given.get("--threads") or os.environ.get("GENCLI_THREADS", "")
    _set_threads(int(threads) if threads.isascii() and threads.isdecimal() else None)


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_show_version,
        is_eager=True,
        allow_from_autoenv=False,  # others set GENCLI_VERSION to a version
        help="Print the version and exit.",
    ),
]
COMMON: dict[str, tuple[Any, Any]] = {
    "threads": (
        Annotated[
            int | None,
            typer.Option(
                min=1,
                envvar="GENCLI_THREADS",
                callback=_set_threads,
                show_default=False,
                help="Number of cores to use. Default: OMP_NUM_THREADS, or all.",
            ),
        ],
        None,
    ),
    "quiet": (
        Annotated[
            bool,
            typer.Option(
                "-q", "--quiet", envvar="GENCLI_QUIET", callback=_set_quiet, help="Print no messages except errors."
            ),
        ],
        False,
    ),
    "verbose": (
        Annotated[
            bool,
            typer.Option(
                "-v",
                "--verbose",
                envvar="GENCLI_VERBOSE",
                callback=_set_verbose,
                help="Print messages in full where standard error is no terminal.",
            ),
        ],
        False,
    ),
    "color": (
        Annotated[
            Literal["auto", "always", "never"],
            typer.Option(envvar="GENCLI_COLOR", callback=_set_color, help="Color tables and messages."),
        ],
        "auto",
    ),
    "plugin": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--plugin",
                envvar="GENCLI_PLUGIN",
                metavar="MODULE",
                help="Add the corruptions, networks, losses and claims of a module of your own; repeatable.",
            ),
        ],
        None,  # `plugins.begin` has loaded it: what there is depends on it
    ),
    "debug": (
        Annotated[
            bool,
            typer.Option("--debug", envvar="GENCLI_DEBUG", callback=_set_debug, is_eager=True, help="Show tracebacks."),
        ],
        False,
    ),
    "version": (Version, False),
}


def parameter(name: str, annotation: Any, default: Any, heading: str | None = None) -> inspect.Parameter:
    """An option as typer reads it, under a heading of the help."""
    if metadata := getattr(annotation, "__metadata__", ()):
        own = [copy.copy(info) for info in metadata]  # several commands share them
        for info in own:
            if isinstance(info, ParameterInfo):
                info.show_envvar = False  # the rule GENCLI_COMMAND_OPTION is said once, in the main help
                info.rich_help_panel = heading
        annotation = Annotated[annotation.__origin__, *own]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def common(of_group: bool = False) -> list[inspect.Parameter]:
    """The parameters of the options that all commands share; those of a group have no effect of their own."""
    made = [parameter(name, *kind) for name, kind in COMMON.items()]
    for info in (part for each in made for part in getattr(each.annotation, "__metadata__", ()) if of_group):
        if not info.is_eager or info.callback is _set_debug:
            info.callback = info.envvar = None
            info.allow_from_autoenv = False
    return made
