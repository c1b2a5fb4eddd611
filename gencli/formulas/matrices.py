"""Points, vectors and matrices of numbers, as users write them: on the command line, or in files of several forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gencli.counts import is_number, number
from gencli.errors import GencliError
from gencli.files import texts
from gencli.files.stream import Input
from gencli.formulas.calculus import Evaluation
from gencli.formulas.parsing import Formula, FormulaError, Program, coordinate, parse

Floats = NDArray[np.float64]

_ENDINGS = (".parquet", ".csv", ".tsv", ".txt", ".safetensors")
_PLAIN = str.maketrans({"−": "-"} | dict.fromkeys(",;[]()\t", " "))
_GAP = re.compile(r"(^|[\[(,;])\s*[,;]|(?<![\])])[,;]$")  # in a row of numbers
_SHOWN = 4  # coordinates of a point that messages and titles show


@dataclass(frozen=True)
class Points:
    """Points to differentiate at.

    Attributes:
        coordinates: [points, inputs] float64.
        names: of the inputs.
        source: the file they are from; None for points of the command line.
        several: whether results say which point they belong to.
    """

    coordinates: Floats
    names: Sequence[str]
    source: Input | None
    several: bool

    def place(self, row: int) -> str:
        """What messages and titles call a point."""
        pairs = zip(self.names[:_SHOWN], self.coordinates[row])
        more = ", ..." if len(self.names) > _SHOWN else ""
        file = f" (row {row} of {self.source.name})" if self.source else ""
        return "at " + ", ".join(f"{name} = {value:.6g}" for name, value in pairs) + more + file


def read_points(arguments: Sequence[str], program: Program) -> Points:
    """The points of `--at`: coordinates separated by commas, points by semicolons; or a file with one row per point.

    Raises:
        GencliError: they do not have the formulas' coordinates, or are not finite numbers.
    """
    if not program.inputs:
        raise GencliError(
            f"{program.formulas[0].where}: no coordinate to differentiate by", "write x, or w1, w2, ... in it"
        )
    if not arguments:
        raise GencliError("no point to differentiate at", f"give one: --at {','.join('12345'[: len(program.inputs)])}")
    rows, source = _rows("--at", arguments, program)
    return Points(rows, program.inputs, source, source is not None or len(rows) > 1)


def read_vector(argument: str, program: Program) -> tuple[Floats, Input | None]:
    """The vector [inputs] that `--hvp` gives, as a point is given, and its file.

    Raises:
        GencliError: it is not one vector, or zero, or does not have the formulas' coordinates.
    """
    rows, source = _rows("--hvp", [argument], program)
    if len(rows) != 1 or not rows.any():
        what = f"{len(rows)} vectors" if len(rows) != 1 else "a vector of zeros"
        raise GencliError(f"--hvp: {what}", "give one vector that has a direction")
    return rows[0], source


def named_files(arguments: Sequence[str]) -> list[str]:
    """Those of the arguments that name files."""
    return [each for each in arguments if each == "-" or Path(each).suffix in _ENDINGS]


def _rows(option: str, arguments: Sequence[str], program: Program) -> tuple[Floats, Input | None]:
    files = named_files(arguments)
    if files and len(arguments) > 1:
        raise GencliError(f"{option}: {files[0]} and {len(arguments) - 1} more", "give one file, or no file")
    if files:
        source = Input(files[0])
        names, matrix = _read(source)
        return _finite(_by_name(names, matrix, program, source.name), source.name), source
    rows = []
    for text in (text for argument in arguments for text in argument.split(";")):
        numbers = [_number(cell, option) for cell in text.split(",")]
        _require_count(len(numbers), program, f"{option} {text.strip()}")
        rows.append(numbers)
    return np.array(rows, np.float64), None


def _number(text: str, option: str) -> float:
    """The value of a formula without coordinates."""
    program = parse([Formula(text.strip(), option)])
    for node in program.nodes:
        if node.function == "input":
            raise FormulaError(node.formula, node.column, f"{node.text} is not a number", "write 1,2 or pi/2,0.5")
    evaluation = Evaluation(program, np.zeros((1, 0)), lambda row: "so no coordinate")
    return float(evaluation.values[program.outputs[0]])


def _require_count(count: int, program: Program, what: str) -> None:
    if count != len(program.inputs):
        names = ", ".join(program.inputs[:_SHOWN]) + (", ..." if len(program.inputs) > _SHOWN else "")
        raise GencliError(
            f"{what}: {count} coordinate{'s' * (count != 1)}, but the formulas have {len(program.inputs)}: {names}",
            "give one number per coordinate",
        )


def _by_name(names: list[str], matrix: Floats, program: Program, title: str) -> Floats:
    """The columns that are named as coordinates, in capitals too, or else all."""
    places = {coordinate(name.lower()): place for place, name in reversed([*enumerate(names)])}
    if all(place is None for place in places):
        _require_count(matrix.shape[1], program, title)
        return matrix
    for place, name in enumerate(program.inputs):
        if place not in places:
            raise GencliError(f"{title}: no column {name}; its columns are {', '.join(names)}", "name all coordinates")
    return matrix[:, [places[place] for place in range(len(program.inputs))]]


def read_answer(source: Input, rows: int, columns: int) -> Floats:
    """A matrix [rows, columns] to compare with: Parquet, safetensors, CSV or numbers between spaces.

    Raises:
        GencliError: it is not such a matrix.
    """
    matrix = _finite(_read(source)[1], source.name)
    if matrix.shape != (rows, columns):
        shape = f"{matrix.shape[0]} x {matrix.shape[1]}"
        raise GencliError(
            f"{source.name}: {shape} numbers, but there are {rows} x {columns} derivatives",
            "give one row per output and one column per input, point after point",
        )
    return matrix


def _read(source: Input) -> tuple[list[str], Floats]:
    """The columns' names, where there are any, and the numbers [rows, columns] of a file."""
    if source.starts(b"PAR1") or source.starts(b"PARE"):
        from gencli.files import parquet

        names, matrix = parquet.read_numbers(source, "omit it")
    elif source.starts(b"{", 8):
        names, matrix = [], _read_tensor(source)
    else:
        names, matrix = _read_text(source)
    if not matrix.size:
        raise GencliError(f"{source.name}: no numbers", "give one row of numbers per line")
    return names, matrix


