"""`gencli score`: what many runs say of every row: memorized, mislabelled, learned from others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import Device, Format, OwnArch, ResultOutput, command, single
from gencli.commands import score_networks
from gencli.scores.settings import Settings

if TYPE_CHECKING:
    from gencli.files.provenance import Source, Step
    from gencli.files.tables import ImageTable

app = single()


@command(app, "score", alone="")
def score(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Dynamics, predictions; models with the image table that they were trained on; - for standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    settings: Settings,
    arch: OwnArch = None,
    device: Device = "auto",
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Score every row: what is memorized, what is mislabelled.

    Reads the output of gencli train --dynamics and gencli eval --predictions, and models (also of several runs) with
    the image table that they were trained on; writes one row per training row: id, label, label_true where known, runs
    (that saw it), and the scores that the files have, means over the runs that saw the row, each with its standard
    error in a column _se (null below two runs):

    \b
    first_learned, learned, forgotten, aum, confidence, variability,
    correctness, el2n, loss_mean, loss_last
                          see gencli train; null where some run never learned it
    self_confidence       probability of the label
    normalized_margin     (self_confidence - largest other + 1) / 2
    confident_learning    1 where confident learning counts the row for another
                          class, confident_label, by the mean probabilities
                          (Northcutt et al. 2021, arXiv:1911.00068)
    held_out_...          the same, from networks that did not see the row
    memorization          share of networks right about the row if they saw it,
                          minus if not (Feldman, Zhang 2020, arXiv:2008.03703);
                          networks_in and networks_out are how many did and did
                          not see it. The standard error counts one network
                          more right and one wrong on each side

    Networks trained with --subset left rows out, and their files say which. One that does not fit the rows that it saw
    (--fitted-at) is refused: its memorization means nothing. --influence writes the strongest pairs: id, label,
    test_id, test_label, influence (the same difference for a row of --test), influence_se, networks_in, networks_out;
    and says how many of them are beyond chance.

    --judge reads the same, or a table of scores, and writes one row per score: score, wrong_is (high or low values), n,
    wrong (rows whose label is not label_true), and with 95 % bootstrap intervals auroc, average_precision and
    false_negative_rate (the share of wrong rows that is missed if as many rows as are wrong, the most suspect, are
    taken out). A row that was never learned counts as most suspect.

    \b
    Example:
      gencli data digits | gencli corrupt flip-labels -p 0.1 -o flipped.parquet
      gencli data digits --split test -o test.parquet
      gencli train flipped.parquet --arch mlp-1x64 --batch-size 32 --lr 0.1 --epochs 80 \\
        --schedule cosine --runs 8 --subset 0.7 --dynamics dynamics.parquet -o models.safetensors
      gencli score dynamics.parquet models.safetensors flipped.parquet \\
        --test test.parquet --influence pairs.csv -o scores.parquet
      gencli score --judge scores.parquet --format table
      gencli data where "memorization > 0.5" flipped.parquet --join scores.parquet -o high.parquet
    """
    from gencli.files import stream
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.machine import first, require_files
    from gencli.reporting import patterns

    names = files or ["-"]
    require_files(*names)
    if first():
        stream.require_writable(output, settings.influence)
    require_one_standard_input(*names, settings.test or "")
    patterns.refuse_overwriting([*names, settings.test], [output, settings.influence])

    from gencli.cli.outputs import open_result
    from gencli.errors import GencliError
    from gencli.files import provenance, tables
    from gencli.files.together import Together
    from gencli.machine import require_alone
    from gencli.scores import reading
    from gencli.sources import open_table

    tests = [] if settings.test is None else [(settings.test, open_table)]
    opened = named_first(*((name, lambda name: reading.open_any(name, arch)) for name in names), *tests)
    test: ImageTable | None = opened.pop() if tests else None
    found = reading.collect(opened, test is not None)
    if found.scores and not settings.judge:
        raise GencliError(f"{found.scores.title}: scores already", "add --judge, or give what they were made of")
    if not found.models:
        require_alone("without models nothing is computed that could be divided")
        for option in ["--arch"] * (arch is not None) + ["--fitted-at"] * (settings.fitted_at != Settings.fitted_at):
            raise GencliError(f"{option}: there are no models among the files", "add models, or omit it")
    used: dict[str, object] = {}
    read = [*(file for file, _ in found.models)]
    read += [file for table in [*found.tables, *([test] if test else [])] for file in table.inputs]

    def step(own: dict[str, object], more: list[Source]) -> Step:
        packages = ["numpy", "pyarrow", *(["torch"] if found.models else [])]
        return provenance.step("score", own | used, [*found.sources(), *more], packages)

    of_test = tables.sources(test, "test") if test else []
    with Together(first()) as places:
        write = open_result(places, output, format, read)
        aside = open_result(places, settings.influence, None, read) if settings.influence else None
        rows, pairs = score_networks.scored(found, test, settings, device, used, names, lambda: step({}, of_test))
        if settings.judge:
            rows = score_networks.judged(rows, names[0], settings.seed)
        write(rows, lambda: step({"judge": True, "seed": settings.seed} if settings.judge else {}, []))
        if aside and pairs and test:
            aside(pairs, lambda: step({"pairs": settings.pairs}, of_test).to("influence"))
