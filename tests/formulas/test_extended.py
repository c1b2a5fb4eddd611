"""Derivatives from evaluations in many digits are right where float64 cancels, overflows or underflows."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.formulas.compare import Derivatives
from gencli.formulas.extended import Extended, _mean, _mp, defined
from gencli.formulas.functions import EVERY
from gencli.formulas.parsing import parse, split
from tests.curvature.helpers import PUBLIC, derive

# formulas that cancel somewhere near 0, and the same for mpmath
CANCELLING = {
    "(1+x)^2-1": lambda x, m: (1 + x) ** 2 - 1,
    "(1+x)^3-1-3*x": lambda x, m: (1 + x) ** 3 - 1 - 3 * x,
    "(1-cos(x))/x^2": lambda x, m: (1 - m.cos(x)) / x**2,
    "1-cos(x)": lambda x, m: 1 - m.cos(x),
    "(exp(x)-1)/x": lambda x, m: (m.exp(x) - 1) / x,
    "exp(x)-1-x": lambda x, m: m.exp(x) - 1 - x,
    "(exp(x)-1-x)/x^2": lambda x, m: (m.exp(x) - 1 - x) / x**2,
    "x-sin(x)": lambda x, m: x - m.sin(x),
    "(x-sin(x))/x^3": lambda x, m: (x - m.sin(x)) / x**3,
    "tan(x)-x": lambda x, m: m.tan(x) - x,
    "ln(1+x^2)": lambda x, m: m.log(1 + x**2),
    "ln(1+x)/x": lambda x, m: m.log(1 + x) / x,
    "ln(1+x)-x": lambda x, m: m.log(1 + x) - x,
    "sqrt(1+x)-1": lambda x, m: m.sqrt(1 + x) - 1,
    "sqrt(1+x)-sqrt(1-x)": lambda x, m: m.sqrt(1 + x) - m.sqrt(1 - x),
    "(sqrt(1+x^2)-1)/x": lambda x, m: (m.sqrt(1 + x**2) - 1) / x,
    "1/(1-x)-1/(1+x)": lambda x, m: 1 / (1 - x) - 1 / (1 + x),
    "1/x-1/sin(x)": lambda x, m: 1 / x - 1 / m.sin(x),
    "1/x-1/tan(x)": lambda x, m: 1 / x - 1 / m.tan(x),
    "sinh(x)-x": lambda x, m: m.sinh(x) - x,
    "cosh(x)-1": lambda x, m: m.cosh(x) - 1,
    "(exp(x)-exp(-x))/(2*x)": lambda x, m: (m.exp(x) - m.exp(-x)) / (2 * x),
    "x-tanh(x)": lambda x, m: x - m.tanh(x),
    "tanhshrink(x)": lambda x, m: x - m.tanh(x),
    "atan(x)-x": lambda x, m: m.atan(x) - x,
    "asin(x)-x": lambda x, m: m.asin(x) - x,
    "(1e8+x)-1e8": lambda x, m: x,
    "(1e20+x)-1e20": lambda x, m: x,
    "(1+x)*(1-x)-1": lambda x, m: -(x**2),
    "sin(x)^2+cos(x)^2": lambda x, m: m.mpf(1) + 0 * x,
    "exp(x)*exp(-x)": lambda x, m: m.mpf(1) + 0 * x,
    "ln(exp(x))": lambda x, m: x,
    "sigmoid(x)-1/2": lambda x, m: 1 / (1 + m.exp(-x)) - m.mpf(1) / 2,
    "erf(x)-2*x/sqrt(pi)": lambda x, m: m.erf(x) - 2 * x / m.sqrt(m.mpf(math.pi)),
    "2^x-1": lambda x, m: 2**x - 1,
    "cos(x)/x^2-1/x^2": lambda x, m: m.cos(x) / x**2 - 1 / x**2,
    "softplus(x)-ln(2)-x/2": lambda x, m: m.log(1 + m.exp(x)) - m.log(m.mpf(2)) - x / 2,
}
AT = [*(10.0**-power for power in range(10, 2, -1)), 3e-5, -1e-4, -7e-8, -1e-10, 0.01, 0.3, -0.4]


def truth(function: Any, x: float, order: int) -> Any:
    """The derivative in 120 digits, from values on a circle around x: Lyness, Moler 1967, doi:10.1137/0704019."""
    m = mpmath.mp
    with m.workdps(120):
        at, radius, count = m.mpf(x), abs(m.mpf(x)) / 8, 64
        turns = [m.expjpi(m.mpf(2 * k) / count) for k in range(count)]
        total = sum(function(at + radius * turn, m) / turn**order for turn in turns)
        return m.factorial(order) * (total / count).real / radius**order


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("text", CANCELLING)
def test_what_cancels(text: str, order: int) -> None:
    """Numeric is right and says so; what is wrong with the others is said, and counts if it is beyond the tolerance."""
    found = derive([text], [repr(x) for x in AT], hessian=order == 2)
    exact = [truth(CANCELLING[text], x, order) for x in AT]
    right = np.array([float(each) for each in exact])
    errors = {method: found.errors(method).ravel() for method in found.methods}
    for method, each in found.methods.items():
        apart = np.array([float(abs(mpmath.mpf(a) - b)) for a, b in zip(each.ravel().tolist(), exact, strict=True)])
        assert (apart <= errors[method] + 1e-80).all()
    assert (errors["numeric"] <= 4e-16 * abs(right) + 1e-35).all()
    slack = 1e-10 * np.maximum(1, abs(found.methods["reverse"].ravel()))
    wrong = errors["reverse"] > 2 * slack
    assert not wrong.any() or "reverse" in "".join(found.disagreements())
    lost = (errors["forward"] > 1e-6 * abs(right)) & (abs(right) > 1e-30)
    assert not lost.any() or [*found.disagreements(), *found.losses()]


def one(text: str, at: str, hessian: bool = False, dtype: str = "float64") -> Derivatives:
    return derive([text], [at], hessian=hessian, dtype=dtype)


@pytest.mark.parametrize(
    ("text", "at", "hessian", "expected"),
    [
        ("ln(x)", "1e-300", False, [1e300]), ("sqrt(x)", "1e-300", False, [5e149]), ("1/x", "1e300", False, [0]),
        ("x*y", "1e-300,1", False, [1, 1e-300]), ("1/w1", "1e308", True, [0]),
        ("sqrt(x)", "5e-324", False, [2.249457e161]), ("x^2", "5e-324", False, [1e-323]),
        ("(1+x)^2-1", "1e-300", False, [2]), ("x^300", "10", False, [3e301]),
        ("exp(x)", "700", False, [math.exp(700)]), ("exp(x)", "-800", False, [0]),
        ("tan(x)", "1.5707963267948966", False, [2.667093788113571e32]), ("x^3", "-2", True, [-12]),
        ("x^(-3)", "-2", False, [-3 / 16]), ("x^3", "-0.0", False, [0]),
        ("x/y", "1e-200,1e-200", False, [1e200, -1e200]), ("asinh(x)", "1e200", False, [1e-200]),
        ("sin(1e300*x)", "1", False, [-5.753861119575491e299]), ("(1e80+x)-1e80", "1", False, [1]),
        ("sin(x)", "1e100", False, [math.cos(1e100)]), ("x+sin(1e100*x)", "1", False, [1e100 * math.cos(1e100)]),
        ("erfc(x)", "30", False, [-2 / math.sqrt(math.pi) * math.exp(-900)]), ("erfc(x)", "1e200", False, [0]),
        ("x", "1e308", False, [1]), ("x/1e300", "-1e308", False, [1e-300]), ("sqrt(x)", "1e308", False, [5e-155]),
        ("elu(x)", "-1e-300", True, [1]), ("floor(1e10*x)", "1.00000000003", False, [0]),
    ],
)  # fmt: skip
def test_extremes(text: str, at: str, hessian: bool, expected: list[float]) -> None:
    found = one(text, at, hessian)
    assert not list(found.disagreements())
    for method in found.methods:
        assert found.methods[method].ravel() == pytest.approx(
            expected, rel=1e-6, abs=1e-199 if method != "numeric" else 0
        )


@pytest.mark.parametrize(
    ("text", "at", "hessian", "message"),
    [
        ("ln(x)", "5e-324", False, r"ln\(4.94066e-324\) has a derivative beyond float64, at x = 4.94066e-324"),
        ("1/x", "1e-200", False, r"1/1e-200 has a derivative beyond float64"),
        ("1/x", "1e-150", True, r"1/1e-150 has a second derivative beyond float64"),
        ("y*1e200*(x*1e200)", "1,0", False, "its derivative by y is too large for float64, at x = 1, y = 0"),
        ("exp(710)*x", "1", False, r"exp\(710\) is too large for float64"),
        ("log1p(x)", "-1", False, r"log1p\(-1\) is not defined"),
        ("floor(x)", "2", False, "its derivative by x does not exist: the formula ends or jumps there, at x = 2"),
        ("floor(x)", "1e100", False, "the formula ends or jumps there"),
        ("sign(x)", "0", False, "the formula ends or jumps there"),
        ("abs(x)", "0", True, "its derivative by x and x does not exist: the formula or its derivative ends or jumps"),
        ("x^1.5", "0", False, "the formula ends or jumps there"),
        ("x+y*0", "1,1;1e39,1", False, "x is too large for float32"),
        ("x+y*0", "1,1;1e-50,1", False, "x is too small for float32, at x = 1e-50, y = 1"),
        ("x*1e-50", "1", False, "column 3: too small for float32"),
    ],
)  # fmt: skip
def test_what_is_beyond_is_named(text: str, at: str, hessian: bool, message: str) -> None:
    with pytest.raises(GencliError, match=message):
        derive([text], [at], hessian=hessian, dtype="float32" if "float32" in message else "float64")


def test_the_bad_one_of_several_outputs_is_named() -> None:
    with pytest.raises(GencliError, match="formula 2: 1/x: column 2"):
        derive(["x", "1/x", "x^2"], ["1e-200"])


@pytest.mark.parametrize(
    "text", ["relu(x)", "abs(x)", "max(x, 0)", "hardtanh(x+1)", "x+abs(x)", "leaky_relu(x)", "elu(x)"]
)
def test_kinks_leave_the_derivative_open(text: str) -> None:
    """Torch's choice lies between the derivatives to the sides, and numeric knows no better."""
    found = one(text, "0")
    assert not list(found.disagreements())
    assert not list(found.losses())
    assert not list(derive([text], ["0"], "central", 1e-6).disagreements())


