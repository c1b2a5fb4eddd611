"""The result table of networks on tables, from the predictions for their rows; and these, of parts, in files."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from gencli.errors import GencliError, require_enough
from gencli.evaluation.classes import labelled, per_class
from gencli.evaluation.predictions import Evaluated
from gencli.evaluation.similarity import WINDOW
from gencli.evaluation.tallies import Tally

_KEY = b"gencli.part"
_FIELDS = tuple(each.name for each in fields(Evaluated) if each.name not in ("probabilities", "by", "groups"))


@dataclass(frozen=True)
class Facts:
    """What the result of a model on a table says besides its rows' predictions.

    Attributes:
        lead: what tells it apart from others, see `runs.Plan`.
        classes: the model's.
        norm: of its parameters, where that is asked for.
        model, table: their titles, for remarks.
        rows: the table's.
        why: why its outputs may be not finite, where that is known.
        by: the columns that rows are grouped by.
    """

    lead: dict[str, str | int]
    classes: tuple[str, ...]
    norm: float | None
    model: str
    table: str
    rows: int
    why: str | None
    by: tuple[str, ...] = ()

    def result(self, found: Tally, resampled: int | None) -> pa.Table:
        """See `per_class`."""
        result = per_class(found, self.classes, resampled)
        if self.norm is not None:
            result = result.append_column("norm", pa.array([None] * (result.num_rows - 1) + [self.norm], pa.float64()))
        return labelled(result, self.lead)

    def notes(self, found: Tally) -> list[str]:
        """Remarks on it for people."""
        said = []
        if "psnr" in found.sums and "ssim" not in found.sums:
            said.append(f"{self.table}: no ssim, its window of {WINDOW}×{WINDOW} is larger than the images")
        if gone := found.total("not_finite"):
            words = f"{self.model} on {self.table}: the outputs of {gone:,} of {self.rows:,} rows are not finite"
            said.append("; ".join([words, *([self.why] if self.why else [])]))
        return said


def joined(results: Sequence[pa.Table]) -> pa.Table:
    """One table of all results; if one has the column not_finite, all have it, last."""
    if any("not_finite" in each.column_names for each in results):
        results = [_with_count(each) for each in results]
    return pa.concat_tables(results, promote_options="default")


def _with_count(result: pa.Table) -> pa.Table:
    if "not_finite" in result.column_names:
        return result
    return result.append_column("not_finite", pa.array([0] * result.num_rows, pa.int64()))


def packed(found: Sequence[tuple[Facts, Evaluated]], top: Sequence[int], resampled: int | None, title: str) -> pa.Table:
    """The predictions for a part of the rows, as a table that `unpacked` reads: a row each, by its place in `found`."""
    tables, groups = [], []
    for place, (_, rows) in enumerate(found):
        columns = {name: getattr(rows, name) for name in _FIELDS if getattr(rows, name) is not None}
        known = dict.fromkeys(rows.groups or [])
        numbers = {group: number for number, group in enumerate(known)}
        columns |= (
            {"group": np.array([numbers[group] for group in rows.groups], np.int64)} if rows.groups is not None else {}
        )
        groups.append([[_plain(value) for value in group] for group in known])
        tables.append(pa.table({"place": np.full(len(rows.labels), place), **columns}))
    facts = {"facts": [asdict(each) for each, _ in found], "top": list(top), "resampled": resampled, "title": title}
    text = json.dumps(facts | {"groups": groups}, ensure_ascii=False)
    return pa.concat_tables(tables, promote_options="default").replace_schema_metadata({_KEY: text.encode()})


def unpacked(parts: Sequence[tuple[str, pa.Table]]) -> tuple[list[pa.Table], list[str], str]:
    """The results of parts that together have all rows, in their order; remarks; and a title.

    Args:
        parts: each with its name in messages.

    Raises:
        GencliError: a table is no such part, or has other rows than its place among them says.
    """
    told = [_told(name, table) for name, table in parts]
    for (name, _), other in zip(parts, told):
        if _compared(other) != _compared(told[0]):
            raise GencliError(f"{name}: not of the same as {parts[0][0]}", "make both again")
    results, notes = [], []
    for place, each in enumerate(told[0]["facts"]):
        why = next(filter(None, (other["facts"][place]["why"] for other in told)), None)
        facts = Facts(**each | {"classes": tuple(each["classes"]), "by": tuple(each["by"]), "why": why})
        mine = [table.filter(pa.array(table["place"].to_numpy() == place)) for _, table in parts]
        for number, ((name, _), rows) in enumerate(zip(parts, mine)):
            wanted = facts.rows * (number + 1) // len(parts) - facts.rows * number // len(parts)
            if rows.num_rows != wanted:
                raise GencliError(f"{name}: {rows.num_rows:,} rows of {facts.table}, not {wanted:,}", "make it again")
        columns = {name: pa.concat_tables([rows.select([name]) for rows in mine])[name] for name in _names(mine)}
        arrays = {name: column.to_numpy() for name, column in columns.items() if not column.null_count}
        groups = [
            tuple(map(_value, known["groups"][place][number]))
            for rows, known in zip(mine, told)
            for number in (rows["group"].to_pylist() if facts.by else ())
        ]
        found = Evaluated(**{name: arrays[name] for name in _FIELDS if name in arrays}, by=facts.by,
                          groups=groups if facts.by else None)  # fmt: skip
        sums = Tally.of(found, len(facts.classes), told[0]["top"])
        results.append(facts.result(sums, told[0]["resampled"]))
        notes += facts.notes(sums)
    return results, notes, told[0]["title"]


def _compared(told: dict[str, Any]) -> list[Any]:
    """What is the same of all parts, whose files may have other names, and of which some may be finite."""
    own = ("lead", "model", "table", "why")
    facts = [{name: value for name, value in each.items() if name not in own} for each in told["facts"]]
    return [facts, told["top"], told["resampled"]]


def _names(tables: Sequence[pa.Table]) -> list[str]:
    return [name for name in tables[0].column_names if all(name in each.column_names for each in tables)]


def _told(name: str, table: pa.Table) -> dict[str, Any]:
    try:
        facts = json.loads((table.schema.metadata or {})[_KEY])
        if facts.keys() != {"facts", "top", "resampled", "title", "groups"}:
            raise ValueError
        return facts
    except (KeyError, ValueError, AttributeError) as error:
        require_enough(error)
        raise GencliError(f"{name}: does not say what its rows are of", "make it again: gencli eval --shard") from None


def _plain(value: Any) -> Any:
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["bytes"])
    return math.nan if isinstance(value, float) and math.isnan(value) else value
