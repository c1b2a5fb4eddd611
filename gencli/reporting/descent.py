"""Double descent: test error, train error and norm against size, and where the error peaks, as a table and a figure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gencli.reporting.documents import Document
from gencli.reporting.groups import Table, grouped, word
from gencli.reporting.panels import Curve, Lines, Panel
from gencli.reporting.runs import runs_table

_LEAST = 4  # sizes of a curve
_PLAIN = "network", "data", "corruption"  # which need no name before them


@dataclass(frozen=True)
class Descent:
    """Learners that differ in their size alone, by size.

    Attributes:
        named: what they have in common.
        size: what it is, in a word.
        rows: of the table of runs, one a size.
        threshold: the least size that interpolates: as many features as training rows; of networks the least width
            that fits them. None where that is not known.
        documents: behind them.
    """

    named: dict[str, Any]
    size: str
    sizes: list[int]
    rows: list[dict[str, Any]]
    threshold: int | None
    documents: tuple[Document, ...]

    @property
    def name(self) -> str:
        """In words."""
        own = f"{self.named.get('data')} test"
        shown = {name: value for name, value in self.named.items() if value and value != own}
        return ", ".join(str(value) if name in _PLAIN else f"{name}={value}" for name, value in shown.items())

    @property
    def errors(self) -> list[float]:
        """Test errors."""
        return [1 - row["test_accuracy"] for row in self.rows]

    @property
    def peak(self) -> int | None:
        """The place of the error that stands highest above the least ones on both of its sides, if one does."""
        errors, places = self.errors, range(1, len(self.rows) - 1)
        above = {place: errors[place] - max(min(errors[:place]), min(errors[place + 1 :])) for place in places}
        best = max(places, key=lambda place: above[place])
        return best if above[best] > 0 else None


def descents(documents: Sequence[Document], fitted_at: float) -> list[Descent]:
    """The learners of documents that were tested at four sizes or more: features, or the width of `NAMExW`."""
    table = runs_table(documents, fitted_at)
    if "test_accuracy" not in table.rows.column_names:
        return []
    keys = [name for name in table.keys if name not in ("network", "features", "diverged")]
    varied = [name for name in keys if len(set(map(str, table.rows[name].to_pylist()))) > 1]
    known = []
    for row, behind in zip(table.rows.to_pylist(), table.documents, strict=True):
        wide = re.fullmatch(r"(.*x)(\d+)", row["network"])
        size = int(wide[2]) if wide else row.get("features")
        if row["test_accuracy"] is not None and isinstance(size, int):
            network = f"{wide[1]}W" if wide else row["network"]
            known.append(({"network": network} | {name: row[name] for name in varied}, size, row, behind))
    found = []
    for same in grouped(known, lambda each: tuple(map(str, each[0].values()))).values():
        same.sort(key=lambda each: each[1])
        sizes, rows = [size for _, size, _, _ in same], [row for _, _, row, _ in same]
        if len(set(sizes)) < max(_LEAST, len(sizes)):
            continue
        behind = tuple(document for *_, several in same for document in several)
        fits = (size for size, row in zip(sizes, rows) if (row.get("train_accuracy") or 0) >= fitted_at)
        wide = same[0][0]["network"].endswith("xW")
        threshold = next(fits, None) if wide else _rows(behind)
        found.append(Descent(same[0][0], "width" if wide else "features", sizes, rows, threshold, behind))
    return found


def _rows(documents: Sequence[Document]) -> int | None:
    """How many rows the learners were fitted to, by a result on them."""
    for each in documents:
        if each.kind == "result" and each.on_training and not each.partial:
            return each.rows["n"][-1].as_py()
    return None


def descent_table(found: Sequence[Descent]) -> Table:
    """One row a curve: `threshold`, `peak` (size of the peak of test error), `peak_over_threshold`; `peak_error`,
    `least_before` and `least_beyond` it, test errors; `largest_norm`, the size of the largest norm.
    """  # fmt: skip
    rows, notes = [], []
    for each in found:
        errors, peak, name = each.errors, each.peak, each.name
        norms = [(row["norm"], size) for row, size in zip(each.rows, each.sizes) if row.get("norm") is not None]
        largest = max(norms)[1] if len(norms) == len(each.sizes) else None
        row: dict[str, Any] = {"threshold": each.threshold, "largest_norm": largest}
        if peak is None:
            fits = f"; the least that fits is {each.threshold:,}" if each.threshold else "; none is known to fit"
            notes.append(
                f"{name}: no peak: test error falls or rises throughout {each.size} = {each.sizes[0]:,} to "
                f"{each.sizes[-1]:,}{fits if each.size == 'width' else ''}"
            )
        else:
            before, beyond = (min(part, key=errors.__getitem__) for part in (range(peak), range(peak + 1, len(errors))))
            ratio = each.sizes[peak] / each.threshold if each.threshold else None
            row |= {"peak": each.sizes[peak], "peak_over_threshold": ratio, "peak_error": errors[peak]}
            row |= {"least_before": errors[before], "least_beyond": errors[beyond]}
            below = "less than before the peak" if errors[beyond] < errors[before] else "no less than before the peak"
            spread = [row.get("test_accuracy_std") or 0 for row in each.rows]
            unclear = any(spread) and any(
                errors[peak] - spread[peak] <= errors[side] + spread[side] for side in (before, beyond)
            )
            notes.append(
                f"{name}: test error rises from {errors[before]:.4f} at {each.size} = {each.sizes[before]:,} to "
                f"{errors[peak]:.4f} at {each.sizes[peak]:,}"
                + (f" ({ratio:.2f} of the threshold, {each.threshold:,})" if ratio else "")
                + f" and falls to {errors[beyond]:.4f} at {each.sizes[beyond]:,}, {below}"
                + (f"; the norm is largest at {largest:,}" if largest else "")
                + ("; the peak is within the spread of the runs, so none is shown" if unclear else "")
            )
        rows.append(each.named | row)
    names = list(dict.fromkeys(name for each in found for name in each.named))
    kinds = {
        "threshold": pa.int64(), "peak": pa.int64(), "peak_over_threshold": pa.float64(), "peak_error": pa.float64(),
        "least_before": pa.float64(), "least_beyond": pa.float64(), "largest_norm": pa.int64(),
    }  # fmt: skip
    columns = {name: pa.array([word(row.get(name)) or None for row in rows], pa.string()) for name in names}
    columns |= {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    behind = tuple(each.documents for each in found)
    return Table(
        "double-descent", pa.table(columns), tuple(names[1:]), tuple(kinds), behind,
        tuple(dict(each.named) for each in found), tuple(notes),
    )  # fmt: skip


def panels(found: Sequence[Descent]) -> list[Panel]:
    """Test error, train error and norm: of features against their number over the threshold, of networks against width,
    with a mark at the least width that fits.
    """  # fmt: skip
    features = [each for each in found if each.size == "features" and each.threshold]
    networks = [each for each in found if each.size == "width"]
    return [panel for several in (features, networks) if several for panel in _panels(several)]


def _panels(found: Sequence[Descent]) -> Iterator[Panel]:
    wide = found[0].size == "width"
    for title, score, log in (
        ("test error", "test_accuracy", False), ("train error", "train_accuracy", False), ("norm", "norm", True),
    ):  # fmt: skip
        drawn = []
        for each in found:
            values = [row.get(score) for row in each.rows]
            errors = [None if value is None else value if log else 1 - value for value in values]
            spread = [row.get(f"{score}_std") for row in each.rows]
            across = [size if wide else size / (each.threshold or 1) for size in each.sizes]
            marks = [(x, y) for x, y in zip(across, errors) if wide and x == each.threshold and y is not None]
            if any(value is not None for value in errors):
                drawn.append(Curve(each.name, across, errors, spread, marks))
        heights = [value for curve in drawn for value in curve.y if value is not None]
        if not heights:
            continue
        if not wide:
            span = (min(heights), max(heights)) if log else (0, 1)
            drawn.append(Curve("threshold, the published peak", (1, 1), span))
        yield Lines(
            f"{title} of networks" if wide else title, "width" if wide else "features / threshold", drawn,
            None if log else (0, 1), dots=True, log=log, mark="least width that fits", log_across=True,
        )  # fmt: skip
