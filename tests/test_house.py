"""Rules of the house: how long files and functions are, and that what is public says what it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import gencli

ROOT = Path(gencli.__file__).parent
FILE, COMMAND, FUNCTION = 400, 150, 50  # lines


def test_files_are_short() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in ROOT.rglob("*.py")}
    assert not {path: lines for path, lines in lengths.items() if lines > FILE}
    assert not {path: lines for path, lines in lengths.items() if path.parts[0] == "commands" and lines > COMMAND}


def test_functions_are_short() -> None:
    """Without the docstring; a command's also without its options, which are its help."""
    long = {
        f"{path.relative_to(ROOT)}: {function.name}": lines
        for path in ROOT.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef) and (lines := _lines(function)) > FUNCTION
    }
    assert not long


def _lines(function: ast.FunctionDef) -> int:
    first, *_ = body = function.body
    assert function.end_lineno
    assert first.end_lineno
    words = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) and len(body) > 1 else 0
    options = first.lineno - function.lineno if function.decorator_list else 0
    return function.end_lineno - function.lineno + 1 - words - options


def test_what_is_public_has_a_docstring() -> None:
    """Its own, that of what it overrides or implements, or a line of the class's."""
    every = [each for module in _modules() for each in _public(module)]
    said = {name.rpartition(".")[2] for name, each, _ in every if inspect.getdoc(each)}
    assert not [name for name, each, owner in every if not inspect.getdoc(each) and not _is_told(name, owner, said)]


def _is_told(name: str, owner: type | None, said: set[str]) -> bool:
    member = name.rpartition(".")[2]
    words = inspect.getdoc(owner) or ""
    return owner is not None and (member in said or getattr(owner, "_is_protocol", False) or f"{member}:" in words)


def _modules() -> Iterator[Any]:
    for each in pkgutil.walk_packages(gencli.__path__, "gencli."):
        if each.name != "gencli.__main__":
            yield importlib.import_module(each.name)


def _public(module: Any) -> Iterator[tuple[str, Any, Any]]:
    """Functions and classes, and of classes their own methods and properties, with the class."""
    for name, each in vars(module).items():
        if name.startswith("_") or getattr(each, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(each) or inspect.isclass(each):
            yield f"{module.__name__}.{name}", each, None
        for member, value in vars(each).items() if inspect.isclass(each) else ():
            if not member.startswith("_") and (
                inspect.isroutine(value) or isinstance(value, property | cached_property)
            ):
                yield f"{module.__name__}.{name}.{member}", getattr(each, member), each
