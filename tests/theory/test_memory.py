"""What a claim asks for before it starts is what its arrays take."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from gencli.randomness import Draws
from gencli.theory import CLAIMS
from tests.helpers import allocated


@pytest.mark.parametrize(
    ("name", "least", "size", "most"),
    [
        ("sgd-regret", {"steps": 10, "dimension": 10}, {"steps": 3000, "dimension": 200}, 1.05),
        ("sgd-regret", {"steps": 10, "dimension": 10}, {"steps": 3000, "dimension": 200, "dtype": "float32"}, 1.05),
        ("median-mean", {"runs": 100, "examples": 5}, {"runs": 1500, "examples": 5}, 2.1),
        ("sgd-rate", {"steps": 64, "runs": 2}, {"steps": 1024, "runs": 80}, 1.1),
        ("sgd-rate", {"steps": 64, "runs": 2}, {"steps": 64, "runs": 1000}, 1.15),
        ("min-norm", {"examples": 2, "dimension": 3}, {"examples": 100, "dimension": 400}, 1.4),
        ("finite-sample", {"points": 100, "dimension": 2}, {"points": 50_000, "dimension": 60}, 1.1),
        ("finite-sample", {"points": 100, "dimension": 2}, {"points": 100_000, "dimension": 4}, 1.1),
        ("circulant", {"size": 20}, {"size": 300}, 1.5),
        ("label-alignment", {"width": 256, "examples": 2}, {"width": 256, "examples": 400, "steps": 2}, 1.2),
        ("noise-targets", {"iterations": 1}, {"examples": 20_000, "hidden": 20, "iterations": 2}, 3.3),
    ],
)
def test_a_claim_asks_for_the_memory_that_it_takes(
    name: str, least: dict[str, Any], size: dict[str, Any], most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least that, and at most `most` times as much."""
    asked: list[int] = []

    def run(options: dict[str, Any]) -> None:
        for _ in CLAIMS[name](instances=1, **options).check(Draws(0, name), False, None):
            pass

    run(least)  # imports take memory too
    monkeypatch.setattr(sys.modules[CLAIMS[name].__module__], "require_memory", lambda need, *words: asked.append(need))
    taken = allocated(lambda: run(size))
    assert 0.98 * taken < asked[0] < most * taken


@pytest.mark.parametrize(
    ("name", "options", "bytes_asked"),
    [
        # ten times the activations and the weights, in float64
        ("hvp-limit", {"layers": "3-4-2", "examples": 7}, [10 * 8 * (7 * 9 + 3 * 4 + 4 * 2)]),
        ("hessian-size", {"layers": "3-4-2", "examples": 7}, [2 * 8 * (3 * 4 + 4 * 2) ** 2, 1000 * 8 * 7 * 9]),
        ("hessian-size", {"layers": "3-4-2", "examples": 7, "dtype": "float32"}, [2 * 4 * 400, 1000 * 4 * 7 * 9]),
        # the Hessians of three methods at two levels three times
        ("edge-of-stability", {"levels": "8,10", "width": 30}, [3 * 3 * 2 * 8 * 90**2]),
    ],
)  # fmt: skip
def test_claims_on_networks_ask_for_so_many_copies(
    name: str, options: dict[str, Any], bytes_asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(sys.modules[CLAIMS[name].__module__], "require_memory", lambda need, *words: asked.append(need))
    CLAIMS[name](**options)
    assert asked == bytes_asked
