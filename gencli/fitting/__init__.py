"""Learners in closed form: a table of kinds; their numerics take arrays and give arrays."""

from __future__ import annotations

from gencli.fitting.base import Learner
from gencli.fitting.features import RandomFeatures
from gencli.fitting.kinds import FiniteSampleLearner, Kernel, LeastSquares

KINDS: dict[str, type[Learner]] = {
    kind.name: kind for kind in (FiniteSampleLearner, Kernel, LeastSquares, RandomFeatures)
}
