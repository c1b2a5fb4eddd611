"""Messages about a training run, on the way and at its end."""

from __future__ import annotations

import math
import statistics

from gencli.cli.console import Advance
from gencli.training.course import Course
from gencli.training.several import Mean, Several
from gencli.training.states import Epoch

DIVERGED = 1000  # times the first loss


def end(run: Course | Several, kind: str) -> str:
    """What to say at the end of a run, or of several."""
    if isinstance(run, Course):
        return summary(run, kind)
    courses, model = [course for course in run.courses if not course.failed], run.models[0]
    epochs = {course.history[-1].epoch for course in courses}
    scores = [course.kept.train_score for course in courses]
    off = f" ± {_score(statistics.stdev(scores), kind).removeprefix('accuracy ')}" if len(scores) > 1 else ""
    lasted = _counted(max(epochs)) if len(epochs) == 1 else f"{min(epochs)} to {max(epochs)} epochs"
    lines = [
        f"{model.arch}: {model.parameters:,} parameters, {len(courses)} network{'s' * (len(courses) != 1)}, {lasted}; "
        f"train {_score(statistics.fmean(scores), kind)}{off}"
    ]
    return "\n".join(lines + _of_some([None if course.failed else unlearned(course) for course in run.courses]))


def warnings(run: Course | Several) -> list[str]:
    """What to say of a result in any case."""
    if isinstance(run, Course):
        return [line for line in [diverged(run)] if line is not None]
    failed = _of_some([course.failed or None for course in run.courses])
    return [f"{line}; they have no model" for line in failed] + _of_some([diverged(course) for course in run.courses])


def _of_some(lines: list[str | None]) -> list[str]:
    """The first of the runs' lines, and how many there are."""
    known = [(number, line) for number, line in enumerate(lines) if line is not None]
    return [f"{len(known)} of {len(lines)} runs, the first run {known[0][0]}: {known[0][1]}"] if known else []


def _counted(epochs: int) -> str:
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"


def summary(run: Course, kind: str) -> str:
    """The line at the end, and one more where nothing was learned; `kind` is what scores are."""
    line = (
        f"{run.model.arch}: {run.model.parameters:,} parameters, {_counted(run.history[-1].epoch)}; "
        f"the model is from epoch {run.kept.epoch}, train {_score(run.kept.train_score, kind)}"
    )
    return line if (why := unlearned(run)) is None else f"{line}\n{why}"


def diverged(run: Course) -> str | None:
    """A line where the loss of the epoch whose model is written is far above the first step's."""
    if run.failed or run.first_loss is None or not run.kept.train_loss > DIVERGED * run.first_loss:
        return None
    return (
        f"the loss rose from {run.first_loss:.4g} to {run.kept.train_loss:.4g}: training diverged; "
        "lower --lr, or clip with --grad-clip"
    )


def unlearned(run: Course) -> str | None:
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
    who = f"{epoch.who}: " if isinstance(epoch, Mean) else ""
    return f"{who}epoch {epoch.epoch}: loss {epoch.train_loss:.4f}  {words}  {epoch.images_per_second:,.0f} images/s"
