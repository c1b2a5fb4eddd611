"""The documents that `report` reads from files, and the runs that their provenance describes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gencli import runs
from gencli.cli import console
from gencli.counts import numbered
from gencli.files import parquet, provenance, tables
from gencli.files.named import is_pipe
from gencli.files.provenance import Source, Step
from gencli.files.stream import Input
from gencli.reporting import readers
from gencli.reporting.forms import Kind

DIFFER = "labels differ"  # in place of a step that is not known
NOT_SETUP = {"seed", "seed_init", "seed_order", "device", "threads"}  # what runs of one setup may differ in


_SHORT = 1 << 16  # bytes of a table
_TABLES = 100  # that a block keeps apart


class _Block:
    """Tables of one schema, one below the other: a short one by itself takes ten times the memory of its numbers."""

    def __init__(self, table: pa.Table) -> None:
        self._tables, self._rows = [table], table.num_rows

    def append(self, table: pa.Table) -> slice:
        """Adds a table, and returns its position."""
        self._tables.append(table)
        self._rows += table.num_rows
        if len(self._tables) > _TABLES:
            self._join()
        return slice(self._rows - table.num_rows, self._rows)

    def _join(self) -> None:
        self._tables = [pa.concat_tables(self._tables).combine_chunks()]

    def __getitem__(self, place: slice) -> pa.Table:
        if len(self._tables) > 1:
            self._join()
        return self._tables[0][place]


@dataclass(frozen=True)
class Document:
    """What one file holds, or of a table of several models or data sets what it holds of one.

    Attributes:
        title: its file, and the model and data set in it.
        block, place: its rows, among those of other files.
        made: its provenance; None where it was lost.
        source: its file as an input of a step.
        file: its name as it was given.
        model, table: which of its provenance's models and data sets it is of; None where that is unknown.
        number: which run of a training of several it is of; None of a training of one.
        opened: the file of an image table, whose images may be wanted.
    """

    kind: Kind
    title: str
    block: _Block
    place: slice
    made: Step | None
    source: Source
    model: int | None = 0
    table: int | None = 0
    file: str = ""
    number: int | None = None
    opened: Input | None = None

    @property
    def rows(self) -> pa.Table:
        """One row per epoch; per class, and an overall row; or per item, image, eigenvalue or class.

        Of an image table label, name and n, the rows of each class.
        """
        return self.block[self.place]

    @property
    def training(self) -> Step | None:
        """The step that trained the network behind it, with the settings of its own run."""
        step = self.made
        if self.kind != "history" and step is not None:
            model = self._input("model", self.model)
            step = model and model.step
        number = self.number
        if number is None and self.kind != "history" and self.made is not None:
            number = self.made.arguments.get("run")  # the one that was asked for
        if step is None or number is None:
            return step
        return replace(step, arguments=runs.own(step.arguments, number))

    @property
    def data(self) -> Source | None:
        """The input that it was measured on; an image table itself."""
        return self.source if self.kind == "images" else self._input("data", self.table)

    @property
    def trained_on(self) -> Source | None:
        """The input of its training."""
        step = self.training
        return None if step is None else next(iter(step.given("data")), None)

    @property
    def on_training(self) -> bool:
        """Whether it was measured on the table of its training."""
        entry, trained = self.data, self.trained_on
        return entry is not None and trained is not None and entry.sha256 == trained.sha256

    @property
    def partial(self) -> bool:
        """Whether its training saw a part of its table's rows, so that those of all of them are not of what it saw."""
        settings = {} if self.training is None else self.training.arguments
        return settings.get("subset") not in (None, 1) or bool(settings.get("validation_fraction"))

    @property
    def tested(self) -> Source | None:
        """The table that it tells a test on, not that of the training; of a history the evaluation data."""
        if self.kind == "history":
            return next(iter(self.made.given("eval-data") if self.made else ()), None)
        return None if self.on_training else self.data

    def _input(self, role: str, place: int | None) -> Source | None:
        inputs = [] if self.made is None else self.made.given(role)
        return None if place is None or place >= len(inputs) else inputs[place]

    @property
    def run(self) -> str:
        """A key of the training run: its settings and training data; the file if these are lost."""
        step = self.training
        return self.title if step is None else key(step)

    @property
    def setup(self) -> str:
        """A key of the setup, equal for runs that differ only in the seeds of training and data; the file if lost."""
        step = self.training
        if step is None:
            return self.title
        return making(step, [*step.given("data"), *step.given("init")])


def making(step: Step, inputs: Sequence[Source]) -> str:
    """A key of how something is made from some of its inputs, but for seeds."""
    steps = [step, *(each for entry in inputs for each, _ in provenance.walk(entry.step))]
    foreign = [entry.sha256 for each in steps for entry in each.inputs if entry.step is None]
    return _digest([[each.command, _setup(each)] for each in steps] + [foreign])


def key(step: Step) -> str:
    """Of a training run: its settings, its versions and its training data."""
    return _digest(
        [step.arguments, step.versions, [entry.sha256 for entry in [*step.given("data"), *step.given("init")]]]
    )


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _setup(step: Step) -> dict[str, Any]:
    return {name: value for name, value in step.arguments.items() if name not in NOT_SETUP}


