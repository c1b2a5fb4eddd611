"""How one quantity of runs orders another: rank correlations, mutual information, sign errors, and their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Signs = NDArray[np.float64]  # [n, n]
LEAST = 5  # runs: of four the best of all orders has probability 2/4!, above 5 %
RESAMPLES = 1000


def signs(values: Values) -> Signs:
    """[n, n] of the difference of each two of values [n], −1, 0 or 1."""
    return np.sign(values[:, None] - values[None])


def tau(one: Signs, other: Signs, weights: Values | None = None) -> Values:
    """Kendall's τ_b of two orders (Kendall 1945), NaN where one of them is of equal values alone.

    Args:
        weights: [m, n] how often each run is counted, of m resamples; all once without.

    Returns:
        [m], or [1].
    """
    weights = np.ones((1, len(one))) if weights is None else weights
    concordant, left, right = (_sums(each, weights) for each in (one * other, one**2, other**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return concordant / np.sqrt(left * right)


def _sums(matrix: NDArray[np.float64], weights: Values) -> Values:
    return ((weights @ matrix) * weights).sum(1)


def resamples(n: int, seed: int) -> Values:
    """[1000, n] how often each of n runs is in a bootstrap's resamples."""
    drawn = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    return np.stack([np.bincount(each, minlength=n) for each in drawn]).astype(np.float64)


def interval(values: Values) -> tuple[float, float] | None:
    """The 2.5th and the 97.5th percentile of those that are numbers; None where half of them are none."""
    known = values[np.isfinite(values)]
    return (
        None if 2 * len(known) < len(values) else (float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975)))
    )


def alone(settings: Sequence[Mapping[str, Hashable]], seeds: Sequence[Hashable], name: str) -> NDArray[np.float64]:
    """[n, n] the weight of each pair of runs in the granulated ψ of a hyper-parameter.

    Runs that share all others, and their seed, are a group; a pair has 1/(k (k − 1)) of its group of k, divided by the
    number of groups. All 0 where nothing varies alone.
    """
    groups = defaultdict[Hashable, list[int]](list)
    for place, (own, seed) in enumerate(zip(settings, seeds, strict=True)):
        groups[seed, *(value for key, value in own.items() if key != name)].append(place)
    found = np.zeros((len(seeds), len(seeds)))
    varied = [places for places in groups.values() if len({settings[place][name] for place in places}) > 1]
    for places in varied:
        found[np.ix_(places, places)] = 1 / (len(places) * (len(places) - 1) * len(varied))
    np.fill_diagonal(found, 0)
    return found


def granulated(one: Signs, other: Signs, pairs: NDArray[np.float64], weights: Values | None = None) -> Values:
    """ψ of a hyper-parameter: the mean over its groups (see `alone`) of τ, in which a tie counts 0; [m] or [1].

    Jiang et al. 2020, arXiv:1912.02178, equations 2 and 4.
    """
    weights = np.ones((1, len(one))) if weights is None else weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.round(_sums(one * other * pairs, weights) / _sums(pairs, weights), 12)  # 0, not 1e-17


def information(one: Signs, other: Signs, settings: Sequence[Mapping[str, Hashable]]) -> float | None:
    """The least over sets S of at most two hyper-parameters of I(V₁; V₂ | U_S) / H(V₂ | U_S), over all pairs of runs.

    V are the signs of a pair, U_S its values of S, of both runs; pairs in which the second's are equal are left out.
    So 1 says that the one's order gives the other's, and 0 that knowing S it says no more. By the shares that are
    found, so that few pairs make it too large: compare with a measure that knows nothing.

    Jiang et al. 2020, equations 5 to 8.
    """
    counted = other != 0
    if not counted.any():
        return None
    first, second = (one[counted] + 1).astype(np.int64), (other[counted] > 0).astype(np.int64)
    rows, columns = np.nonzero(counted)
    codes = {
        name: np.unique([str(each[name]) for each in settings], return_inverse=True)[1] for name in settings[0]
    }  # fmt: skip
    found = []
    for chosen in (each for size in range(3) for each in combinations(codes, size)):
        where = np.zeros(len(rows), np.int64)
        for name in chosen:
            code, count = codes[name], int(codes[name].max()) + 1
            where = (where * count + code[rows]) * count + code[columns]
        cells, where = np.unique(where, return_inverse=True)
        table = np.bincount(where * 6 + first * 2 + second, minlength=6 * len(cells)).reshape(-1, 3, 2)
        whole = _entropy(table.sum(1)) - _entropy(table.sum((1, 2)))
        if whole > 0:
            rest = _entropy(table) - _entropy(table.sum(2))
            found.append(max(0.0, (whole - rest) / whole))
    return min(found, default=None)


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


Environment = tuple[NDArray[np.int64], NDArray[np.int64]]


def environments(settings: Sequence[Mapping[str, Hashable]]) -> list[Environment]:
    """Pairs of settings that differ in one hyper-parameter alone: of each pair the places of its runs, of all seeds."""
    places = defaultdict[tuple[Hashable, ...], list[int]](list)
    for place, own in enumerate(settings):
        places[tuple(own.values())].append(place)
    found = []
    for (one, left), (other, right) in combinations(places.items(), 2):
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
            pairs = np.array([*product(left, right)])
            found.append((pairs[:, 0], pairs[:, 1]))
    return found


def sign_errors(one: Signs, other: Signs, pairs: Sequence[Environment]) -> Values:
    """[environments] the mean of (1 − sign · sign) / 2 over the pairs of runs of each; a tie is one half.

    Dziugaite et al. 2020, arXiv:2010.11924, equation 3, without its weights of pairs by the test's noise.
    """
    return np.array([(1 - (one[left, right] * other[left, right])).mean() / 2 for left, right in pairs])