def test_steps_into_what_is_huge_take_no_time() -> None:
    """tan(exp(1e279)) would have to know as many digits of pi."""
    found = one("tan(exp(y*x))", "1e300,0")
    assert not list(found.disagreements())
    assert found.exact.ravel() == pytest.approx([0, 1e300 / math.cos(1) ** 2])
    with pytest.raises(GencliError, match="--step 1e-08 leaves the domain"):
        derive(["tan(exp(y*x))"], ["1e300,0"], "forward", 1e-8)


def test_digits_that_are_lost_are_said() -> None:
    cancelled = one("(1-cos(x))/x^2", "1e-4")
    [said] = cancelled.disagreements()
    assert said.startswith(
        "numeric and reverse disagree in 1 of 1 numbers: f1 by x, at x = 0.0001, difference 5.2e-05, allowed"
    )
    assert said.endswith("reverse is 4.4108e-05 instead of -8.33333e-06")
    by_hand = derive(["(1-cos(x))/x^2"], ["1e-4"], "forward", 0.01)
    [said] = by_hand.disagreements()
    assert said.startswith("extended evaluation and reverse disagree in 1 of 1 numbers")
    small = one("x-sin(x)", "1e-6")
    assert not list(small.disagreements())
    forward, reverse = small.losses()
    assert forward.startswith("forward keeps less than half of its digits in 1 of 1 numbers: f1 by x, at x = 1e-06: ")
    assert forward.endswith(": 5.00044e-13 instead of 5e-13")
    assert reverse.startswith("reverse keeps")
    assert not list(one("sin(x)^2+cos(x)^2", "0.7").losses())
    [value] = one("(1e20+x)-1e20", "0.5").value_losses()
    assert value == "float64 keeps less than half of the digits of f1, at x = 0.5: 0 instead of 0.5"


