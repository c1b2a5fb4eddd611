"""The functions that a formula can hold: what each is, by numpy and by torch, and the formulas of its derivatives.

The derivatives are written in the arguments x and y. They are differentiated in their turn for second derivatives, for
which some functions stand here that formulas of users cannot hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Function:
    """An elementwise function.

    Attributes:
        value: of arrays of one shape and dtype, float32 or float64; NaN outside the domain.
        derivatives: by each argument, as formulas.
        torch: its name in torch or in torch.nn.functional; None for functions that occur only in derivatives.
    """

    value: Callable[..., Any]
    derivatives: tuple[str, ...]
    torch: str | None


ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # of selu: Klambauer et al. 2017, arXiv:1706.02515

OPERATORS = {
    "+": Function(np.add, ("1", "1"), "add"),
    "-": Function(np.subtract, ("1", "-1"), "sub"),
    "*": Function(np.multiply, ("y", "x"), "mul"),
    "/": Function(np.divide, ("1/y", "-x/y/y"), "div"),
    "^": Function(np.power, ("y*x^(y-1)", "x^y*ln(x)"), "pow"),
    "negative": Function(np.negative, ("-1",), "neg"),
}


def _elu(x: Any) -> Any:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


FUNCTIONS: dict[str, Function] = {
    # powers, exponentials, logarithms
    "square": Function(np.square, ("2*x",), "square"),
    "sqrt": Function(np.sqrt, ("1/(2*sqrt(x))",), "sqrt"),
    "rsqrt": Function(lambda x: 1 / np.sqrt(x), ("-rsqrt(x)^3/2",), "rsqrt"),
    "reciprocal": Function(np.reciprocal, ("-1/x^2",), "reciprocal"),
    "exp": Function(np.exp, ("exp(x)",), "exp"),
    "exp2": Function(np.exp2, ("exp2(x)*ln(2)",), "exp2"),
    "expm1": Function(np.expm1, ("exp(x)",), "expm1"),
    "ln": Function(np.log, ("1/x",), "log"),
    "log2": Function(np.log2, ("1/(x*ln(2))",), "log2"),
    "log10": Function(np.log10, ("1/(x*ln(10))",), "log10"),
    "log1p": Function(np.log1p, ("1/(1+x)",), "log1p"),
    "logaddexp": Function(np.logaddexp, ("sigmoid(x-y)", "sigmoid(y-x)"), "logaddexp"),
    # trigonometric, hyperbolic
    "sin": Function(np.sin, ("cos(x)",), "sin"),
    "cos": Function(np.cos, ("-sin(x)",), "cos"),
    "tan": Function(np.tan, ("1+tan(x)^2",), "tan"),
    "asin": Function(np.arcsin, ("1/sqrt(1-x^2)",), "asin"),
    "acos": Function(np.arccos, ("-1/sqrt(1-x^2)",), "acos"),
    "atan": Function(np.arctan, ("1/(1+x^2)",), "atan"),
    "atan2": Function(np.arctan2, ("y/hypot(x,y)/hypot(x,y)", "-x/hypot(x,y)/hypot(x,y)"), "atan2"),
    "sinh": Function(np.sinh, ("cosh(x)",), "sinh"),
    "cosh": Function(np.cosh, ("sinh(x)",), "cosh"),
    "tanh": Function(np.tanh, ("1-tanh(x)^2",), "tanh"),
    "asinh": Function(np.arcsinh, ("1/hypot(x,1)",), "asinh"),
    "acosh": Function(np.arccosh, ("1/(sqrt(x-1)*sqrt(x+1))",), "acosh"),
    "atanh": Function(np.arctanh, ("1/(1-x^2)",), "atanh"),
    "hypot": Function(np.hypot, ("x/hypot(x,y)", "y/hypot(x,y)"), "hypot"),
    # activations
    "sigmoid": Function(special.expit, ("sigmoid(x)*sigmoid(-x)",), "sigmoid"),
    "logsigmoid": Function(special.log_expit, ("sigmoid(-x)",), "logsigmoid"),
    "logit": Function(special.logit, ("1/(x*(1-x))",), "logit"),
    "softplus": Function(lambda x: np.logaddexp(x, 0), ("sigmoid(x)",), "softplus"),
    "softsign": Function(lambda x: x / (1 + abs(x)), ("1/(1+abs(x))^2",), "softsign"),
    "relu": Function(lambda x: np.maximum(x, 0), ("heaviside(x,0)",), "relu"),
    "relu6": Function(lambda x: np.clip(x, 0, 6), ("heaviside(x,0)*heaviside(6-x,0)",), "relu6"),
    "hardtanh": Function(lambda x: np.clip(x, -1, 1), ("heaviside(1+x,0)*heaviside(1-x,0)",), "hardtanh"),
    "leaky_relu": Function(lambda x: np.maximum(x, x * 0.01), ("0.01+0.99*heaviside(x,0)",), "leaky_relu"),
    "elu": Function(_elu, ("exp(-relu(-x))",), "elu"),
    "selu": Function(
        lambda x: SCALE * np.where(x > 0, x, ALPHA * _elu(x)),
        (f"{SCALE}*(heaviside(x,0)+{ALPHA}*heaviside(-x,1)*exp(min(x,0)))",),
        "selu",
    ),
    "silu": Function(lambda x: x * special.expit(x), ("sigmoid(x)*(1+x*sigmoid(-x))",), "silu"),
    "mish": Function(
        lambda x: x * np.tanh(np.logaddexp(x, 0)), ("tanh(softplus(x))+x*sigmoid(x)/cosh(softplus(x))^2",), "mish"
    ),
    "gelu": Function(
        lambda x: x * special.ndtr(x), ("erfc(-x/sqrt(2))/2+x*exp(-x^2/2)/sqrt(2*pi)",), "gelu"
    ),
    "tanhshrink": Function(lambda x: x - np.tanh(x), ("tanh(x)^2",), "tanhshrink"),
    # special functions
    "erf": Function(special.erf, ("2/sqrt(pi)*exp(-x^2)",), "erf"),
    "erfc": Function(special.erfc, ("-2/sqrt(pi)*exp(-x^2)",), "erfc"),
    "erfinv": Function(special.erfinv, ("sqrt(pi)/2*exp(erfinv(x)^2)",), "erfinv"),
    # piecewise
    "abs": Function(np.abs, ("sign(x)",), "abs"),
    "sign": Function(np.sign, ("0",), "sign"),
    "floor": Function(np.floor, ("0",), "floor"),
    "ceil": Function(np.ceil, ("0",), "ceil"),
    "round": Function(np.round, ("0",), "round"),
    "trunc": Function(np.trunc, ("0",), "trunc"),
    "max": Function(np.maximum, ("heaviside(x-y,0.5)", "heaviside(y-x,0.5)"), "maximum"),
    "min": Function(np.minimum, ("heaviside(y-x,0.5)", "heaviside(x-y,0.5)"), "minimum"),
    # of derivatives
    "heaviside": Function(np.heaviside, ("0", "0"), None),
}  # fmt: skip

ALIASES = {
    "log": "ln", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "expit": "sigmoid", "swish": "silu", "maximum": "max", "minimum": "min",
    "pow": "^", "neg": "negative", "celu": "elu",
}  # fmt: skip

EVERY = OPERATORS | FUNCTIONS
