"""Conditions on rows in SQL: which they are allowed to be, and DuckDB, which evaluates them, kept from all else.

An expression is parsed by DuckDB and its tree is checked before it runs: it reads columns that it is given, nothing
else, and gives the same on every day and machine. Files, settings and extensions are out of its reach besides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gencli import machine
from gencli.cli import console
from gencli.errors import GencliError, first_line, require_enough

if TYPE_CHECKING:
    import duckdb

TABLE = "data"  # what the rows are called
_EXPRESSIONS = {
    "CONJUNCTION", "COMPARISON", "COLUMN_REF", "CONSTANT", "OPERATOR", "FUNCTION", "CAST", "CASE", "BETWEEN",
    "SUBQUERY", "LAMBDA", "LAMBDA_REF", "COLLATE", "WINDOW", "TYPE",
}  # fmt: skip
_NODES = {
    "SELECT_NODE", "SET_OPERATION_NODE", "ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER", "BASE_TABLE",
    "EMPTY", "JOIN", "ASCENDING", "DESCENDING", "ORDER_DEFAULT",
}  # fmt: skip
_OF_SESSIONS = re.compile(  # what depends on the session, of which DuckDB does not say so
    r"(pg|inet|has|current|get|session|col|obj|shobj|txid)_.*|user|version|ago|getvariable|reservoir_quantile"
)
_HINT = 'give one SQL condition on columns, such as "label <> label_true and id % 2 = 0"'


@dataclass(frozen=True)
class Condition:
    """An expression that was checked.

    Attributes:
        text: in SQL.
        names: the columns that it refers to, each by its parts, such as `loss` alone, or `scores` and `aum`.
        others: what it calls the rows besides `data`, and the parameters of its functions; casefolded.
    """

    text: str
    names: tuple[tuple[str, ...], ...]
    others: frozenset[str]

    def calls(self, table: str) -> bool:
        """Whether it calls a table by this name."""
        return any(len(name) > 1 and name[0].casefold() == table.casefold() for name in self.names)

    def names_column(self, column: str) -> bool:
        """Whether it may refer to a column of this name."""
        return any(column.casefold() in map(str.casefold, name) for name in self.names)

    def values(self, rows: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of each row, in order, whether the condition holds, and whether it is null; [rows] each.

        Raises:
            GencliError: it is no condition on one row, or fails for one.
        """
        with _connected(self.text) as connection:
            connection.register(TABLE, rows)
            _, kind, *_ = connection.execute(f"DESCRIBE {_select(self.text)}").fetchall()[0]
            connection.execute(f"EXPLAIN FROM {TABLE} WHERE {_lines(self.text)}").fetchall()  # a condition on each row
            if kind != "BOOLEAN":
                raise GencliError(f"EXPR: {console.quoted(self.text)} is {kind}, not true or false", _HINT)
            [found] = connection.execute(_select(self.text)).fetchnumpy().values()
            found = np.ma.asarray(found)
        return np.ma.filled(found, False).astype(bool), np.ma.getmaskarray(found)


def parse(text: str) -> Condition:
    """An expression as a condition.

    Raises:
        GencliError: it is no single SQL expression, or reads more than columns, or something that changes.
    """
    if text.startswith("-"):  # which a command line takes for an option
        raise GencliError(f"EXPR: {console.quoted(text)} starts with -", "write it in parentheses")
    with _connected(text) as connection:
        wholes = [f"SELECT {text}", _select(text)]  # alone too: no parenthesis of it closes that of `_select`
        trees = connection.execute("SELECT json_serialize_sql(unnest($1::VARCHAR[]))", [wholes]).fetchall()
        known = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE "
            "function_type = 'scalar' AND stability = 'CONSISTENT' OR function_type IN ('aggregate', 'macro')"
        ).fetchall()
    steady = {name for (name,) in known}
    try:
        both = [json.loads(tree) for (tree,) in trees]
        if wrong := next((each for each in both if each["error"]), None):
            raise GencliError(f"EXPR: {console.printable(str(wrong.get('error_message')), 300)}", _HINT)
        found = both[1]
        nodes = list(_walk(found["statements"]))
        _require_one(found["statements"])
    except RecursionError:
        raise GencliError("EXPR: nested too deep", _HINT) from None
    for node in nodes:
        _require_allowed(node, steady)
    named = tuple(tuple(node["column_names"]) for node in nodes if node.get("class") == "COLUMN_REF")
    aliases = [node["alias"] for node in nodes if node.get("type") == "BASE_TABLE"]
    parameters = [
        name for node in nodes if node.get("class") == "LAMBDA" for each in _walk(node["lhs"])
        for name in each.get("column_names") or ()
    ]  # fmt: skip
    return Condition(text, named, frozenset(map(str.casefold, filter(None, aliases + parameters))))


