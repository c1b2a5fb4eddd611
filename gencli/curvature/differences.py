"""Products of a curvature matrix with a vector from differences of gradients, over many steps: the V-curve.

Over long steps the quotients are off by the derivatives they leave out, over short ones by rounding; in between lies
the best that differences can say. Richardson 1911 extrapolates two steps to the step 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from gencli.curvature.operators import Operator

RATIO = 2.0
STEPS = tuple(RATIO**-k for k in range(3, 27))  # of the parameters' length
FEW = tuple(RATIO**-k for k in (8, 12, 16, 20, 23, 26))
_LEAST = 1e-3  # of the usual size of parameters: smaller ones are moved by more than their own
SHORT = STEPS[12::2]  # on which networks with kinks meet few, and others leave little out
_ROUNDING = 4  # errors of a loss, in units of the last place


@dataclass(frozen=True)
class Sweep:
    """What differences along a vector v say; quotients are [size].

    Attributes:
        steps: how far the parameters were moved along v and against it, in parts of their own length, each in units of
            its `sizes`.
        central, richardson: relative errors |quotient - Hv| / |Hv| by step; the second are extrapolations from a step
            and the one before it, NaN at the first.
        product: the quotient or extrapolation that its neighbours contradict least.
        error: by how much they differ at most, |.|.
        slope, slope_error: the derivative of the loss along v, and by how much its neighbours contradict it.
        jump, slope_jump: the least difference of the quotients ahead and behind, |.|, and of the slopes there and that
            between: 0 but for rounding where there is no kink.
    """

    steps: tuple[float, ...]
    central: list[float]
    richardson: list[float]
    product: Tensor
    error: float
    slope: float
    slope_error: float
    jump: float
    slope_jump: float

    def best(self, errors: list[float]) -> tuple[float, float]:
        """The step with the least of these errors, and that error."""
        known = [(each, step) for step, each in zip(self.steps, errors) if not math.isnan(each)]
        error, step = min(known)
        return step, error


class _Best:
    """The element of a sequence of estimates that differs least from its two neighbours."""

    def __init__(self) -> None:
        self.value, self.error = torch.zeros(()), math.inf
        self._last: Tensor | None = None
        self._change = math.inf

    def add(self, value: Tensor, floor: float = 0.0) -> None:
        if self._last is not None:
            change = float((value - self._last).norm())
            if (error := max(change, self._change) + floor) <= self.error:
                self.value, self.error = self._last, error
            self._change = change
        self._last = value


def sizes(operator: Operator) -> Tensor:
    """[size], each the root mean square of its parameter, or 1e-3 of their median where that is larger.

    But no more than what changes the loss as others do: small numbers may be near 0, or in large units.
    """
    parts, gradients = operator.unflatten(operator.weights), operator.unflatten(operator.gradient())
    roots = {name: part.square().mean().sqrt() for name, part in parts.items()}
    steep = {name: part.square().mean().sqrt() for name, part in gradients.items()}
    some = [root for root in roots.values() if root > 0]
    usual = torch.stack(some).median() if some else operator.weights.new_ones(())
    changes = [roots[name] * steep[name] for name in roots if roots[name] > 0 and steep[name] > 0]
    change = torch.stack(changes).median() if changes else torch.inf
    own = {
        name: torch.maximum(root, ((_LEAST if root > 0 else 1) * usual).clamp_max(change / steep[name]))
        for name, root in roots.items()
    }
    return operator.flatten({name: each.expand(parts[name].shape) for name, each in own.items()})


def sweep(
    operator: Operator,
    v: Tensor,
    exact: Tensor,
    done: Callable[[], None] = lambda: None,
    steps: tuple[float, ...] = STEPS,
    scales: Tensor | float = 1.0,
) -> Sweep:
    """Differences of an operator's field along v [size], not 0, over the steps; two gradients per step.

    Args:
        operator: in float64, or its rounding is all that is seen.
        exact: the product [size] that errors are relative to.
        done: called after each step.
        scales: [size], what parameters, and so v and the products, are in units of.
    """
    w = operator.weights
    of = operator.scales
    unit = float(((w / of).norm() or 1) / (scales * v / of).norm())

    def at(length: float) -> tuple[Tensor, Tensor]:
        loss, field = operator.at(w + length * scales * v)
        return loss, scales * field

    middle_loss, middle = at(0.0)
    rounding = _ROUNDING * torch.finfo(w.dtype).eps * float(middle_loss.abs())
    best, best_slope = _Best(), _Best()
    central, richardson = [], [math.nan]
    jump = slope_jump = math.inf
    last = last_slope = middle
    for number, step in enumerate(steps):
        length = step * unit
        (ahead_loss, ahead), (behind_loss, behind) = at(length), at(-length)
        quotient, slope = (ahead - behind) / (2 * length), (ahead_loss - behind_loss) / (2 * length)
        bend, loss_bend = ahead - 2 * middle + behind, ahead_loss - 2 * middle_loss + behind_loss
        jump = min(jump, float(bend.norm()) / length)
        # where many units are at a kink their bends may cancel in the loss, but not in its derivative
        slope_jump = min(slope_jump, max(float(loss_bend.abs()) / length, float((bend @ v).abs())))
        if central:
            rest = (steps[number - 1] / step) ** 2 - 1
            better = quotient + (quotient - last) / rest
            best.add(better)
            best_slope.add(slope + (slope - last_slope) / rest, rounding / length)
            richardson.append(relative(better, exact))
        central.append(relative(quotient, exact))
        last, last_slope = quotient, slope
        done()
    return Sweep(
        steps, central, richardson, best.value, best.error, float(best_slope.value), best_slope.error, jump, slope_jump
    )


def picture(sweeps: Mapping[str, Sweep]) -> Figure:
    """The V-curves: errors over steps on logarithmic scales, two curves per vector."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for number, (name, each) in enumerate(sweeps.items()):
        words = name.replace("$", r"\$")  # no formula, whatever the file is called
        for kind, errors, style in (("central", each.central, "o-"), ("Richardson", each.richardson, "s--")):
            axis.loglog(each.steps, errors, style, color=f"C{number}", label=f"{words}: {kind}", markersize=3)
    axis.set(xlabel="step / length of the parameters", ylabel="|difference - Hv| / |Hv|")
    axis.legend(frameon=False)
    return figure


def relative(value: Tensor, expected: Tensor, least: float = 0.0) -> float:
    """|value - expected| / max(|expected|, least) in float64, 0 where both are 0, infinite where only this size is."""
    apart, size = float((value.double() - expected.double()).norm()), max(float(expected.double().norm()), least)
    return apart / size if size else math.inf if apart else 0.0
