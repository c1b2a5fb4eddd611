"""Rows removed by a score against as many removed at random: the difference in test accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from gencli.counts import typed
from gencli.reporting.documents import Document
from gencli.reporting.groups import Table, arguments, word
from gencli.reporting.panels import Curve, Lines, Panel
from gencli.reporting.runs import runs_table

PRUNE = "corrupt prune"
_LEVEL = 0.95
_RANDOM = "at random"
_SCORES = {
    "test_accuracy": pa.float64(), "random_runs": pa.int64(), "random_accuracy": pa.float64(),
    "difference": pa.float64(), "difference_low": pa.float64(), "difference_high": pa.float64(), "costs": pa.string(),
}  # fmt: skip
_COLUMNS = {  # behind the facts
    "removed_by": pa.string(), "removed": pa.float64(), "runs": pa.int64(), "test_accuracy": pa.float64(),
    "test_accuracy_std": pa.float64(), "random_runs": pa.int64(), "random_accuracy": pa.float64(),
    "random_accuracy_std": pa.float64(),
} | _SCORES  # fmt: skip
_NOT_SETUP = {"seed", "seed_init", "seed_order", "device", "threads", "subset", "chain", "corruption"}


@dataclass(frozen=True)
class _Arm:
    """Runs of one training, with as many rows removed the same way: mean accuracy, deviation, their documents."""

    mean: float
    deviation: float | None
    runs: int
    documents: tuple[Document, ...]

    @property
    def variance(self) -> float:
        """Of the mean; NaN of one run."""
        return math.nan if self.deviation is None else self.deviation**2 / self.runs

    def half(self, level: float) -> float | None:
        """Half of Student's interval of the mean (Student 1908)."""
        return _half(level, [self])


@dataclass
class _Comparison:
    """Trainings that differ in nothing but the rows removed: arms by way and share, and the facts of all."""

    facts: dict[str, Any]
    arms: dict[str, dict[float, _Arm]] = field(default_factory=dict)

    def both(self, way: str) -> list[float]:
        """The shares that are removed this way, and at random too."""
        return [share for share in sorted(self.arms[way]) if share in self.arms.get(_RANDOM, {})]

    @property
    def ways(self) -> list[str]:
        """By which scores rows are removed."""
        return [way for way in self.arms if way not in ("", _RANDOM)]


def _half(level: float, arms: Sequence[_Arm]) -> float | None:
    """Half of the interval of a mean, or of the difference of two (Welch 1947); None of one run, or without spread."""
    from scipy.special import stdtrit

    variance = sum(arm.variance for arm in arms)
    if not variance > 0:
        return None
    freedom = variance**2 / sum(arm.variance**2 / (arm.runs - 1) for arm in arms)
    return float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)


def _comparisons(documents: Sequence[Document]) -> list[_Comparison]:
    table = runs_table(documents, 1.0)
    found: dict[str, _Comparison] = {}
    for row, facts, behind in zip(table.rows.to_pylist(), table.facts, table.documents):
        ways = [_way(document) for document in behind]
        if row.get("test_accuracy") is None or ways[0] is None:
            continue
        way, share, _ = ways[0]
        settings = {name: value for name, value in facts.items() if name not in _NOT_SETUP}
        key = repr((sorted(settings.items()), row.get("tested_on"), sorted({each[2] for each in ways if each})))
        shown = {name: word(row[name]) for name in table.keys if name not in _NOT_SETUP}
        arm = _Arm(row["test_accuracy"], row.get("test_accuracy_std"), row.get("runs") or 1, behind)
        found.setdefault(key, _Comparison(shown)).arms.setdefault(way, {})[share] = arm
    return [each for each in found.values() if each.ways]


def _way(document: Document) -> tuple[str, float, str] | None:
    """How rows were removed, which share, and from what, by its hash; None where that is not one step."""
    entry, subset = document.trained_on, arguments(document).get("subset")
    if entry is None:
        return None
    step = entry.step
    if step is None or step.command != PRUNE:
        return ("", 0.0, entry.sha256) if subset is None else (_RANDOM, float(1 - typed(subset)), entry.sha256)
    if subset is not None:
        return None
    way = f"{'lowest' if step.arguments.get('lowest') else 'highest'} {step.arguments.get('by')}"
    return way, step.arguments["p"], next((each.sha256 for each in step.given("data")), "")


