"""Formulas: text into a program, a list of nodes each of which is a coordinate, a number or a function of earlier ones.

The parser knows numbers, names, operators and parentheses and nothing else. Neither it nor what runs a program calls
itself for a part of a formula, so that a formula can be as hostile as it likes.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gencli.errors import GencliError, nearest
from gencli.formulas.functions import ALIASES, EVERY, FUNCTIONS

LONGEST, LONGEST_TOGETHER, DEEPEST, MOST = 10_000, 100_000, 200, 1_000

_CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "^": 4}
_TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
    | (?P<number>([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)
    | (?P<call>[A-Za-z_][A-Za-z_0-9]*)[ \t]*\(
    | (?P<name>[wx][ \t]*\[[ \t]*[0-9]+[ \t]*\]|[A-Za-z_][A-Za-z_0-9]*|π)
    | (?P<sign>\*\*|[-+*/^(),])""",
    re.VERBOSE,
)
_COORDINATE = re.compile(r"([wx])\[?0*([1-9][0-9]*)\]?")
_LETTERS = {"x": 0, "y": 1, "z": 2}
_MEANT = {"−": "-", "–": "-", "—": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "²": "^2", "³": "^3", "√": "sqrt"}
_NO_OPERATOR = "an operator is missing before this", "write * for a product"
_BEFORE, _AFTER = 30, 20  # characters of a formula that an error shows around its place


@dataclass(frozen=True)
class Formula:
    """One formula as it was written, and the name of its location in messages."""

    text: str
    where: str


