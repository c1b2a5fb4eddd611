"""What training predicts for rows: of steps and of whole tables, of the rows that other processes hold too."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from gencli.errors import GencliError
from gencli.evaluation.predictions import Objective, Predictions, cross_entropy, predict
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.losses.classes import CrossEntropy
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.ranks import Group


class NotFiniteError(GencliError):
    """A loss is no longer finite."""


def measured(model: Model, rows: Rows, objective: Objective, precision: str, apart: bool, group: Group) -> Predictions:
    """Of all rows in evaluation mode, each by the process that holds it.

    Args:
        apart: whether cross-entropies are counted beside the losses.
    """
    held, numbers = rows.held()
    parts = []
    for part in held.parts():
        found = predict(model, part, objective, precision)
        if apart and found.logits is not None:
            found.cross_entropies = cross_entropy(found.logits, part.labels)
        parts.append(replace(found, logits=None))
    whole = Predictions.join(parts)
    if group.size > 1:
        here = torch.zeros(len(rows), dtype=torch.bool, device=rows.labels.device)
        here[numbers] = True
        whole = spread(whole, here)
        for column in whole.tensors().values():
            group.add([column])  # each process has zeros for the others' rows
    return whole


def mean_cross_entropy(seen: Predictions, loss: Loss) -> float | None:
    """The mean, of losses where these are cross-entropies; None where it is not known, or not finite."""
    of_loss = seen.losses if loss == CrossEntropy() else None
    values = of_loss if seen.cross_entropies is None else seen.cross_entropies
    mean = math.nan if values is None else double(values).mean().item()
    return mean if math.isfinite(mean) else None


def spread(predictions: Predictions, here: Tensor | None) -> Predictions:
    """Predictions of the rows `here` [n], a mask, as those of all n, with zeros for the others; bool becomes uint8."""
    if here is None:
        return predictions

    def whole_of(column: Tensor) -> Tensor:
        kind = torch.uint8 if column.dtype == torch.bool else column.dtype
        whole = torch.zeros(len(here), dtype=kind, device=column.device)
        whole[here] = column.to(kind)
        return whole

    return Predictions(**{name: whole_of(column) for name, column in predictions.tensors().items()})


def require_finite(losses: Tensor, size: int, epoch: int, begun: int, after: int | None) -> None:
    """Whether all losses of an epoch's rows are numbers, in the order of its steps of `size` rows.

    Args:
        begun: the steps before the epoch.
        after: the steps done where the rows were measured after them, not in them.

    Raises:
        NotFiniteError: one is not.
    """
    wrong = (~losses.isfinite()).nonzero()
    if not len(wrong):
        return
    first = int(wrong[0])
    step = begun + first // size + 1 if after is None else after
    finite = losses[: first - first % size].split(size)[-1] if after is None and first >= size else None
    last = "" if finite is None else f"; that of the step before was {double(finite).mean().item():.4g}"
    raise NotFiniteError(
        f"the loss became {losses[first].item()} {'at' if after is None else 'after'} step {step}, in epoch "
        f"{epoch}{last}",
        "lower --lr, or clip with --grad-clip",
    )
