"""What `report` reads, as read from files, and what its provenance says of the run behind it."""

from __future__ import annotations

import contextlib
import csv
import glob
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, Literal

import pyarrow as pa

from gencli import console, parquet, provenance, tables
from gencli.errors import GencliError, first_line
from gencli.named import is_pipe
from gencli.provenance import Step
from gencli.stream import Input

Kind = Literal["history", "result", "benchmark", "predictions", "images", "density", "confusion"]
KINDS: dict[Kind, tuple[str, ...]] = {  # by their columns; the first that fits
    "history": ("epoch", "train_loss"),
    "result": ("label", "name", "n", "loss"),
    "benchmark": ("item", "ours", "peer", "unit", "ratio", "bar", "met"),
    "predictions": ("id", "label", "prediction"),
    "images": ("id", "image", "label"),
    "density": ("eigenvalue", "density"),
    "confusion": ("label", "name"),
}
_TEXT = {"name", "model", "data", "item", "unit", "met"}
DIFFER = "labels differ"  # in place of a step that is not known
_NOT_SETUP = {"seed", "device", "threads"}  # what runs of one setup may differ in


_SHORT = 1 << 16  # bytes of a table
_TABLES = 100  # that a block keeps apart


class _Block:
    """Tables of one schema, one below the other: a short one by itself takes ten times the memory of its numbers."""

    def __init__(self, table: pa.Table) -> None:
        self._tables, self._rows = [table], table.num_rows

    def append(self, table: pa.Table) -> slice:
        """Takes a table, and says where it stands."""
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
        model, table: which of its provenance's models and data sets it is of; None where that is unknown.
    """

    kind: Kind
    title: str
    block: _Block
    place: slice
    made: Step | None
    source: Step
    model: int | None = 0
    table: int | None = 0

    @property
    def rows(self) -> pa.Table:
        """A row an epoch; a row a class and the overall row; a row an item, an image, an eigenvalue or a class.

        Of an image table label, name and n, the rows of each class.
        """
        return self.block[self.place]

    @property
    def training(self) -> Step | None:
        """The step that trained the network behind it."""
        if self.kind == "history" or self.made is None:
            return self.made
        return (self._input("model", self.model) or {}).get("step")

    @property
    def data(self) -> dict[str, Any] | None:
        """The input that it was measured on; an image table itself."""
        return self.source if self.kind == "images" else self._input("data", self.table)

    @property
    def trained_on(self) -> dict[str, Any] | None:
        """The input of its training."""
        step = self.training
        return None if step is None else next((each for each in step["inputs"] if each["role"] == "data"), None)

    def _input(self, role: str, place: int | None) -> dict[str, Any] | None:
        inputs = [] if self.made is None else [entry for entry in self.made["inputs"] if entry["role"] == role]
        return None if place is None or place >= len(inputs) else inputs[place]

    @property
    def run(self) -> str:
        """What documents of one training run share: its settings and training data; the file where these are lost."""
        step = self.training
        if step is None:
            return self.title
        trained_on = [entry["sha256"] for entry in step["inputs"] if entry["role"] == "data"]
        return _digest([step["arguments"], step["versions"], trained_on])

    @property
    def setup(self) -> str:
        """What runs share that differ in nothing but their seeds, of training and of the data; the file likewise."""
        step = self.training
        if step is None:
            return self.title
        data = [entry for entry in step["inputs"] if entry["role"] == "data"]
        steps = [each for entry in data for each, _ in provenance.walk(entry.get("step"))]
        foreign = [entry["sha256"] for each in [step, *steps] for entry in each["inputs"] if "step" not in entry]
        return _digest([[each["command"], _setup(each)] for each in [step, *steps]] + [foreign])


def _digest(facts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _setup(step: Step) -> dict[str, Any]:
    return {name: value for name, value in step["arguments"].items() if name not in _NOT_SETUP}


def expand(names: Sequence[str]) -> list[str]:
    """The files that names and patterns name, those of a pattern by name, each file once.

    Raises:
        GencliError: no file matches a pattern.
    """
    found: dict[str, str] = {}
    for name in names:
        pattern = name != "-" and glob.has_magic(name) and not os.path.exists(name)
        matches = sorted(glob.glob(name, recursive=True)) if pattern else [name]
        if not matches:
            raise GencliError(f"{name}: no file matches", "check the pattern and the folder")
        for match in matches:
            found.setdefault("-" if match == "-" else os.path.realpath(match), match)
    return list(found.values())


def refuse_overwriting(names: Sequence[str | None], destinations: Sequence[str | None]) -> None:
    """Refuses an output that is one of the inputs, before any is read; None is no input, and standard output.

    Raises:
        GencliError: one is.
    """
    read = [found for name in names if name is not None and (found := _status(name, sys.stdin))]
    for destination in destinations:
        written = _status(destination or "-", sys.stdout)
        if written and any(os.path.samestat(written, found) for found in read):
            shown = "standard output" if destination in (None, "-") else destination
            raise GencliError(f"{shown}: the output is the input", "write to another file, then rename it")


def _status(name: str, standard: IO[str] | None) -> os.stat_result | None:
    """Of a regular file; of `-` the standard stream's."""
    with contextlib.suppress(OSError, AttributeError):
        found = os.fstat(standard.fileno()) if name == "-" else os.stat(name)  # pyright: ignore[reportOptionalMemberAccess]
        return found if stat.S_ISREG(found.st_mode) else None
    return None


