"""`gencli bound compression`: a bound for a network in few bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gencli.bounds.settings import CompressionSettings
from gencli.cli.options import Data, Format, ModelFile, ResultOutput, command, single

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable
    from gencli.models import Model

app = single()


@command(app, "compression")
def compression(
    model: ModelFile,
    settings: CompressionSettings,
    data: Data = None,
    *,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Bound the error of a network in few bits.

    Reads a model and an image table; writes a result table of one row: bound, empirical_error, kl (of the code, below),
    n, delta, bits, bits_per_weight, and with --test test_error, test_n and test_bound.

    The model gives network, seed and with --subspace 0 weights. Otherwise the weights are those before training plus P
    z, where z of --subspace numbers is trained here, and P, from the seed, gives each weight one coordinate of z with a
    random sign (Li et al. 2018, arXiv:1804.08838; Chen et al. 2015, arXiv:1504.04788). In the last third of training z
    is rounded to --levels values, which are learned too. The number of values, the values as float16, and the rounded z
    are written by an arithmetic coder that learns frequencies as it codes (Witten, Neal, Cleary 1987); errors are
    counted of the network that these bits decode to. A text of b bits has probability 1 / (2^b b (b + 1)), so that with
    probability 1 - delta over the rows, for all texts at once:

    \b
    kl(e | error) <= (b ln 2 + ln(b (b + 1)) + ln(1/delta)) / n

    (McAllester 1999; with such codes Lotfi et al. 2022, arXiv:2211.13609). Batch norm is refused.

    \b
    Example:
      gencli data digits -o train.parquet
      gencli data digits --split test -o test.parquet
      gencli train train.parquet --arch mlp-1x32 --epochs 3 -o model.safetensors
      gencli bound compression model.safetensors train.parquet \\
        --subspace 100 --levels 5 --test test.parquet --format table
    """
    from gencli.bounds import certificates, compression
    from gencli.commands.bound.making import make

    def check(model: Model, table: ImageTable, train: ImageTable | None) -> None:
        certificates.require_plain(model)

    make(
        "compression", model, data, settings, format, output, lambda rows: compression.work(settings, rows),
        lambda model, rows, test, advance: compression.certify(
            model, certificates.require_plain(model).to(rows.images.device), rows, test, settings, advance
        ),
        check,
    )  # fmt: skip