def _finite(matrix: Floats, title: str) -> Floats:
    wrong = np.argwhere(~np.isfinite(matrix))
    if len(wrong):
        row, column = wrong[0]
        raise GencliError(f"{title}: row {row}, column {column}: {matrix[row, column]}", "all numbers must be finite")
    return matrix


def _read_tensor(source: Input) -> Floats:
    from gencli.files import tensors

    found = tensors.read(source)
    tensor = next(iter(found.values())) if len(found) == 1 else found.get("reverse")
    if tensor is None or not tensor.ndim or tensor.is_complex():
        raise GencliError(
            f"{source.name}: it holds {', '.join(sorted(found))}"
            if tensor is None
            else f"{source.name}: no real matrix",
            "give one matrix, or one that is called reverse",
        )
    return tensor.double().reshape(-1, tensor.shape[-1]).numpy()


def _read_text(source: Input) -> tuple[list[str], Floats]:
    """Numbers separated by commas or spaces, one row per line; a first line of words names the columns."""
    hint = "give Parquet, safetensors, CSV, or rows of numbers"
    try:
        text = texts.read(source)
    except UnicodeDecodeError:
        raise GencliError(f"{source.name}: neither Parquet nor safetensors nor text", hint) from None
    names: list[str] = []
    rows: list[list[float]] = []
    for place, line in enumerate(text.splitlines(), 1):
        cells = line.partition("#")[0].translate(_PLAIN).split()
        if not cells:
            continue
        where = f"{source.name}: line {place}"
        try:
            row = [number(cell) for cell in cells]
        except ValueError as error:
            words = [word.strip("[]()") for word in re.split(r"[,;\s]+", line.partition("#")[0])]  # w[1] is a name
            if rows or names or any(map(is_number, words)):
                raise GencliError(f"{where}: {error}", hint) from None
            names = [cell.strip('"') for cell in line.replace(";", ",").split(",")]
            names = [each.strip() for each in (names if len(names) > 1 else cells)]
            continue
        if _GAP.search(line.partition("#")[0].strip()):
            raise GencliError(f"{where}: a number is missing", hint)
        if rows and len(row) != len(rows[0]):
            raise GencliError(f"{where}: {len(row)} numbers, but the rows before have {len(rows[0])}", hint)
        rows.append(row)
    if names and rows and len(names) != len(rows[0]):
        raise GencliError(f"{source.name}: {len(names)} names for {len(rows[0])} columns", hint)
    return names, np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
