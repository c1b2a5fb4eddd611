"""The rows of an image table that a condition holds for, joined by `id` with other tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli.errors import GencliError, nearest
from gencli.files import arrow
from gencli.files.tables import FileTable, ImageTable
from gencli.sources.conditions import TABLE, Condition

_IMAGES = ("image", "target")


@dataclass(frozen=True)
class Joined:
    """A table that is joined: one row, at most, for each id.

    Attributes:
        title: its name in messages.
        alias: what a condition calls it.
        rows: its columns that a condition names, and `id`.
        names: of all its columns, for messages.
    """

    title: str
    alias: str
    rows: pa.Table
    names: Sequence[str]


@dataclass(frozen=True)
class Kept:
    """Attributes:
    keep: [rows] whether the condition holds.
    null: the rows for which it is neither true nor false.
    unmatched: by table that was joined, the rows whose id it lacks.
    """

    keep: NDArray[np.bool_]
    null: int
    unmatched: dict[str, int]


def columns(schema: pa.Schema) -> list[str]:
    """The columns that conditions can be on: all but images and other bytes, and those that differ by capitals only."""
    folded = Counter(name.casefold() for name in schema.names)
    return [
        each.name for each in schema
        if each.name not in _IMAGES and folded[each.name.casefold()] == 1 and not _holds_bytes(each.type)
    ]  # fmt: skip


def _holds_bytes(kind: pa.DataType) -> bool:
    kind = arrow.plain_type(kind)
    inner = [kind.field(place).type for place in range(kind.num_fields)]
    return arrow.holds_bytes(kind) or any(map(_holds_bytes, inner))


def evaluate(table: ImageTable, condition: Condition, joins: Sequence[Joined]) -> Kept:
    """Which rows a condition holds for.

    A row without one in a joined table has null in its columns, and so has one with NaN: comparisons with them are
    null, and the row is not kept. A column that two tables have is the same one where their values agree for every row
    that both have, and needs the table's name otherwise.

    Raises:
        GencliError: an unknown or ambiguous column, ids that a table has twice or that match none; see `Condition`.
    """
    return _Join(table, condition, joins).kept()


class _Join:
    """The columns that a condition names, in the order of a table's rows."""

    def __init__(self, table: ImageTable, condition: Condition, joins: Sequence[Joined]) -> None:
        self._table, self._condition = table, condition
        self._joins = {each.alias.casefold(): each for each in joins}
        if len(self._joins) < len(joins):
            raise GencliError("two joined tables have one name", "rename a file; conditions call it by its name")
        ids = table.column("id")
        self._places = {alias: places(ids, each, table.title) for alias, each in self._joins.items()}
        self._found: dict[str, pa.Array] = {"id": pa.array(ids)}
        self._parts: dict[str, dict[str, pa.Array]] = {}
        for name in condition.names:
            self._add(name)

    def kept(self) -> Kept:
        """The condition's rows."""
        structs = {name: pa.StructArray.from_arrays(list(of.values()), list(of)) for name, of in self._parts.items()}
        keep, null = self._condition.values(pa.table(self._found | structs))
        gone = {self._joins[alias].title: int((at < 0).sum()) for alias, at in self._places.items()}
        return Kept(keep, int(null.sum()), {title: count for title, count in gone.items() if count})

    def _add(self, name: tuple[str, ...]) -> None:
        """A column that the condition names."""
        first = name[0].casefold()
        others, rest = self._condition.others, name[1:]
        if rest and first not in (TABLE, *others) and first in self._joins:
            column = self._named(columns(self._joins[first].rows.schema), rest[0])
            if column is None:
                raise self._unknown(".".join(name[:2]))
            if first in map(str.casefold, self._found):
                raise GencliError(f"{name[0]} is a column and a joined table", "rename the file")
            self._parts.setdefault(name[0], {})[column] = self._taken(first, column)
            return
        if rest and first in (TABLE, *others):
            self._of_rows(rest[0], bare=False)
        elif rest or first not in others:
            self._of_rows(name[0], bare=True)

    def _of_rows(self, name: str, bare: bool) -> None:
        own = self._named(columns(self._table.schema), name)
        theirs = {alias: self._named(columns(each.rows.schema), name) for alias, each in self._joins.items()}
        known = [(alias, column) for alias, column in theirs.items() if column is not None]
        if own is None and not known:
            raise self._unknown(name)
        if own is not None:
            value = self._found.setdefault(own, _no_nan(self._own(own)))
            for alias, column in known if bare else ():
                both = pa.array(self._places[alias] >= 0)
                self._require_same(
                    name, [self._table.title, alias], value.filter(both), self._taken(alias, column).filter(both)
                )
            return
        values = [self._taken(alias, column) for alias, column in known]
        for (alias, _), value in zip(known[1:], values[1:]):
            self._require_same(name, [known[0][0], alias], values[0], value)
        self._found[known[0][1]] = values[0]

    def _require_same(self, name: str, owners: list[str], one: pa.Array, other: pa.Array) -> None:
        if one.equals(other) or _numbers(one, other):
            return
        titles = [self._joins[each].title if each in self._joins else self._table.title for each in owners]
        calls = [self._joins[each].alias if each in self._joins else TABLE for each in owners]
        raise GencliError(
            f"EXPR: column {name} is ambiguous: {' and '.join(titles)} both have it, and differ in it",
            f"write {calls[0]}.{name} or {calls[1]}.{name}",
        )

    @staticmethod
    def _named(names: Sequence[str], word: str) -> str | None:
        return next((name for name in names if name.casefold() == word.casefold()), None)

    def _own(self, name: str) -> pa.Array:
        kind = self._table.schema.field(name).type
        if isinstance(self._table, FileTable) and kind != pa.int64():
            return self._table.other(name)
        return pa.array(self._table.column(name))

    def _taken(self, alias: str, column: str) -> pa.Array:
        """A joined column in the order of the table's rows, null where it has none."""
        at = self._places[alias]
        values = _one(self._joins[alias].rows[column])
        return _no_nan(values.take(pa.array(at, mask=at < 0)))

    def _unknown(self, name: str) -> GencliError:
        known = [f"{self._table.title} has {', '.join(columns(self._table.schema))}"]
        known += [f"{each.title} has {', '.join(each.names)}" for each in self._joins.values()]
        quotes = "; text stands in single quotes" if '"' in self._condition.text else ""
        names = {*columns(self._table.schema), *(each for joined in self._joins.values() for each in joined.names)}
        near = nearest(name, sorted(names))
        return GencliError(
            f"EXPR: no column {name!r}", (f"{near} " if near.endswith("?") else "") + "; ".join(known) + quotes
        )


