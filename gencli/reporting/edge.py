"""The sharpness of full-batch runs beside their limit of stability."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from gencli.reporting.documents import Document
from gencli.reporting.groups import Setup, Table, arguments, assemble, names, setups, spread
from gencli.reporting.panels import Curve, Lines

_LAST, _WITHIN = 4, 0.1  # the part of the measurements that have settled, as a divisor; of the limit
_SCORES = "limit", "first_sharpness", "settled_sharpness", "settled_over_limit", "epoch_of_limit", "last_train_loss"


def limit(settings: dict[str, Any]) -> float | None:
    """The sharpness above which steps of these settings are unstable on a quadratic; None where it is not one number.

    Of full-batch gradient descent at rate eta 2/eta, with momentum beta (2 + 2 beta)/eta, Nesterov's (2 + 2 beta)/(eta
    (1 + 2 beta)): Cohen, Kaur, Li, Kolter, Talwalkar 2021, arXiv:2103.00065.
    """
    eta, beta = settings.get("lr"), settings.get("momentum")
    changing = settings.get("schedule") != "constant" or any(
        settings.get(name) for name in ("warmup", "weight_decay", "grad_clip")
    )
    if settings.get("optimizer") != "sgd" or not settings.get("full_batch") or changing or not eta or beta is None:
        return None
    return (2 + 2 * beta) / eta / (1 + 2 * beta if settings.get("nesterov") else 1)


def followed(documents: Sequence[Document]) -> list[Document]:
    """The histories of runs that have a limit, and a sharpness."""
    return [
        each
        for each in documents
        if each.kind == "history"
        and "sharpness" in each.rows.column_names
        and limit(arguments(each)) is not None
        and any(value is not None for value in each.rows["sharpness"].to_pylist())
    ]


def panels(documents: Sequence[Document]) -> list[Lines]:
    """Sharpness, its share of the limit, and the training loss against the step, which is an epoch; by setup."""
    kept = setups(followed(documents))
    if not kept:
        return []
    told = dict(zip(names(kept), kept, strict=True))
    limits = {name: _limit(group) for name, group in told.items()}
    over = {name: [_over(curve, limits[name]) for curve in _curves(group, "sharpness")] for name, group in told.items()}
    sharpness = [Curve(name, *_mean(_curves(group, "sharpness"))) for name, group in told.items()]
    last = max(curve.x[-1] for curve in sharpness)
    levels = {f"limit {level:.4g}": level for level in limits.values()}
    lines = [Curve(name, (0, last), (level, level)) for name, level in levels.items()]
    ratios = [Curve(name, *_mean(curves)) for name, curves in over.items()]
    losses = [Curve(name, *_mean(_curves(group, "train_loss"))) for name, group in told.items()]
    return [
        Lines("sharpness and limits of stability", "step", [*sharpness, *lines]),
        Lines("sharpness over its limit", "step", [*ratios, Curve("limit", (0, last), (1, 1))]),
        Lines("train loss", "step", losses, log=True),
    ]


Points = tuple[list[int], list[float]]


def _limit(group: Setup) -> float:
    return limit(arguments(group.documents[0])) or math.nan


def _curves(group: Setup, column: str) -> list[Points]:
    found = []
    for document in group.last:
        pairs = zip(*(document.rows[name].to_pylist() for name in ("epoch", column)), strict=True)
        known = [(epoch, value) for epoch, value in pairs if value is not None]
        found.append(([epoch for epoch, _ in known], [value for _, value in known]))
    return found


def _over(points: Points, level: float) -> Points:
    return points[0], [value / level for value in points[1]]


def _mean(curves: Sequence[Points]) -> tuple[list[int], list[float | None], list[float | None]]:
    values: dict[int, list[float]] = {}
    for epochs, each in curves:
        for epoch, value in zip(epochs, each, strict=True):
            values.setdefault(epoch, []).append(value)
    pairs = [spread(values[epoch]) for epoch in sorted(values)]
    return sorted(values), [mean for mean, _ in pairs], [deviation for _, deviation in pairs]


def table(documents: Sequence[Document]) -> Table:
    """One row per setup: its limit, the sharpness first and settled, and the first epoch at the limit; and a sentence.

    Settled is the median over the last quarter of the epochs that have one; runs of several seeds give means and
    deviations.
    """
    groups = setups(followed(documents))
    rows, settled, risen, count = [], 0, 0, 0
    for group in groups:
        level, runs = _limit(group), []
        for (epochs, values), (_, losses) in zip(
            _curves(group, "sharpness"), _curves(group, "train_loss"), strict=True
        ):
            median = statistics.median(values[-max(1, len(values) // _LAST) :])
            reached = next((epoch for epoch, value in zip(epochs, values, strict=True) if value >= level), None)
            runs.append((level, values[0], median, median / level, reached, losses[-1] if losses else None))
            settled += abs(median / level - 1) <= _WITHIN
            risen += values[0] < (1 - _WITHIN) * level
            count += 1
        scores = {name: spread(each) for name, each in zip(_SCORES, zip(*runs, strict=True), strict=True)}
        rows.append(group.facts | {"runs": len(runs)} | scores)
    note = (
        f"In {settled} of {count} runs the sharpness settles within {_WITHIN:.0%} of its limit of stability; "
        f"in {risen} of {count} it was first below that."
    )
    if settled < count:
        note += " A run that has not arrived may need more epochs, or a larger rate; one beyond has not settled."
    settings = [name for name in groups[0].facts if name not in ("network", "data", "corruption")]
    made = assemble(rows, [*groups[0].facts], _SCORES, any(row["runs"] > 1 for row in rows))
    behind = tuple(group.documents for group in groups)
    facts = tuple(arguments(group.documents[0]) | group.facts for group in groups)
    return Table("edge-of-stability", made, tuple(settings), _SCORES, behind, facts, (note,))
