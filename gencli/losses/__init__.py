"""The losses: a table of kinds, and the choice of one by its options. torch is loaded when one is computed."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from gencli.cli.options import dashed
from gencli.errors import GencliError, nearest
from gencli.losses.base import Loss, Task
from gencli.losses.classes import (
    LDAM,
    BalancedSoftmax,
    ClassBalancedCrossEntropy,
    ClassBalancedFocal,
    ClassBalancedSigmoid,
    CrossEntropy,
    Focal,
    GeneralizedCrossEntropy,
    LogitAdjusted,
    Square,
    SymmetricCrossEntropy,
)
from gencli.losses.images import L1, L2, Huber
from gencli.losses.rows import resample_weights

if TYPE_CHECKING:
    from gencli.losses.settings import LossSettings

__all__ = ["DEFAULTS", "LOSSES", "Loss", "choose", "names", "resample_weights"]

LOSSES: dict[str, type[Loss]] = {
    loss.name: loss
    for loss in (
        CrossEntropy, Square, GeneralizedCrossEntropy, SymmetricCrossEntropy,
        Focal, ClassBalancedCrossEntropy, ClassBalancedFocal, ClassBalancedSigmoid,
        BalancedSoftmax, LDAM, LogitAdjusted,
        L1, L2, Huber,
    )
}  # fmt: skip
DEFAULTS: dict[Task, str] = {"classes": CrossEntropy.name, "images": L2.name}


def names(task: Task) -> str:
    """Those of the losses of a task in words, the default one first."""
    default = DEFAULTS[task]
    others = [name for name, kind in LOSSES.items() if kind.task == task and name != default]
    return f"{default} (the default), {', '.join(others[:-1])} or {others[-1]}"


def choose(settings: LossSettings) -> Loss:
    """The loss that the settings name, ce where they name none, with the options that they give.

    Raises:
        GencliError: no such loss, an option that it does not take, or one out of range.
    """
    from gencli.losses.settings import LossSettings  # whose help is made of the table

    loss = DEFAULTS["classes"] if settings.loss is None else settings.loss
    if loss not in LOSSES:
        raise GencliError(f"--loss: no loss {loss!r}", nearest(loss, LOSSES))
    values = {field.name: getattr(settings, field.name) for field in fields(LossSettings) if field.name != "loss"}
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        takers = [taker for taker, kind in LOSSES.items() if name in (field.name for field in fields(kind))]
        if loss not in takers:
            raise GencliError(
                f"{dashed(name)}: the {loss} loss has no such option", f"losses that have it: {', '.join(takers)}"
            )
    return LOSSES[loss](**given)
