"""Three routes to a derivative agree, with each other and with derivatives that sympy finds and evaluates exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import parse_expr, rationalize, standard_transformations

from gencli.errors import GencliError
from gencli.formulas import compare, functions
from gencli.formulas.calculus import Floats
from gencli.formulas.compare import Derivatives
from gencli.formulas.parsing import FormulaError
from tests.curvature.helpers import COURSE, PUBLIC, derive, formulas

DOMAINS = {
    "asin": (-0.95, 0.95), "acos": (-0.95, 0.95), "atanh": (-0.95, 0.95), "erfinv": (-0.95, 0.95), "ln": (0.1, 5),
    "log2": (0.1, 5), "log10": (0.1, 5), "sqrt": (0.1, 5), "rsqrt": (0.1, 5), "log1p": (-0.9, 5), "acosh": (1.1, 5),
    "logit": (0.05, 0.95),
}  # fmt: skip


def relative(found: Derivatives, method: str) -> float:
    reverse = found.methods["reverse"]
    return float((found.difference(method) / np.maximum(1, abs(reverse))).max())


def test_the_course_by_hand() -> None:
    found = derive(COURSE, ["1,2"], "forward", 0.01)
    assert found.methods["numeric"][0].round(3).tolist() == [[0.351, -0.386], [4.353, 1.333]]
    assert found.methods["forward"][0].round(3).tolist() == [[0.35, -0.386], [4.333, 1.333]]
    assert found.methods["reverse"][0].round(3).tolist() == [[0.35, -0.386], [4.333, 1.333]]
    assert not list(found.disagreements())
    assert found.values[0] == pytest.approx([np.cos(1) * np.cos(2) + 1 / (1 + np.exp(-2)), np.log(3) + 2], rel=1e-15)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_function(name: str) -> None:
    """Also far from 0, where activations saturate and torch's own formulas are least exact."""
    count = len(functions.FUNCTIONS[name].derivatives)
    low, high = DOMAINS.get(name, (-3, 3))
    places = np.random.default_rng(0).uniform(low, high, (20, count))
    if name not in DOMAINS and name not in ("exp", "exp2", "expm1", "sinh", "cosh", "tan"):
        places = np.concatenate([places, places * 12])
    at = [",".join(map(repr, place)) for place in places.tolist()]
    call = f"{name}({', '.join(['w1', 'w2'][:count])})"
    first, second = derive([call], at), derive([call], at, hessian=True)
    assert not [*first.disagreements(), *second.disagreements()]
    assert relative(first, "forward") <= 1e-13
    assert relative(first, "numeric") <= 1e-12
    assert relative(second, "forward") <= 1e-13


def exact(text: str, place: list[float]) -> tuple[Floats, Floats]:
    """The gradient and the Hessian by sympy, in 50 digits."""
    w = sympy.symbols("w1 w2 w3")
    of_ours = {
        "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
        "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
        "silu": lambda x: x / (1 + sympy.exp(-x)),
        "gelu": lambda x: x * (1 + sympy.erf(x / sympy.sqrt(2))) / 2,
    }
    formula = parse_expr(text.replace("^", "**"), of_ours, (*standard_transformations, rationalize))
    at = {each: sympy.Rational(number) for each, number in zip(w, place, strict=True)}
    gradient = [float(formula.diff(a).evalf(50, subs=at)) for a in w]
    hessian = [[float(formula.diff(a, b).evalf(50, subs=at)) for b in w] for a in w]
    return np.array(gradient), np.array(hessian)


@settings(max_examples=40)
@given(formulas(6), st.lists(st.integers(-200, 200), min_size=3, max_size=3))
def test_random_formulas_against_sympy(text: str, hundredths: list[int]) -> None:
    place = [number / 128 for number in hundredths]
    with assumed_defined():
        at = [",".join(map(repr, place))]
        first, second = derive([f"{text} + 0*(w1+w2+w3)"], at), derive([f"{text} + 0*(w1+w2+w3)"], at, hessian=True)
    gradient, hessian = exact(text, place)
    assume(np.isfinite(hessian).all() and abs(hessian).max() < 1e6)
    scale = max(1, abs(gradient).max(), abs(hessian).max())
    for method in ("forward", "reverse"):
        assert first.methods[method][0, 0] == pytest.approx(gradient, rel=1e-11, abs=1e-12 * scale)
        assert second.methods[method][0, 0] == pytest.approx(hessian, rel=1e-10, abs=1e-11 * scale)
    assert (abs(first.methods["numeric"][0, 0] - gradient) <= first.allowed["numeric"][0, 0]).all()


@contextmanager
def assumed_defined() -> Iterator[None]:
    try:
        yield
    except GencliError:
        assume(False)


