"""Figures of single rows, of dynamics and scores: cartography, when rows are learned, how many are memorized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gencli.reporting.documents import Document
from gencli.reporting.panels import Bars, Curve, Lines, Panel

_POINTS = 20_000  # that a figure shows
_BINS = 10


def cartography(documents: Sequence[Document]) -> list[Panel]:
    """Confidence against variability, a point a row, means over runs (Swayamdipta et al. 2020, arXiv:2009.10795)."""
    made: list[Panel] = []
    for document in documents:
        if not {"confidence", "variability"} <= set(document.rows.column_names):
            continue
        ids = document.rows["id"].to_numpy()
        across, up = _by_id(ids, document, "variability"), _by_id(ids, document, "confidence")
        _, first = np.unique(ids, return_index=True)
        step = -(-len(first) // _POINTS)
        title = "confidence" if step == 1 else f"confidence, one row of {step}"
        parts = ((name, np.flatnonzero(rows[first])[::step]) for name, rows in _kinds(document))
        curves = [Curve(name, across[at].tolist(), up[at].tolist()) for name, at in parts]
        made.append(Lines(_titled(title, document, documents), "variability", curves, (0, 1), dots=True, scatter=True))
    return made


def learning_order(documents: Sequence[Document]) -> list[Panel]:
    """The share of rows that are learned after each epoch, to stay so: by kind of label, and by label."""
    made: list[Panel] = []
    for document in documents:
        if "learned" not in document.rows.column_names:
            continue
        learned = document.rows["learned"].to_numpy().astype(float)
        labels = document.rows["label"].to_numpy()
        last = int(np.ceil(np.nanmax(learned, initial=1)))
        epochs = np.arange(last + 1)
        by_label = [(f"label {label}", labels == label) for label in np.unique(labels)]
        for title, kinds in (("learned", [*_kinds(document)]), ("learned, by label", by_label)):
            curves = []
            for name, rows in kinds:
                counts = np.bincount(np.ceil(learned[rows & ~np.isnan(learned)]).astype(int), minlength=last + 1)
                curves.append(Curve(name, epochs.tolist(), (counts.cumsum() / rows.sum()).tolist()))
            made.append(Lines(_titled(f"share of rows {title}", document, documents), "epoch", curves, (0, 1)))
    return made


def memorization(documents: Sequence[Document]) -> list[Panel]:
    """The share of rows by how much they are memorized (Feldman, Zhang 2020, arXiv:2008.03703, figure 1)."""
    made: list[Panel] = []
    for document in documents:
        if "memorization" not in document.rows.column_names:
            continue
        values = document.rows["memorization"].to_numpy()
        edges = np.linspace(-1, 1, 2 * _BINS + 1)
        edges = edges[_BINS:] if np.nanmin(values, initial=0) >= 0 else edges
        names = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
        series = []
        for name, rows in _kinds(document):
            known = values[rows & ~np.isnan(values)]
            counts, _ = np.histogram(known, edges)
            series.append((name, (counts / max(1, len(known))).tolist(), ()))
        made.append(Bars(_titled("share of rows by memorization", document, documents), names, series, None))
    return made


def _kinds(document: Document) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The rows with right and with wrong labels, where that is known and there are some."""
    rows = document.rows
    labels = rows["label"].to_numpy()
    wrong = (
        labels != rows["label_true"].to_numpy() if "label_true" in rows.column_names else np.zeros(len(labels), bool)
    )
    if not wrong.any():
        yield "all rows", ~wrong
        return
    if not wrong.all():
        yield "label is the true one", ~wrong
    yield "label is wrong", wrong


def _by_id(ids: NDArray[np.int64], document: Document, name: str) -> NDArray[np.float64]:
    """The means over the runs of a column, in the order of the ids; NaN where no run has it."""
    _, places = np.unique(ids, return_inverse=True)
    values = document.rows[name].to_numpy()
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.bincount(places[known], values[known], places.max() + 1) / np.bincount(
            places[known], minlength=places.max() + 1
        )


def _titled(title: str, document: Document, documents: Sequence[Document]) -> str:
    return title if len(documents) == 1 else f"{title}: {document.title}"
