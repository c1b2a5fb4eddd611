"""The kinds of tables that gencli writes, told by their columns, and what is worth saying of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.reporting.cells import cell

Facts = dict[str, Any]
_MOST = 20  # facts of one kind
_LEAD = ("model", "data", "run")  # columns that say what a row is of


@dataclass(frozen=True)
class Kind:
    """Tables of one kind.

    Attributes:
        name: in the singular.
        numbers, words: columns that they have, of numbers and of words or truths.
        facts: of all rows, by name; there is at least one row.
    """

    name: str
    numbers: tuple[str, ...]
    words: tuple[str, ...] = ()
    facts: Callable[[pa.Table], Facts] = lambda rows: {}

    def fits(self, schema: pa.Schema, rows: int) -> bool:
        """Whether a table of this schema, and so many rows, is one of them."""
        kinds = {name: schema.field(name).type for name in distinct(schema)}
        return all(name in kinds and is_number(kinds[name]) for name in self.numbers) and all(
            name in kinds and is_word(kinds[name]) for name in self.words
        )


class _Confusion(Kind):
    """All other columns are counts, as many as there are classes, which the rows are."""

    def fits(self, schema: pa.Schema, rows: int) -> bool:
        counts = _predicted(schema.names)
        return (
            super().fits(schema, rows)
            and rows > 0
            and all(pa.types.is_integer(schema.field(schema.names.index(name)).type) for name in counts)
            and len(counts) > 1
            and rows % len(counts) == 0
        )


def distinct(schema: pa.Schema) -> list[str]:
    """The names that one column has."""
    counts = Counter(schema.names)
    return [name for name in counts if counts[name] == 1]


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers, or nothing."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)


def is_word(kind: pa.DataType) -> bool:
    """Whether a column of this type holds words or truths, or nothing, or numbers that stand for words in CSV."""
    return pa.types.is_string(kind) or pa.types.is_boolean(kind) or is_number(kind)


def _predicted(names: list[str]) -> list[str]:
    return [name for name in names if name not in ("label", "name", "not_finite", *_LEAD)]


def _has(rows: pa.Table, name: str) -> bool:
    return name in rows.column_names and is_number(rows[name].type)


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    """[rows] the column's values, not a number where there is none."""
    column = rows[name].combine_chunks()
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _history(rows: pa.Table) -> Facts:
    if "run" in rows.column_names:
        return {"runs": len(rows["run"].unique())}
    last = {
        name: value
        for name in rows.column_names
        if name.endswith(("accuracy", "loss", "cross_entropy", "memorized", "recovered", "score"))
        and isinstance(value := rows[name][-1].as_py(), float)
    }
    facts: Facts = {"epochs": rows["epoch"][-1].as_py(), "last": last}
    for name in ("validation_accuracy", "test_accuracy", "validation_loss", "test_loss"):
        values = _numbers(rows, name) if _has(rows, name) else np.zeros(0)
        if np.isfinite(values).any():
            best = int(np.nanargmin(values) if name.endswith("loss") else np.nanargmax(values))
            facts[f"best {name}"] = f"{cell(float(values[best]))} after epoch {rows['epoch'][best].as_py()}"
            break
    return facts


def _result(rows: pa.Table) -> Facts:
    """The rows of all classes together, by what they are of."""
    lead = [name for name in _LEAD if name in rows.column_names]
    names = [name for name in ("n", "accuracy", "loss", "memorized", "recovered") if name in rows.column_names]
    totals = [place for place, label in enumerate(rows["label"].to_pylist()) if label is None]
    return {
        ", ".join(str(rows[name][place].as_py()) for name in lead) or "all classes": {
            name: rows[name][place].as_py() for name in names
        }
        for place in totals[:_MOST]
    }


def _predictions(rows: pa.Table) -> Facts:
    known = [name for name in ("label", "label_true") if _has(rows, name)]
    return {f"predicted as {name}": _share(_numbers(rows, name), _numbers(rows, "prediction")) for name in known}


