"""How well each score finds the rows whose label is not the true one."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.evaluation.intervals import LEVEL, RESAMPLES
from gencli.randomness import derive
from gencli.scores.names import SCORES

MEASURES = ("auroc", "average_precision", "false_negative_rate")


_BLOCK = 1 << 15  # rows at a time: what is made of them stays in the processor's cache, and takes no new memory


class Ranking:
    """Rows from the most suspect to the least, those of one score together; 4 bytes of each, and 16 of a wrong one.

    Args:
        suspicion: [n] larger where a label is likelier to be wrong; may be infinite.
        wrong: [n] whether it is.
        rows: [n] their places among the weights of `measures`; without, 0 … n − 1.
    """

    def __init__(
        self, suspicion: NDArray[np.float64], wrong: NDArray[np.bool_], rows: NDArray[np.int64] | None = None
    ) -> None:
        order = np.argsort(-suspicion, kind="stable")
        ranked, at = suspicion[order], np.flatnonzero(wrong[order])
        bounds = np.concatenate([[0], np.flatnonzero(ranked[1:] != ranked[:-1]) + 1, [len(order)]])
        before = np.searchsorted(at, bounds)
        some = np.flatnonzero(before[1:] > before[:-1])  # of the rows of one score: where some are wrong
        order = order if rows is None else rows[order]
        kind = np.min_scalar_type(order.max(initial=0) + 1)
        self._order, self._wrong = order.astype(kind), order[at].astype(kind)
        self._starts, self._ends = bounds[some].astype(kind), bounds[some + 1].astype(kind)
        self._before = np.append(before[some], len(at)).astype(kind)

    def measures(
        self, weights: NDArray[np.integer] | None = None, room: NDArray[np.int64] | None = None
    ) -> tuple[float, float, float]:
        """AUROC, average precision, and the false-negative rate at the true rate; NaN without rows of both kinds.

        AUROC: how often a wrong row is more suspect than a right one, ties counting half (Mann, Whitney 1947). Average
        precision: Σ (R_k − R_{k−1})·P_k over the distinct scores. The false-negative rate: of as many rows as are
        wrong, the most suspect, how many of the wrong ones are missing, its expectation where ties are broken by lot.

        Args:
            weights: how often each row counts; once without.
            room: [2, > n], overwritten: memory that is taken anew takes longer than what is computed in it.
        """
        if weights is None:
            weights = np.ones(int(self._order.max(initial=0)) + 1, np.uint8)
        if room is None:
            room = np.empty((2, len(self._order) + 1), np.int64)
        all_, found = _cumulated(weights, self._order, room[0]), _cumulated(weights, self._wrong, room[1])
        total, others = int(found[-1]), int(all_[-1] - found[-1])
        if not (total and others):
            return np.nan, np.nan, np.nan
        above = precision = 0.0
        for start in range(0, len(self._starts), _BLOCK):
            block = slice(start, start + _BLOCK)
            sums = found[self._before[start : start + _BLOCK + 1]]
            wrong, through = np.diff(sums), all_[self._ends[block]]
            right = through - all_[self._starts[block]] - wrong
            above += (wrong * (others - (through - sums[1:]) + right / 2)).sum()
            precision += (wrong * sums[1:] / np.maximum(through, 1)).sum()
        return float(above / (total * others)), float(precision / total), 1 - self._hit(all_, found, total) / total

    def _hit(self, all_: NDArray[np.int64], found: NDArray[np.int64], most: int) -> float:
        """How many wrong rows are among the `most` most suspect ones."""
        at = bisect_left(range(len(self._ends)), most, key=lambda place: all_[self._ends[place]])
        hit = found[self._before[at]]
        if at == len(self._ends) or all_[self._starts[at]] >= most:
            return float(hit)
        start, end = all_[self._starts[at]], all_[self._ends[at]]  # the tie that the cut falls into
        return float(hit + (most - start) * (found[self._before[at + 1]] - hit) / (end - start))


def _cumulated(weights: NDArray[np.integer], rows: NDArray[np.integer], room: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows + 1] the sum of the weights of the rows before each, in `room`."""
    room[0] = 0
    for start in range(0, len(rows), _BLOCK):
        part = weights[rows[start : start + _BLOCK]]
        into = room[start + 1 : start + 1 + len(part)]
        np.cumsum(part, out=into)
        into += room[start]
    return room[: len(rows) + 1]