def read_all(names: Sequence[str]) -> list[Document]:
    """What the files hold, in their order; one at a time is open, and standard input the last."""
    found: dict[str, Document] = {}
    shared: dict[str, Step] = {}
    blocks: dict[pa.Schema, _Block] = {}
    with console.progress("files", len(names)) as advance:
        for done, name in enumerate(sorted(names, key=is_pipe), 1):
            source = Input(name)
            document = found[name] = read(source)
            source.file.close()
            if document.made is not None:  # runs of one sweep share their data, and it is kept once
                document.made["inputs"] = [
                    shared.setdefault(json.dumps(entry, sort_keys=True), entry) for entry in document.made["inputs"]
                ]
            advance(done)
    return [_joined(part, blocks) for name in names for part in _split(found.pop(name))]


def _joined(document: Document, blocks: dict[pa.Schema, _Block]) -> Document:
    """The document with its rows, where they are few, in the block of their schema."""
    rows = document.rows
    if rows.nbytes > _SHORT:
        return document
    block = blocks.setdefault(rows.schema, _Block(rows.slice(0, 0)))
    return replace(document, block=block, place=block.append(rows))


def read(source: Input) -> Document:
    """Reads a file: Parquet, or CSV or JSON, which have lost their provenance.

    Raises:
        GencliError: the file is of no kind that is known, has no rows, or text where numbers belong.
    """
    if source.starts(b"PAR1"):
        file = parquet.open_file(source)
        kind = _kind(source, file.schema_arrow.names, file.metadata.num_rows)
        made = parquet.read_provenance(file)
        with parquet.undamaged(source.name):
            rows = file.read(["label"] if kind == "images" else None).replace_schema_metadata(None)
        if kind == "images":
            rows = _counts(source, rows, tables.read_description(file, source.name))
    else:
        made, rows = None, _read_text(source)
        kind = _kind(source, rows.column_names, rows.num_rows)
    checked = _checked(source, kind, rows)
    return Document(kind, source.name, _Block(checked), slice(len(checked)), made, _entry(source, made))


def _entry(source: Input, made: Step | None) -> Step:
    return provenance.source("file", source.sha256, made, source.path)


def _kind(source: Input, names: Sequence[str], rows: int) -> Kind:
    kind: Kind | None = next((kind for kind, columns in KINDS.items() if set(columns) <= set(names)), None)
    if kind is None:
        shown = ", ".join(map(console.printable, names))
        raise GencliError(
            f"{source.name}: neither a history nor a result; its columns are {shown[:200]}",
            "give what `gencli train --history`, `gencli eval` or `gencli spectrum --density` wrote",
        )
    if rows == 0:
        raise GencliError(f"{source.name}: a {kind} without rows", "make it again")
    return kind


def _read_text(source: Input) -> pa.Table:
    if source.starts(b"{", 8):  # a model, which may be large
        source.expect("Parquet", b"PAR1", b"PAR1")
    source.file.seek(0)
    try:
        text = source.file.read().decode()
        if text.startswith("["):
            objects = json.loads(text)
            if all(isinstance(each, dict) for each in objects):
                return pa.Table.from_pylist(objects)
        elif "\0" not in text and len(next(csv.reader([text.partition("\n")[0]]), [])) > 1:
            from pyarrow import csv as reader

            options = reader.ConvertOptions(column_types=dict.fromkeys(_TEXT, pa.string()))
            return reader.read_csv(io.BytesIO(text.encode()), convert_options=options)
    except (ValueError, RecursionError, pa.ArrowException) as error:
        if not isinstance(error, UnicodeDecodeError):
            raise GencliError(f"{source.name}: {first_line(error)}", "give a whole file") from None
    source.expect("Parquet", b"PAR1", b"PAR1")
    raise AssertionError("which does not start so")


