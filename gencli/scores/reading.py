"""What `gencli score` reads: dynamics, predictions, models, the image table that they were trained on; what fits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files import parquet, provenance, tables
from gencli.files.provenance import Source, Step
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.reporting import documents
from gencli.scores.names import DYNAMICS

if TYPE_CHECKING:
    from gencli.models import Model

_IMAGES = ("image", "img")  # columns of which an image table has one


@dataclass
class Part:
    """What one run says of its rows.

    Attributes:
        title: its file, and its run, in messages.
        rows: [m] their places in the file.
        ids, labels: [m].
        labels_true: [m]; None where it is not known.
        values: by score [m], NaN where there is none and infinite where the row was never learned.
        probabilities: [m, classes] floating; None where there are none.
    """

    title: str
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    labels_true: NDArray[np.int64] | None
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    probabilities: NDArray[np.floating] | None = None


@dataclass
class Files:
    """What was given, of each kind, in the order of the command line."""

    documents: list[documents.Document] = field(default_factory=list)
    models: list[tuple[Input, list[Model]]] = field(default_factory=list)
    tables: list[ImageTable] = field(default_factory=list)

    def parts(self) -> Iterator[Part]:
        """The runs of dynamics and predictions."""
        for document in self.documents:
            yield from _parts(document)

    @property
    def scores(self) -> documents.Document | None:
        """The table of scores, if one was given."""
        return next((each for each in self.documents if each.kind == "scores"), None)

    def sources(self) -> list[Source]:
        """The files as inputs of a step."""
        found = [replace(document.source, role="file") for document in self.documents]
        found += [provenance.source("model", file.sha256, models[0].made, file.path) for file, models in self.models]
        return found + [source for table in self.tables for source in tables.sources(table, "data")]


def of_table(table: ImageTable) -> Part:
    """The rows of an image table, as runs have them."""
    true = table.column("label_true") if "label_true" in table.schema.names else None
    return Part(table.title, np.arange(table.rows), table.column("id"), table.column("label"), true)


def open_any(place: str, arch: str | None) -> documents.Document | tuple[Input, list[Model]] | ImageTable:
    """A file of any kind that is read here.

    Raises:
        GencliError: it is of another kind, or damaged.
    """
    from gencli.sources import open_table, read_table

    if os.path.isdir(place):
        return open_table(place)
    source = Input(place)
    if source.starts(b"{", 8):
        from gencli import models

        return source, models.read_runs(source, arch)
    if parquet.is_parquet(source) and set(_IMAGES) & set(parquet.open_file(source).schema_arrow.names):
        return read_table([source])
    document = documents.read(source)
    if document.kind not in ("scores", "dynamics", "predictions"):
        article = "an" if document.kind == "influence" else "a"
        raise GencliError(
            f"{source.name}: {article} {document.kind}, which says nothing of single rows",
            "give train --dynamics, eval --predictions, or models and their image table",
        )
    return document


def collect(opened: Sequence[Any], networks: bool) -> Files:
    """What was opened, by kind, once it is known to go together.

    Args:
        networks: whether there have to be models.

    Raises:
        GencliError: a file is given twice, networks or data differ, or something is missing.
    """
    found = Files()
    for each in opened:
        if isinstance(each, documents.Document):
            found.documents.append(each)
        elif isinstance(each, tuple):
            found.models.append(each)
        else:
            found.tables.append(each)
    if found.scores and len(opened) > 1:
        raise GencliError(f"{found.scores.title}: scores, beside other files", "judge them by themselves")
    if len(found.tables) > 1:
        names = " and ".join(table.title for table in found.tables[:2])
        raise GencliError(f"{names} are two image tables", "give the one that was trained on")
    if found.models and not found.tables:
        raise GencliError(
            f"{found.models[0][0].name}: a model, without the rows that it saw", "name its training table too"
        )
    if networks and not found.models:
        raise GencliError("--influence: no models", "give models with the image table that they were trained on")
    if found.tables and not found.models:
        raise GencliError(f"{found.tables[0].title}: an image table, without models", "give models, or omit it")
    _require_distinct(found)
    _require_one(
        _archs(found),
        lambda mine, other: f"runs of {mine}, not of {other} as",
        "score runs of one architecture at a time",
    )
    _require_one(_data(found), lambda mine, other: "of other rows than", "score files of one training table at a time")
    return found


def _require_distinct(files: Files) -> None:
    """Refuses what would count twice."""
    seen: dict[str, str] = {}
    named = [(document.source.sha256, document.title) for document in files.documents]
    for sha256, title in [*named, *((source.sha256, source.name) for source, _ in files.models)]:
        if sha256 in seen:
            raise GencliError(f"{title}: the same file as {seen[sha256]}", "give each once")
        seen[sha256] = title
    for document in files.documents:
        if document.made is None or document.kind != "predictions":
            continue
        for model in document.made.given("model"):
            if model.sha256 in seen:
                raise GencliError(f"{document.title}: predictions of {seen[model.sha256]}", "give one of the two")
            if (step := model.step) is None or not any(map(step.arguments.get, ("subset", "validation_fraction"))):
                continue
            if _hashes(document.made.given("data")) == _hashes(step.given("data")):
                raise GencliError(
                    f"{document.title}: predictions of networks that left rows out, and do not say which",
                    "give the models themselves, with their training table",
                )
    runs: dict[str, str] = {}
    for _, models in files.models:
        for model in models:
            key = repr(sorted(model.arguments.items()))
            if key in runs and model.arguments:
                raise GencliError(f"{model.title}: the same run as {runs[key]}", "give runs of different seeds")
            runs[key] = model.title


def _require_one(known: Sequence[tuple[str, Any]], differs: Callable[[Any, Any], str], hint: str) -> None:
    for title, value in known:
        if value != known[0][1]:
            raise GencliError(f"{title}: {differs(value, known[0][1])} {known[0][0]}", hint)


def _archs(files: Files) -> list[tuple[str, Any]]:
    steps = [(document.title, step) for document in files.documents for step in _trainings(document)]
    found = [(title, step.arguments.get("arch")) for title, step in steps]
    found += [(source.name, model.arch) for source, models in files.models for model in models[:1]]
    return [each for each in found if each[1] is not None]


def _trainings(document: documents.Document) -> list[Step]:
    if document.made is None:
        return []
    if document.kind == "dynamics":
        return [document.made]
    return [source.step for source in document.made.given("model") if source.step is not None]


def _data(files: Files) -> list[tuple[str, list[str]]]:
    """The tables that are known to have been trained on or predicted, by their hashes."""
    found = [(table.title, [each.sha256 for each in table.inputs]) for table in files.tables]
    made = [(document.title, document.made) for document in files.documents]
    made += [(source.name, models[0].made) for source, models in files.models]
    return found + [(title, _hashes(step.given("data"))) for title, step in made if step and step.given("data")]


def _hashes(sources: Sequence[Source]) -> list[str]:
    return [each.sha256 for each in sources]


def _parts(document: documents.Document) -> Iterator[Part]:
    rows = document.rows
    names = [name for name in ("model", "run") if name in rows.column_names]
    if len(set(rows["data"].to_pylist() if "data" in rows.column_names else ())) > 1:
        raise GencliError(f"{document.title}: predictions of several data sets", "predict one at a time")
    if document.kind == "predictions" and "probabilities" not in rows.column_names:
        raise GencliError(f"{document.title}: predictions without probabilities", "give networks with classes")
    if document.kind == "dynamics" and (gone := [name for name in DYNAMICS if name not in rows.column_names]):
        raise GencliError(f"{document.title}: dynamics without the column {gone[0]}", "give gencli train --dynamics")
    if not names:
        yield _part(document, rows, np.arange(rows.num_rows), "")
        return
    codes = np.zeros(rows.num_rows, np.int64)
    for name in names:
        encoded = rows[name].combine_chunks().dictionary_encode()
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy()
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    places = np.split(np.argsort(codes, kind="stable"), counts.cumsum()[:-1])
    for each in np.argsort(first):
        taken, key = places[each], [rows[name][int(first[each])].as_py() for name in names]
        said = ", ".join(f"run {value}" if name == "run" else str(value) for name, value in zip(names, key))
        yield _part(document, rows.take(taken), taken, said)


def _part(document: documents.Document, rows: pa.Table, taken: NDArray[np.int64], said: str) -> Part:
    true = rows["label_true"].to_numpy() if "label_true" in rows.column_names else None
    title = f"{document.title}: {said}" if said else document.title
    part = Part(title, taken, rows["id"].to_numpy(), rows["label"].to_numpy(), true)
    if document.kind == "dynamics":
        part.values = {name: _values(rows, name) for name in DYNAMICS}
        return part
    lists = rows["probabilities"].combine_chunks()
    lengths = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (off := np.flatnonzero((lengths != lengths[0]) | (lengths < 0))).size:
        what = "none" if lengths[off[0]] < 0 else f"{lengths[off[0]]}, where others have {lengths[0]}"
        raise GencliError(
            f"{title}: row {taken[off[0]]}: column `probabilities`: {what}", "predict with finite networks"
        )
    part.probabilities = lists.flatten().to_numpy().reshape(-1, int(lengths[0]))
    return part


def _values(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """A column of dynamics; infinite where a row that was visited was never learned."""
    found = rows[name].to_numpy().astype(float, copy=False)
    if not DYNAMICS[name].endless:
        return found
    visited = ~np.asarray(rows["correctness"].is_null())
    return np.where(np.isnan(found) & visited, np.inf, found)
