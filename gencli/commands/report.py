"""`gencli report`: tables and figures of histories, results and benchmarks, and how a file was made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gencli.options import Output, TableFormat, command, single

if TYPE_CHECKING:
    from gencli.stream import Input

app = single()

_FIGURES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...", help="Histories and results, or benchmarks; - for standard input.", show_default=False
    ),
]  # fmt: skip


@command(app, "report")
def report(
    files: Files = None,
    *,
    table: Annotated[
        Literal["runs", "classes"] | None,
        typer.Option(help="A row a run, or a row a class; default: runs where a history is given."),
    ] = None,
    fitted_at: Annotated[
        float, typer.Option(min=0, max=1, help="Train accuracy that counts as fitted, for epochs_to_fit.")
    ] = 0.99,
    curves: Annotated[bool, typer.Option("--curves", help="Draw learning curves in text, below the table.")] = False,
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Draw learning curves, or a benchmark's ratios, to a .png, .svg or .pdf file."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="History column to draw, repeatable; default: train_accuracy and test_accuracy.",
            show_default=False,
        ),
    ] = None,
    provenance: Annotated[
        bool, typer.Option("--provenance", help="Instead: how each file was made, one line a step.")
    ] = False,
    format: Annotated[
        TableFormat | None, typer.Option("--format", help="Default: by the file's ending, otherwise table.")
    ] = None,
    output: Output = None,
) -> None:
    """Tables and learning curves of histories and results.

    Reads what gencli train --history and gencli eval wrote (with --provenance any gencli file); writes a table:
    a row a run with its network, data, corruption, train and test accuracy and epochs to fit, or a row a class.
    Settings in which the runs differ get a column each. Benchmarks that make bench wrote are shown item by item.

    \b
    Example:
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 \\
        --history history.parquet -o model.safetensors
      gencli report history.parquet --curves --figure curves.png
    """
    from pathlib import Path

    from gencli import outputs, stream
    from gencli.errors import GencliError
    from gencli.provenance import encode, source, step
    from gencli.reporting import benchmarks, classes, documents, runs
    from gencli.reporting import curves as drawing

    stream.require_writable(output, figure)
    inputs = [stream.Input(name) for name in files or ["-"]]
    if provenance:
        text = "".join(f"{line}\n" for each in inputs for line in _steps(each, len(inputs) > 1))
        with stream.Output(output, inputs) as file:
            file.write(text.encode())
        return
    image_form = None if figure is None else _FIGURES.get(Path(figure).suffix.lower())
    if figure is not None and image_form is None:
        raise GencliError(f"--figure: {figure}: not a .png, .svg or .pdf file", "the ending says which to draw")
    format = format or ("table" if output in (None, "-") else outputs.result_format(output))
    if curves and format != "table":
        raise GencliError("--curves: text does not go with other formats", "leave --format out, or use --figure")
    read = [documents.read(each) for each in inputs]
    histories, results, measured = ([each for each in read if each.kind == kind] for kind in documents.KINDS)
    if measured and (histories or results or table):
        raise GencliError(f"{measured[0].title}: a benchmark has neither runs nor classes", "report it by itself")
    panels = drawing.panels(histories, metric) if histories else []
    if (curves or (figure and not measured) or metric) and not panels:
        raise GencliError(f"{inputs[0].name}: no history, so no curves", "give what `gencli train --history` wrote")
    table = table or ("runs" if histories else None if measured else "classes")
    if table == "classes" and not results:
        raise GencliError(f"{inputs[0].name}: no result, so no classes", "give what `gencli eval` wrote")
    if measured:
        rows = benchmarks.benchmarks_table(measured)
    else:
        rows = runs.runs_table(read, fitted_at) if table == "runs" else classes.classes_table(results)
    used = [source("file", each.sha256, document.made, each.path) for each, document in zip(inputs, read, strict=True)]
    arguments = {"table": table, "fitted_at": fitted_at, "metric": metric and ",".join(metric)}
    made = step("report", arguments, used, ["pyarrow", *(["matplotlib"] if figure else [])])
    if figure is not None and image_form is not None:
        with stream.Output(figure, inputs, binary=True) as file:
            how = image_form, encode(made).decode()
            file.write(benchmarks.image(measured, *how) if measured else drawing.image(panels, *how))
    below = drawing.text(panels, shutil.get_terminal_size().columns) if curves else ""
    with outputs.open_result(output, format, inputs) as write:
        write(rows, lambda: made, below=below)


def _steps(file: Input, several: bool) -> Iterator[str]:
    """How a gencli file was made, a line a step; the lines of further inputs stand deeper."""
    from gencli import provenance
    from gencli.errors import GencliError
    from gencli.tables import open_parquet, read_provenance
    from gencli.tensors import read_metadata

    made = read_metadata(file).get("step") if file.starts(b"{", 8) else read_provenance(open_parquet(file))
    if made is None:
        raise GencliError(f"{file.name}: no provenance", "only files that gencli wrote say how they were made")
    if several:
        yield f"# {file.name}"
    for step, depth in provenance.walk(made):
        versions = ", ".join(f"{name} {version}" for name, version in step["versions"].items())
        yield f"{'  ' * depth}{provenance.command_line(step)}  # {versions}"
