"""Code that is not ours, which a command line names: it prints to standard error, and what it raises is its own."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import NoReturn

from gencli.cli import stdout
from gencli.errors import GencliError, require_enough

_LONGEST = 300  # characters of an error's text
_OWN = "that code is not gencli's; --debug shows where it failed"
_known: frozenset[str] = frozenset()  # what was loaded before a network: ours, and the libraries that we use
_network = ""  # as module:function
_plugins: dict[str, ModuleType] = {}
_leave = os._exit


class _Left(SystemExit):
    """Code that was admitted calls os._exit, and would end the command with a status of its own and no result."""


def load(module: str, network: str = "") -> ModuleType:
    """Imports code that the command line names: a plug-in, or the module of a network.

    It is looked up among what is installed, and then in the current folder.

    Args:
        network: what the command line calls it, as module:function.

    Raises:
        GencliError: there is no such module, or its import fails.
    """
    title = f"--arch: importing {module}" if network else f"plug-in {module}: importing it"
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    _admit(module, network)
    try:
        with theirs(f"{title} fails", _OWN), stdout.lent():
            imported = importlib.import_module(module)
    except GencliError as error:
        _plugins.pop(module, None)
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError) and missing.name and f"{module}.".startswith(f"{missing.name}."):
            hint = "modules are looked up among installed packages and in the current folder"
            raise GencliError(f"{title.partition(':')[0]}: no module {missing.name!r}", hint) from None
        raise
    if not network:
        _plugins[module] = imported
    return imported


def _admit(module: str, network: str) -> None:
    """Before code is imported."""
    global _known, _network  # noqa: PLW0603
    if not network:
        _plugins[module] = ModuleType(module)  # so that errors of its import are its own
    elif not _network:
        _known = frozenset(map(_top, sys.modules)) - {"__main__", *map(_top, _plugins)} | sys.stdlib_module_names
    _network = network or _network
    ours = os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() == ours:
            raise _Left(status)
        _leave(status)  # processes that it started end as they like

    os._exit = leave


def run() -> None:
    """Before code that was loaded runs in a command: what it prints is no result."""
    if _network or _plugins:
        stdout.leave_to_strangers()


def loaded() -> dict[str, ModuleType]:
    """The modules that were loaded, as `network` and `plug-in NAME`."""
    network = sys.modules.get(_network.partition(":")[0])
    found = {"network": network} if network else {}
    return found | {f"plug-in {name}": module for name, module in _plugins.items()}


def plugins() -> list[str]:
    """The names of the plug-ins that were loaded."""
    return [*_plugins]


def dismiss() -> None:
    """Once a command's result is written, processes end as they like."""
    os._exit = _leave


@contextmanager
def theirs(what: str, hint: str) -> Iterator[None]:
    """Within this context, any exception, also an exit, is an error of code that is not ours."""
    try:
        yield
    except (KeyboardInterrupt, MemoryError, GencliError):
        raise
    except BaseException as error:
        require_enough(error)
        raise GencliError(f"{what}: {words(error)}", hint) from error


def words(error: BaseException) -> str:
    """Kind and text of an error on one line, and the line of the code that was admitted, if it came from there."""
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    if isinstance(error, SystemExit):
        said = f"it calls {'os._exit' if isinstance(error, _Left) else 'sys.exit'}({text})"
    else:
        said = type(error).__name__ + (f": {text[:_LONGEST]}" if text else "")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{said} ({error.filename}, line {error.lineno})"
    return f"{said} ({where})" if (where := _where(error)[1]) else said


def explained(error: BaseException) -> GencliError | None:
    """An unexpected error as a message, if code that was admitted raised it or made torch raise it."""
    name, where = _where(error)
    if where:
        return GencliError(f"{name} fails: {words(error)}", "its own code raises the error; --debug shows where")
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if _network and (isinstance(error, RuntimeError) or (frames and _top(_module(frames[-1])) == "torch")):
        return GencliError(
            f"--arch: {_network}: torch fails on it: {words(error)}", "check its operations; --debug shows where"
        )
    return None


def _where(error: BaseException) -> tuple[str, str]:
    """Whose code raised an error, and its deepest line of that code, of its own package if there is one."""
    names = {_top(name): f"plug-in {name}" for name in _plugins}
    names |= {_top(_network.partition(":")[0]): f"--arch: {_network}"} if _network else {}
    all_frames = [(frame, line, _top(_module(frame))) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [each for each in all_frames if each[2] in names]
    others = [each for each in all_frames if each[2] not in _known] if _network else []
    if not own and not others:
        return "", ""
    frame, line, top = (own or others)[-1]
    words = f"{frame.f_code.co_filename}, line {line}, in {frame.f_code.co_name}"
    return names.get(top, f"--arch: {_network}"), words


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _top(module: str) -> str:
    return module.partition(".")[0]
