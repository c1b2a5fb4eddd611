"""What training says of every row: when it was learned and forgotten, its margin, its probability, its loss.

Counted from what the steps predict anyway, a row as it is visited, in training mode; a few numbers a row are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gencli.errors import GencliError
from gencli.evaluation import logits as rows_of
from gencli.evaluation.predictions import Predictions
from gencli.models.inputs import Rows
from gencli.training.settings import Settings

COUNTS = ("visits", "right", "first_learned", "learned", "forgotten")  # int32
SUMS = ("margin", "chance", "deviation", "loss", "loss_last", "el2n")  # float64


def require(settings: Settings, images: bool, processes: int) -> None:
    """Refuses runs whose rows are not visited once an epoch by this process, or have no classes."""
    reasons = {
        "--resample draws rows, and not each once an epoch": settings.resample is not None,
        f"{settings.arch} outputs images, which are not right or wrong": images,
        f"each of {processes} processes of torchrun sees a part of the rows": processes > 1,
    }
    for why in [why for why, holds in reasons.items() if holds]:
        raise GencliError(f"--dynamics: {why}", "omit it")


class Dynamics:
    """The figures of all rows of a run.

    Args:
        el2n_epoch: the epoch, from 1, in which `el2n` is taken.
    """

    def __init__(self, rows: Rows, el2n_epoch: int) -> None:
        self._rows, self.el2n_epoch = rows.identities(), el2n_epoch
        counts = {name: np.zeros(len(rows), np.int32) for name in COUNTS}
        self._held: dict[str, NDArray[Any]] = counts | {name: np.zeros(len(rows)) for name in SUMS}

    def update(self, epoch: int, visited: Tensor, seen: Predictions) -> None:
        """Takes what an epoch, from 1, predicted for the rows `visited` [m], none twice.

        Forgotten is a row that was right at its last visit and is wrong at this one (Toneva et al. 2019,
        arXiv:1812.05159); learned, the first epoch from which it stays right; the margin is the label's logit minus the
        largest other (Pleiss et al. 2020, arXiv:2001.10528), the chance the label's probability.
        """
        order = visited.cpu().numpy()
        whole = len(order) == len(self._held["visits"])
        place = np.empty_like(order)
        if whole:
            rows: slice | NDArray[np.int64] = slice(None)
            place[order] = np.arange(len(order))
        else:
            place = order.argsort()
            rows = order[place]
        found = {name: each.cpu().numpy()[place] for name, each in seen.tensors().items() if name != "predicted"}
        now = {name: each[rows] for name, each in self._held.items()}
        right, before = found["scores"], now["learned"]
        now["forgotten"] += (before > 0) & ~right
        now["first_learned"] += (np.int32(epoch) * ((now["first_learned"] == 0) & right)).astype(np.int32)
        now["learned"] = np.where(right, np.where(before > 0, before, np.int32(epoch)), np.int32(0))
        now["right"] += right
        now["visits"] += 1
        now["margin"] += found["margins"]
        off = found["chances"] - now["chance"]  # Welford 1962, Note on a method for calculating corrected sums
        now["chance"] += off / now["visits"]
        now["deviation"] += off * (found["chances"] - now["chance"])
        now["loss"] += found["losses"]
        now["loss_last"] = found["losses"].astype(np.float64)
        if "errors" in found:
            now["el2n"] = found["errors"].astype(np.float64)
        for name, values in now.items():
            self._held[name][rows] = values

    def state(self) -> dict[str, Tensor]:
        """The figures by name, [n] int32 and float64."""
        return {name: torch.from_numpy(values) for name, values in self._held.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes a `state`."""
        self._held = {name: tensor.numpy().copy() for name, tensor in tensors.items()}

    def table(self) -> pa.Table:
        """A row an example, see the help of `gencli train --dynamics`."""
        held = self._held
        visits, never = held["visits"], held["visits"] == 0
        with np.errstate(invalid="ignore"):
            means = {name: held[name] / visits for name in ("margin", "right", "loss", "deviation")}
        missed = never if held["el2n"].any() else np.ones_like(never)
        figures = {
            "first_learned": pa.array(held["first_learned"], pa.int64(), mask=held["first_learned"] == 0),
            "learned": pa.array(held["learned"], pa.int64(), mask=held["learned"] == 0),
            "forgotten": pa.array(held["forgotten"], pa.int64(), mask=held["first_learned"] == 0),
            "aum": pa.array(means["margin"], mask=never),
            "confidence": pa.array(held["chance"], mask=never),
            "variability": pa.array(np.sqrt(means["deviation"]), mask=never),
            "correctness": pa.array(means["right"], mask=never),
            "el2n": pa.array(held["el2n"], mask=missed),
            "loss_mean": pa.array(means["loss"], mask=never),
            "loss_last": pa.array(held["loss_last"], mask=never),
        }
        return pa.table(self._rows | figures)


def reduced(seen: Predictions, labels: Tensor, sigmoid: bool, errors: bool) -> Predictions:
    """Predictions with figures of their logits in place of these, of rows labelled `labels` [m] or [networks, m].

    A row's are the same bits whichever rows are beside it, which depends on where a run was interrupted: torch's sums
    over the first dimension and its sigmoids are not, at the end of a tensor.

    Args:
        errors: whether to take ‖p − onehot(label)‖₂ (Paul, Ganguli, Dziugaite 2021, arXiv:2107.07075).
    """
    assert seen.logits is not None
    logits, flat = seen.logits.flatten(0, -2), labels.flatten()
    # over its rows largest ones and sums take a quarter of the time
    by_class = logits.T.clone(memory_format=torch.contiguous_format)
    own = by_class.gather(0, flat[None])
    others = by_class.scatter_(0, flat[None], -torch.inf)
    margins = own[0] - others.amax(0)
    # p_y = 1 / (1 + the sum over the others of exp(z_k - z_y))
    if sigmoid:
        chances = _sigmoid(own[0])
    else:
        first, *more = others.sub_(own).exp_()
        for each in more:
            first += each
        chances = first.add_(1).reciprocal_()
    found = replace(seen, logits=None, margins=margins.view(labels.shape), chances=chances.view(labels.shape))
    if errors:
        away = _sigmoid(logits) if sigmoid else rows_of.probabilities(logits)
        away[torch.arange(len(flat), device=flat.device), flat] -= 1
        found.errors = away.norm(dim=1).view(labels.shape)
    return found


def _sigmoid(logits: Tensor) -> Tensor:
    return logits.neg().exp_().add_(1).reciprocal_()
