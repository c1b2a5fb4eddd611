"""`gencli bound pac-bayes`: a bound for random weights around a network's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gencli.bounds.settings import PacBayesSettings
from gencli.cli.options import Data, Format, ModelFile, ResultOutput, command, single

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable
    from gencli.models import Model

app = single()


@command(app, "pac-bayes")
def pac_bayes(
    model: ModelFile,
    settings: PacBayesSettings,
    data: Data = None,
    *,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Bound the error of random weights by PAC-Bayes.

    Reads a model and an image table; writes a result table of one row: bound, empirical_error, kl (in nats), n, delta,
    and with --test test_error, test_n and test_bound, the bound of the test rows alone at the same delta.

    The classifier draws its weights anew for each row, from independent normal distributions, the posterior Q, whose
    means start at the model's weights. So does the estimate where all layers are dense, or convolutions of up to 32,768
    weights; elsewhere a block of rows shares a draw, and m counts blocks. Small convolutional networks have the lowest
    bounds here.

    Means and standard deviations are fitted to the bound itself by its own derivatives (Dziugaite, Roy 2017,
    arXiv:1703.11008). The prior P is normal around the weights before training, which are rebuilt from the model's seed
    and depend on no row; or, with --prior-fraction, around weights that are trained here on that part of the rows,
    chosen by --seed and id: Q starts there, is fitted to all rows, and the bound uses the others alone. P's standard
    deviation, one per parameter tensor, is the best of 2048, 2^(-j/128); the bound holds for all of them at once.

    \b
    With probability 1 - delta over rows and draws:
    kl(e_m | e) <= ln(2 / (delta/5)) / m            of m draws
                                  (Langford, Caruana 2001)
    kl(e | error) <= (KL(Q|P) + T ln 2048 + ln(2 sqrt(n) / (4 delta/5))) / n
                                  of T tensors (Maurer 2004, arXiv:cs/0411099)
    both inverted by bisection in float64.

    Dropout is off, as in evaluation. Batch norm is refused: its running statistics depend on rows in a way that no
    distribution of weights describes; so is whitening by the data set. The rows must be independent draws that did not
    choose network or options: a table is refused where a row, or more than one image in a hundred, comes twice. The
    bound is of the rows' own distribution, and of labels as they are in the table.

    \b
    Example:
      gencli data digits -o train.parquet
      gencli data digits --split test -o test.parquet
      gencli train train.parquet --arch mlp-1x32 --epochs 3 -o model.safetensors
      gencli bound pac-bayes model.safetensors train.parquet --epochs 20 \\
        --draws 10000 --test test.parquet --certificate bound.safetensors
      gencli bound verify bound.safetensors train.parquet --test test.parquet
    """
    from gencli.bounds import certificates, pac_bayes
    from gencli.commands.bound.making import make

    def check(model: Model, table: ImageTable, train: ImageTable | None) -> None:
        certificates.require_plain(model)

    make(
        "pac-bayes", model, data, settings, format, output, lambda rows: pac_bayes.work(settings, rows),
        lambda model, rows, test, advance: pac_bayes.certify(
            model, certificates.require_plain(model).to(rows.images.device), rows, test, settings, advance
        ),
        check,
    )  # fmt: skip