@pytest.mark.parametrize("step", [1e-3, 1e-8, 1e-12, 1e-15])
@pytest.mark.parametrize("difference", ["forward", "central", "richardson"])
@pytest.mark.parametrize("at", ["1e-12", "1e-4", "0.3"])
@pytest.mark.parametrize("text", ["(1+x)^2-1", "ln(1+x)", "x*(1e8+x)-1e8*x", "exp(x)-1"])
def test_quotients_in_float64_know_their_rounding(text: str, at: str, difference: Any, step: float) -> None:
    """Right derivatives are not called wrong, however short the step."""
    found = derive([text], [at], difference, step)
    assert not [said for said in found.disagreements() if said.startswith("numeric")]


def test_steps_that_float64_chooses_know_their_rounding() -> None:
    for text in ("(1+x)^2-1", "(1-cos(x))/x^2", "(exp(x)-1)/x", "ln(1+x^2)"):
        found = derive([text], ["1e-4", "1e-9"], "richardson")
        assert (found.errors("numeric") <= found.allowed["numeric"]).all()


@pytest.mark.parametrize("name", [*PUBLIC, "+", "-", "*", "/", "^", "negative"])
def test_functions_are_numpys(name: str) -> None:
    count = len(EVERY[name].derivatives)
    text = f"{name}({', '.join('xy'[:count])})" if name.isalnum() or "_" in name else f"x{name}y"
    program = parse(split("-x" if name == "negative" else text))
    points = np.concatenate(
        [np.linspace(-9.3, 9.4, 300), np.linspace(-1.2, 1.2, 99), np.arange(-4, 5) / 2, [1e-5, 40, -40]]
    )
    inputs = points[:, None] if count == 1 else np.stack([points, np.roll(points, 7)], 1)
    with np.errstate(all="ignore"):
        expected = EVERY[name].value(*inputs.T)
    found = Extended(program, np.float64).values(inputs)[:, 0]
    known = np.isfinite(expected)
    assert (np.isfinite(found) == known).all()
    assert found[known] == pytest.approx(expected[known], rel=2e-13, abs=1e-16)
    assert defined(name, inputs[np.flatnonzero(known)[0]].tolist())


