"""What `import gencli` offers to notebooks: functions that read its files; `networks` has those with torch."""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import pyarrow as pa

from gencli import strangers
from gencli.errors import GencliError
from gencli.files import parquet
from gencli.files.stream import Input
from gencli.files.tables import ImageTable
from gencli.sources import open_table

Place = str | os.PathLike[str]
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def plain(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """The function, with errors whose text has both lines, as a traceback shows it; it leaves os._exit as it was.

    What are options of commands are arguments there: `--run 0` is `run=0`.
    """
    names = "|".join(inspect.signature(function).parameters)
    option = re.compile(rf"--({names})\b(?: ([^\s,]+?)(?=[:,]?(?:\s|$)))?")

    def argument(found: re.Match[str]) -> str:
        name, value = found.groups()
        if function.__annotations__.get(name) == "bool":
            return f"{name}=True" + (f" {value}" if value else "")
        return f"{name}={value if value.isdigit() else json.dumps(value)}" if value else name

    @functools.wraps(function)
    def called(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        try:
            return function(*args, **kwargs)
        except GencliError as error:
            error.message, error.hint = (option.sub(argument, line) for line in (error.message, error.hint))
            error.args = (f"{error.message}\n  {error.hint}",)
            raise
        finally:
            strangers.dismiss()

    return called


@plain
def read_table(path: Place) -> pa.Table:
    """A table that gencli wrote, or one that it can read, whole; `.to_pandas()` makes it a data frame.

    An image table has the columns `id` int64, `image` fixed-size binary (height·width·channels values, row-major),
    `label` int64, and, where there are any, `label_true`, `target` and others; encoded images are decoded. `Images`
    gives arrays.

    Args:
        path: a Parquet file, a folder of shards, or a result or history as CSV or JSON.

    Raises:
        GencliError: there is no such file, it is damaged, or no table of gencli's.
    """
    if not os.path.isdir(path):
        source = Input(os.fspath(path))
        if not source.starts(b"PAR1"):
            from gencli.reporting import readers

            return readers.from_text(source)[1]
        file = parquet.open_file(source)
        names = file.schema_arrow.names
        if "label" not in names or not {"image", "img"} & {*names}:
            return parquet.read(file)
    table = images(path)
    return pa.Table.from_batches(table.batches(), table.schema)


def images(path: Place) -> ImageTable:
    """The image table at this place, opened."""
    return open_table(os.fspath(path))


@plain
def history(path: Place) -> pa.Table:
    """A training history, one row an epoch: `epoch`, `train_loss`, `train_accuracy` and others; of several runs `run`.

    Args:
        path: what `gencli train --history` wrote, as Parquet, CSV or JSON; while it runs NAME.unfinished.parquet.

    Raises:
        GencliError: there is no such file, it is damaged, or another table.
    """
    from gencli.reporting import readers

    source = Input(os.fspath(path))
    found = (
        readers.from_parquet(source, parquet.open_file(source)) if source.starts(b"PAR1") else readers.from_text(source)
    )
    kind, rows = found
    if kind != "history":
        raise GencliError(f"{source.name}: a table of kind {kind}, not a history", "gencli.read_table reads it")
    return rows


@plain
def how(path: Place, trust: bool = False) -> str:
    """The shell script that makes a file of gencli's again, byte for byte; see `gencli how --help`.

    Args:
        trust: whether plug-ins, and networks of the user's own, may be imported.

    Raises:
        GencliError: it records no provenance, or one that this version cannot say; or code would be imported.
    """
    from gencli.cli.app import command_tree
    from gencli.replay import reading, shell
    from gencli.replay.graph import Graph
    from gencli.replay.plan import plan
    from gencli.replay.words import Commands

    made = reading.read(Input(os.fspath(path)))
    graph = Graph(made.step, made.source.sha256)
    return shell.script(plan(graph, made.name, made.form, Commands(command_tree(), trust, graph.runs)))
