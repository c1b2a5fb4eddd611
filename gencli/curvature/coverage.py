"""Whether a route's products are right of all rows, in the batches of the run itself.

A derivative may be wrong for some rows only, for one class, in the last batch or in large ones, which a trial of few
rows misses. So each batch's product along a random vector, and its gradient, are compared with a difference of its
gradients and of its losses, in float64: a product and about five gradients of all rows, and a product in the run's own
precision. Batches that are off are halved until what is off is found, and that is tried closely.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gencli.curvature.networks import WithoutFloat64
from gencli.curvature.operators import Operator
from gencli.curvature.products import FAILURES, Route
from gencli.curvature.trials import NATURAL, WORDS, Trial, Verdict, is_memory, rounded
from gencli.curvature.vectors import random
from gencli.errors import GencliError, first_line

# in parts of the parameters' length, the next one where one is off: long steps cross kinks, short ones round
_SMOOTH, _KINKED, _SINGLE = (2.0**-18, 2.0**-24, 2.0**-13), (2.0**-26, 2.0**-31, 2.0**-20), (2.0**-8, 2.0**-11, 2.0**-5)
_SLACK = {torch.float64: 1e-5, torch.float32: 1e-2}  # of a batch: a batch with a larger difference is examined
_MOST = 6  # times all rows: what halves may have together
_TRIAL = 8  # what one costs, in measures of its rows


@dataclass(frozen=True)
class _Share:
    """How far the product and the gradient of rows [start, stop) are from differences, and their sizes, |.|."""

    start: int
    stop: int
    apart: float
    size: float
    slope_apart: float
    slope_size: float

    @property
    def rows(self) -> int:
        return self.stop - self.start


class Coverage:
    """Of an operator by one route.

    Args:
        trial: of few of its rows.

    Attributes:
        worst: relative difference of a batch's product or gradient, the largest of those that hold.
        unsure: number of rows for which differences are unreliable.
    """

    def __init__(self, operator: Operator, trial: Trial, route: Route) -> None:
        self.worst, self.unsure = 0.0, 0
        self._run, self._scales = operator, trial.scales
        self._route: Route = route
        self._all = operator.exact if trial.exact else operator
        self._v = random(self._all, 0, "cover")
        scaled = self._all.weights / self._scales
        self._unit = float((scaled.norm() or 1) / self._v.norm())
        self._natural = NATURAL * float(self._v.norm()) / (float(scaled.norm()) or 1.0)
        self._steps = _SINGLE if not trial.exact else _KINKED if operator.kinks else _SMOOTH
        self._slack = _SLACK[self._all.dtype]
        self._usual = self._usual_slope = 0.0  # sizes

    def verdict(self) -> Verdict:
        """What it says of all rows."""
        count, mine = self._all.rows, list[_Share]()
        total, group = torch.zeros_like(self._all.weights), self._all.group
        try:
            with group.summed(total):
                for part in self._all.slices():
                    share, product = self._measure(part.start, part.stop)
                    total += product * (share.rows / count)
                    self._usual += share.size * share.rows / count
                    self._usual_slope += share.slope_size * share.rows / count
                    mine.append(share)
            shares = [share for each in group.each(lambda: mine) for share in each]
            self._usual = sum(share.size * share.rows / count for share in shares)
            self._usual_slope = sum(share.slope_size * share.rows / count for share in shares)
            wrong = self._search([share for share in shares if self._off(share) > self._slack])
            if not wrong and self._run is not self._all and self._route != "finite-difference":
                wrong = rounded(self._run, self._route, self._scales, self._v, total)
        except (*FAILURES, WithoutFloat64) as error:
            if is_memory(error):
                raise
            return Verdict("missing", f"is not available for all rows: {first_line(error, WORDS)}")
        except GencliError:
            return Verdict("wrong", "gives numbers that are not finite")
        if wrong:
            return wrong
        if 2 * self.unsure > count:  # then differences have confirmed nothing
            return Verdict(
                "unclear", f"cannot be confirmed: differences are unreliable for {self.unsure:,} of its rows"
            )
        self.worst = max(off for share in shares if (off := self._off(share)) <= self._slack or share is shares[0])
        unsure = f", undecided for {self.unsure:,}" if self.unsure else ""
        return Verdict("right", f"within {self.worst:.1e} on all {count:,} rows, batch by batch{unsure}", self.worst)

    def _off(self, share: _Share) -> float:
        """The error of a share, relative to its own size or to the usual one, whichever is larger."""
        size, slope_size = max(share.size, self._usual) or 1.0, max(share.slope_size, self._usual_slope) or 1.0
        return max(share.apart / size, share.slope_apart / slope_size)

    def _measure(self, start: int, stop: int) -> tuple[_Share, Tensor]:
        """The share of the rows, and their product [size], zeros if the route itself is by differences."""
        part, v, scales = self._all.part(torch.arange(start, stop)), self._v, self._scales
        gradient = scales * part.gradient()
        slope, slope_size = float(gradient @ v), float(gradient.norm())
        by_differences = self._route == "finite-difference"
        product = torch.zeros_like(v) if by_differences else scales * part.matvec(scales * v, self._route)
        size = max(float(product.norm()), self._natural * slope_size)
        share = _Share(start, stop, torch.inf, size, torch.inf, max(slope_size, abs(slope)))
        for step in self._steps:
            length = step * self._unit
            (above, ahead), (below, behind) = (part.at(part.weights + far * scales * v) for far in (length, -length))
            apart = 0.0 if by_differences else float((scales * (ahead - behind) / (2 * length) - product).norm())
            slope_apart = abs(float(above - below) / (2 * length) - slope)
            share = _Share(
                start, stop, min(share.apart, apart), size, min(share.slope_apart, slope_apart), share.slope_size
            )
            if self._off(share) <= self._slack:
                break
        return share, product

    def _search(self, doubtful: list[_Share]) -> Verdict | None:
        """What is wrong, if anything, in the doubtful rows; those with the largest error first."""
        left = _MOST * self._all.rows
        while doubtful and left > 0:
            share = max(doubtful, key=self._off)
            doubtful.remove(share)
            middle = (share.start + share.stop) // 2
            sides = ((share.start, middle), (middle, share.stop)) if share.rows > 1 else ()
            halves = [self._measure(*side)[0] for side in sides]
            left -= share.rows
            if off := [half for half in halves if self._off(half) > self._slack]:
                doubtful += off
                continue
            left -= _TRIAL * share.rows
            verdict = Trial(self._all, torch.arange(share.start, share.stop)).verdict(self._route)
            if verdict.outcome == "unclear":
                self.unsure += share.rows
            elif verdict.outcome != "right":
                which = f"row {share.start}" if share.rows == 1 else f"rows {share.start} to {share.stop - 1}"
                return Verdict(verdict.outcome, f"{verdict.words}, for {which}")
        self.unsure += sum(share.rows for share in doubtful)
        return None