def _share(one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    same = int((one == other).sum())
    return f"{same:,} of {len(one):,} rows, {same / max(1, len(one)):.2%}"


def _claims(rows: pa.Table) -> Facts:
    holds = rows["holds"].to_pylist()
    held = sum(each in (True, "yes") for each in holds)
    return {"claims": list(dict.fromkeys(rows["claim"].to_pylist())), "hold": f"{held:,} of {len(holds):,}"}


def _alignment(rows: pa.Table) -> Facts:
    columns = (rows[name].to_pylist() for name in ("quantity", "class", "value"))
    return {name: value for name, kind, value in zip(*columns) if not kind and name != "eigenvalue"}


def _density(rows: pa.Table) -> Facts:
    at, height = _numbers(rows, "eigenvalue"), _numbers(rows, "density")
    return {
        "integral": float(np.trapezoid(height, at)),
        "eigenvalues": f"{cell(float(at.min()))} to {cell(float(at.max()))}",
    }


def _dynamics(rows: pa.Table) -> Facts:
    count, never = len(rows), rows["learned"].null_count
    negative = int((_numbers(rows, "aum") < 0).sum())
    return {
        "not learned to the end": f"{never:,} of {count:,} rows, {never / count:.2%}",
        "aum below 0": f"{negative:,} of {count:,} rows, {negative / count:.2%}",
    }


def _confusion(rows: pa.Table) -> Facts:
    names = _predicted(rows.column_names)
    counts = np.stack([_numbers(rows, name) for name in names], 1)
    right = counts[np.arange(len(counts)), np.arange(len(counts)) % len(names)].sum()
    return {"right": f"{right:,.0f} of {counts.sum():,.0f}, {right / max(1.0, counts.sum()):.2%}"}


KINDS = (  # the first that fits
    Kind("history", ("epoch", "train_loss"), (), _history),
    Kind("result by class", ("label", "n", "loss"), ("name",), _result),
    Kind("predictions", ("id", "label", "prediction"), (), _predictions),
    Kind("statistics of an image table", ("label", "rows", "share", "pixel_mean"), ("name",)),
    Kind("benchmarks", ("ours", "peer", "ratio", "bar"), ("item", "unit", "met")),
    Kind("spectral density", ("eigenvalue", "density"), (), _density),
    Kind("alignment of labels with a kernel", ("index", "value"), ("quantity", "class"), _alignment),
    Kind("labels' energy along eigenvectors", ("index", "eigenvalue", "energy", "cumulative"), ("class",)),
    Kind("gradient descent on a kernel", ("step", "time", "loss"), ("class",)),
    Kind("eigenvalues", ("index", "value", "residual"), ("quantity",)),
    Kind("losses along eigenvectors", ("index", "distance", "loss", "quadratic"), ()),
    Kind("claims", ("left", "right", "slack"), ("claim", "instance", "quantity", "relation", "holds"), _claims),
    Kind("measures of a network", ("value",), ("measure", "layer", "source")),
    Kind("evaluation trace of formulas", ("value",), ("node", "operation", "rule")),
    Kind("Jacobian of formulas", ("value", "output_value", "difference"), ("method", "output")),
    Kind("comparison with given derivatives", ("given", "value", "allowed"), ("output", "agrees")),
    Kind("norms of a network's Jacobian", ("id", "norm", "rank"), ()),
    Kind("influence of rows on test rows", ("id", "test_id", "influence"), ()),
    Kind("scores by row", ("id", "label", "runs"), ()),
    Kind("ranking of measures", ("runs", "tau"), ("measure", "says")),
    Kind("judgement of scores", ("n", "wrong", "auroc"), ("score", "wrong_is")),
    Kind("bound of an error rate", ("bound", "empirical_error", "n", "delta"), ("kind",)),
    Kind("verification of a certificate", ("claimed", "found"), ("part", "holds")),
    Kind("dynamics of training", ("id", "first_learned", "learned", "aum"), (), _dynamics),
    _Confusion("confusion matrix", ("label",), ("name",), _confusion),
)
