"""Histories, results and benchmarks as read from their files, and what their provenance says of the run behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from gencli import provenance, tables
from gencli.errors import GencliError
from gencli.provenance import Step
from gencli.stream import Input

Kind = Literal["history", "result", "benchmark"]
KINDS: dict[Kind, tuple[str, ...]] = {  # by their columns
    "history": ("epoch", "train_loss"),
    "result": ("label", "name", "n", "loss"),
    "benchmark": ("item", "ours", "peer", "unit", "ratio", "bar", "met"),
}


@dataclass(frozen=True)
class Document:
    """A training history, a result table, or a benchmark.

    Attributes:
        title: its file.
        rows: a row an epoch; a row a class and the overall row; or a row an item.
        made: its provenance; None where it was lost.
    """

    kind: Kind
    title: str
    rows: pa.Table
    made: Step | None

    @property
    def training(self) -> Step | None:
        """The step that trained the network behind it."""
        if self.kind == "history" or self.made is None:
            return self.made
        return next((entry.get("step") for entry in self.made["inputs"] if entry["role"] == "model"), None)

    @property
    def data(self) -> dict[str, Any] | None:
        """The input that a result was measured on."""
        inputs = [] if self.made is None else self.made["inputs"]
        return next((entry for entry in inputs if entry["role"] == "data"), None)

    @property
    def run(self) -> str:
        """What documents of one training run share: its settings and training data; the file where these are lost."""
        step = self.training
        if step is None:
            return self.title
        trained_on = [entry for entry in step["inputs"] if entry["role"] == "data"]
        return json.dumps([step["arguments"], step["versions"], trained_on], sort_keys=True)


def read(source: Input) -> Document:
    """Reads a history, a result or a benchmark.

    Raises:
        GencliError: the file is none of these, or has no rows.
    """
    file = tables.open_parquet(source)
    names = set(file.schema_arrow.names)
    for kind, columns in KINDS.items():
        if names.issuperset(columns):
            if file.metadata.num_rows == 0:
                raise GencliError(f"{source.name}: a {kind} without rows", "make it again")
            rows = file.read().replace_schema_metadata(None)  # which holds the provenance too
            return Document(kind, source.name, rows, tables.read_provenance(file))
    raise GencliError(
        f"{source.name}: neither a history nor a result; its columns are {', '.join(file.schema_arrow.names)}",
        "give what `gencli train --history` or `gencli eval` wrote",
    )


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
    """The corruptions on the way to an input, earliest first."""
    made = None if entry is None else entry.get("step")
    return [step for step, depth in provenance.walk(made) if depth == 0 and step["command"].startswith("corrupt ")]


def steps(file: Input, several: bool) -> Iterator[str]:
    """How a file that gencli wrote was made, a line a step, below its name where there are `several`.

    Raises:
        GencliError: it does not say.
    """
    from gencli.tensors import read_metadata

    model = file.starts(b"{", 8)
    made = read_metadata(file).get("step") if model else tables.read_provenance(tables.open_parquet(file))
    if made is None:
        raise GencliError(f"{file.name}: no provenance", "only files that gencli wrote say how they were made")
    if several:
        yield f"# {file.name}"
    yield from provenance.lines(made)
