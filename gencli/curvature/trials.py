"""Trials of routes on few rows: products against symmetry, and in float64 against differences of gradients and losses.

Derivatives of derivatives can be wrong without an error: by a function of the user's own that may be differentiated
once, or a rule of torch's that takes for constant what is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from gencli.curvature.differences import FEW, sweep
from gencli.curvature.networks import WithoutFloat64
from gencli.curvature.operators import Operator
from gencli.curvature.products import FAILURES, METHODS, Route
from gencli.curvature.vectors import random
from gencli.errors import CheckFailed, GencliError, first_line

_GRADIENTS = 25  # that a trial costs, about
_OPERATIONS = 1e9  # of a trial that nobody waits for
_MOST = 32  # rows
_BESIDE = (0.0, 2.0**-10, 0.25)  # how far from the weights, in parts of their mean square: there no kink is likely
EXACT = 2.0**-26  # allowed of differences of gradients: second derivatives of torch's lgamma have 9 digits
EXACT_SLOPE = 1e-10  # of those of losses
_DOUBT = 10  # allowed in addition: times the estimated error of the differences
_UNCLEAR = 1e-2  # relative: differences that allow more say nothing
_KINKED = 0.1  # part of a disagreement that a jump must have to explain it
NATURAL = 1e-6  # of |g| |v| / |w|: products that small are as good as none
_ASYMMETRY = 1e-4
WORDS = 80  # characters of an error of torch's
_ROUNDED = 1e-2  # relative: what float32 may be off by
_AGREE = {torch.float64: 1e-6, torch.float32: 1e-3}  # of routes where differences say nothing

_Outcome = Literal["right", "wrong", "gradient", "unclear", "missing"]


@dataclass(frozen=True)
class Verdict:
    """What a trial says of a route.

    Attributes:
        outcome: `gradient` is for a gradient that is wrong itself, `unclear` for routes that nothing confirms.
        words: what is wrong, or the comparison that it passed.
        apart: |difference - Hv| / |Hv| of the trial; None where differences say nothing.
        asymmetry: |u'Hv - v'Hu| by its usual size.
    """

    outcome: _Outcome
    words: str
    apart: float | None = None
    asymmetry: float | None = None


class Trial:
    """Products of few rows in float64 along a random vector, and differences of gradients and losses there.

    Where the derivatives jump at the weights themselves, or differences are unreliable, they are taken next to them: a
    kink must not excuse a wrong derivative, which is as wrong there.

    Args:
        rows: [n] int64; 2 to 32 of all where None, so that it costs about a gradient of all rows of a large table.
    """

    def __init__(self, operator: Operator, rows: Tensor | None = None) -> None:
        self._operator = operator
        if rows is None:
            one = 3.0 * _GRADIENTS * max(operator.flops, operator.size)
            count = max(2, operator.rows // _GRADIENTS, int(_OPERATIONS / one))
            count = min(count, operator.rows, operator.batch_size, _MOST)
            rows = torch.linspace(0, operator.rows - 1, count).long()
        self.rows = rows
        self._points: dict[float, _Point] = {}
        self._verdicts: dict[Route, Verdict] = {}
        self._beside: dict[Route, float] = {}

    @property
    def exact(self) -> bool:
        """Whether the network can be evaluated in float64."""
        return self._point(0.0).operator.dtype == torch.float64

    @property
    def scales(self) -> Tensor:
        """[size], in whose units parameters are moved."""
        return self._point(0.0).scales

    def verdict(self, route: Route) -> Verdict:
        """What it says of a route, in words that follow its name."""
        if route not in self._verdicts:
            self._verdicts[route] = self._judge(route)
        return self._verdicts[route]

    def record(self, route: Route) -> dict[str, Any]:
        """See `Choice`; numbers have two digits, since the others are noise."""
        verdict = self.verdict(route)
        numbers = {"difference": verdict.apart, "asymmetry": verdict.asymmetry, "beside": self._beside.get(route, 0.0)}
        rounded = {name: each if each is None else float(f"{each:.1e}") for name, each in numbers.items()}
        return {"route": route, "rows": len(self.rows), **rounded}

    def _judge(self, route: Route) -> Verdict:
        for far in _BESIDE:
            verdict = self._point(far).judge(route)
            if verdict.outcome != "unclear":
                self._beside[route] = far
                return self._rounded(route, verdict) if verdict.outcome == "right" else verdict
        point = self._point(0.0)
        for other in METHODS:
            if other != route and (apart := point.apart(route, other)) <= _AGREE[point.operator.dtype]:
                words = f"agrees with {other} to {apart:.1e}; differences of gradients are unreliable here"
                return self._rounded(route, Verdict("right", words))
        return Verdict("unclear", "cannot be verified: differences of gradients are unreliable, no other route agrees")

    def _rounded(self, route: Route, verdict: Verdict) -> Verdict:
        """The verdict, unless the operator's own precision is too coarse."""
        point, operator = self._point(0.0), self._operator
        if point.operator.dtype == operator.dtype or route == "finite-difference":
            return verdict
        single = operator.again(self.rows, operator.dtype)
        return rounded(single, route, point.scales, point.v, point.product(route)[0]) or verdict

    def _point(self, far: float) -> _Point:
        if far not in self._points:
            device = self._operator.exact_device
            try:
                self._points[far] = _Point(self._operator.again(self.rows, torch.float64, device), far)
            except (*FAILURES, WithoutFloat64):  # a network that works only in float32
                self._points[far] = _Point(self._operator.again(self.rows, self._operator.dtype), far)
        return self._points[far]


