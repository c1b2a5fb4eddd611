"""What a run of training can be like on its way: rows of its history, and what of a checkpoint fits its settings.

Nothing that a checkpoint says is used before all of it is known to be a state that this run can have had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gencli.errors import GencliError
from gencli.files.held import LARGEST, Facts, Held
from gencli.training.dynamics import COUNTS, SUMS
from gencli.training.settings import Settings

_LONGEST, _FASTEST = 1e10, 1e15  # seconds; images a second
_MOST = torch.finfo(torch.float32).max  # that a loss is
_UNIT = 1e-4  # what a vector of length 1 may be off


@dataclass
class Epoch:
    """One row of a training history.

    `train_*` and the three after the learning rate are means over the epoch's own steps, each row as it was visited;
    on the last row, and on all with `measure_train`, they are measured after the epoch in evaluation mode. A score is
    the fraction predicted right, of image-to-image networks the PSNR in dB.

    Attributes:
        epoch: from 1.
        step: optimizer steps so far.
        seconds: that the epoch took in all.
        images_per_second: of the training pass only.
        train_loss, train_score: the loss is without weight decay.
        *_cross_entropy: in nats, without label smoothing, of mixed rows that of the label with the larger share; None
            where it is not finite, and of image-to-image networks and those trained by sigmoids.
        test_loss, test_score: of the evaluation data after the epoch; None without it, and where they are not finite.
        learning_rate: of the epoch's last step.
        validation_loss, validation_score: of the rows held out; None without them.
        clean_accuracy: of the rows whose label was left as it was, the fraction predicted right.
        memorized, recovered: of the corrupted rows, the fractions predicted as labelled, and as they truly are.
        sharpness, gradient_norm, distance, weight_norm: after the epoch, see `geometry`; None where not tracked.
    """

    epoch: int
    step: int
    seconds: float
    images_per_second: float
    train_loss: float
    train_cross_entropy: float | None
    train_score: float
    test_loss: float | None = None
    test_cross_entropy: float | None = None
    test_score: float | None = None
    learning_rate: float = 0.0
    validation_loss: float | None = None
    validation_cross_entropy: float | None = None
    validation_score: float | None = None
    clean_accuracy: float | None = None
    memorized: float | None = None
    recovered: float | None = None
    sharpness: float | None = None
    gradient_norm: float | None = None
    distance: float | None = None
    weight_norm: float | None = None


@dataclass(frozen=True)
class Run:
    """What determines the states that a run can have.

    Attributes:
        rows, classes: how many.
        images: whether scores are PSNR.
        probabilities: whether rows have cross-entropies.
        apart: whether these are not their losses.
        corrupted, validation, test: whether there are such labels and rows.
        steps_per_epoch, total_steps: maximum numbers of steps.
        rate: the learning rate of a step, from 0.
        network: the parameters and buffers by name.
        optimizer: by parameter what it keeps, like these; `step` counts the parameter's steps.
        average: its state, or none.
        visited: the labels [n] of an epoch's rows in their order.
        together: whether several processes train.
        own: whether the network is none of ours, so that its buffers may count anything.
        counted: the batches that its batch norms had counted before training, where a file's had.
        frozen: the names of what training leaves as it is in `network`.
        watched: the epoch whose errors the dynamics take; None where there are none.
        tracked: a vector like the last eigenvector; None where nothing is tracked.
    """

    settings: Settings
    rows: int
    classes: int
    images: bool
    probabilities: bool
    apart: bool
    corrupted: bool
    validation: bool
    test: bool
    steps_per_epoch: int
    total_steps: int
    rate: Callable[[int], float]
    network: Mapping[str, Tensor]
    optimizer: Mapping[str, Mapping[str, Tensor]]
    average: Mapping[str, Tensor]
    visited: Callable[[int], Tensor]
    together: bool
    own: bool
    counted: Mapping[str, int] = field(default_factory=dict)
    frozen: Collection[str] = ()
    watched: int | None = None
    tracked: Tensor | None = None


@dataclass(frozen=True)
class State:
    """A run on its way, as `loop.Training` keeps it; tensors by name. Of a finished one the network alone is kept."""

    step: int
    history: list[Epoch]
    best: int | None
    first_loss: float | None
    finished: bool
    seconds: float
    network: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    average: dict[str, Tensor]
    kept: dict[str, Tensor]
    epoch: dict[str, Tensor]
    dynamics: dict[str, Tensor]
    tracked: Tensor | None = None


def read(held: Held, run: Run) -> State:
    """What a checkpoint holds, if it is a state of this run.

    Raises:
        GencliError: it is not.
    """
    facts, settings = held.facts, run.settings
    finished = facts.truth("finished")
    history = _history(facts, run, finished)
    best = _best(history, facts, run, finished)
    facts.same("best", best)
    before = history[-1].step if history else 0
    step = facts.whole("step", before, before if finished else min(before + run.steps_per_epoch, run.total_steps))
    seconds = facts.number("seconds", 0.0, _LONGEST)
    if (spent := sum(row.seconds for row in history)) > seconds * 1.001 + 0.001:
        raise facts.refused("seconds", seconds, f"the epochs' {spent:g} or more")
    first_loss = facts.optional("first_loss", bool(history), 0.0, _MOST)
    if history and first_loss is None:
        raise facts.refused("first_loss", None, "the loss of the first step")
    of = None if settings.early_stop is None or best is None else history[best - 1].step
    network = _network(held, "network/", run, of if finished and of is not None else step)
    kept = {} if finished or of is None else _network(held, "kept/", run, of)
    average = {} if finished else held.like("average/", run.average)
    if average and average["updates"] != step:
        raise held.refused("average/updates", average["updates"].item(), step)
    optimizer = {} if finished else _optimizer(held, run, step)
    if finished:
        facts.same("idle", [])
    epoch = _under_way(held, run, len(history) + 1, step - before)
    try:
        facts.same("watched", run.watched)
    except GencliError as error:
        hint = "run it as before, with or without --dynamics and its --el2n-epoch; --overwrite starts over"
        raise GencliError(error.message, hint) from None
    watched = {} if run.watched is None else _dynamics(held, run, history)
    vector = None
    if run.tracked is not None and not finished:
        vector = held.tensor("tracked/vector", tuple(run.tracked.shape), torch.float32, -1.0, 1.0)
        length = vector.norm().item()
        if abs(length - any(row.sharpness is not None for row in history)) > _UNIT:
            raise held.refused("tracked/vector", f"length {length:.4g}", "an eigenvector after the first sharpness")
    held.close(f"step {step:,}")
    return State(
        step, history, best, first_loss, finished, seconds, network, optimizer, average, kept, epoch, watched, vector
    )


def _history(facts: Facts, run: Run, finished: bool) -> list[Epoch]:
    size = run.steps_per_epoch
    rows = facts.objects("history", -(-run.total_steps // size))
    scores = (-LARGEST, math.inf) if run.images else (0.0, 1.0)
    found: list[Epoch] = []
    for number, row in enumerate(rows, 1):
        most = min(number * size, run.total_steps)
        cut = finished and run.settings.max_time is not None and number == len(rows)
        step = row.whole("step", (number - 1) * size + 1 if cut else most, most)
        values: dict[str, float | None] = {
            "seconds": row.number("seconds", 0.0, _LONGEST),
            "images_per_second": row.number("images_per_second", 0.0, _FASTEST),
            "train_loss": row.number("train_loss", 0.0, _MOST),
            "train_cross_entropy": row.optional("train_cross_entropy", run.probabilities, 0.0, _MOST),
            "train_score": row.number("train_score", *scores),
            "learning_rate": row.number("learning_rate", rate := run.rate(step - 1), rate),
        }
        for name, known in (("test", run.test), ("validation", run.validation)):
            values[f"{name}_loss"] = row.optional(f"{name}_loss", known, 0.0, _MOST)
            entropy = f"{name}_cross_entropy"
            values[entropy] = row.optional(entropy, known and run.probabilities, 0.0, _MOST)
            values[f"{name}_score"] = score = row.optional(f"{name}_score", known, scores[0], min(scores[1], LARGEST))
            if known and score is None and not run.images:
                raise row.refused(f"{name}_score", None, "a fraction")
        for name in ("clean_accuracy", "memorized", "recovered"):
            values[name] = row.optional(name, run.corrupted and not run.images, 0.0, 1.0)
        names = run.settings.tracked_after(number)
        for name in ("sharpness", "gradient_norm", "distance", "weight_norm"):
            values[name] = row.optional(name, name in names, -LARGEST if name == "sharpness" else 0.0)
        found.append(Epoch(row.whole("epoch", number, number), step, **values))  # type: ignore[arg-type]
        row.close()
    return found


def _best(history: list[Epoch], facts: Facts, run: Run, finished: bool) -> int | None:
    """The epoch with the best validation score, the first of equals; the run ends when its settings say so."""
    patience = run.settings.early_stop
    best: Epoch | None = None
    over = False
    for row in history:
        if over:
            raise facts.refused("history", f"epoch {row.epoch}", f"{row.epoch - 1} epochs, after which the run is over")
        score = row.validation_score
        if score is not None and (best is None or best.validation_score is None or score > best.validation_score):
            best = row
        waited = patience is not None and best is not None and row.epoch - best.epoch >= patience
        over = row.step == run.total_steps or waited or run.settings.is_fitted(row.train_score, row.train_loss)
    if finished != over and not (finished and history and run.settings.max_time is not None):
        raise facts.refused("finished", finished, str(over).lower())
    return None if best is None else best.epoch


def _network(held: Held, prefix: str, run: Run, step: int) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, like in run.network.items():
        most = LARGEST if like.isfinite().all() else math.inf  # masks are not
        found[name] = tensor = held.tensor(f"{prefix}{name}", tuple(like.shape), like.dtype, -most, most)
        if name in run.frozen and not torch.equal(tensor, like.cpu()):
            raise held.refused(f"{prefix}{name}", "other numbers", "those before training, since it is frozen")
        kind = name.rpartition(".")[2]
        if kind == "running_var" and (tensor < 0).any():
            raise held.refused(f"{prefix}{name}", tensor.min().item(), "variances")
        if kind == "num_batches_tracked" and name not in run.frozen:
            wanted = run.counted.get(name, 0) + step
            if not (tensor >= 0 if run.own else tensor == wanted):
                raise held.refused(f"{prefix}{name}", tensor.item(), wanted)
    return found


def _optimizer(held: Held, run: Run, step: int) -> dict[str, Tensor]:
    """Whole for every parameter, but for those that `idle` names: they were without a gradient at some step."""
    found: dict[str, Tensor] = {}
    idle: list[str] = []
    for name, quantities in run.optimizer.items():
        prefix = f"optimizer/{name}:"
        if quantities and not any(f"{prefix}{key}" in held for key in quantities):
            idle.append(name)
            continue
        own = held.like(prefix, quantities)
        if "step" in own and own["step"] != step:
            count = own["step"].item()
            if not (1 <= count < step and count == int(count)):
                raise held.refused(f"{prefix}step", count, step)
            idle.append(name)
        if "exp_avg_sq" in own and (own["exp_avg_sq"] < 0).any():
            raise held.refused(f"{prefix}exp_avg_sq", own["exp_avg_sq"].min().item(), "squares")
        found |= {f"{name}:{key}": tensor for key, tensor in own.items()}
    if step == 0 and found:
        raise held.refused(f"optimizer/{next(iter(found))}", "there", "nothing before the first step")
    held.facts.same("idle", idle if step else [])
    return found


def _under_way(held: Held, run: Run, number: int, steps: int) -> dict[str, Tensor]:
    """What was predicted for the rows that an epoch has visited."""
    if not steps:
        return {}
    count = min(steps * run.settings.step_rows(run.rows), run.rows)
    losses = held.tensor("epoch/losses", (count,), torch.float32, 0.0)
    if run.images:
        scores = held.tensor("epoch/scores", (count,), torch.float32, -LARGEST, math.inf)
        return {"losses": losses, "scores": scores}
    scores = held.tensor("epoch/scores", (count,), torch.uint8 if run.together else torch.bool)
    predicted = held.tensor("epoch/predicted", (count,), torch.int64, 0, run.classes - 1)
    wrong = (scores.view(torch.uint8) != (predicted == run.visited(number)[:count].cpu())).nonzero()
    if len(wrong):
        raise held.refused("epoch/scores", f"row {int(wrong[0])}", "whether its label was predicted")
    found = {"losses": losses, "scores": scores, "predicted": predicted}
    if run.apart:
        found["cross_entropies"] = held.tensor("epoch/cross_entropies", (count,), torch.float32, 0.0, math.inf)
    if run.watched is not None:
        found["margins"] = held.tensor("epoch/margins", (count,), torch.float32)
        found["chances"] = held.tensor("epoch/chances", (count,), torch.float32, 0.0, 1.0)
    if run.watched == number:
        found["errors"] = held.tensor("epoch/errors", (count,), torch.float32, 0.0, run.classes)
    return found


def _dynamics(held: Held, run: Run, history: list[Epoch]) -> dict[str, Tensor]:
    """The rows' figures after the epochs of a history, the last of which may have visited some of the rows."""
    epochs, size = len(history), (run.rows,)
    whole = epochs - (epochs > 0 and history[-1].step < epochs * run.steps_per_epoch)
    found = {"visits": held.tensor("dynamics/visits", size, torch.int32, whole, epochs)}
    found |= {name: held.tensor(f"dynamics/{name}", size, torch.int32, 0, epochs) for name in COUNTS[1:]}
    least = dict.fromkeys(SUMS, 0.0) | {"margin": -LARGEST}
    found |= {name: held.tensor(f"dynamics/{name}", size, torch.float64, least[name]) for name in SUMS}
    for name in ("right", "forgotten"):
        if (wrong := (found[name] > found["visits"]).nonzero()).numel():
            raise held.refused(f"dynamics/{name}", f"row {int(wrong[0])}", "no more than its visits")
    if (found["chance"] > 1).any():
        raise held.refused("dynamics/chance", found["chance"].max().item(), "probabilities")
    return found