def test_float32_is_differentiated_at_its_own_numbers() -> None:
    found = one("0.1*x^2", "0.1", dtype="float32")
    tenth = float(np.float32(0.1))
    assert found.methods["numeric"].dtype == np.float32
    assert found.methods["numeric"].item() == np.float32(2 * tenth * tenth)


@pytest.mark.parametrize(
    ("differences", "noise", "expected"),
    [
        ((3, 1), 0, (2, 2)),  # the error is twice the largest departure from the mean
        ((1, 1, 1, 5), 0, (2, 6)),
        ((1, 1), 2.0**-5, (1, 2.0**-3)),  # and four times what rounding may do
        ((3 * 2.0**-140, 2.0**-140), 0, (0, 2.0**-139)),  # what may be 0 is 0 where it is nothing
        ((3 * 2.0**-131, 2.0**-131), 0, (0, 2.0**-130)),
        ((3 * 2.0**-130, 2.0**-130), 0, (2.0**-129, 2.0**-129)),
        ((2.0**-140, 2.0**-140), 0, (2.0**-140, 0)),
        ((1.5 * 2.0**1023, 0.5 * 2.0**1023), 0, (2.0**1023, 2.0**1023)),  # that a derivative may be beyond float64
        ((3 * 2.0**1022, 0), 0, (None, 3 * 2.0**1022)),
        ((2**1080 + 2**1029, 2**1080 - 2**1029), 0, (2**1080, 2**1030)),  # by no more than is enough
        ((2**1080 + 2**1030, 2**1080 - 2**1030), 0, (None, 2**1031)),
        ((1, None), 0, (None, math.inf)),
    ],
)
def test_a_derivative_is_the_mean_of_the_quotients_unless_it_is_nothing_or_jumps(
    differences: tuple[float | None, ...], noise: float, expected: tuple[float | None, float]
) -> None:
    for scale in (1, 8):  # what divides
        quotients = [(None if each is None else _mp.mpf(each) * scale, _mp.mpf(scale)) for each in differences]
        assert _mean(quotients, _mp.mpf(noise) * scale) == expected
    assert _mean([(_mp.mpf(by), _mp.mpf(by)) for by in (8, 2, 4)], _mp.mpf(2.0**-5)) == (1, 2.0**-4)  # the shortest's