class _Point:
    """A trial at weights that lie `far` from the model's; vectors and products are in units of `scales`."""

    def __init__(self, operator: Operator, far: float) -> None:
        self.operator, self.v, self._probe = operator, *(random(operator, 0, each) for each in ("trial", "probe"))
        self.scales = operator.scales
        if far:
            operator.weights = operator.weights + far * self.scales * random(operator, 0, "beside")
        self._found = sweep(operator, self.v, self.v, steps=FEW, scales=self.scales)
        self._far, self._gradient = far, self.scales * operator.gradient()
        self._products: dict[Route, Tensor] = {}

    def product(self, route: Route) -> Tensor:
        """[2, size] with v, the probe, by this route."""
        if route not in self._products:
            vectors = self.scales * torch.stack([self.v, self._probe])
            self._products[route] = (self.scales * self.operator.matvec(vectors, route)).double()
            self.operator.forget()
        return self._products[route]

    def judge(self, route: Route) -> Verdict:
        """Compares the products by a route with differences here, and checks their symmetry."""
        try:
            of_v, of_probe = self.product(route)
        except (*FAILURES, WithoutFloat64) as error:
            if is_memory(error):
                raise
            return Verdict("missing", f"is not available for this network: {first_line(error, WORDS)}")
        except CheckFailed:  # by differences, which are unreliable
            return Verdict("unclear", "")
        except GencliError:
            return Verdict("unclear" if self._far else "wrong", "gives numbers that are not finite")
        excuse = 0.0 if self._far == _BESIDE[-1] else 1 / _KINKED  # so far kinks are few, and rounding looks like one
        first, second = self._first(excuse), self._second(of_v, excuse)
        if first.outcome == "gradient" or "wrong" in (first.outcome, second.outcome):
            return second if first.outcome != "gradient" else first
        v, probe = self.v.double(), self._probe.double()
        usual = max(float(probe.norm() * of_v.norm()), float(v.norm() * of_probe.norm())) / len(v) ** 0.5
        asymmetry = abs(float(probe @ of_v - v @ of_probe)) / (usual or 1.0)
        if asymmetry > _ASYMMETRY:
            return Verdict("wrong", f"is not symmetric: u'Hv and v'Hu differ by {percent(asymmetry)}")
        return replace(second, asymmetry=asymmetry) if first.outcome == "right" else first

    def _first(self, excuse: float) -> Verdict:
        """Compares the gradient with differences of losses."""
        found, slope = self._found, float(self._gradient @ self.v)
        size = max(abs(slope), self._steepness / len(self.v) ** 0.5) or 1.0
        apart, allowed = abs(found.slope - slope), EXACT_SLOPE * size + _DOUBT * found.slope_error
        if apart > max(allowed, excuse * found.slope_jump):
            return Verdict("gradient", f"the gradient differs by {percent(apart / size)} from differences of losses")
        return Verdict("right" if apart <= allowed else "unclear", "")

    def _second(self, product: Tensor, excuse: float) -> Verdict:
        """Compares the product with v with differences of gradients."""
        found, natural = self._found, self._steepness / (float((self.operator.weights / self.scales).norm()) or 1.0)
        size = max(float(product.norm()), float(found.product.norm()), NATURAL * natural) or 1.0
        apart, allowed = float((product - found.product).norm()), EXACT * size + _DOUBT * found.error
        if apart > max(allowed, excuse * found.jump):
            return Verdict("wrong", f"differs by {percent(apart / size)} from differences of gradients")
        beside = ", next to the weights, where derivatives jump" if self._far else ""
        words = f"within {apart / size:.1e} of differences of gradients on {self.operator.rows} rows{beside}"
        return Verdict("right" if apart <= allowed <= _UNCLEAR * size else "unclear", words, apart / size)

    @property
    def _steepness(self) -> float:
        return float(self._gradient.norm() * self.v.norm())

    def apart(self, route: Route, other: Route) -> float:
        """|difference| of two routes' products, relative; infinite if one is not available."""
        try:
            one, two = self.product(route)[0], self.product(other)[0]
        except (*FAILURES, GencliError) as error:
            if is_memory(error):
                raise
            return float("inf")
        return float((one - two).norm()) / (float(one.norm()) or 1.0)


def rounded(operator: Operator, route: Route, scales: Tensor, v: Tensor, product: Tensor) -> Verdict | None:
    """Refuses an operator whose precision is too coarse for its product with v, both in units of scales [size]."""
    made = scales.cpu() * operator.matvec(scales * v, route).cpu().double()
    apart = float((made - product.cpu()).norm()) / (float(product.norm()) or 1.0)
    if apart <= _ROUNDED:
        return None
    return Verdict("wrong", f"has a rounding error of {apart:.0%} in {str(operator.dtype)[6:]}: use --dtype float64")


def is_memory(error: Exception) -> bool:
    """Whether there was too little memory."""
    return "allocate" in str(error) or isinstance(error, torch.OutOfMemoryError)


def percent(share: float) -> str:
    """A fraction as a percentage for people, with two digits."""
    return f"{100 * share:.2g} %"