def read_all(names: Sequence[str]) -> list[Document]:
    """What the files hold, in their order; one at a time is open, besides image tables, and standard input the last."""
    found: dict[str, Document] = {}
    shared: dict[str, Source] = {}
    blocks: dict[pa.Schema, _Block] = {}
    several = len(names) > 1  # while one in a pipe is waited for, the commands before it tell what they do
    with console.progress("files", len(names)) if several else nullcontext(lambda _: None) as advance:
        for done, name in enumerate(sorted(names, key=is_pipe), 1):
            source = Input(name)
            document = found[name] = read(source)
            if document.opened is None:
                source.file.close()
            if document.made is not None:  # runs of one sweep share their data, and it is kept once
                inputs = [shared.setdefault(provenance.dumps(each.to_json()), each) for each in document.made.inputs]
                found[name] = replace(document, made=replace(document.made, inputs=tuple(inputs)))
            advance(done)
    return [_joined(part, blocks) for name in names for part in _split(found.pop(name))]


def by_size(documents: Sequence[Document]) -> list[Document]:
    """The documents, those of networks whose names differ in their numbers alone in the order of these."""
    archs = [str(each.training.arguments.get("arch")) if each.training else "" for each in documents]
    places: dict[tuple[str, str], list[int]] = {}
    for place, (each, arch) in enumerate(zip(documents, archs)):
        places.setdefault((each.kind, re.sub(r"\d+", "N", arch)), []).append(place)
    found = list(documents)
    for taken in places.values():
        ordered = sorted(taken, key=lambda place: numbered(archs[place]))
        for place, other in zip(taken, ordered):
            found[place] = documents[other]
    return found


def _joined(document: Document, blocks: dict[pa.Schema, _Block]) -> Document:
    """The document with its rows, where they are few, in the block of their schema."""
    rows = document.rows
    if rows.nbytes > _SHORT:
        return document
    block = blocks.setdefault(rows.schema, _Block(rows.slice(0, 0)))
    return replace(document, block=block, place=block.append(rows))


def read(source: Input) -> Document:
    """Reads a file: Parquet, or CSV or JSON, which have lost their provenance but for histories.

    Raises:
        GencliError: the file is of an unknown kind, or has rows that its kind does not allow; see `readers`.
    """
    made = None
    if parquet.is_parquet(source):
        file = parquet.open_file(source)
        made = parquet.read_provenance(file)
        kind, rows = readers.from_parquet(source, file)
        if kind == "images":
            rows = _counts(source, rows, tables.read_description(file, source.name))
    else:
        kind, rows = readers.from_text(source)
        made, rows = readers.made_of(source, rows)
    entry = provenance.source("file", source.sha256, made, source.path)
    opened = source if kind == "images" else None
    return Document(kind, source.name, _Block(rows), slice(len(rows)), made, entry, file=source.name, opened=opened)


def _counts(source: Input, rows: pa.Table, description: tables.Description | None) -> pa.Table:
    import numpy as np

    labels = rows["label"].to_numpy()
    classes = description.classes if description else ()
    tables.check_labels(labels, len(classes) or 1 << 20, source.name)
    n = np.bincount(labels, minlength=len(classes))
    names = [*classes] or [str(label) for label in range(len(n))]
    return pa.table({"label": range(len(n)), "name": names, "n": n})


def _split(document: Document) -> list[Document]:
    """One document per model, data set and run that a table's first columns name."""
    rows = document.rows
    columns = readers.lead_columns(rows, document.kind)
    if not columns:
        return [document]
    parts = readers.parts(rows, document.kind)
    entries = () if document.made is None else document.made.inputs
    places: dict[str, dict[str | int, int]] = {}
    for place, column in enumerate(columns):
        found = list(dict.fromkeys(names[place] for names in parts))
        known = len(found) == sum(entry.role == column for entry in entries)  # shards of a folder are several
        places[column] = {name: number for number, name in enumerate(found)} if known else {}
    kept = rows.drop_columns(
        [*columns, *(name for name in runs.NUMBERS if document.kind == "history" and name in rows.column_names)]
    )
    documents = []
    for names, taken in parts.items():
        fields = {"model": "model", "data": "table", "run": "number"}
        which: dict[str, Any] = {
            fields[column]: name if column == "run" else places[column].get(name)
            for column, name in zip(columns, names)
        }
        words = [f"run {name}" if column == "run" else str(name) for column, name in zip(columns, names)]
        title = f"{document.title}: {', '.join(words)}"
        documents.append(
            replace(document, title=title, block=_Block(kept.take(taken)), place=slice(len(taken)), **which)
        )
    return documents


def data_name(entry: Source | None) -> str:
    """The name of an input: its data set and split, or the name of a file that gencli did not write."""
    if entry is None:
        return ""
    if entry.step is None:
        return entry.name
    first = next(step for step, depth in provenance.walk(entry.step) if depth == 0)
    name = first.arguments.get("name") or first.command.removeprefix("data ")
    return f"{name} {first.arguments.get('split') or ''}".strip()


def corruptions(entry: Source | None) -> list[Step]:
    """The corruptions on the way to an input, earliest first.

    The first is `DIFFER`, with a `share`, where labels differ from label_true by none of them.
    """
    line: list[Source] = []
    while entry is not None:
        line.append(entry)
        entry = next(iter(entry.step.inputs if entry.step else ()), None)
    steps = [each.step for each in reversed(line) if each.step]
    shares = [each.labels_differ for each in line if each.labels_differ is not None]
    by_others = [Step(DIFFER, {"share": share}, {}) for share in shares[:1]]
    return by_others + [step for step in steps if step.command.startswith("corrupt ")]