@settings(max_examples=60)
@given(formulas(20), st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_forward_is_reverse(text: str, place: list[float]) -> None:
    with assumed_defined():
        found = derive([f"{text} + 0*(w1+w2+w3)"], [",".join(f"{each:.17f}" for each in place)])
    assume(abs(found.methods["reverse"]).max() < 1e3)
    assert relative(found, "forward") <= 1e-13


def test_hessian_vector_products_are_hessians_times_vectors() -> None:
    hessian, product = derive(COURSE, ["1,2", "3,1"], hessian=True), derive(COURSE, ["1,2", "3,1"], hvp="0.5,-2")
    for method in ("numeric", "forward", "reverse"):
        expected = hessian.methods[method] @ np.array([0.5, -2])
        assert product.methods[method] == pytest.approx(expected, rel=1e-9)


def test_many_points_are_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    at = ["1,2", "0.5,3", "2,0.1", "7,7"]
    monkeypatch.setattr(compare, "_BLOCK", 1)
    whole = derive(COURSE, at, hessian=True)
    for place, each in enumerate(at):
        alone = derive(COURSE, [each], hessian=True)
        for method, matrix in whole.methods.items():
            assert (matrix[place] == alone.methods[method][0]).all()


def test_linear_formulas_have_no_second_derivative() -> None:
    found = derive(["3*x - y", "2"], ["1,2"], hessian=True)
    assert not found.methods["forward"].any()
    assert not found.methods["reverse"].any()
    assert abs(found.methods["numeric"]).max() < 1e-12
    assert not derive(["2", "y"], ["1,2"]).methods["reverse"][0, 0].any()


def test_float32_is_computed_in_float32() -> None:
    found = derive(COURSE, ["1,2"], dtype="float32", tolerance=1e-4)
    assert all(matrix.dtype == np.float32 for matrix in [*found.methods.values(), found.values])
    assert not list(found.disagreements())
    double = derive(COURSE, ["1,2"])
    for method in found.methods:
        assert found.methods[method] == pytest.approx(double.methods[method], rel=1e-3)
        assert (found.methods[method] != double.methods[method]).all()


# where the derivative is torch's choice among several
@pytest.mark.parametrize(("text", "at"), [("relu(x)", "0"), ("abs(x)", "0"), ("max(x, y)", "1,1"), ("hardtanh(x)", "1"),
                                          ("relu6(x)", "6"), ("elu(x)", "0"), ("leaky_relu(x)", "0")])  # fmt: skip
def test_kinks_are_torchs(text: str, at: str) -> None:
    found = derive([text], [at])
    assert (found.methods["forward"] == found.methods["reverse"]).all()


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("1 + ln(x*y)", "1,-2", r"column 5: ln\(-2\) is not defined, at x = 1, y = -2"),
        ("1/(x-1)", "1", "column 2: 1/0 is not defined, at x = 1"),
        ("ln(x)", "0", r"ln\(0\) is not defined"),
        ("x^0.5", "-1", r"\(-1\)\^0.5 is not defined"),
        ("9**9**9*x", "1", r"column 2: 9\^3.8742e\+08 is too large"),
        ("exp(x)", "1000", r"exp\(1000\) is too large"),
        ("sqrt(x)", "0", r"sqrt\(0\) has no finite derivative"),
        ("x^y", "-2,3", r"\(-2\)\^3 has no finite derivative"),
        ("acos(x)", "1.5", r"acos\(1.5\) is not defined"),
        ("x^x", "0", "has no finite derivative"),
    ],
)
def test_outside_of_the_domain(text: str, at: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        derive([text], [at])


def test_second_derivatives_that_are_infinite_are_refused() -> None:
    with pytest.raises(FormulaError, match="no finite second derivative"):
        derive(["x^1.5"], ["0"], hessian=True)
    assert derive(["x^2", "x^3"], ["0"], hessian=True).methods["forward"].tolist() == [[[[2.0]], [[0.0]]]]


def test_powers_at_zero() -> None:
    found = derive(["x^2 + y^3", "x^1", "x^(y+2)"], ["0,0"])
    assert found.methods["forward"].tolist() == found.methods["reverse"].tolist() == [[[0, 0], [1, 0], [0, 0]]]


@pytest.mark.parametrize("method", ["numeric", "forward"])
def test_a_method_that_is_wrong_is_named(method: str) -> None:
    found = derive(COURSE, ["1,2"])
    matrix = found.methods[method].copy()
    matrix[0, 1, 0] += 1e-7
    for wrong, words in ((matrix, "1 of 4 numbers: f2 by w1, at w1 = 1, w2 = 2"), (matrix * np.nan, "4 of 4 numbers")):
        [said] = replace(found, methods=found.methods | {method: wrong}).disagreements()
        assert said.startswith(f"{method} and reverse disagree in {words}")


def test_what_is_too_large_is_refused_without_a_warning() -> None:
    for text, at, dtype, message in (
        ("x*1e300*y", "1e300,0", "float64", "is too large"),
        ("x", "1e300", "float32", "column 1: x is too large"),
        ("1e300 + x", "1", "float32", "column 1: 1e300 is too large"),
        ("sin(exp2(x)*1e8)*1e300 + 0*y", "700,1", "float64", "too large"),
        ("(x*1e200)*1e200*sin(y)", "0,1", "float64", "its derivative by x is too large for float64, at x = 0, y = 1"),
    ):
        with pytest.raises(GencliError, match=message):
            derive([text], [at], dtype=dtype)


def test_steps_that_leave_the_domain_are_refused() -> None:
    with pytest.raises(GencliError, match=r"--step 0.01 leaves the domain, or is lost in rounding, at x = 0.005"):
        derive(["ln(x)"], ["0.005"], "central", 0.01)
    assert derive(["ln(x)"], ["0.005"]).methods["numeric"] == pytest.approx(200, rel=1e-10)
