"""Limits of a probability by what was counted: the inverse of the binary kl divergence, and the exact binomial limit.

All in float64; an upper limit is the upper end of a bracket, so that rounding never makes it smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable

STEPS = 100  # of bisection; float64 has no number between the ends after 60


def kl(q: float, p: float) -> float:
    """kl(q ‖ p) = q ln(q/p) + (1 − q) ln((1 − q)/(1 − p)) in nats, of two coins with these chances of heads."""
    if p in (0.0, 1.0):
        return 0.0 if q == p else math.inf
    heads = q * math.log(q / p) if q > 0 else 0.0
    return heads + (1 - q) * (math.log1p(-q) - math.log1p(-p)) if q < 1 else heads


def upper(q: float, c: float) -> float:
    """The largest p in [q, 1] with kl(q ‖ p) ≤ c, by bisection: the limit of Maurer 2004, arXiv:cs/0411099."""
    return 1.0 if c == math.inf else _bisected(lambda p: kl(q, p) > c, q)


def slopes(q: float, c: float) -> tuple[float, float]:
    """The derivatives of `upper` by q and by c, by those of kl(q ‖ p) = c; kept finite at the ends."""
    p = upper(q, c)
    width = max(p - q, 1e-12)
    q = min(max(q, 1e-9), 1 - 1e-9)
    p = min(max(p, q + width * 1e-9), 1 - 1e-12)
    by_c = p * (1 - p) / width
    return (math.log(p / q) + math.log1p(-q) - math.log1p(-p)) * by_c, by_c


def binomial_upper(errors: int, n: int, delta: float) -> float:
    """The p at which at most `errors` of n independent trials fail with probability δ: Clopper, Pearson 1934.

    One-sided. P(Bin(n, p) ≤ k) is the regularized incomplete beta function I of 1 − p at n − k, k + 1.
    """
    from scipy.special import betainc

    if errors >= n:
        return 1.0
    return _bisected(lambda p: betainc(n - errors, errors + 1, 1 - p) < delta, errors / n)


def _bisected(above: Callable[[float], bool], low: float) -> float:
    """The least number in [low, 1] that is `above`, or one step of float64 more."""
    high = 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if above(middle):
            high = middle
        else:
            low = middle
    return high