def judge(scores: pa.Table, title: str, seed: int) -> pa.Table:
    """A row a score, best AUROC first: see the help of `gencli score`.

    Args:
        scores: with the columns label, label_true, and scores by their names.
        title: of the rows, in messages.
        seed: of the 1,000 resamples of the rows for 95 % percentile intervals (Efron 1979), the same for all scores.

    Raises:
        GencliError: there are no true labels, no wrong or no right ones, or no scores.
    """
    wrong = _wrong(scores, title)
    there = [name for name in SCORES if name in scores.column_names]
    rankings: dict[str, Ranking] = {}
    counts: dict[str, tuple[int, int]] = {}
    for name in there:
        values = scores[name].to_numpy().astype(float)
        missing = np.asarray(scores[name].is_null())
        known = np.ones(len(wrong), bool) if SCORES[name].endless else ~missing
        suspicion = np.where(missing, np.inf, SCORES[name].wrong * values)[known]
        counts[name] = n, several = int(known.sum()), int(wrong[known].sum())
        if 0 < several < n:
            rankings[name] = Ranking(suspicion, wrong[known], np.flatnonzero(known))
    if not rankings:
        raise GencliError(f"{title}: no scores to judge", "give dynamics, predictions with probabilities, or models")
    generator = np.random.Generator(np.random.Philox(derive(seed, "bootstrap")))
    drawn = {name: np.empty((RESAMPLES, len(MEASURES))) for name in rankings}
    room = np.empty((2, len(wrong) + 1), np.int64)
    for place in range(RESAMPLES):
        weights = _resample(generator, len(wrong))
        for name, ranking in rankings.items():
            drawn[name][place] = ranking.measures(weights, room)
    found = []
    for name, ranking in rankings.items():
        low, high = np.nanquantile(drawn[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        row = {"score": name, "wrong_is": "high" if SCORES[name].wrong > 0 else "low"}
        row |= dict(zip(("n", "wrong"), counts[name]))
        for measure, value, least, most in zip(MEASURES, ranking.measures(), low, high):
            row |= {measure: value, f"{measure}_low": float(least), f"{measure}_high": float(most)}
        found.append(row)
    return pa.Table.from_pylist(sorted(found, key=lambda row: -row["auroc"]))


def _resample(generator: np.random.Generator, rows: int) -> NDArray[np.uint8]:
    """[rows] how often each comes in as many draws with replacement; 256 times with a chance below 1e-500."""
    found = np.zeros(rows, np.uint8)
    for start in range(0, rows, _BLOCK):
        np.add.at(found, generator.integers(0, rows, min(_BLOCK, rows - start)), np.uint8(1))
    return found


def reversed_scores(judged: pa.Table) -> list[str]:
    """What is to be said of scores whose AUROC and its interval are below one half, where they point the other way."""
    return [
        f"{row['score']}: AUROC {row['auroc']:.2f}, its interval below 0.5: here {other} values are of wrong rows, "
        f"reversed to {row['wrong_is']}"
        for row in judged.to_pylist()
        if row["auroc_high"] < 0.5
        for other in ["low" if row["wrong_is"] == "high" else "high"]
    ]


def _wrong(scores: pa.Table, title: str) -> NDArray[np.bool_]:
    if "label_true" not in scores.column_names:
        raise GencliError(f"--judge: {title}: no column label_true", "judge scores of rows that gencli corrupt changed")
    wrong = scores["label"].to_numpy() != scores["label_true"].to_numpy()
    if wrong.all() or not wrong.any():
        said = "every label differs from" if wrong.any() else "every label is"
        raise GencliError(f"--judge: {title}: {said} label_true", "judge scores of rows of which some are corrupted")
    return wrong
