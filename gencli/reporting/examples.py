"""Figures of single rows, of dynamics and scores: cartography, when rows are learned, how many are memorized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.reporting import pictures
from gencli.reporting.chance import beyond_chance
from gencli.reporting.documents import Document
from gencli.reporting.panels import Bars, Curve, Lines, Panel, Sheet, Tile

_POINTS = 20_000  # that a figure shows
_BINS = 10
_MOST, _HELPERS, _ACROSS = 20, 6, 5  # images of the most memorized rows, rows of those that help, images in a row
ERROR, HELD_OUT = "_se", "held_out_"  # in names of columns of `scores.names`


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
    """The share of rows by how much they are memorized, and the images of the most memorized ones.

    With the image table that was trained on the most memorized rows; with pairs of `influence` and the image table of
    the test rows besides, the most memorized of those that help test rows more than chance explains, beside these.

    Source: Feldman, Zhang 2020, arXiv:2008.03703, figures 1 and 3.

    Raises:
        GencliError: there are image tables, and not those of the scores or the pairs.
    """
    made: list[Panel] = []
    tables = [each for each in documents if each.kind == "images"]
    scored = [each for each in documents if each.kind == "scores"]
    for document in scored:
        if "memorization" not in document.rows.column_names:
            continue
        values = document.rows["memorization"].to_numpy()
        edges = np.arange(np.floor(_BINS * np.nanmin(values, initial=0)), _BINS + 1) / _BINS
        names = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
        series = []
        for name, rows in _kinds(document):
            known = values[rows & ~np.isnan(values)]
            counts, _ = np.histogram(known, edges)
            series.append((name, (counts / max(1, len(known))).tolist(), ()))
        title = _titled("share of rows by memorization", document, scored)
        made.append(Bars(title, names, series, None, log=True))
        if tables:
            made += _sheets(document, documents, tables, "" if len(scored) == 1 else f": {document.title}")
    return made


def _sheets(document: Document, documents: Sequence[Document], tables: Sequence[Document], named: str) -> list[Panel]:
    """The most memorized rows, and those of them that help test rows beside these."""
    rows = document.rows
    ids, labels, values = (rows[name].to_numpy() for name in ("id", "label", "memorization"))
    errors = [rows[name].to_numpy() for name in rows.column_names if name == f"memorization{ERROR}"]
    order = np.lexsort((ids, *errors, -values))
    order = order[values[order] > 0]  # NaN is not
    if not len(order):
        return []
    helped, said = _helped(document, documents, tables)
    helpers = [place for place in order if ids[place] in helped][:_HELPERS]
    shown = np.array([*dict.fromkeys([*order[:_MOST].tolist(), *helpers])])
    found = pictures.find(tables, document, "data", ids[shown], labels[shown])
    words = {place: _words(rows.slice(place, 1).to_pylist()[0], found) for place in shown.tolist()}
    true = rows["label_true"].to_numpy() if "label_true" in rows.column_names else labels
    tiles = {
        place: Tile(found.images[int(ids[place])], words[place], bool(labels[place] != true[place]))
        for place in shown.tolist()
    }
    most = [tiles[place] for place in order[:_MOST].tolist()]
    note = "its label, what networks that did not see it take it for, memorization ± standard error"
    note += "; red frame: the label is wrong" if any(each.marked for each in tiles.values()) else ""
    note += f"; {said}" if said and not helpers else ""
    grid = [most[start : start + _ACROSS] for start in range(0, len(most), _ACROSS)]
    made: list[Panel] = [Sheet(f"most memorized rows{named}", grid, note)]
    if not helpers:
        return made
    pairs = [pair for place in helpers for pair in helped[int(ids[place])]]
    test = {pair["test_id"]: pair["test_label"] for pair in pairs}
    others = pictures.find(tables, pairs[0]["document"], "test", np.array([*test]), np.array([*test.values()]))
    beside = [
        [tiles[int(place)]]
        + [
            Tile(others.images[pair["test_id"]], [others.name(pair["test_label"]), _measured(pair, "influence")])
            for pair in helped[int(ids[place])]
        ]
        for place in helpers
    ]
    note = f"of test rows: label, influence ± standard error; {said}"
    return [*made, Sheet(f"memorized rows → test rows that they help most{named}", beside, note, apart=True)]


def _helped(
    document: Document, documents: Sequence[Document], tables: Sequence[Document]
) -> tuple[dict[int, list[dict[str, Any]]], str]:
    """By memorized row its pairs with the test rows that it helps most, and how many of all are beyond chance."""
    mine = [] if document.made is None else [each.sha256 for each in document.made.given("data")]
    values = dict(zip(*(document.rows[name].to_pylist() for name in ("id", "memorization")), strict=True))
    memorized = np.array([*values.values()], float)
    found: dict[int, list[dict[str, Any]]] = {}
    said = ""
    for other in documents:
        theirs = [] if other.made is None else [each.sha256 for each in other.made.given("data")]
        if other.kind != "influence" or (mine and theirs and mine != theirs):
            continue
        tests = sum(sum(each.rows["n"].to_pylist()) for each in pictures.made_of(tables, other, "test"))
        own = np.array([values.get(each) for each in other.rows["id"].to_pylist()], float)
        known, said = beyond_chance(
            memorized, tests, own, *(other.rows[name].to_numpy() for name in ("influence", f"influence{ERROR}"))
        )
        for pair in sorted(other.rows.filter(known).to_pylist(), key=lambda pair: -pair["influence"]):
            found.setdefault(pair["id"], []).append(pair | {"document": other})
    return {place: pairs[: _ACROSS - 1] for place, pairs in found.items()}, said


def _words(row: dict[str, Any], found: pictures.Pictures) -> list[str]:
    """What a sheet says of a row."""
    words, taken = [found.name(row["label"])], row.get(f"{HELD_OUT}confident_label")
    if taken is not None and taken != row["label"]:
        words.append(f"taken for {found.name(int(taken)).removeprefix('label ')}")
    return [*words, _measured(row, "memorization")]


def _measured(row: dict[str, Any], name: str) -> str:
    error = row.get(name + ERROR)
    return f"{row[name]:.2f}" + ("" if error is None else f" ± {error:.2f}")


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
