"""`gencli rank`: which capacity measures predict the generalization gap."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Format, ResultOutput, command, single

app = single()


@command(app, "rank")
def rank(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Measures, histories and results as Parquet; quoted glob patterns; - for standard input.",
            show_default=False,
        ),
    ] = None,
    *,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the bootstrap and of the random measure.")] = 0,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Rank measures by how well they predict the generalization gap.

    Reads the output of gencli eval --measures on the training rows and, for the accuracies, that of gencli train
    --history --eval-data or of gencli eval on the training and the test rows, for any number of networks and runs;
    writes one row per measure, the largest tau first. The gap is train accuracy minus test accuracy. One row, random,
    is a control of random numbers. Fewer than 5 networks with measures and accuracies are refused, as are several test
    tables and measures of other rows or given twice; runs that did not reach their --until-train-loss are left out.
    _low and _high are 95 % bootstrap intervals over runs.

    \b
    says               predicts where tau's interval lies above 0, the wrong
                       way where it lies below 0, otherwise nothing
    tau                Kendall's tau-b of measure and gap
    tau_test_error     the same with 1 - test accuracy
    psi_NAME           mean tau of networks that differ in one hyperparameter
                       alone, the seed being equal, ties counted as 0; psi is
                       the mean of these (Jiang et al. 2020,
                       arXiv:1912.02178); depth and width of mlp-KxW are two
    cmi                the minimum of I(V; V' | S) / H(V' | S) over sets S of
                       at most two hyperparameters, where V and V' are the
                       signs of differences within pairs of networks (ibid.);
                       estimated by frequencies, so compare with random
    sign_error         share of pairs of runs that the measure orders wrongly,
                       ties counted as half, averaged over pairs of
                       environments, which differ in one hyperparameter;
                       sign_error_90 is the 90th percentile of these shares,
                       sign_error_worst the largest
                       (Dziugaite et al. 2020, arXiv:2010.11924, unweighted)

    \b
    Example:
      gencli data digits --sample 200 -o rows.parquet
      gencli data digits --split test -o test.parquet
      gencli train rows.parquet --arch mlp-1x16 --vary lr=0.05,0.1,0.2 --runs 2 --epochs 30 --batch-size 20 \\
        --eval-data test.parquet --history history.parquet -o models.safetensors
      gencli eval models.safetensors rows.parquet --measures -o measures.parquet
      gencli rank measures.parquet history.parquet --format table
    """
    from gencli.files import stream

    stream.require_writable(output)

    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.errors import GencliError
    from gencli.files.named import require_one_standard_input
    from gencli.files.provenance import step
    from gencli.files.together import Together
    from gencli.reporting import documents, patterns, ranking

    names = patterns.expand(files or ["-"])
    require_one_standard_input(*names)
    patterns.refuse_overwriting(names, [output])
    read = documents.read_all(names)
    if not any(each.kind == "measures" for each in read):
        raise GencliError(
            f"{read[0].title}: {read[0].kind}, but no measures", "add the output of gencli eval --measures"
        )
    table = ranking.table(read, seed)
    inputs = list({each.source.sha256: each.source for each in read}.values())
    with Together() as places:
        write = open_result(places, output, format, [])
        for note in table.notes:
            console.message(note)
        write(table.rows, lambda: step("rank", {"seed": seed}, inputs))
