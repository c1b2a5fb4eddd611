"""Histories and results as files, with the provenance that gencli would give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from gencli.files import parquet, provenance
from gencli.files.stream import Output
from gencli.reporting.documents import Document, read_all

Rows = dict[str, Any]


def data_step(split: str, p: float | None, seed: int = 0) -> provenance.Step:
    made = provenance.step("data digits", {"split": split})
    if p is None:
        return made
    return provenance.step(
        "corrupt random-labels", {"p": p, "seed": seed}, [provenance.source("data", "a", made, None)]
    )


def training(p: float | None = None, **arguments: Any) -> provenance.Step:
    """A step of train; what it was trained on has the hash `train P`."""
    entry = provenance.source("data", f"train {p}", data_step("train", p), None)
    return provenance.step("train", {"arch": "mlp-1x8", "lr": 0.1, "seed": 0, "loss": "ce"} | arguments, [entry])


def measured(step: provenance.Step, sha256: str, split: str = "test") -> provenance.Step:
    inputs = [
        provenance.source("model", "m", step, None),
        provenance.source("data", sha256, data_step(split, None), None),
    ]
    return provenance.step("eval", {}, inputs)


def save(path: Path, rows: Rows | pa.Table, made: provenance.Step) -> Path:
    with Output(str(path)) as output:
        parquet.write_rows(output, rows if isinstance(rows, pa.Table) else pa.table(rows), made)
    return path


def read(path: Path, rows: Rows | pa.Table, made: provenance.Step) -> Document:
    """The document of a file that holds these rows."""
    (document,) = read_all([str(save(path, rows, made))])
    return document


def history(path: Path, step: provenance.Step, **columns: list[float]) -> Document:
    """A history with these columns."""
    count = max(map(len, columns.values()), default=1)
    whole = {"epoch": list(range(1, count + 1)), "train_loss": [1.0] * count, "train_accuracy": [0.5] * count}
    return read(path, whole | columns, step)


def result(path: Path, step: provenance.Step, accuracies: list[float], sha256: str = "test", **more: Any) -> Document:
    """A result of classes a, b, ... with these accuracies."""
    count = len(accuracies)
    names = more.pop("names", [chr(97 + label) for label in range(count)])
    n = more.pop("n", [10] * count)
    rows = {
        "label": pa.array([*range(count), None]),
        "name": [*names, "all"],
        "n": [*n, sum(n)],
        "accuracy": [*accuracies, sum(accuracies) / count],
        "loss": [1.0] * (count + 1),
    }
    return read(path, rows | more, measured(step, sha256))
