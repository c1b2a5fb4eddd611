"""What is to be differentiated, where and how often: formulas, points and vectors, from options and from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gencli.errors import GencliError
from gencli.files import provenance, tables, texts
from gencli.files.named import require_one_standard_input
from gencli.files.stream import Input
from gencli.formulas.matrices import Floats, Points, named_files, read_answer, read_points, read_vector
from gencli.formulas.parsing import Formula, Program, parse, read_lines, split


@dataclass(frozen=True)
class Request:
    """Attributes:
    vectors: along which second derivatives are taken, [inputs, inputs] or [inputs]; None for Jacobians.
    answer: [rows, inputs] to compare with, None for nothing.
    files: that were read, by option.
    arguments: the options as provenance records them; formulas from a file stand among the formulas.
    """

    program: Program
    points: Points
    vectors: Floats | None
    answer: Floats | None
    files: dict[str, Input]
    arguments: dict[str, Any]

    def step(self, chosen: dict[str, Any], packages: Sequence[str]) -> provenance.Step:
        """The step of provenance, with the arguments that were chosen besides."""
        inputs = [tables.source(role, file) for role, file in self.files.items() if role != "file"]
        return provenance.step("jacobian", self.arguments | chosen, inputs, packages)


def read(
    formulas: Sequence[str], file: str | None, at: Sequence[str], hessian: bool, hvp: str | None, answer: str | None
) -> Request:
    """Reads options and their files; torch is not needed yet, but for an answer in safetensors.

    Raises:
        FormulaError: a formula is none.
        GencliError: there is no formula or no point, a file cannot be read, or does not fit the formulas.
    """
    require_one_standard_input(file, *at, hvp, answer)
    every = split(";".join(formulas)) if formulas else []
    files: dict[str, Input] = {}
    for place in [*named_files([*at, *filter(None, [hvp])]), *filter(None, [answer])] if file == "-" else []:
        Input(place).file.close()  # a missing one costs no work of those before in the pipe
    if file is not None:
        files["file"] = Input(file)
        every += _formulas_of(files["file"])
    if not every:
        raise GencliError("no formula", "give one with -f, or a file of them with --file")
    program = parse(every)
    points = read_points(at, program)
    files |= {} if points.source is None else {"at": points.source}
    vectors = np.eye(len(program.inputs)) if hessian else None
    if hvp is not None:
        vectors, source = read_vector(hvp, program)
        files |= {} if source is None else {"hvp": source}
    count, inputs = points.coordinates.shape
    matrix = None
    if answer is not None:
        files["check-against"] = Input(answer)
        rows = count * len(program.outputs) * (inputs if hessian else 1)
        matrix = read_answer(files["check-against"], rows, inputs)
    arguments = {
        "f": "; ".join(formula.text for formula in every),
        "at": None if points.source else "; ".join(at),
        "hessian": hessian,
        "hvp": None if "hvp" in files else hvp,
    }
    return Request(program, points, vectors, matrix, files, arguments)


def _formulas_of(source: Input) -> list[Formula]:
    try:
        text = texts.read(source)
    except UnicodeDecodeError:
        raise GencliError(f"{source.name}: not text", "write one formula per line") from None
    found = read_lines(text, source.name)
    if not found:
        raise GencliError(f"{source.name}: no formulas", "write one formula per line; # begins a comment")
    return found
