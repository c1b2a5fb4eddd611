"""Learning-rate schedules: factors on the learning rate, functions of the step only, so that a run can be resumed."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

from gencli.counts import share
from gencli.errors import GencliError, nearest

_NUMBER = r"(\d{0,9}\.?\d{1,18}(?:e-?\d{1,3})?)"
_PEAK, _START, _END = 0.3, 1 / 25, 1 / 25e4  # of OneCycleLR


class Curve(ABC):
    """A schedule without its warm-up.

    Attributes:
        name, form, example: as users write it.
        effect: on the learning rate, in a few words.
        pattern: matches its parameters, by groups.
        whole: whether it depends on how many steps there are in all.
    """

    name: ClassVar[str]
    form: ClassVar[str]
    example: ClassVar[str]
    effect: ClassVar[str] = ""
    pattern: ClassVar[str] = ""
    whole: ClassVar[bool] = False

    @classmethod
    def of(cls, *groups: str) -> Self:
        """The curve of what the groups of `pattern` matched."""
        return cls()

    @abstractmethod
    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """The factor of this step, from 0."""


@dataclass(frozen=True)
class Constant(Curve):
    """The learning rate stays."""

    name = form = example = "constant"

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Exponential(Curve):
    """Times F after every epoch.

    F^(e-1) all through epoch e, counted from 1. Zhang et al. 2017, arXiv:1611.03530, appendix A, with F = 0.95.
    """

    name, form, example, pattern = "exp", "exp:F", "exp:0.95", _NUMBER
    effect = "times F per epoch"
    factor: float

    @classmethod
    def of(cls, *groups: str) -> Self:
        return cls(_factor(groups[0]))

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        return self.factor ** (step // steps_per_epoch)


@dataclass(frozen=True)
class Steps(Curve):
    """Times F after each of the epochs E1, E2, ...

    Cui et al. 2019, arXiv:1901.05555, with step:160,180:0.01.
    """

    name, form, example = "step", "step:E1,E2,...:F", "step:160,180:0.01"
    effect = "times F after these epochs"
    pattern = rf"(\d{{1,9}}(?:,\d{{1,9}})*):{_NUMBER}"
    epochs: tuple[int, ...]
    factor: float

    @classmethod
    def of(cls, *groups: str) -> Self:
        epochs, factor = groups
        numbers = tuple(map(int, epochs.split(",")))
        if any(later <= earlier for earlier, later in pairwise((0, *numbers))):
            raise GencliError(f"--schedule: {epochs}: epochs count from 1 and rise", f"write {cls.example}")
        return cls(numbers, _factor(factor))

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        return self.factor ** sum(step // steps_per_epoch >= epoch for epoch in self.epochs)


@dataclass(frozen=True)
class Linear(Curve):
    """A straight line from 1 to 0 over the run.

    1 - t/T in step t, from 0, of T.
    """

    name = form = example = "linear"
    effect = "to 0"
    whole = True

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        return 1 - step / total_steps


@dataclass(frozen=True)
class Cosine(Curve):
    """Half a cosine, from 1 to 0 over the run.

    (1 + cos(pi t/T))/2 in step t, from 0, of T. Loshchilov, Hutter 2017, arXiv:1608.03983, without restarts.
    """

    name = form = example = "cosine"
    effect = "to 0"
    whole = True

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        return _cosine(1, 0, step / total_steps)


@dataclass(frozen=True)
class OneCycle(Curve):
    """Up from 1/25 over 0.3 of the run, then down to 0, by half cosines.

    The momentum stays. Smith, Topin 2018, arXiv:1708.07120, in the two phases of torch's OneCycleLR, whose last factor
    is 1/250000.
    """

    name = form = example = "one-cycle"
    effect = "up, then to 0"
    whole = True

    def at(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        peak, last = _PEAK * total_steps - 1, total_steps - 1
        if step <= peak:
            return _cosine(_START, 1, step / peak)
        return _cosine(1, _END, (step - peak) / (last - peak))


SCHEDULES: dict[str, type[Curve]] = {
    kind.name: kind for kind in (Constant, Exponential, Steps, Linear, Cosine, OneCycle)
}


@dataclass(frozen=True)
class Schedule:
    """A curve and its warm-up.

    Attributes:
        warmup: epochs over which the factor is ramped up from 0; a fraction is allowed.
    """

    curve: Curve
    warmup: float

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """The factor on the base learning rate in a step, from 0: (step + 1)/W of the curve in the W steps of warm-up.

        The curve counts from the first step of the run, not from the end of the warm-up. Goyal et al. 2017,
        arXiv:1706.02677, section 2.2.
        """
        warm = share(self.warmup, steps_per_epoch)
        ramp = min(1.0, (step + 1) / warm) if warm else 1.0
        return ramp * self.curve.at(step, steps_per_epoch, total_steps)


def parse(text: str, warmup: float) -> Schedule:
    """The schedule that users write as `exp:0.95`, `cosine`, ….

    Args:
        warmup: epochs.

    Raises:
        GencliError: no such schedule, or numbers that it does not take.
    """
    name, _, parameters = text.partition(":")
    if name not in SCHEDULES:
        raise GencliError(f"--schedule: no schedule {name!r}", nearest(name, SCHEDULES))
    kind = SCHEDULES[name]
    match = re.fullmatch(kind.pattern, parameters, re.ASCII)
    if match is None or (":" in text and not parameters):
        raise GencliError(f"--schedule: {text!r} is not {kind.form}", f"write {kind.example}")
    if not 0 <= warmup < math.inf:
        raise GencliError(f"--warmup: {warmup:g} epochs is out of range", "give 0 or more")
    if warmup and kind is OneCycle:
        raise GencliError("--warmup: one-cycle warms up by itself", "omit it, or use --schedule cosine")
    return Schedule(kind.of(*match.groups()), warmup)


def _factor(text: str) -> float:
    factor = float(text)
    if not 0 < factor <= 1:
        raise GencliError(f"--schedule: factor {text} is out of range", "give one above 0 and up to 1")
    return factor


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
