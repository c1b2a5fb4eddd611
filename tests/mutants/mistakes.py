"""One-token mistakes: a comparison, an arithmetic or logical operator, a number, True, False, min, max, any, all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.And: ("and", "or"), ast.Or: ("or", "and"),
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


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

    def change(self, source: bytes) -> tuple[str, str]:
        """The line before and after."""
        before, after = (each.decode().splitlines()[self.line - 1].strip() for each in (source, self.apply(source)))
        return before, after


def mutants(source: bytes, path: str) -> Iterator[Mutant]:
    """Every mutant of a file, annotations and what only type checkers run left out."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def place(line: int, column: int) -> int:
        return lines[line - 1] + column

    def between(left: ast.expr, right: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        start, end = place(left.end_lineno, left.end_col_offset), place(right.lineno, right.col_offset)
        found = source.find(old.encode(), start, end)
        if found >= 0:
            line = source.count(b"\n", 0, found) + 1
            yield Mutant(path, line, found, found + len(old), new)

    def of(node: ast.AST, text: str) -> Mutant:
        assert isinstance(node, ast.expr)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        return Mutant(path, node.lineno, start, end, text)

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
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue  # of zip: an assertion
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] in ("Annotated", "Literal"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _walk(each)


def around(source: bytes, line: int) -> set[str]:
    """The names of the functions, classes and constants whose definitions hold a line."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            match node:
                case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    found.add(name)
                case ast.Assign(targets=targets):
                    found |= {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found