def of_run(rows: pa.Table, run: int, title: str) -> pa.Table:
    """The rows of one run, of a table with a column `run`.

    Raises:
        GencliError: it has none of it.
    """
    column = _one(rows["run"])
    import pyarrow.compute as pc  # 50 ms, for this alone

    found = rows.filter(pc.field("run") == run) if arrow.holds_integers(column.type) else rows[:0]
    if not found.num_rows:
        shown = ", ".join(map(str, column.unique().slice(0, 5).to_pylist()))
        raise GencliError(f"--run: {title} has no run {run}, but {shown}", "choose another")
    return found


def places(
    ids: NDArray[np.int64], joined: Joined, title: str, runs: str = "choose one of its runs with --run"
) -> NDArray[np.int64]:
    """[rows] the row of a joined table that has each id, -1 where none has.

    Raises:
        GencliError: it has no ids, one twice, or none of these.
    """
    if "id" not in joined.rows.column_names:
        shown = ", ".join(joined.names)
        raise GencliError(
            f"{joined.title}: no column id; its columns are {shown}", "join tables that have one row an id"
        )
    column = _one(joined.rows["id"])
    if column.null_count or not arrow.holds_integers(column.type):
        raise GencliError(f"{joined.title}: ids that are no whole numbers", "join tables that gencli wrote")
    try:
        theirs = arrow.to_integers(column)
    except ValueError as error:
        raise GencliError(
            f"{joined.title}: row {error.args[0]}: id {error.args[1]}", "ids are 64-bit integers"
        ) from None
    order = np.argsort(theirs, kind="stable")
    ranked = theirs[order]
    if (again := np.flatnonzero(ranked[1:] == ranked[:-1])).size:
        raise GencliError(
            f"{joined.title}: id {ranked[again[0]]} twice; {again.size:,} rows repeat an id",
            runs if "run" in joined.names
            else "join tables that have one row an id: predictions of one model, dynamics of one run",
        )  # fmt: skip
    at = np.minimum(np.searchsorted(ranked, ids), max(len(ranked) - 1, 0))
    found = np.where(ranked[at] == ids, order[at], -1) if len(ranked) else np.full(len(ids), -1)
    if (found < 0).all():
        raise GencliError(
            f"{joined.title}: none of its ids is in {title}", "join tables of the same data set and split"
        )
    return found


def _one(column: pa.ChunkedArray) -> pa.Array:
    chunks = [arrow.plain(chunk) for chunk in column.chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], arrow.plain_type(column.type))


def _no_nan(column: pa.Array) -> pa.Array:
    """The column with null for NaN."""
    if not pa.types.is_floating(column.type):
        return column
    if pa.types.is_float16(column.type):  # which DuckDB does not read
        column = column.cast(pa.float32())
    values = column.to_numpy(zero_copy_only=False)
    return pa.array(values, column.type, mask=np.isnan(values))


def _numbers(one: pa.Array, other: pa.Array) -> bool:
    """Whether two columns of numbers of different types have the same values."""
    kinds = (one.type, other.type)
    if not all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds) or kinds[0] == kinds[1]:
        return False
    return one.to_pylist() == other.to_pylist()