def _lines(text: str) -> str:
    """The expression on lines of its own, where no comment in it hides what follows."""
    return f"(\n{text}\n)"


def _select(text: str) -> str:
    return f"SELECT {_lines(text)} FROM {TABLE}"  # noqa: S608  # what it is, is checked


@contextmanager
def _connected(text: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that sees no file; its errors are of the expression `text`."""
    import duckdb

    if "\0" in text or not text.strip():
        raise GencliError(f"EXPR: {console.quoted(text)} is no expression", _HINT)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false", "autoinstall_known_extensions": "false", "temp_directory": "",
        "autoload_known_extensions": "false", "python_enable_replacements": "false",
        "threads": "1",  # sums have one order
        "memory_limit": f"{max(machine.free_memory() >> 20, 64)}MiB",
    }  # fmt: skip
    with duckdb.connect(":memory:", config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        try:
            yield connection
        except duckdb.Error as error:
            require_enough(error)
            raise GencliError(f"EXPR: {_words(error)}", _HINT) from None


def _words(error: BaseException) -> str:
    line = first_line(error)
    return console.printable(line.partition("Error: ")[2] or line, 300)


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of JSON."""
    if isinstance(tree, dict):
        yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _walk(each)


def _require_one(statements: list[Any]) -> None:
    """Refuses what is more than the one expression that `_select` encloses."""
    node = statements[0]["node"] if len(statements) == 1 else {}
    more = ("where_clause", "group_expressions", "having", "sample", "qualify", "modifiers")
    plain = node.get("type") == "SELECT_NODE" and not any(node.get(name) for name in more)
    if not plain or len(node["select_list"]) != 1 or node["select_list"][0].get("alias"):
        raise GencliError("EXPR: more than one expression", _HINT)


def _require_allowed(node: dict[str, Any], steady: set[str]) -> None:
    kind, what = node.get("type"), node.get("class")
    if isinstance(what, str):
        if what not in _EXPRESSIONS:
            raise GencliError(f"EXPR: {what} is not part of a condition", _HINT)
    elif isinstance(kind, str) and kind not in _NODES and not kind.endswith("_TYPE_INFO"):
        shown = "a table function" if kind == "TABLE_FUNCTION" else kind
        raise GencliError(f"EXPR: {shown}: reads something else than the rows", f"FROM can name {TABLE} alone")
    name = node.get("function_name")
    ranks = what == "WINDOW" and kind != "WINDOW_AGGREGATE"  # by itself, and so steady
    if isinstance(name, str) and not ranks and (name not in steady or _OF_SESSIONS.fullmatch(name)):
        raise GencliError(f"EXPR: {name}() is unknown, or not the same on every run", _HINT)
    if kind == "BASE_TABLE":
        place = [node.get(each) or "" for each in ("catalog_name", "schema_name", "table_name")]
        if [each.casefold() for each in place] != ["", "", TABLE]:
            shown = console.quoted(".".join(filter(None, place)))
            raise GencliError(f"EXPR: {shown}: reads something else than the rows", f"FROM can name {TABLE} alone")
    if node.get("sample") is not None:
        raise GencliError("EXPR: a sample is not the same on every run", "gencli corrupt subsample draws rows")
