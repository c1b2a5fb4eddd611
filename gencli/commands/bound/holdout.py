"""`gencli bound holdout`: the exact bound by rows that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gencli.bounds.settings import HoldoutSettings
from gencli.cli.options import Data, Format, ModelFile, ResultOutput, command, single

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable
    from gencli.models import Model

app = single()


@command(app, "holdout")
def holdout(
    model: ModelFile,
    settings: HoldoutSettings,
    data: Data = None,
    *,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Bound the error by rows that training never saw.

    Reads a model and an image table of rows that were held out; writes a result table of one row: bound,
    empirical_error, n, delta, and with --test test_error, test_n and test_bound. The bound is exact: with probability 1
    - delta the error rate is at most the p at which n independent rows have so few errors with probability delta
    (Clopper, Pearson 1934, one-sided). Compare every other certificate with it.

    --train names the table that the model was trained on: it must be that of the model's provenance, and share no row,
    by id, and no more than one image in a hundred with DATA.

    \b
    Example:
      gencli data digits -o train.parquet
      gencli data digits --split test -o test.parquet
      gencli train train.parquet --arch mlp-1x32 --epochs 3 -o model.safetensors
      gencli bound holdout model.safetensors test.parquet --train train.parquet
    """
    from gencli.bounds import holdout
    from gencli.commands.bound.making import make
    from gencli.errors import GencliError

    def check(model: Model, table: ImageTable, train: ImageTable | None) -> None:
        if model.task == "images":
            raise GencliError(f"{model.title}: its outputs are images, not classes", "give a classifier")
        if settings.certificate and not model.logits:
            raise GencliError(f"--certificate: {model.title} has no seed to be made from again", "omit it")
        assert train is not None
        holdout.require_held_out(model, table, train)

    make(
        "holdout", model, data, settings, format, output, lambda rows: 1,
        lambda model, rows, test, advance: holdout.certify(model, rows, test, settings), check,
    )  # fmt: skip
