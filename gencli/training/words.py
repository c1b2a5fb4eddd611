"""Messages about a training run, on the way and at its end."""

from __future__ import annotations

import math

from gencli.cli.console import Advance
from gencli.training.loop import Epoch, Training

DIVERGED = 1000  # times the first loss


def summary(run: Training, kind: str) -> str:
    """The line at the end, and one more where nothing was learned; `kind` is what scores are."""
    line = (
        f"{run.model.arch}: {run.model.parameters:,} parameters, {run.history[-1].epoch} epochs; "
        f"the model is from epoch {run.kept.epoch}, train {_score(run.kept.train_score, kind)}"
    )
    return line if (why := unlearned(run)) is None else f"{line}\n{why}"


def diverged(run: Training) -> str | None:
    """A line where the loss of the epoch whose model is written is far above the first step's."""
    if run.first_loss is None or not run.kept.train_loss > DIVERGED * run.first_loss:
        return None
    return (
        f"the loss rose from {run.first_loss:.4g} to {run.kept.train_loss:.4g}: training diverged; "
        "lower --lr, or clip with --grad-clip"
    )


def unlearned(run: Training) -> str | None:
    """A line where the model is right on no more of its training rows than one label for all, beyond three errors."""
    share, rows, score = *run.most_common, run.kept.train_score
    if run.model.task == "images" or score > share + 3 * math.sqrt(share * (1 - share) / rows):
        return None
    return (
        f"train accuracy {score:.4f} is no better than predicting one label for all, {share:.4f}: nothing was learned; "
        "more --epochs, or another --lr"
    )


def _score(value: float, kind: str) -> str:
    return f"{value:.2f} dB" if kind == "psnr" else f"accuracy {value:.4f}"


def progress(advance: Advance, score: str, step: int, epoch: Epoch | None) -> None:
    """Shows a run's step, and an epoch as a line."""
    advance(step, *([line(epoch, score), True] if epoch else []))


def line(epoch: Epoch, kind: str) -> str:
    """That of an epoch."""
    digits = 2 if kind == "psnr" else 4
    scores = {"train": epoch.train_score, "validation": epoch.validation_score, "test": epoch.test_score}
    words = "  ".join(f"{name} {score:.{digits}f}" for name, score in scores.items() if score is not None)
    return f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}  {words}  {epoch.images_per_second:,.0f} images/s"
