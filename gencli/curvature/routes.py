"""Which route gives a network's curvature products rightly, by trials that every command makes first.

`trials` looks at few rows closely, `coverage` at all rows in the run's own batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gencli.curvature.coverage import Coverage
from gencli.curvature.operators import Operator
from gencli.curvature.products import METHODS, Route
from gencli.curvature.trials import Trial, Verdict
from gencli.errors import CheckFailed


@dataclass(frozen=True)
class Choice:
    """The route of an operator, and how it was found.

    Attributes:
        exact: whether the network can be evaluated in float64.
        notes: a line each, for people.
        record: for files: route, rows (of the trial), difference and asymmetry (of its `Verdict`), beside (how far
            from the weights in parts of their mean square), all_rows (the largest relative difference of a batch) and
            unsure (number of rows for which differences are unreliable).
        wrong: whether another route is.
    """

    exact: bool
    notes: list[str]
    record: dict[str, Any]
    wrong: Callable[[Route], bool]

    @property
    def said(self) -> str:
        """The notes, in one line."""
        return "; ".join(self.notes)


def choose(operator: Operator, asked: Route | None = None) -> Choice:
    """Sets an operator's route to the one that is asked for, or to the first that is right for its network.

    Raises:
        CheckFailed: the one that is asked for, or every one, is wrong.
        GencliError: see `Operator.require_alone`.
    """
    operator.require_alone()
    trials, notes = _Trials(operator), []
    own: tuple[Route, ...] = ("jacobian",) if operator.has_jacobian else ()
    every: tuple[Route, ...] = (*METHODS, *own, "finite-difference")
    for route in (asked,) if asked else every:
        verdict = trials.verdict(route)
        if verdict.outcome == "right":
            operator.route = route
            if trials.trial.exact:
                operator.exact.route = route
            notes.append(f"{'products by ' if notes else ''}{route}: {verdict.words}")
            wrong = lambda other: trials.verdict(other).outcome == "wrong"  # noqa: E731
            return Choice(trials.trial.exact, notes, trials.record(route), wrong)
        if verdict.outcome == "gradient":
            raise CheckFailed(verdict.words, "a function's first derivative is wrong: check the network")
        if notes and verdict.outcome == "missing" and notes[-1].endswith(f" {verdict.words}"):
            notes[-1] = f"{route}, {notes[-1]}"  # for the same reason
        else:
            notes.append(f"{route} {verdict.words}")
    right = next((route for route in every if asked and trials.verdict(route).outcome == "right"), None)
    if right is None:
        raise CheckFailed("; ".join(notes), "a function's derivative is wrong or missing: check the network")
    hint = "omit --method, which uses J itself" if right == "jacobian" else f"use --method {right}"
    raise CheckFailed(f"--method: {notes[0]}", f"{hint}, which is right here")


class _Trials:
    """Of few rows of an operator, and of all where these are more, in the run's batches."""

    def __init__(self, operator: Operator) -> None:
        self._operator, self.trial = operator, Trial(operator)
        self._coverages: dict[Route, tuple[Coverage, Verdict]] = {}
        self._few = operator.rows > min(len(self.trial.rows), operator.batch_size)

    def verdict(self, route: Route) -> Verdict:
        few = self.trial.verdict(route)
        if few.outcome != "right" or not self._few:
            return few
        if route not in self._coverages:
            coverage = Coverage(self._operator, self.trial, route)
            self._coverages[route] = coverage, coverage.verdict()
        every = self._coverages[route][1]
        return replace(every, words=f"{few.words}, {every.words}") if every.outcome == "right" else every

    def record(self, route: Route) -> dict[str, Any]:
        record = self.trial.record(route)
        if route in self._coverages:
            coverage, _ = self._coverages[route]
            record |= {"all_rows": float(f"{coverage.worst:.1e}"), "unsure": coverage.unsure}
        return record
