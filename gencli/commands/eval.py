"""`gencli eval`: how good a model is, for which class, memorized or learned; and what its weights say."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Device, Format, ModelFile, OwnArch, ResultOutput, Shard, command, single
from gencli.commands import eval_files, steps_to_loss
from gencli.evaluation.settings import Requests

app = single()


@command(app, "eval", alone="")
def evaluate(
    model: ModelFile,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA|MODEL]...",
            help="Image tables: files, folders of shards, or - for standard input; may include more models.",
            show_default=False,
        ),
    ] = None,
    *,
    requests: Requests,
    list_measures: Annotated[
        bool,
        typer.Option(
            "--list-measures",
            callback=steps_to_loss.list_measures,
            is_eager=True,
            allow_from_autoenv=False,
            help="List all measures with their formulas, units and sources, and exit.",
        ),
    ] = False,
    shard: Shard = None,
    arch: OwnArch = None,
    device: Device = "auto",
    format: Format = None,
    output: ResultOutput = None,
) -> None:  # fmt: skip
    """Measure accuracy, loss and memorization per class.

    Reads models and image tables; writes one result table, which starts with columns model and data if there are
    several, and run for models of several runs, whose means and deviations gencli report shows: label, name, n,
    accuracy; precision, recall, f1 (overall, the means over the classes with rows); loss (that of the model's training,
    as in its history, of the epoch that was kept, with class weights from the training rows); cross_entropy (in nats,
    whatever the loss is; not of networks trained by sigmoids); calibration_error (15 bins; Guo et al. 2017,
    arXiv:1706.04599; from sigmoids if the loss uses them); margin (mean of the label's logit minus the largest other);
    for corrupted data corrupted (rows whose label is not the true one), memorized and recovered (the fractions of those
    predicted as labelled, and as the true label). The last row of each model and table, whose label is null, is over
    all classes; a class without rows has n 0 and no other values. Image-to-image networks have psnr (dB), ssim (Wang
    et al. 2004; images of at least 11x11) and loss. Rows with outputs that are not finite count as wrong; not_finite is
    their number, and metrics that they make undefined are null.

    Tables with columns corruption and severity (gencli corrupt common --all) have one row per combination;
    corruption_error is 1 - accuracy, in the last row the mean over kinds of their means over severities, not
    normalized by another network's (Hendrycks, Dietterich 2019, arXiv:1903.12261), without the 4 extra kinds.
    --intervals: the 2.5th and 97.5th percentiles of 1,000 resamples of the rows.

    --measures writes rows measure, layer, value, source, note instead, with run for models of several runs, and takes
    one file of models with at most one table; the note says why a value is null. A layer is a linear map together with
    a batch norm directly after it; A is its matrix, for a convolution at the layer's input size. Products and
    complexity are for chains only; r is the Lipschitz constant between layers: 1 for ReLU, 1.129 for GELU, 2 for a
    max-pool 3x3 at stride 2. Only paths count biases.

    \b
    parameters                    W
    frobenius_norm                of the weight; frobenius_norm_product
    spectral_norm                 s, of A; spectral_norm_product
    lipschitz_bound               prod r s; for branches that are added the sum,
                                  for concatenated ones the root sum of squares
    spectral_complexity           R = prod r s * (sum (|A'|_2,1 / s)^2/3)^3/2
    path_norm                     sqrt of sum over paths of prod w^2
    distance_from_initialization  |w - w0|, w0 rebuilt from the seed
    vc_dimension_bound            W L log2 N for L layers on the longest path, N
                                  parameters, frozen ones too,
                                  without its constant; piecewise linear nets
    With a table of n rows, which should be the training data:
    vc_gap_bound                  sqrt(8/n (ln growth(2n) + ln 80)): vacuous > 1
    margin                        m, the floor(n/10)-th smallest (Dziugaite
                                  et al. 2020's tenth percentile)
    margin_normalized_complexity  R |X| / (m n)
    sharpness                     mean of L(w + 0.1 d) - L(w) over 10 Gaussian d
                                  of the filters' norms; sharpness_standard_error
    worst_sharpness               the largest in 10 steps of ascent, no filter
                                  moved by more (cf. Keskar et al. 2017)
    and the measures of Jiang et al. 2020 (arXiv:1912.02178), which
    --list-measures defines: products and sums of norms over the margin and
    from initialization, PAC-Bayes bounds, sharpness, gradients' noise

    \b
    Example:
      gencli eval --list-measures
      gencli data digits --split test -o test.parquet
      gencli data digits | gencli train --arch mlp-1x512 --epochs 10 |
        gencli eval - test.parquet --top 3 --confusion confusion.csv
    """
    from gencli.files.stream import require_writable
    from gencli.machine import first, require_alone

    given, form = requests.places(model, data or []), "parquet" if shard else format
    requests.require_part(shard, format, output)
    if requests.measures:
        require_alone("--measures: their searches go from step to step")
    if first():
        require_writable(output, requests.predictions, requests.confusion)

    from functools import partial

    import torch

    from gencli import ranks
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import opening
    from gencli.evaluation import runs
    from gencli.files.together import Together
    from gencli.training import devices

    with (
        ranks.dividing(devices.choose(device), *given[0], *given[1], shard=shard) as group,
        Together(first()) as places,
    ):
        sources, files, tables = opening.open_several(requests, *given, arch)
        loaded = [model for each in files for model in each]
        plan = runs.plan(requests, loaded, tables, [p for p, each in zip(given[0], files) for _ in each], given[1])
        exact = any(tensor.dtype == torch.float64 for model in loaded for tensor in model.network.state_dict().values())
        where = devices.choose(device, exact)
        devices.precision("float32", where)
        steps, histories = steps_to_loss.read(requests, loaded)
        read = [*sources, *(file for table in tables for file in table.inputs)]

        used = plan.arguments() | opening.computed(where, group)
        step = partial(eval_files.step, plan, used, sources, files, tables, histories)
        group.require_same(step)
        asked = {"": output, "predictions": requests.predictions, "confusion": requests.confusion}
        named = {option: file for option, file in asked.items() if file or not option}
        writers = [open_result(places, file, form if not option else None, read) for option, file in named.items()]
        with console.progress(*plan.work) as advance:
            results = plan.results(steps, where, advance, group)
        for note in dict.fromkeys(plan.notes):
            console.message(note)
        for write, rows, option in zip(writers, results, named):
            write(rows, lambda option=option: step().to(option), "" if option else plan.title)
