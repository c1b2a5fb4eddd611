"""How well each score finds the rows whose label is not the true one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.evaluation.intervals import LEVEL, RESAMPLES
from gencli.randomness import derive
from gencli.scores.names import SCORES

MEASURES = ("auroc", "average_precision", "false_negative_rate")


class Ranking:
    """Rows from the most suspect to the least, those of one score together.

    Args:
        suspicion: [n] larger where a label is likelier to be wrong; may be infinite.
        wrong: [n] whether it is.
    """

    def __init__(self, suspicion: NDArray[np.float64], wrong: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-suspicion, kind="stable")
        ranked = suspicion[self._order]
        self._starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._wrong = wrong[self._order]

    def measures(self, weights: NDArray[np.int64] | None = None) -> tuple[float, float, float]:
        """AUROC, average precision, and the false-negative rate at the true rate; NaN without rows of both kinds.

        AUROC: how often a wrong row is more suspect than a right one, ties counting half (Mann, Whitney 1947). Average
        precision: Σ (R_k − R_{k−1})·P_k over the distinct scores. The false-negative rate: of as many rows as are
        wrong, the most suspect, how many of the wrong ones are missing, its expectation where ties are broken by lot.

        Args:
            weights: [n] how often each row counts; once without.
        """
        weighted = np.ones(len(self._order), np.int64) if weights is None else weights[self._order]
        wrong = np.add.reduceat(weighted * self._wrong, self._starts).astype(float)
        right = np.add.reduceat(weighted * ~self._wrong, self._starts).astype(float)
        found, false = wrong.cumsum(), right.cumsum()
        total, others = found[-1], false[-1]
        if not (total and others):
            return np.nan, np.nan, np.nan
        auroc = (wrong * (others - false + right / 2)).sum() / (total * others)
        there = found + false > 0
        precision = (wrong[there] / total * found[there] / (found + false)[there]).sum()
        end = int(np.searchsorted(found + false, total))  # the tie that the cut falls into
        taken = total - (found[end] + false[end] - wrong[end] - right[end])
        hit = found[end] - wrong[end] + taken * wrong[end] / (wrong[end] + right[end])
        return float(auroc), float(precision), float(1 - hit / total)


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
    rankings: dict[str, tuple[Ranking, NDArray[np.int64]]] = {}
    for name in there:
        values = scores[name].to_numpy().astype(float)
        missing = np.asarray(scores[name].is_null())
        known = np.ones(len(wrong), bool) if SCORES[name].endless else ~missing
        suspicion = np.where(missing, np.inf, SCORES[name].wrong * values)[known]
        if 0 < wrong[known].sum() < known.sum():
            rankings[name] = Ranking(suspicion, wrong[known]), np.flatnonzero(known)
    if not rankings:
        raise GencliError(f"{title}: no scores to judge", "give dynamics, predictions with probabilities, or models")
    generator = np.random.Generator(np.random.Philox(derive(seed, "bootstrap")))
    drawn = {name: np.empty((RESAMPLES, len(MEASURES))) for name in rankings}
    for place in range(RESAMPLES):
        weights = np.bincount(generator.integers(0, len(wrong), len(wrong)), minlength=len(wrong))
        for name, (ranking, rows) in rankings.items():
            drawn[name][place] = ranking.measures(weights[rows])
    found = []
    for name, (ranking, rows) in rankings.items():
        low, high = np.nanquantile(drawn[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        row = {"score": name, "wrong_is": "high" if SCORES[name].wrong > 0 else "low"}
        row |= {"n": len(rows), "wrong": int(wrong[rows].sum())}
        for measure, value, least, most in zip(MEASURES, ranking.measures(), low, high):
            row |= {measure: value, f"{measure}_low": float(least), f"{measure}_high": float(most)}
        found.append(row)
    return pa.Table.from_pylist(sorted(found, key=lambda row: -row["auroc"]))


def _wrong(scores: pa.Table, title: str) -> NDArray[np.bool_]:
    if "label_true" not in scores.column_names:
        raise GencliError(f"--judge: {title}: no column label_true", "judge scores of rows that gencli corrupt changed")
    wrong = scores["label"].to_numpy() != scores["label_true"].to_numpy()
    if wrong.all() or not wrong.any():
        said = "every label differs from" if wrong.any() else "every label is"
        raise GencliError(f"--judge: {title}: {said} label_true", "judge scores of rows of which some are corrupted")
    return wrong