class FormulaError(GencliError):
    """What is wrong with a formula at a column, counted from 0; its hint stands below the column, behind a caret."""

    def __init__(self, formula: Formula, column: int, message: str, hint: str) -> None:
        start = max(0, column - _BEFORE)
        before = f"{formula.where}: {'…' * (start > 0)}{formula.text[start:column]}"
        after = formula.text[column : column + _AFTER] + "…" * (column + _AFTER < len(formula.text))
        super().__init__(f"{before}{after}: column {column + 1}: {message}", hint)
        self._indent = _width(before)

    @property
    def hint(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """A caret below the column, and what to do."""
        return " " * (len(self.command) + self._indent) + f"^ {self._advice}"

    @hint.setter
    def hint(self, value: str) -> None:
        self._advice = value


def _width(text: str) -> int:
    """Columns of a terminal."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


class Node(NamedTuple):
    """Attributes:
    function: what it is of its arguments: a name of `functions.EVERY`, or `input`, or `number`.
    arguments: the nodes it is computed from, which come before it.
    value: of a number; of an input its index among the coordinates, from 0.
    text: of inputs and numbers, as they are written.
    formula, column: where it is written first.
    """

    function: str
    arguments: tuple[int, ...]
    value: float
    text: str
    formula: Formula
    column: int


@dataclass
class Program:
    """Formulas as nodes, each once however often it is written.

    Attributes:
        nodes: in an order in which they can be computed.
        active: whether a node depends on a coordinate.
        outputs: the node of each formula.
    """

    formulas: Sequence[Formula]
    nodes: list[Node] = field(default_factory=list)
    active: list[bool] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    _places: dict[tuple[object, ...], int] = field(default_factory=dict)

    def add(self, node: Node) -> int:
        """The index of a node, which is appended unless it exists already."""
        place = self._places.setdefault(node[:3], len(self.nodes))
        if place == len(self.nodes):
            self.nodes.append(node)
            self.active.append(node.function == "input" or any(self.active[each] for each in node.arguments))
        return place

    @functools.cached_property
    def inputs(self) -> list[str]:
        """The coordinates' names, up to the highest, as they are written first."""
        names = {int(node.value): node.text for node in self.nodes if node.function == "input"}
        letter = "w" if any(name[0] == "w" for name in names.values()) else "x"
        return [names.get(place, f"{letter}{place + 1}") for place in range(max(names, default=-1) + 1)]

    @property
    def output_names(self) -> list[str]:
        """f1, f2, and so on."""
        return [f"f{number}" for number in range(1, len(self.outputs) + 1)]


def split(text: str) -> list[Formula]:
    """Formulas between semicolons."""
    return [Formula(part.strip(), f"formula {number}") for number, part in enumerate(text.split(";"), 1)]


def read_lines(text: str, name: str) -> list[Formula]:
    """The formulas of a file: one per line, or several between semicolons; # begins a comment."""
    lines = enumerate(text.splitlines(), 1)
    parts = ((number, part.strip()) for number, line in lines for part in line.partition("#")[0].split(";"))
    return [Formula(part, f"{name}: line {number}") for number, part in parts if part]


def parse(formulas: Sequence[Formula]) -> Program:
    """The program of formulas.

    Raises:
        FormulaError: one is no formula, or too long, or too deep.
        GencliError: they are too many, or too long together.
    """
    whole = sum(len(formula.text) for formula in formulas)
    if len(formulas) > MOST or whole > LONGEST_TOGETHER:
        raise GencliError(
            f"{formulas[-1].where}: too many formulas: {len(formulas):,}, {whole:,} characters",
            f"at most {MOST:,} formulas with {LONGEST_TOGETHER:,} characters in total",
        )
    program = Program(formulas)
    for formula in formulas:
        program.outputs.append(_Parser(program, formula).parse())
    return program


@functools.cache
def derivative_programs(function: str) -> tuple[Program, ...]:
    """The programs of a function's derivatives by its arguments, whose inputs are the arguments."""
    programs = tuple(Program([Formula(text, function)]) for text in EVERY[function].derivatives)
    for program in programs:
        program.outputs.append(_Parser(program, program.formulas[0], inner=True).parse())
    return programs


def coordinate(name: str) -> int | None:
    """Which coordinate a name stands for, from 0; None for other names."""
    found = _COORDINATE.fullmatch("".join(name.split()))
    if found is None:
        return _LETTERS.get(name)
    return int(found[2][:9]) - 1


class _Waiting(NamedTuple):
    """What waits for its right-hand side: an operator, a function's call, or a parenthesis."""

    what: str
    column: int
    precedence: int = 0
    values: int = 0  # how many there are before it


class _Parser:
    """Dijkstra's shunting yard: values on one stack, what waits for values on another."""

    def __init__(self, program: Program, formula: Formula, inner: bool = False) -> None:
        self._program, self._formula = program, formula
        self._functions = [name for name, each in FUNCTIONS.items() if inner or each.torch]
        self._values: list[int] = []
        self._waiting: list[_Waiting] = []

    def parse(self) -> int:
        text = self._formula.text
        if len(text) > LONGEST:
            raise self._error(LONGEST, f"{len(text):,} characters", f"a formula has at most {LONGEST:,}")
        value_next = True
        for kind, token, column in self._tokens():
            value_next = (self._begin if value_next else self._continue)(kind, token, column)
            if len(self._waiting) > DEEPEST:
                raise self._error(column, "too deep", f"at most {DEEPEST} operators and parentheses may be open")
        if value_next:
            raise self._error(len(text), "a value is missing", "write a number, a coordinate or a function")
        self._apply(1)
        if self._waiting:
            raise self._error(self._waiting[-1].column, "its parenthesis is never closed", "close it")
        return self._values[0]

    def _error(self, column: int, message: str, hint: str) -> FormulaError:
        return FormulaError(self._formula, column, message, hint)

    def _tokens(self) -> Iterator[tuple[str, str, int]]:
        text, column = self._formula.text, 0
        while column < len(text):
            found = _TOKEN.match(text, column)
            if found is None:
                raise self._strange(text[column], column)
            for kind in ("number", "call", "name", "sign"):
                if found[kind]:
                    yield kind, found[kind], column
            column = found.end()

    def _strange(self, character: str, column: int) -> FormulaError:
        meant = _MEANT.get(character, unicodedata.normalize("NFKC", character))
        known = meant != character and re.fullmatch("[!-~]+", meant)
        name = repr(character) if character.isascii() else unicodedata.name(character, ascii(character))
        hint = f"write {meant}" if known else "allowed are numbers, ASCII names, + - * / ^ ** and parentheses"
        return self._error(column, f"{name} is not allowed in a formula", hint)

    def _begin(self, kind: str, token: str, column: int) -> bool:
        """Takes a token where a value must begin; whether one must still."""
        if kind == "number":
            if math.isinf(float(token)):
                raise self._error(column, "too large a number", "the largest is 1.7976931348623157e308")
            if float(token) == 0 and re.search("[1-9]", re.split("[eE]", token)[0]):
                raise self._error(column, "too small a number", "the smallest above 0 is 5e-324")
            self._push("number", (), column, float(token), token)
        elif kind == "name":
            self._name(token, column)
        elif kind == "call":
            function = ALIASES.get(token, token)
            if token in _CONSTANTS or coordinate(token) is not None:
                raise self._error(column + len(token), *_NO_OPERATOR)
            if function not in [*self._functions, *ALIASES.values()]:
                raise self._unknown(token, column)
            self._waiting.append(_Waiting(function, column, 0, len(self._values)))
        elif token == "(":
            self._waiting.append(_Waiting("(", column))
        elif token == "-":
            self._waiting.append(_Waiting("negative", column, _PRECEDENCE["negative"]))
        elif token != "+":
            raise self._error(column, "a value is missing before this", "write a number, a coordinate or a function")
        return kind not in ("number", "name")

    def _continue(self, kind: str, token: str, column: int) -> bool:
        """Takes a token behind a value; whether another value must follow."""
        if kind != "sign" or token == "(":
            raise self._error(column, *_NO_OPERATOR)
        operator = "^" if token == "**" else token
        if operator in _PRECEDENCE:
            precedence = _PRECEDENCE[operator]
            self._apply(precedence + (operator == "^"))  # powers of powers are taken from the right
            self._waiting.append(_Waiting(operator, column, precedence))
            return True
        self._apply(1)
        opened = self._waiting[-1] if self._waiting else None
        if opened is None or (token == "," and opened.what == "("):
            what = "a comma outside of a function" if token == "," else "this parenthesis closes nothing"
            raise self._error(column, what, "omit it")
        if token == ")":
            self._close(self._waiting.pop(), column)
        return token == ","

    def _close(self, opened: _Waiting, column: int) -> None:
        if opened.what == "(":
            return
        given, takes = len(self._values) - opened.values, len(EVERY[opened.what].derivatives)
        if given != takes:
            takes_words = "1 argument" if takes == 1 else f"{takes} arguments"
            raise self._error(
                opened.column, f"{opened.what} takes {takes_words}, not {given}", "separate them by commas"
            )
        self._call(opened.what, takes, opened.column)

    def _apply(self, precedence: int) -> None:
        """Applies the operators that wait and bind at least so closely."""
        while self._waiting and self._waiting[-1].precedence >= precedence:
            operator = self._waiting.pop()
            self._call(operator.what, 1 if operator.what == "negative" else 2, operator.column)

    def _call(self, function: str, count: int, column: int) -> None:
        arguments = tuple(self._values[-count:])
        del self._values[-count:]
        of = self._program.nodes[arguments[0]]
        if function == "negative" and of.function == "number" and of.value > 0:
            self._push("number", (), column, -of.value, f"-{of.text}")
        else:
            self._push(function, arguments, column)

    def _name(self, token: str, column: int) -> None:
        place = coordinate(token)
        if token in _CONSTANTS:
            self._push("number", (), column, _CONSTANTS[token], "pi" if token == "π" else token)
        elif place is None:
            raise self._unknown(token, column)
        elif place >= MOST:
            raise self._error(column, "too high a coordinate", f"there are at most {MOST:,}")
        else:
            self._push("input", (), column, place, re.sub(r"[\[\]\s]", "", token))

    def _unknown(self, token: str, column: int) -> FormulaError:
        if token in self._functions or token in ALIASES:
            return self._error(column, f"{token} is a function", f"write {token}(...)")
        if token[0] in "wx" and not token[1:].strip("0[] \t"):
            return self._error(column, f"{token} is not a coordinate", "they are w1, w2, ... or x, y, z")
        known = [*self._functions, *ALIASES, *_CONSTANTS, "w1", "w2", "w3", "x", "y", "z"]
        hint = nearest(token, known)
        return self._error(
            column, f"{token} is not known", hint if hint.startswith("did") else f"known: {', '.join(self._functions)}"
        )

    def _push(self, function: str, arguments: tuple[int, ...], column: int, value: float = 0, text: str = "") -> None:
        self._values.append(self._program.add(Node(function, arguments, value, text, self._formula, column)))
