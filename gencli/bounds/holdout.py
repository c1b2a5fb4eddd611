"""The exact certificate: how many rows that a network never saw it gets wrong."""

from __future__ import annotations

import torch

from gencli.bounds import certificates, independence, inversion
from gencli.bounds.certificates import Certificate
from gencli.bounds.settings import HoldoutSettings
from gencli.errors import GencliError
from gencli.evaluation.runs import require_random
from gencli.files.tables import ImageTable
from gencli.models import Model
from gencli.models.inputs import Rows


def certify(
    model: Model, rows: Rows, test: Rows | None, asked: HoldoutSettings
) -> tuple[Certificate, dict[str, torch.Tensor]]:
    """The limit of Clopper and Pearson 1934 of a network's error rate, and the network's tensors."""
    errors, n = certificates.count_errors(model, model.network, rows), len(rows)
    bound = inversion.binomial_upper(errors, n, asked.delta)
    digest = certificates.digest(rows)
    made = Certificate(
        "holdout", bound, errors / n, n, asked.delta, errors, n, digest, parameters=model.parameters
    )  # fmt: skip
    tried = (certificates.count_errors(model, model.network, test), len(test)) if test else (0, 1)
    state = {f"state/{name}": each for name, each in model.network.state_dict().items()}
    return certificates.with_test(made, test, *tried), state


def require_held_out(model: Model, held: ImageTable, train: ImageTable) -> None:
    """Refuses rows that the model saw.

    Raises:
        GencliError: rows in both tables, or the model was not trained on `train` alone.
    """
    require_random(model, model.title, "held-out rows may be among those that it was trained on before")
    independence.require_disjoint(held, train, "rows that a network was trained on are not held out")
    made = model.made
    known = [] if made is None else [each.sha256 for each in made.given("data")]
    if known != [each.sha256 for each in train.inputs]:
        raise GencliError(
            f"{train.title}: not the table that {model.title} was trained on", "give with --train the one that it was"
        )
