"""`gencli data where`: the rows of an image table that an SQL condition holds for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import Data, ImagesOutput, command, single

if TYPE_CHECKING:
    from gencli.files.provenance import Source
    from gencli.sources.conditions import Condition
    from gencli.sources.where import Joined

app = single()


@command(app, "where")
def where(
    expr: Annotated[
        str, typer.Argument(metavar="EXPR", help="SQL condition on the columns of a row.", show_default=False)
    ],
    data: Data = None,
    *,
    join: Annotated[
        list[str] | None,
        typer.Option("--join", metavar="FILE", help="Table with a column id, whose columns EXPR can name; repeatable."),
    ] = None,
    run: Annotated[
        int | None,
        typer.Option("--run", min=0, metavar="K", help="Of joined tables of several runs, the rows of this one."),
    ] = None,
    output: ImagesOutput = None,
) -> None:
    """Keep the rows for which an SQL condition holds.

    Reads an image table, and tables that are joined by their column id: predictions, scores or any other, as Parquet,
    CSV or JSON; writes an image table of the rows for which EXPR is true. Rows keep their order and all their columns.

    EXPR is one SQL expression, as in a WHERE of DuckDB. A column of a joined file is named as it is, or with the file's
    name before it: loss, or predictions.loss of predictions.csv. If two tables have a column and differ in it, it needs
    the name; data is the image table's. NaN counts as null. A row without one in a joined table has null there, and a
    comparison with null is null: the row is not kept, and a message says how many were not. Subqueries can read data:
    loss > (SELECT quantile_cont(loss, 0.9) FROM data). Nothing else can be read, and functions that would change from
    run to run are refused.

    \b
    Example:
      gencli data digits | gencli corrupt random-labels -p 0.2 -o noisy.parquet
      gencli train noisy.parquet --arch mlp-1x64 --epochs 5 -o model.safetensors
      gencli eval model.safetensors noisy.parquet --predictions rows.parquet
      gencli data where "label <> label_true AND prediction = label" \\
        noisy.parquet --join rows.parquet -o memorized.parquet
    """
    from gencli.cli import console
    from gencli.cli.outputs import write_images
    from gencli.errors import GencliError
    from gencli.files import provenance, tables
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.files.stream import require_writable
    from gencli.sources import conditions, open_table
    from gencli.sources.where import evaluate

    require_writable(output)
    files = join or []
    require_one_standard_input(data or "-", *files)
    condition = conditions.parse(expr)
    opening = ((name, lambda name: _open(name, condition, run)) for name in files)
    table, *joined = named_first((data, open_table), *opening)
    if run is not None and not any("run" in each.names for _, each in joined):
        raise GencliError("--run: no joined table has a column run", "omit it")
    found = evaluate(table, condition, [each for _, each in joined])
    kept = int(found.keep.sum())
    said = f"{kept:,} of {table.rows:,} rows"
    said += f", {found.null:,} are left out as the condition is null for them" if found.null else ""
    said += "".join(f"; {title} lacks {count:,} of the ids" for title, count in found.unmatched.items())
    if not kept:
        raise GencliError(f"{table.title}: no rows are left: {said}", "give a condition that holds for some row")

    asked = {"expr": expr} | ({} if run is None else {"run": run})

    def step() -> provenance.Step:
        inputs = [*tables.sources(table, "data"), *(entry for entry, _ in joined)]
        return provenance.step("data where", asked, inputs, ["numpy", "pyarrow", "duckdb"])

    write_images(table, output, step, found.keep)
    console.message(console.printable(said))


def _open(name: str, condition: Condition, run: int | None) -> tuple[Source, Joined]:
    """A file to join, as an input of a step, and its columns that the condition names, of one run if it has several."""
    from gencli.files import parquet, provenance
    from gencli.files.stream import Input
    from gencli.reporting import untyped
    from gencli.sources import where

    source, made = Input(name), None
    if source.starts(b"PAR1") or source.starts(b"PARE"):
        file = parquet.open_file(source)
        made = parquet.read_provenance(file)
        with parquet.undamaged(source.name):
            names = where.columns(file.schema_arrow)
            wanted = {"id"} if run is None else {"id", "run"}
            rows = parquet.read(file, [each for each in names if each in wanted or condition.names_column(each)])
            rows.validate(full=True)
    else:
        _, rows = untyped.read(source)
        names = where.columns(rows.schema)
    path = source.path or Path("stdin")
    entry = provenance.source("join", source.sha256, made, source.path)
    if condition.calls(path.stem):  # then it has to have this name
        entry = replace(entry, name=path.name)
    if run is not None and "run" in names:
        rows = where.of_run(rows, run, source.name)
    return entry, where.Joined(source.name, path.stem, rows, names)
