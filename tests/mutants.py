"""`make mutants`: how many one-token mistakes in gencli the tests notice.

A seeded sample of places: a comparison, an arithmetic or logical operator, a number, True, False, min, max, any, all.
Each is changed in a copy of the tree, and tests are run on it until one fails: those of the module, of its room, then
the pipelines. The survivors are printed as diffs; `EQUIVALENT` names those that change nothing anyone can see.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parent.parent
_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_LEFT_OUT = "gencli/__main__.py", "gencli/cli/reference.py"  # not of the product's numbers
EQUIVALENT: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Mutant:
    """The bytes `start` to `end` of a file replaced."""

    path: str
    line: int
    start: int
    end: int
    text: str

    def apply(self, source: bytes) -> bytes:
        """The file with its mistake."""
        return source[: self.start] + self.text.encode() + source[self.end :]

    def diff(self, source: bytes) -> str:
        """The line before and after."""
        before, after = (each.decode().splitlines()[self.line - 1].strip() for each in (source, self.apply(source)))
        return f"{self.path}:{self.line}\n    - {before}\n    + {after}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, annotations and what only type checkers run left out."""
    source = path.read_bytes()
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    name = str(path.relative_to(ROOT))

    def place(line: int, column: int) -> int:
        return lines[line - 1] + column

    def between(left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        start, end = place(left.end_lineno, left.end_col_offset), place(right.lineno, right.col_offset)
        found = source.find(old.encode(), start, end)
        if found >= 0:
            line = source.count(b"\n", 0, found) + 1
            yield Mutant(name, line, found, found + len(old), new)

    def of(node: ast.AST, text: str) -> Mutant:
        assert isinstance(node, ast.expr)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        return Mutant(name, node.lineno, start, end, text)

    for node in _walk(ast.parse(source)):
        match node:
            case ast.Compare():
                for left, operator, right in zip([node.left, *node.comparators], node.ops, node.comparators):
                    yield from between(left, right, *_OPERATORS[type(operator)])
            case ast.BinOp() if type(node.op) in _OPERATORS:
                yield from between(node.left, node.right, *_OPERATORS[type(node.op)])
            case ast.BoolOp():
                yield from between(node.values[0], node.values[1], *_OPERATORS[type(node.op)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield of(node, ast.unparse(operand))
            case ast.Constant(value=bool() as value):
                yield of(node, str(not value))
            case ast.Constant(value=int() as value):
                yield of(node, str(value + 1))
            case ast.Constant(value=float() as value):
                yield of(node, repr(value * 1.25 if value else 1.0))
            case ast.Name(id=word) if word in _NAMES:
                yield of(node, _NAMES[word])


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "typer.Option":
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] in ("Annotated", "Literal"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _walk(each)


def stages(path: str) -> list[list[str]]:
    """Which tests may notice a mistake in a file, the nearest first."""
    place = Path("tests", *Path(path).parts[1:])
    near = [place.with_name(f"test_{place.name}"), *([place.parent] if place.parent.name != "tests" else [])]
    near = [each for each in near if (ROOT / each).exists()]
    top = sorted(str(each.relative_to(ROOT)) for each in (ROOT / "tests").glob("test_*.py"))
    return [[str(each)] for each in near] + [[*top, "tests/pipelines", "tests/cli", "tests/files"]]


def passes(tree: Path, tests: list[str]) -> bool:
    """Whether tests of a copy of the tree pass, in a quarter of an hour."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    scratch = f"--basetemp={tree.with_suffix('.scratch')}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", scratch, *tests]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=900, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode in (0, 5)


def survives(mutant: Mutant, tree: Path) -> bool:
    """Whether no test in a copy of the tree fails for it."""
    file = tree / mutant.path
    source = file.read_bytes()
    file.write_bytes(mutant.apply(source))
    try:
        return all(passes(tree, tests) for tests in stages(mutant.path))
    finally:
        file.write_bytes(source)


def main() -> None:
    """Prints every survivor, and the share that was killed; the exit status is 1 below `--least`."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="gencli", help="folder or file")
    parser.add_argument("--least", type=float, default=0.9)
    parser.add_argument("--trust", action="store_true", help="do not run all tests without a mutant first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    place = ROOT / asked.only
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    every = [each for file in files if str(file.relative_to(ROOT)) not in _LEFT_OUT for each in mutants(file)]
    sample = random.Random(asked.seed).sample(every, min(asked.count, len(every)))
    killed = equivalent = 0
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(asked.jobs) as pool:
        trees: Queue[Path] = Queue()
        for number in range(asked.jobs):
            tree = Path(scratch, f"tree{number}")
            for part in ("gencli", "tests", "man", "completions"):
                shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            for part in ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "LICENSE"):
                shutil.copy(ROOT / part, tree / part)
            trees.put(tree)

        if not asked.trust and not passes(trees.queue[0], ["-n", str(asked.jobs), "tests"]):
            sys.exit("the tests fail without a mutant")

        def attempt(mutant: Mutant) -> tuple[Mutant, bool]:
            tree = trees.get()
            try:
                return mutant, survives(mutant, tree)
            finally:
                trees.put(tree)

        for number, (mutant, survived) in enumerate(pool.map(attempt, sample), 1):
            source = (ROOT / mutant.path).read_bytes()
            if not survived:
                killed += 1
            elif (mutant.path, mutant.diff(source).splitlines()[2][6:]) in EQUIVALENT:
                equivalent += 1
            else:
                print(mutant.diff(source), flush=True)
            print(f"{number}/{len(sample)}, {killed} killed, {equivalent} equivalent", file=sys.stderr, flush=True)
    share = killed / max(1, len(sample) - equivalent)
    print(f"{killed} of {len(sample)} killed, {equivalent} equivalent: {share:.0%}; of {len(every):,} mutants")
    sys.exit(share < asked.least)


if __name__ == "__main__":
    main()
