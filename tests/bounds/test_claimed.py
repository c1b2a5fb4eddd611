"""How far what a PAC-Bayes certificate claims may be from what is drawn again, and which grids are none."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy.optimize import brentq
from scipy.special import rel_entr

from gencli.bounds import pac_bayes, verification
from gencli.bounds.certificates import Certificate
from gencli.bounds.gaussian import GRID
from gencli.bounds.settings import PacBayesSettings
from gencli.bounds.verification import Finding
from tests.bounds.test_findings import findings
from tests.bounds.test_validity import before, coins, model, one_thread, replace

__all__ = ["one_thread"]
Made = tuple[Certificate, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> Made:
    used = model()
    return pac_bayes.certify(used, before(used), coins(1, 80), coins(2, 50), PacBayesSettings(epochs=1, draws=1000))


def found(made: Made, chances: list[float], monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[Finding]:
    """What is found where draws give these chances of an error, of the rows and of the test rows."""
    given = iter(chances)
    monkeypatch.setattr(verification, "_drawn", lambda model, grouped, rows: (next(given), 0.01))
    return findings(replace(made[0], **changes), made[1], coins(1, 80), coins(2, 50))


@pytest.mark.parametrize(
    ("chances", "claimed", "holds"),
    [
        (0.25, 0.25 + 5 * (0.01 + 0.005**0.5) - 1e-6, True), (0.25, 0.25 + 5 * (0.01 + 0.005**0.5) + 1e-6, False),
        (0.0, 5 * (0.01 + 0.02) - 1e-6, True), (0.0, 5 * (0.01 + 0.02) + 1e-6, False),
    ],
)  # fmt: skip
def test_a_test_error_is_within_five_deviations_of_draws_and_of_rows(
    chances: float, claimed: float, holds: bool, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 50 rows, whose error rate deviates by √(p / 50), p at least 1/50."""
    every = found(made, [0.5, chances], monkeypatch, test_error=claimed)
    (part,) = [each for each in every if each.part == "test_error" and not each.note]
    assert (part.claimed, part.found, part.holds) == (claimed, chances, holds)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("beyond", "holds"), [(-1e-6, True), (1e-6, False)])
def test_an_error_is_within_five_deviations_and_the_claims_own_limit(
    sign: int, beyond: float, holds: bool, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws = made[0].draws
    errors = draws // 2
    c = math.log(2 / (0.05 / 5)) / draws
    limit = brentq(lambda p: rel_entr(0.5, p) + rel_entr(0.5, 1 - p) - c, 0.5, 0.99)
    chances = 0.5 + sign * (5 * 0.01 + limit - 0.5 + beyond)  # type: ignore[operator]
    every = found(made, [chances, 0.5], monkeypatch, errors=errors, empirical_error=errors / draws)
    (part,) = [each for each in every if each.part == "empirical_error"]
    assert (part.claimed, part.found, part.holds) == (errors / draws, chances, holds)
    assert part.note == "of 100,000 other draws"


@pytest.mark.parametrize("change", ["missing", "more", -1, GRID, 1.0, True, "none", 0, GRID - 1])
def test_a_grid_names_each_parameter_with_a_whole_number(
    change: Any, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid: dict[str, Any] = dict(made[0].grid or {})
    first, *_, last = grid
    if change == "missing":
        del grid[last]
    elif change == "more":
        grid["other"] = 3
    else:
        grid[first] = change
    every = found(made, [0.5, 0.5], monkeypatch, grid=None if change == "none" else grid)
    (part,) = [each for each in every if each.part == "prior_grid"]
    fine = type(change) is int and 0 <= change < GRID
    assert (part.holds, part.note) == (fine, "" if fine else "standard deviations that are not on the grid")
    assert any(each.part == "kl" for each in every) == fine  # nothing follows from such a grid
