"""The numbers and switches that modules and their records begin with stand a second time in `constants.txt`.

One that is changed changes what users get, or how fast: it is changed in both places, on purpose.
`python -m tests.test_constants > tests/constants.txt` writes them.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(str(each.relative_to(ROOT)) for each in (ROOT / "gencli").rglob("*.py") if each.stem != "__main__")
KNOWN = (ROOT / "tests" / "constants.txt").read_text().splitlines()


def plain(value: Any) -> str:
    """Numbers and switches, in what holds them; of records, what is not their default."""
    if isinstance(value, bool | int | float | None):
        return repr(value)
    if isinstance(value, dict):
        found = {str(key): plain(each) for key, each in value.items()}
        return "{" + ", ".join(f"{key}: {each}" for key, each in found.items() if each != "…") + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(set(map(plain, value))))}}}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return plain(
            {each.name: own[each.name] for each in dataclasses.fields(value) if own[each.name] != each.default}
        )
    return "…"


def constants(file: str) -> Iterator[str]:
    """A line per constant of a module, and per default of its records."""
    module = importlib.import_module(file.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
    for node in ast.parse((ROOT / file).read_text()).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for name in (each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)):
            yield f"{name} = {plain(getattr(module, name, None))}"
        if isinstance(node, ast.ClassDef) and dataclasses.is_dataclass(kind := getattr(module, node.name)):
            for each in dataclasses.fields(kind):
                if each.default is not dataclasses.MISSING:
                    yield f"{node.name}.{each.name} = {plain(each.default)}"


def lines(file: str) -> list[str]:
    return [f"{file} {each}" for each in constants(file) if re.search(r"[ \[{](-?\d|True|False)", each)]


@pytest.mark.parametrize("file", FILES)
def test_numbers_and_switches_stay_what_they_were(file: str):
    assert lines(file) == [each for each in KNOWN if each.startswith(f"{file} ")]


if __name__ == "__main__":
    for each in FILES:
        print(*lines(each), sep="\n", end="\n" * bool(lines(each)))
