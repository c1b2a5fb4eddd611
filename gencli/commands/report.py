"""`gencli report`: tables and figures of histories, results and benchmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import typer

from gencli.cli.options import ReportOutput, command, single
from gencli.reporting.settings import Settings

app = single()

ReportFormat = Literal["table", "parquet", "csv", "json", "jsonl", "md", "latex", "html"]
Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE...", help="Histories, results, benchmarks; quoted glob patterns; - for standard input.",
        show_default=False,
    ),
]  # fmt: skip


@command(app, "report")
def report(
    files: Files = None,
    *,
    settings: Settings,
    format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Default: from the file name's extension (.tex and .html too), otherwise table."),
    ] = None,
    output: ReportOutput = None,
) -> None:
    """Make tables and figures from histories and results.

    Reads the output of gencli train --history and gencli eval, also as CSV or JSON, including confusion matrices and
    predictions, dynamics of gencli train, the output of gencli score and its influence, densities and kernels of gencli
    spectrum, and benchmarks of make bench; writes a table. Runs that differ only in their seeds share one row: means,
    sample standard deviations and the number of runs. Each setting in which runs differ gets a column. Scores are those
    of the epoch whose model was kept; best_epoch is chosen on validation rows.

    \b
    --table runs         one row per network, data, corruption and regularizers:
                         train and test accuracy, their gap, epochs to fit
    --table classes      one row per class
    --table long-tail    one row per loss, one column per class; n in training (give
                         that table too), means of head, middle and tail
    --table corruptions  one row per network, one column per corruption: mean error
    --table double-descent
                         where test error peaks, over features or the width W of
                         mlp-1xW, and the threshold: as many features as training
                         rows (give results on them), the least width that fits
    --table edge-of-stability
                         from train --full-batch --track sharpness: the limit of
                         stability, 2/eta for plain gradient descent, and where
                         the sharpness settles
    --table speed        epochs to fit beside what spectrum --kernel predicts for
                         the same tables: rank correlations, and where they fail;
                         with --against, whether the order is the published one
    --table rank         the table of gencli rank
    --plot curves        the columns of train --history over epochs
    --plot overfit-time  epochs to fit against the corruption level
    --plot test-error    test error against the corruption level
    --plot regularizers  test accuracy over epochs, last and best
    --plot classes       bars per class of eval
    --plot confusion, reliability, density
                         from eval --confusion, eval --predictions and
                         spectrum --density
    --plot cartography   confidence against variability of train --dynamics or
                         score, one point per row
    --plot learning-order
                         the share of their rows learned after each epoch
    --plot memorization  histogram of the memorization of score; with its
                         image tables and --influence the images of the most
                         memorized rows, and the test rows that they help most
    --plot double-descent
                         test error, train error and norm (eval --norm) against
                         features over the threshold, and against width
    --plot edge-of-stability
                         sharpness, its limits and the loss against the step
    --plot energy, descent
                         from spectrum --kernel: energy of the labels along
                         eigenvectors, loss and accuracy of gradient descent
    --table removal, --plot removal
                         test accuracy without the rows that corrupt prune
                         removes, beside as many removed at random (train
                         --subset)
    --plot rank          measures against the gap, from what gencli rank reads

    --format html makes one page that loads nothing from the network: every table and figure that the files support,
    and the pipeline behind each row. --against takes a CSV: columns named like scores of the table are published
    values, the others select the rows they belong to (an empty cell matches any), and lines that start with #, the
    source, are printed below the table. --contact-sheet reads image tables instead, to compare their images.

    \b
    Example:
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 \\
        --history history.parquet -o model.safetensors
      gencli report history.parquet --plot curves --title Digits
    """
    from gencli.cli import console, outputs, stdout
    from gencli.commands import report_sheet, report_text
    from gencli.errors import GencliError
    from gencli.files import stream, unfinished
    from gencli.files.named import distinct_names, named_first
    from gencli.files.provenance import source, step
    from gencli.files.together import Together
    from gencli.reporting import against, documents, patterns, plan, trackers

    if settings.follow:
        return report_text.follow(files, settings)
    stream.require_writable(*([settings.contact_sheet] if settings.contact_sheet else [output, settings.figure]))
    names = patterns.expand(files or ["-"])
    if settings.contact_sheet is not None:
        report_sheet.draw(named_first(*((name, stream.Input) for name in names)), settings.contact_sheet)
        return
    form: ReportFormat = format or outputs.result_format(output, "table" if stdout.is_it(output) else "parquet")
    settings.require_place(form)
    patterns.refuse_overwriting([*names, settings.against], [output, settings.figure])
    published = None if settings.against is None else stream.Input(settings.against)
    beside = None if published is None else against.read(published)
    read = documents.by_size(documents.read_all(names))
    if settings.to is not None:
        return console.message(trackers.write(*settings.to, trackers.runs(read)))
    for name in filter(unfinished.is_one, names):
        console.message(f"{name}: its run has not come to its end")
    chosen = plan.Plan(read, settings, form == "html")
    found, panels = chosen.tables(beside), chosen.panels()
    if form not in ("table", "html") and not found:
        raise GencliError(f"{read[0].title}: supports a figure, but no table", "omit --format, or use --figure")
    inputs = list({document.source.sha256: document.source for document in read}.values())
    inputs += [] if published is None else [source("against", published.sha256, None, published.path)]
    made = step("report", chosen.arguments(), inputs)
    with Together() as places:
        if draw := outputs.open_figure(places, settings.figure):
            about = made.arguments | {"plot": chosen.plot, "title": settings.title, "metric": settings.metric}
            told = distinct_names(list({each.source.sha256: each.file for each in read}.values()))
            draw(
                report_text.figure(chosen, panels, settings.title or ""),
                replace(made, arguments=about).to("figure", names={"file": told}),
            )
            panels = []
        if form in ("table", "md", "latex", "html"):
            places.open(output).write(
                report_text.text(chosen, found, panels, settings.title or "", form, output).encode()
            )
        else:
            outputs.open_result(places, output, form)(found[0].rows, lambda: made)
