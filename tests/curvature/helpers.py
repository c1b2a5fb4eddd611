"""Requests without a command line, and random formulas."""

from __future__ import annotations

from hypothesis import strategies as st

from gencli.formulas import requests
from gencli.formulas.compare import Derivatives, compute
from gencli.formulas.differences import Difference
from gencli.formulas.functions import FUNCTIONS

COURSE = ["cos(w1)*cos(w2) + sigmoid(w2)", "ln(w1+w2) + w1^2*w2"]
SMOOTH = ["sin", "cos", "tanh", "sigmoid", "softplus", "exp", "atan", "silu", "gelu", "erf", "asinh"]
PUBLIC = [name for name, function in FUNCTIONS.items() if function.torch]


def derive(
    formulas: list[str],
    at: list[str],
    difference: Difference | None = None,
    step: float | None = None,
    hessian: bool = False,
    hvp: str | None = None,
    dtype: str = "float64",
    tolerance: float = 1e-10,
) -> Derivatives:
    """What the command computes."""
    request = requests.read(formulas, None, at, hessian, hvp, None)
    return compute(request, difference, step, dtype, tolerance, lambda done: None)


def formulas(most: int = 12) -> st.SearchStrategy[str]:
    """Smooth formulas of w1, w2 and w3, fully in parentheses."""
    numbers = st.integers(0, 300).map(lambda hundredths: f"{hundredths / 100}")
    leaves = st.sampled_from(["w1", "w2", "w3"]) | numbers
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda parts: f"({''.join(parts)})"),
            st.tuples(st.sampled_from(SMOOTH), inner).map(lambda parts: f"{parts[0]}({parts[1]})"),
            st.tuples(inner, inner).map(lambda parts: f"({parts[0]}/(2+{parts[1]}^2))"),
        ),
        max_leaves=most,
    )
