"""Formulas are parsed as mathematics reads them, and hostile ones are refused in a line with a caret."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencli.cli.console import printable
from gencli.errors import GencliError
from gencli.formulas.calculus import evaluate
from gencli.formulas.functions import ALIASES
from gencli.formulas.parsing import LONGEST, Formula, FormulaError, coordinate, parse, read_lines, split
from tests.curvature.helpers import PUBLIC, formulas


def value(text: str, *inputs: float) -> float:
    program = parse([Formula(text, "formula")])
    return float(evaluate(program, [np.array(each) for each in inputs], np.float64)[program.outputs[0]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2*3", 7), ("(1+2)*3", 9), ("2-3-4", -5), ("16/4/2", 2), ("2^3^2", 512), ("2**3", 8), ("-2^2", -4),
        ("2^-1", 0.5), ("-3*-2", 6), ("--2", 2), ("+2", 2), ("2*-3^2", -18), ("1e2+.5+5.", 105.5), ("e", math.e),
        ("pi+π", 2 * math.pi), ("max(1,2)+min(1,2)", 3), ("atan2(1, -1)", 3 * math.pi / 4), ("hypot(3,4)", 5),
        ("log(e)", 1),
        ("\tln ( e ) ", 1), ("2e", None), ("relu6(7)", 6), ("pow(2,3)", 8), ("leaky_relu(-1)", -0.01),
    ],
)  # fmt: skip
def test_precedence_associativity_and_names(text: str, expected: float | None) -> None:
    if expected is None:
        with pytest.raises(FormulaError, match="an operator is missing"):
            value(text)
    else:
        assert value(text) == pytest.approx(expected, rel=1e-15)


@given(formulas())
def test_parsed_as_python_reads_it(text: str) -> None:
    at = {"w1": 0.3, "w2": -0.7, "w3": 1.1}
    functions = {name: lambda x, name=name: value(f"{name}(x)", x) for name in re.findall(r"[a-z]+(?=\()", text)}
    expected = eval(text.replace("^", "**"), {"__builtins__": {}}, at | functions)
    assert value(text, *at.values()) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    ("name", "place"),
    [("x", 0), ("y", 1), ("z", 2), ("w1", 0), ("w[2]", 1), ("w [ 12 ]", 11), ("x3", 2), ("w007", 6), ("w", None),
     ("w0", None), ("sin", None), ("w-1", None)],
)  # fmt: skip
def test_coordinates(name: str, place: int | None) -> None:
    assert coordinate(name) == place


def test_what_is_written_twice_is_one_node() -> None:
    program = parse(split("sin(w1)*sin(w[1]) + sin(x); sin(w1)"))
    assert sum(node.function == "sin" for node in program.nodes) == 1
    assert program.inputs == ["w1"]
    assert program.output_names == ["f1", "f2"]


def test_coordinates_that_no_formula_names_have_names() -> None:
    assert parse(split("w3*w1")).inputs == ["w1", "w2", "w3"]
    assert parse(split("x*z")).inputs == ["x", "x2", "z"]


def test_lines_of_a_file() -> None:
    read = read_lines("# both\nx + 1 # one\n\n x^2; x^3\n", "file")
    assert read == [Formula("x + 1", "file: line 2"), Formula("x^2", "file: line 4"), Formula("x^3", "file: line 4")]


# the formula; the column that the caret points at, from 0; the message; the hint
BAD = [
    ("cos(w1", 0, "never closed", "close it"),
    ("(w1", 0, "never closed", "close it"),
    ("w1)", 2, "closes nothing", "omit it"),
    ("w1 w2", 3, "an operator is missing", "write *"),
    ("2w1", 1, "an operator is missing", "write *"),
    ("3(w1)", 1, "an operator is missing", "write *"),
    ("w1(2)", 2, "an operator is missing", "write *"),
    ("pi (2)", 2, "an operator is missing", "write *"),
    ("w1 +", 4, "a value is missing", ""),
    ("* w1", 0, "a value is missing", ""),
    ("w1 */ 2", 4, "a value is missing", ""),
    ("()", 1, "a value is missing", ""),
    ("", 0, "a value is missing", ""),
    ("sin(w1, 2)", 0, "sin takes 1 argument, not 2", ""),
    ("w2+max(w1)", 3, "max takes 2 arguments, not 1", ""),
    ("(1, 2)", 2, "a comma outside", ""),
    ("1, 2", 1, "a comma outside", ""),
    ("sni(w1)", 0, "sni is not known", "did you mean sin?"),
    ("signoid(w1)", 0, "signoid is not known", "did you mean sigmoid?"),
    ("heaviside(w1, 0)", 0, "heaviside is not known", ""),
    ("sin", 0, "sin is a function", "write sin(...)"),
    ("w0 + 1", 0, "w0 is not a coordinate", "w1, w2"),
    ("w[0]", 0, "w[0] is not a coordinate", "w1, w2"),
    ("w", 0, "w is not a coordinate", "w1, w2"),
    ("w1001", 0, "too high a coordinate", "1,000"),
    ("w" + "9" * 5000, 0, "too high a coordinate", "1,000"),
    ("1e999", 0, "too large a number", ""),
    ("2*1.5e-400", 2, "too small a number", "5e-324"),
    ("w1.__class__", 2, "'.' is not allowed", ""),
    ("__import__('os')", 0, "__import__ is not known", ""),
    ("w1 = 2", 3, "'=' is not allowed", ""),
    ("lambda: 0", 0, "lambda is not known", ""),
    ("w1 if w1 else 2", 3, "an operator is missing", ""),
    ("w1 − 2", 3, "MINUS SIGN is not allowed", "write -"),
    ("2·w1", 1, "MIDDLE DOT is not allowed", "write *"),
    ("w1²", 2, "SUPERSCRIPT TWO is not allowed", "write ^2"),
    ("сos(w1)", 0, "CYRILLIC SMALL LETTER ES is not allowed", "ASCII"),
    ("ｗ1", 0, "FULLWIDTH LATIN SMALL LETTER W is not allowed", "write w"),
    ("w１", 0, "w is not a coordinate", ""),
    ("w1\x1b[31m", 2, r"'\x1b' is not allowed", ""),
    ("w1\nw2", 2, r"'\n' is not allowed", ""),
    ("\ud800", 0, "is not allowed", ""),
    ("(" * 100_000, 10_000, "100,000 characters", "10,000"),
    ("(" * 9_000 + "w1" + ")" * 900, 200, "too deep", "200"),
    ("-" * 9_000 + "w1", 200, "too deep", "200"),
    ("^".join(["w1"] * 3_000), 602, "too deep", "200"),
    ("sin(" * 2_000 + "w1", 800, "too deep", "200"),
]


@pytest.mark.parametrize(("text", "column", "message", "hint"), BAD, ids=[repr(case[0][:20]) for case in BAD])
def test_what_is_no_formula_is_refused_at_its_column(text: str, column: int, message: str, hint: str) -> None:
    with pytest.raises(FormulaError) as raised:
        parse([Formula(text, "formula 1")])
    error = raised.value
    error.command = "gencli jacobian"
    line, below = printable(f"gencli jacobian: {error.message}"), printable(f"  {error.hint}")
    assert message in line
    assert f"column {column + 1}:" in line
    assert hint in below
    caret = below.index("^")
    assert below[:caret].isspace()
    assert len(line[:caret]) < 80
    if column < len(text):
        assert line[caret] == printable(text[column])


def test_formulas_may_be_as_long_as_deep_and_as_many_as_is_said() -> None:
    longest = "w1" + " " * 9_998
    assert len(parse([Formula(longest, "f")] * 10).outputs) == 10  # 100,000 characters
    assert len(parse([Formula("w1", "f")] * 1_000).outputs) == 1_000
    assert value("(" * 200 + "7" + ")" * 200) == 7
    with pytest.raises(FormulaError, match="10,001 characters"):
        parse([Formula(f"{longest} ", "f")])
    with pytest.raises(FormulaError, match="too deep"):
        value("(" * 201 + "7" + ")" * 201)
    for many, words in (
        ([longest] * 10 + ["1"], "11, 100,001 characters"),
        (["w1"] * 1_001, "1,001, 2,002 characters"),
    ):
        with pytest.raises(GencliError, match=f"^last: too many formulas: {words}$"):
            parse([*(Formula(each, "f") for each in many[:-1]), Formula(many[-1], "last")])


def test_a_caret_stands_below_wide_characters_too() -> None:
    for text, columns in (("ｗ1", 0), ("w1+ｗ", 3)):
        with pytest.raises(FormulaError) as raised:
            parse([Formula(text, "名")])
        assert raised.value.hint.index("^") + 2 == len("gencli: ") + len("名: ") + 1 + columns


def test_too_many_and_too_long_together_are_refused() -> None:
    with pytest.raises(GencliError, match="too many formulas: 1,001"):
        parse([Formula("x", "formula")] * 1001)
    with pytest.raises(GencliError, match="109,989 characters"):
        parse([Formula("x+" * 4999 + "x", "formula")] * 11)


@given(st.text("wxy12 .+-*/^(),[]episnmaxl\u2212", max_size=30))
def test_any_text_is_a_formula_or_is_refused(text: str) -> None:
    try:
        value(text, 0.5, 0.25, *[1.0] * 998)
    except FormulaError as error:
        refused = error
    else:
        return
    assert refused.hint.strip().startswith("^")


def test_the_help_names_every_function() -> None:
    text = (Path(__file__).parents[2] / "gencli/commands/jacobian.py").read_text()
    listed = re.search(r"the functions (.*?); derivatives", text, re.DOTALL)
    assert listed is not None
    words = re.findall(r"\w+", listed[1])
    assert set(words) - ALIASES.keys() == set(PUBLIC)


def test_the_longest_formula_is_read_and_a_character_more_is_not() -> None:
    assert value("7".rjust(LONGEST)) == 7
    with pytest.raises(FormulaError, match="10,001 characters"):
        value("7".rjust(LONGEST + 1))