def removal_table(documents: Sequence[Document]) -> Table | None:
    """A row for each share of rows removed by a score (`corrupt prune`), beside as many removed at random (`--subset`).

    Compared are trainings alike in all but the rows removed from one table, and the seed. Columns: what the trainings
    are, removed_by, removed (the share), runs, test_accuracy, random_runs, random_accuracy, with standard deviations;
    difference, the second less the first, from difference_low to difference_high: Welch's interval, so that those of
    all shares of a score hold together with 95 % (Bonferroni); costs, whether removing these costs more, less, or
    neither is shown. The notes answer in words. None where no row is removed by a score.
    """
    found = _comparisons(documents)
    if not found:
        return None
    rows: list[dict[str, Any]] = []
    behind: list[tuple[Document, ...]] = []
    notes: list[str] = []
    for each in found:
        for share, arm in sorted(each.arms.get("", {}).items()):
            rows.append(each.facts | {"removed_by": "", "removed": share} | _measured(arm))
            behind.append(arm.documents)
        for way in each.ways:
            level = 1 - (1 - _LEVEL) / max(1, len(each.both(way)))
            compared: list[dict[str, Any]] = []
            for share, arm in sorted(each.arms[way].items()):
                other = each.arms.get(_RANDOM, {}).get(share)
                row = {"removed_by": way, "removed": share} | _measured(arm) | _beside(arm, other, level)
                compared += [row] if other else []
                rows.append(each.facts | row)
                behind.append(arm.documents + (other.documents if other else ()))
            lead = ", ".join(filter(None, each.facts.values())) + ": " if len(found) > 1 else ""
            notes.append(lead + answer(way, compared))
    notes.append(
        "difference: the accuracy of runs with as many rows removed at random, less that of these runs; intervals "
        "are Welch's over runs, wide enough that those of all shares of a score hold together with 95 % "
        "(Bonferroni); the scores are taken as given"
    )
    facts = [*found[0].facts]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in facts}
    columns |= {name: pa.array([row.get(name) for row in rows], kind) for name, kind in _COLUMNS.items()}
    return Table("removal", pa.table(columns), ("removed",), tuple(_SCORES), tuple(behind), (), tuple(notes))


def _measured(arm: _Arm) -> dict[str, Any]:
    return {"runs": arm.runs, "test_accuracy": arm.mean, "test_accuracy_std": arm.deviation}


def _beside(arm: _Arm, other: _Arm | None, level: float) -> dict[str, Any]:
    if other is None:
        return {}
    difference, half = other.mean - arm.mean, _half(level, [arm, other])
    low, high = (None, None) if half is None else (difference - half, difference + half)
    costs = "not shown" if low is None or high is None or low <= 0 <= high else "more" if low > 0 else "less"
    found = {"random_runs": other.runs, "random_accuracy": other.mean, "random_accuracy_std": other.deviation}
    return found | {"difference": difference, "difference_low": low, "difference_high": high, "costs": costs}


def answer(way: str, compared: Sequence[dict[str, Any]]) -> str:
    """Whether removing these rows costs more accuracy than removing as many at random, in words, from such rows."""
    question = f"Does removing the rows of {way} cost more test accuracy than removing as many at random?"
    at = {
        costs: _listed([row["removed"] for row in compared if row["costs"] == costs])
        for costs in ("more", "less", "not shown")
    }
    unknown = f"; not shown at {at['not shown']}" if at["not shown"] else ""
    if not compared:
        return f"{question} Not shown: no share is removed both ways; train --subset 1-p removes p at random."
    if at["more"] and at["less"]:
        said = f"Both: more at {at['more']}, less at {at['less']}{unknown}."
    elif at["more"]:
        said = f"Yes, at {at['more']}{unknown}."
    elif at["less"]:
        said = f"No, it costs less at {at['less']}{unknown}."
    elif all(row["difference_low"] is None for row in compared):
        said = f"Not shown at {at['not shown']}: runs without a spread have no interval."
    else:
        said = f"Not shown: at {at['not shown']} the interval of the difference holds 0."
    row = max(compared, key=lambda row: abs(row["difference"]))
    low, high = row["difference_low"], row["difference_high"]
    interval = "" if low is None else f" ({100 * low:.2f} to {100 * high:.2f})"
    return (
        f"{question} {said} At {100 * row['removed']:g} %: {row['test_accuracy']:.4f} against "
        f"{row['random_accuracy']:.4f} at random, a difference of {100 * row['difference']:.2f} points{interval}."
    )


def _listed(shares: Sequence[float]) -> str:
    words = [f"{100 * share:g} %" for share in shares]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def removal(documents: Sequence[Document]) -> list[Panel]:
    """Test accuracy against the share of rows removed, a curve a way, with 95 % intervals of the means over runs."""
    made: list[Panel] = []
    found = _comparisons(documents)
    for each in found:
        drawn = []
        for way in [*each.ways, *([_RANDOM] if _RANDOM in each.arms else [])]:
            arms = each.arms.get("", {}) | each.arms[way]
            shares = sorted(arms)
            halves = [arms[share].half(_LEVEL) for share in shares]
            drawn.append(Curve(way, shares, [arms[share].mean for share in shares], halves))
        title = "test accuracy, 95 % intervals"
        title += f": {', '.join(filter(None, each.facts.values()))}" if len(found) > 1 else ""
        made.append(Lines(title, "share of training rows removed", drawn, dots=True))
    return made
