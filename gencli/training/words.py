"""What people are told of a training run, on the way and at its end."""

from __future__ import annotations

from gencli.training.loop import Epoch, Training


def summary(run: Training, kept: Epoch, kind: str) -> str:
    """The line at the end; `kept` is the epoch whose model is written, `kind` what scores are."""
    return (
        f"{run.model.arch}: {run.model.parameters:,} parameters, {run.history[-1].epoch} epochs; "
        f"the model is epoch {kept.epoch}'s, train {_score(kept.train_score, kind)}"
    )


def _score(value: float, kind: str) -> str:
    return f"{value:.2f} dB" if kind == "psnr" else f"accuracy {value:.4f}"


def line(epoch: Epoch, kind: str) -> str:
    """That of an epoch."""
    digits = 2 if kind == "psnr" else 4
    scores = {"train": epoch.train_score, "validation": epoch.validation_score, "test": epoch.test_score}
    words = "  ".join(f"{name} {score:.{digits}f}" for name, score in scores.items() if score is not None)
    return f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}  {words}  {epoch.images_per_second:,.0f} images/s"
