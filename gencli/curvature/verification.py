"""Products of a curvature matrix with vectors, compared with computations that do not share their code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import pyarrow as pa
import torch
from torch import Tensor

from gencli.curvature import settings
from gencli.curvature.differences import STEPS, Sweep, relative, sweep
from gencli.curvature.operators import Operator
from gencli.curvature.products import FAILURES, METHODS, Route
from gencli.curvature.routes import Choice
from gencli.curvature.settings import ProductSettings
from gencli.curvature.trials import EXACT, EXACT_SLOPE, is_memory
from gencli.curvature.vectors import by_name, random
from gencli.errors import GencliError, first_line
from gencli.files.tensors import WITHOUT_FLOAT64

Verdict = Literal["holds", "fails", "kinks", "unclear", "refuted", "missing", ""]

ROUTES: tuple[Route, ...] = (*METHODS, "finite-difference")
TOLERANCES: dict[torch.dtype, float] = {getattr(torch, name): each for name, each in settings.TOLERANCES.items()}
_DOUBT = 10
_INEXACT = 1e-6  # of the symmetry of what differences give, and between those of two kinds
CHEAP = 1e12  # operations of a verification that need not be asked for
_ROUNDING = 16  # eps of |H| |v|, which products of float arithmetic may be off by
_UNCLEAR = 1e-2  # relative: differences that allow more say nothing
_KINKED = 0.1  # part of a disagreement that a jump must have to explain it
_GRADIENTS = 2 * len(STEPS) + 12  # that verifying a product costs about


@dataclass
class Findings:
    """What is known of products.

    Attributes:
        sweeps: the V-curves, by the vector's name.
        notes: further remarks, one line each.
    """

    sweeps: dict[str, Sweep] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _rows: list[tuple[str, str, float | None, float | None, str]] = field(default_factory=list)

    @property
    def table(self) -> pa.Table:
        """Columns vector, what, value, allowed, verdict.

        That is `holds`, `fails`, `kinks` (explains it), `unclear` (differences say nothing), `refuted` (another route
        that disagrees is wrong by its own trial) or `missing`.
        """
        names = "vector", "what", "value", "allowed", "verdict"
        kinds = pa.string(), pa.string(), pa.float64(), pa.float64(), pa.string()
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(names)
        return pa.table({name: pa.array(each, kind) for name, each, kind in zip(names, columns, kinds, strict=True)})

    @property
    def failed(self) -> list[str]:
        """What fails, in words."""
        return [f"{vector}: {what}: {value:.2g}, allowed {allowed:.2g}"
                for vector, what, value, allowed, verdict in self._rows if verdict == "fails"]  # fmt: skip

    def say(
        self, vector: str, what: str, value: float | None, allowed: float | None = None, verdict: Verdict = ""
    ) -> None:
        """Adds a row; a value with something allowed holds or fails by it, unless a verdict is given."""
        if value is not None and allowed is not None and not verdict:
            verdict = "holds" if value <= allowed else "fails"
        self._rows.append((vector, what, value, allowed, verdict))


def cost(operator: Operator, vectors: int) -> float:
    """Approximate number of floating-point operations for verifying this many products."""
    return 3.0 * operator.flops * operator.rows * _GRADIENTS * vectors


def wanted(operator: Operator, vectors: int, settings: ProductSettings) -> bool:
    """Whether to verify this many products: as the settings say, or by default if it is cheap.

    Raises:
        GencliError: they say so, and the device has no float64.
    """
    asked, device = settings.verify or bool(settings.plot), operator.weights.device.type
    if asked and device in WITHOUT_FLOAT64:
        raise GencliError(f"--device: {device} has no float64", "use --device cpu")
    return asked or (
        settings.verify is None and cost(operator, max(vectors, 1)) < CHEAP and device not in WITHOUT_FLOAT64
    )


def multiply(operator: Operator, v: Tensor, route: Route) -> Tensor:
    """The operator times v [size] by this route; differences, in float64, take the quotient of the least contradiction.

    Raises:
        GencliError: torch lacks a derivative that the route needs.
    """
    try:
        if route == "finite-difference" and v.any():
            exact = operator.exact
            return sweep(exact, v.to(exact.weights), v.to(exact.weights)).product.to(v)
        return operator.matvec(v, route)
    except FAILURES as error:
        if is_memory(error):
            raise
        other = next(each for each in METHODS if each != route)
        raise GencliError(
            f"--method: {route} is not available for this network: {first_line(error)}", f"use {other}"
        ) from error


def compute(
    operator: Operator,
    exact: Operator | None,
    vectors: Sequence[tuple[str, Tensor]],
    routes: Sequence[Route],
    tolerance: float,
    refuted: Callable[[Route], bool] = lambda route: False,
    done: Callable[[], None] = lambda: None,
) -> tuple[list[Tensor], Findings]:
    """The products [size] of named vectors by the first of the routes, and what is known of them.

    Args:
        exact: the operator in float64, to verify against; None to compare only the routes.
        tolerance, refuted, done: see `verify`.
    """
    findings, made = Findings(), []
    for name, v in vectors:
        first, *others = routes
        products: dict[Route, Tensor] = {first: multiply(operator, v, first)}
        made.append(products[first])
        describe(findings, name, v, made[-1])
        for route in others:
            _add(findings, name, operator, v, route, products)
        if exact is None:
            compare(findings, name, products, tolerance, refuted)
        else:
            probe = random(operator, 0, "probe")
            verify(findings, name, operator, exact, v, probe, products, tolerance, refuted, done)
    return made, findings


def _add(
    findings: Findings, name: str, operator: Operator, v: Tensor, route: Route, products: dict[Route, Tensor]
) -> None:
    try:
        products[route] = multiply(operator, v, route)
    except GencliError:
        findings.say(name, f"{route}: not available here", None, None, "missing")


def work(operator: Operator, vectors: Sequence[object]) -> int:
    """Number of steps that `compute_all` reports; without vectors, columns times batches of the whole matrix."""
    return len(STEPS) * len(vectors) or operator.size * operator.shares


def compute_all(
    operator: Operator,
    exact: Operator | None,
    vectors: Sequence[tuple[str, Tensor]],
    choice: Choice,
    settings: ProductSettings,
    progress: Callable[[int], None],
) -> tuple[dict[str, Tensor], Findings]:
    """What `compute` gives, by the names of tensors in a file; the whole matrix where there are no vectors."""
    tolerance = TOLERANCES[operator.dtype] if settings.tolerance is None else settings.tolerance
    if vectors:
        others: list[Route] = [route for route in ROUTES if route != operator.route and settings.method == "all"]
        counted = count(1)
        routes: list[Route] = [operator.route, *others]
        made, findings = compute(
            operator, exact, vectors, routes, tolerance, choice.wrong, lambda: progress(next(counted))
        )
        tensors = by_name(operator, made)
    else:
        matrix, findings = compute_dense(operator, exact, tolerance, choice.wrong, progress)
        tensors = {operator.kind: matrix}
    if not choice.exact:
        findings.notes.append("not compared with float64, in which the network cannot be evaluated")
    elif exact is None:
        operations = cost(operator, max(len(vectors), 1))
        findings.notes.append(
            f"products not verified one by one, which would take {operations:.0e} operations; --verify does it"
        )
    elif exact.kinks:
        findings.notes.append(f"kinks, where derivatives jump: {', '.join(exact.kinks)}")
    return tensors, findings


def compute_dense(
    operator: Operator,
    exact: Operator | None,
    tolerance: float,
    refuted: Callable[[Route], bool],
    done: Callable[[int], None],
) -> tuple[Tensor, Findings]:
    """The matrix [size, size] itself, compared with a verified product if there is an `exact`."""
    matrix, findings, name = operator.dense(done), Findings(), "random:0"
    findings.say("matrix", "|H|", float(matrix.norm()))
    apart = float((matrix - matrix.T).norm())
    findings.say("matrix", "symmetry: |H - H'| / |H|", apart / float(matrix.norm()) if apart else 0.0, tolerance)
    if exact is not None:
        v = random(operator, 0)
        [product], known = compute(operator, exact, [(name, v)], [operator.route], tolerance, refuted)
        known.say("matrix", "its product: relative difference", relative(matrix @ v, product), tolerance)
        known._rows = findings._rows + known._rows
        return matrix, known
    return matrix, findings


def describe(findings: Findings, name: str, v: Tensor, product: Tensor) -> None:
    """Adds the norms of v [size] and Hv [size], and the Rayleigh quotient v'Hv / v'v."""
    v, product = v.double(), product.double()
    findings.say(name, "|v|", float(v.norm()))
    findings.say(name, "|Hv|", float(product.norm()))
    findings.say(name, "v'Hv / v'v", float(v @ product / (v @ v)) if v.any() else None)


def compare(
    findings: Findings,
    name: str,
    products: dict[Route, Tensor],
    tolerance: float | None,
    refuted: Callable[[Route], bool] = lambda route: False,
    least: float = 0.0,
) -> None:
    """Adds how far products by several routes are from the first; differences are `verify`'s to judge.

    Args:
        least: the size that they have where theirs is smaller.
    """
    (_, expected), *others = products.items()
    for route, each in others:
        apart, judged = relative(each, expected, least), None if route == "finite-difference" else tolerance
        outvoted = judged is not None and not apart <= judged and refuted(route)
        findings.say(name, f"{route}: relative difference", apart, judged, "refuted" if outvoted else "")


def verify(
    findings: Findings,
    name: str,
    operator: Operator,
    exact: Operator,
    v: Tensor,
    probe: Tensor,
    products: dict[Route, Tensor],
    tolerance: float,
    refuted: Callable[[Route], bool] = lambda route: False,
    done: Callable[[], None] = lambda: None,
) -> None:
    """Adds what an independent route, symmetry, and differences of gradients and losses say of a product.

    Products are apart relative to |Hv|, or to what rounding reaches where that is smaller: error is of |H| |v|, so
    that a product that is 0 but for rounding has no digits (Higham, Accuracy and Stability, 3.5).

    Differences of gradients hold within 1.5e-8, those of losses within 1e-10, and ten times what they contradict each
    other by. Where they do not, and gradients
    ahead of the parameters and behind them differ however short the step, a kink explains it.

    Args:
        exact: the same operator in float64; may be `operator`.
        v, probe: [size].
        products: the operator's with v, by route; the first is judged.
        tolerance: relative, of routes and symmetry, and of float32 against float64 where no kink lies between.
        refuted: whether a route that disagrees is the one that is wrong.
        done: called after each step of the sweep.
    """
    (route, product), *_ = products.items()
    other: Route = "reverse-over-forward" if route != "reverse-over-forward" else "double-backward"
    known = dict(products)
    if other not in known:
        _add(findings, name, operator, v, other, known)
    both = operator.matvec(torch.stack([v, probe]).to(operator.dtype)).double()
    usual = float(v.double().norm() * both[1].norm()) / len(v) ** 0.5
    least = _ROUNDING * torch.finfo(operator.dtype).eps * usual / (tolerance or 1.0)
    compare(findings, name, known, None if route == "finite-difference" else tolerance, refuted, least)
    kinked = bool(exact.kinks)
    reference = operator.matvec(v) if exact is operator else exact.matvec(v)
    if exact is not operator:
        apart = relative(product, reference, least)
        excused: Verdict = "kinks" if kinked and apart > tolerance else ""
        findings.say(name, "float64: relative difference", apart, tolerance, excused)
    inexact = operator.route == "finite-difference"
    _symmetry(findings, name, both, v, probe, max(tolerance, _INEXACT) if inexact else tolerance)
    if v.any():
        _differences(findings, name, exact, v, reference, _INEXACT if inexact else EXACT, done)


def _differences(
    findings: Findings, name: str, exact: Operator, v: Tensor, reference: Tensor, close: float, done: Callable[[], None]
) -> None:
    """Adds what differences of gradients and of losses say of `reference`, Hv in float64, `close` being allowed."""
    found = findings.sweeps[name] = sweep(exact, v.to(exact.dtype), reference, done)
    length = float(reference.norm())
    for what, errors in (("central", found.central), ("Richardson", found.richardson)):
        step, error = found.best(errors)
        findings.say(name, f"{what} difference at its best step, {step:.1e}", error)
    apart = float((found.product - reference).norm())
    allowed = close * length + _DOUBT * found.error
    jumps = (found.jump, found.slope_jump) if exact.kinks else (0.0, 0.0)
    _judge(findings, name, "difference of gradients: |difference - Hv|", apart, allowed, jumps[0], length)
    gradient, along = exact.gradient(), v.to(exact.dtype)
    slope = float(gradient @ along)
    apart, size = abs(found.slope - slope), max(abs(slope), float(gradient.norm() * along.norm()) / len(v) ** 0.5)
    allowed = EXACT_SLOPE * size + _DOUBT * found.slope_error
    _judge(findings, name, "difference of losses: |difference - g'v|", apart, allowed, jumps[1], size)


def _judge(findings: Findings, name: str, what: str, apart: float, allowed: float, jump: float, size: float) -> None:
    verdict: Verdict = ""
    if apart > allowed and jump >= _KINKED * apart:
        verdict = "kinks"
    elif _UNCLEAR * size < allowed >= apart > EXACT_SLOPE * size:
        verdict = "unclear"
    findings.say(name, what, apart, allowed, verdict)


def _symmetry(findings: Findings, name: str, products: Tensor, v: Tensor, probe: Tensor, tolerance: float) -> None:
    """Adds whether the products [2, size] of v and a probe, in float64, are of a symmetric matrix."""
    (of_v, of_probe), v, probe = products, v.double(), probe.double()
    size = max(float(probe.norm() * of_v.norm()), float(v.norm() * of_probe.norm())) / len(v) ** 0.5
    apart = abs(float(probe @ of_v - v @ of_probe))
    findings.say(name, "symmetry: |u'Hv - v'Hu| / its usual size", apart / size if size else 0.0, tolerance)
