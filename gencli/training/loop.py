"""The training loop: the data set as tensors, no loader, the whole loop on one screen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import pyarrow as pa
import torch
from torch import nn
from torch.nn import functional

from gencli.errors import GencliError
from gencli.evaluation.classes import fractions
from gencli.evaluation.predictions import predict
from gencli.models.inputs import Rows
from gencli.randomness import derive
from gencli.training.settings import Settings


@dataclass
class Epoch:
    """One row of a training history.

    `train_*` and the three after the learning rate are means over the epoch's own steps, each row as it was visited;
    on the last row, and on all with `measure_train`, they are measured after the epoch in evaluation mode.

    Attributes:
        epoch: from 1.
        step: optimizer steps so far.
        seconds: that the epoch took in all.
        images_per_second: of the training pass alone.
        train_loss, train_accuracy: mean cross-entropy in nats; fraction right.
        test_loss, test_accuracy: of the evaluation data after the epoch; None without it.
        learning_rate: of the epoch.
        clean_accuracy: of the rows whose label was left as it was, the fraction predicted right.
        memorized, recovered: of the corrupted rows, the fractions predicted as labelled, and as they truly are.
    """

    epoch: int
    step: int
    seconds: float
    images_per_second: float
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    learning_rate: float
    clean_accuracy: float | None = None
    memorized: float | None = None
    recovered: float | None = None


def history_table(history: list[Epoch], corrupted: bool) -> pa.Table:
    """The history, one row an epoch; the last three columns on corrupted data only."""
    names = [field.name for field in fields(Epoch)]
    kinds = [pa.int64() if name in ("epoch", "step") else pa.float64() for name in names]
    kept = [(name, kind) for name, kind in zip(names, kinds, strict=True)][: None if corrupted else -3]
    return pa.Table.from_pylist([asdict(epoch) for epoch in history], pa.schema(kept))


def initialize(settings: Settings, build: Callable[[], nn.Module]) -> nn.Module:
    """Builds a network from the seed's own stream for initialization."""
    with torch.random.fork_rng():
        torch.manual_seed(derive(settings.seed, "initialization"))
        return build()


def fit(
    network: nn.Module,
    rows: Rows,
    settings: Settings,
    test: Rows | None = None,
    progress: Callable[[int, Epoch | None], None] = lambda step, epoch: None,
) -> list[Epoch]:
    """Fits a network to rows on the same device, by minibatch gradient descent on the mean cross-entropy.

    Args:
        network: changed in place; left in evaluation mode.
        progress: called after every step with the steps done, and after every epoch with its row as well.

    Raises:
        GencliError: the loss is no longer finite.
    """
    optimizer = torch.optim.SGD(
        network.parameters(), settings.lr, settings.momentum, weight_decay=settings.weight_decay, fused=True
    )
    order = torch.Generator().manual_seed(derive(settings.seed, "order"))
    predicted = torch.empty_like(rows.labels)
    history: list[Epoch] = []
    step = 0
    for number in range(1, settings.epochs + 1):
        start = time.perf_counter()
        rate = settings.lr * settings.lr_decay ** (number - 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        total_loss = torch.zeros((), device=rows.labels.device)
        shuffled = torch.randperm(len(rows), generator=order).to(rows.labels.device)
        for index in shuffled.split(settings.batch_size):
            logits = network(rows.network_input(index))
            loss = functional.cross_entropy(logits, rows.labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.detach() * len(index)
            predicted[index] = logits.detach().argmax(1)
            step += 1
            progress(step, None)
        train_loss = total_loss.item() / len(rows)
        passed = time.perf_counter() - start
        _require_finite(train_loss, number, step, history)
        network.eval()
        last = number == settings.epochs
        if last or settings.measure_train or settings.until_train_accuracy is not None:
            measured = predict(network, rows)
            train_loss, predicted = measured.mean_loss, measured.predicted
            _require_finite(train_loss, number, step, history)
        accuracy, clean, memorized, recovered = fractions(predicted, rows.labels, rows.labels_true)
        tested = predict(network, test) if test is not None else None
        history.append(
            Epoch(
                epoch=number,
                step=step,
                seconds=time.perf_counter() - start,
                images_per_second=len(rows) / passed,
                train_loss=train_loss,
                train_accuracy=accuracy,
                test_loss=tested.mean_loss if tested else None,
                test_accuracy=fractions(tested.predicted, test.labels, None)[0] if tested and test else None,
                learning_rate=rate,
                clean_accuracy=clean,
                memorized=memorized,
                recovered=recovered,
            )
        )
        progress(step, history[-1])
        if settings.until_train_accuracy is not None and accuracy >= settings.until_train_accuracy:
            break
    return history


def _require_finite(loss: float, epoch: int, step: int, history: list[Epoch]) -> None:
    if not math.isfinite(loss):
        last = f"; epoch {epoch - 1} had {history[-1].train_loss:.4g}" if history else ""
        raise GencliError(f"the loss became {loss} in epoch {epoch}, by step {step}{last}", "lower --lr")
