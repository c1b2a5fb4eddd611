"""Labels along a kernel's eigenvectors: curves of their energy and of gradient descent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from gencli.reporting.panels import Curve, Lines, Panel

_POINTS = 300


def panels(energy: pa.Table, descent: pa.Table) -> list[Panel]:
    """Both figures of one table, a curve for all classes together and for each."""
    return [
        energies((name or "all", rows) for name, rows in _classes(energy)),
        descents((name or "all", rows) for name, rows in _classes(descent)),
        accuracies([("all", whole(descent))]),
    ]


def whole(rows: pa.Table) -> pa.Table:
    """The rows of all classes together."""
    return of_class(rows, None)


def of_class(rows: pa.Table, name: str | None) -> pa.Table:
    """The rows of one class; None for all together."""
    return rows.filter(pa.array([(each or None) == name for each in rows["class"].to_pylist()]))


def energies(named: Iterable[tuple[str, pa.Table]]) -> Lines:
    """Cumulative energy over the number of eigenvectors."""
    return Lines(
        "labels' energy along the first eigenvectors", "log10 of their number",
        [_curve(name, rows, "index", "cumulative") for name, rows in named], (0, 1),
    )  # fmt: skip


def descents(named: Iterable[tuple[str, pa.Table]]) -> Lines:
    """The loss that is left over the time of gradient descent."""
    curves = [_curve(name, rows, "time", "loss") for name, rows in named]
    return Lines("loss left by gradient descent", "log10 of time, steps times step size", curves, (0, 1))


def accuracies(named: Iterable[tuple[str, pa.Table]]) -> Lines:
    """The train accuracy likewise."""
    curves = [_curve(name, rows, "time", "train_accuracy") for name, rows in named]
    return Lines("train accuracy of gradient descent", "log10 of time, steps times step size", curves, (0, 1))


def _classes(rows: pa.Table) -> list[tuple[str | None, pa.Table]]:
    names = list(dict.fromkeys(each or None for each in rows["class"].to_pylist()))
    return [(name, of_class(rows, name)) for name in names]


def _curve(name: str, rows: pa.Table, across: str, up: str) -> Curve:
    """Without the start, which has no logarithm, and no more points than are seen."""
    x, y = (rows[each].to_numpy() for each in (across, up))
    later = np.flatnonzero(x > 0)
    places = later[np.unique(np.geomspace(1, len(later), _POINTS).astype(int)) - 1] if len(later) else later
    return Curve(name, np.log10(x[places]).tolist(), y[places].tolist())