def _checked(source: Input, kind: Kind, rows: pa.Table) -> pa.Table:
    if len(set(rows.column_names)) < rows.num_columns:
        raise GencliError(f"{source.name}: two columns have one name", "make it again")
    for place, field in enumerate(rows.schema):
        if pa.types.is_null(field.type):
            rows = rows.set_column(place, field.name, rows[field.name].cast(pa.float64()))
        elif field.name == "probabilities":
            rows = rows.set_column(place, field.name, _lists(source, rows[field.name]))
        elif field.name in _TEXT or not pa.types.is_string(field.type):
            continue
        elif kind != "images":
            raise GencliError(f"{source.name}: column `{field.name}` holds text, not numbers", "make it again")
    for name in ("epoch", "eigenvalue"):
        if name in KINDS[kind] and rows[name].null_count:
            raise GencliError(f"{source.name}: a row without {name}", "make it again")
    return rows


def _lists(source: Input, column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if not pa.types.is_string(column.type):
        return column
    try:
        return pa.array([text and json.loads(text) for text in column.to_pylist()], pa.list_(pa.float64()))
    except (ValueError, pa.ArrowException):
        raise GencliError(f"{source.name}: column `probabilities` holds no lists of numbers", "make it again") from None


def _counts(source: Input, rows: pa.Table, description: tables.Description | None) -> pa.Table:
    import numpy as np

    labels = rows["label"]
    if labels.null_count or not pa.types.is_integer(labels.type):
        raise GencliError(f"{source.name}: not every row has a label", "check it with `gencli data show`")
    classes = description.classes if description else ()
    tables.check_labels(labels.to_numpy(), len(classes) or 1 << 20, source.name)
    n = np.bincount(labels.to_numpy(), minlength=len(classes))
    names = [*classes] or [str(label) for label in range(len(n))]
    return pa.table({"label": range(len(n)), "name": names, "n": n})


def _split(document: Document) -> list[Document]:
    """A document for each model and data set that a table's first columns name."""
    rows = document.rows
    columns = [name for name in ("model", "data") if name in rows.column_names and pa.types.is_string(rows[name].type)]
    if document.kind not in ("result", "predictions", "confusion") or not columns:
        return [document]
    parts: dict[tuple[str, ...], list[int]] = {}
    for place, names in enumerate(zip(*(rows[column].to_pylist() for column in columns))):
        parts.setdefault(names, []).append(place)
    entries = [] if document.made is None else document.made["inputs"]
    places: dict[str, dict[str, int]] = {}
    for place, column in enumerate(columns):
        found = list(dict.fromkeys(names[place] for names in parts))
        known = len(found) == sum(entry["role"] == column for entry in entries)  # shards of a folder are several
        places[column] = {name: number for number, name in enumerate(found)} if known else {}
    kept = rows.drop_columns(columns)
    documents = []
    for names, taken in parts.items():
        which = {
            field: places[column].get(name) for column, name in zip(columns, names)
            for field in ["model" if column == "model" else "table"]
        }  # fmt: skip
        title = f"{document.title}: {', '.join(map(str, names))}"
        documents.append(
            replace(document, title=title, block=_Block(kept.take(taken)), place=slice(len(taken)), **which)
        )
    return documents


def data_name(entry: dict[str, Any] | None) -> str:
    """What an input is called: its data set and split, or the name of a foreign file."""
    if entry is None:
        return ""
    if "step" not in entry:
        return entry["name"]
    first = next(step for step, depth in provenance.walk(entry["step"]) if depth == 0)
    arguments = first["arguments"]
    name = arguments.get("name") or first["command"].removeprefix("data ")
    return f"{name} {arguments.get('split') or ''}".strip()


def corruptions(entry: dict[str, Any] | None) -> list[Step]:
    """The corruptions on the way to an input, earliest first.

    The first is `DIFFER`, with a `share`, where labels differ from label_true by none of them.
    """
    line: list[dict[str, Any]] = []
    while entry is not None:
        line.append(entry)
        entry = next(iter((entry.get("step") or {}).get("inputs", [])), None)
    steps = [each["step"] for each in reversed(line) if each.get("step")]
    shares = [share for each in line if isinstance(share := each.get("labels_differ"), float)]
    by_others = [{"command": DIFFER, "arguments": {"share": share}} for share in shares[:1]]
    return by_others + [step for step in steps if step["command"].startswith("corrupt ")]


def steps(file: Input, several: bool) -> Iterator[str]:
    """How a file that gencli wrote was made, a line a step, below its name where there are `several`.

    Raises:
        GencliError: it does not say.
    """
    from gencli.tensors import read_metadata

    model = file.starts(b"{", 8)
    made = read_metadata(file).get("step") if model else parquet.read_provenance(parquet.open_file(file))
    if made is None:
        raise GencliError(f"{file.name}: no provenance", "only files that gencli wrote say how they were made")
    if several:
        yield f"# {file.name}"
    yield from provenance.lines(made)
