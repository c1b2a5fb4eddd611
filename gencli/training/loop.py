"""The training loop: the data set as tensors, no loader, the whole loop on one screen.

What is drawn at a step is a function of the seed and the step alone, so that a run can continue from any step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from gencli.errors import GencliError
from gencli.evaluation.classes import fractions
from gencli.evaluation.predictions import Objective, Predictions, predict
from gencli.files.held import Held
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.models import Model
from gencli.models.heads import last_layer
from gencli.models.inputs import Rows
from gencli.randomness import derive
from gencli.training import devices, distributed, optimizers, schedules, states
from gencli.training.averaging import Average
from gencli.training.batches import Batches, require_fitting
from gencli.training.distributed import Group
from gencli.training.settings import Settings
from gencli.training.states import Epoch

_PARTS = 64  # steps whose predictions are kept apart: small tensors that stay keep large ones from being reused


def no_decay(settings: Settings) -> list[str]:
    """The words of the setting."""
    return settings.no_decay.split(",") if settings.no_decay else []


class Training:
    """Fits a model to rows on its device by minibatch gradient descent on the mean loss.

    Attributes:
        model: changed in place.
        history: one row per epoch so far.
        total_steps: that the settings allow.
        best: the epoch with the best validation score, the first of equals; None without validation rows.
        first_loss: the mean loss of the first step's rows, None in the first epoch.
    """

    def __init__(
        self,
        model: Model,
        rows: Rows,
        settings: Settings,
        loss: Loss,
        validation: Rows | None = None,
        test: Rows | None = None,
        group: Group | None = None,
    ) -> None:
        self.group = group or Group()
        self.model, self._rows, self._settings, self._loss = model, rows, settings, loss
        self._validation, self._test = validation, test
        self._batches = Batches(rows, model, settings)
        device = rows.labels.device
        if settings.sync_batch_norm:
            distributed.synchronize(model.network, self.group)
        self._network = devices.compiled(model.network, device) if settings.compile else model.network
        self._optimizer = _optimizer(model, settings, loss)
        self._schedule = schedules.parse(settings.schedule, settings.warmup)
        self._average = None if settings.ema is None else Average(model.network, settings.ema)
        # torch.manual_seed is for all devices, and takes 0.1 ms
        self._reseed = torch.default_generator.manual_seed if device.type == "cpu" else torch.manual_seed
        counts = loss.counts(rows.labels.cpu(), len(model.classes))
        self._counts = None if counts is None else counts.to(rows.labels.device)
        model.class_rows = None if counts is None else tuple(counts.tolist())
        self._steps_per_epoch = -(-len(rows) // settings.batch_size)
        steps = settings.epochs * self._steps_per_epoch
        self.total_steps = min(steps, settings.max_steps or steps)
        self.step = 0
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.first_loss: float | None = None
        self._kept: dict[str, torch.Tensor] = {}
        self._parts: list[Predictions] = []  # of the epoch under way
        self._finished = False
        self._earlier = 0.0  # seconds that a run took before it was resumed
        require_fitting(len(rows), settings, model.network)

    def run(self, progress: Callable[[int, Epoch | None], None] = lambda step, epoch: None) -> None:
        """Trains to the end; leaves the model in evaluation mode.

        Args:
            progress: called after every step with the steps done, and after every epoch with its row as well. It may
                take the `state`, and an exception that it raises ends the run there.

        Raises:
            GencliError: the loss is no longer finite.
        """
        self._start = time.perf_counter() - self._earlier
        device = self._rows.labels.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            while not self._finished:
                self._epoch(progress)
                progress(self.step, self.history[-1])
        if self._kept:
            self.model.network.load_state_dict(self._kept)
        self.model.epoch = self.kept.epoch

    @property
    def kept(self) -> Epoch:
        """The epoch after which the model is kept: the last one, or with early stopping the best one."""
        return self.best if self._settings.early_stop is not None and self.best else self.history[-1]

    @property
    def most_common(self) -> tuple[float, int]:
        """The share of the training rows that have the most common label, and how many rows there are."""
        count = len(self._rows)
        return self._rows.labels.bincount().max().item() / count, count

    def history_table(self) -> pa.Table:
        """The history, one row per epoch, its scores named by what they are: accuracy or psnr.

        The validation's columns are there where rows were held out, the last three on corrupted data.
        """
        columns = {field.name: [getattr(epoch, field.name) for epoch in self.history] for field in fields(Epoch)}
        if self._validation is None:
            del columns["validation_loss"], columns["validation_score"]
        if self._rows.labels_true is None or self.model.task == "images":
            del columns["clean_accuracy"], columns["memorized"], columns["recovered"]
        score = "psnr" if self.model.task == "images" else "accuracy"
        kinds = {"epoch": pa.int64(), "step": pa.int64()}
        arrays = [pa.array(values, kinds.get(name, pa.float64())) for name, values in columns.items()]
        return pa.table(arrays, [name.replace("score", score) for name in columns])

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that a run of the same settings and data needs to continue from here: tensors, and what JSON can hold.

        Of several processes all take it, at the same step; the first one's is whole.
        """
        parts = Predictions.join(self._parts) if self._parts else None
        if parts is not None:
            self._add_up(parts)
        tensors = {
            "network": self.model.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": {} if self._average is None else self._average.state_dict(),
            "kept": self._kept,
            "epoch": {} if parts is None else parts.tensors(),
        }
        facts = {
            "step": self.step,
            "history": [asdict(epoch) for epoch in self.history],
            "best": None if self.best is None else self.best.epoch,
            "first_loss": self.first_loss,
            "idle": self._optimizer.idle(self.step),
            "finished": self._finished,
            "seconds": time.perf_counter() - self._start,
        }
        return {f"{part}/{name}": value for part, named in tensors.items() for name, value in named.items()}, facts

    def load_state(self, held: Held) -> None:
        """Takes the state that a run of the same settings and data had.

        Raises:
            GencliError: it is none; see `states`.
        """
        state, device = states.read(held, self._run()), self._rows.labels.device

        def here(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {name: tensor.to(device) for name, tensor in tensors.items()}

        self.model.network.load_state_dict(state.network)
        self._optimizer.load_state_dict(here(state.optimizer))
        if self._average is not None:
            self._average.load_state_dict(here(state.average))
        self._kept, seen = here(state.kept), here(state.epoch)
        if self.group.rank > 0:  # the first process brings what all have seen in the epoch
            seen = {name: torch.zeros_like(column) for name, column in seen.items()}
        self._parts = [Predictions(**seen)] if seen else []
        self.step, self._finished, self._earlier = state.step, state.finished, state.seconds
        self.first_loss, self.history = state.first_loss, state.history
        self.best = None if state.best is None else self.history[state.best - 1]

    def _run(self) -> states.Run:
        return states.Run(
            self._settings,
            rows=len(self._rows),
            classes=len(self.model.classes),
            images=self.model.task == "images",
            corrupted=self._rows.labels_true is not None,
            validation=self._validation is not None,
            test=self._test is not None,
            steps_per_epoch=self._steps_per_epoch,
            total_steps=self.total_steps,
            rate=self._rate,
            network=self.model.network.state_dict(),
            optimizer=self._optimizer.state_like(),
            average={} if self._average is None else self._average.state_dict(),
            visited=lambda epoch: self._rows.labels[self._batches.order(epoch)],
            together=self.group.size > 1,
            own=":" in self._settings.arch,
        )

    def _epoch(self, progress: Callable[[int, Epoch | None], None]) -> None:
        start, number, settings = time.perf_counter(), len(self.history) + 1, self._settings
        order = self._batches.order(number)
        before = self.step - (self.history[-1].step if self.history else 0)  # where a resumed run continues
        self._pass(order.split(settings.batch_size)[before:], number, progress)
        passed = time.perf_counter() - start
        train = Predictions.join(self._parts)
        self._add_up(train)
        self.group.share(list(self.model.network.buffers()))  # batch norm's are of each process's own rows
        self._require_finite(train.losses)
        if self.first_loss is None:
            self.first_loss = double(train.losses[: settings.batch_size]).mean().item()
        visited = order[: len(train.losses)]
        self.model.network.eval()
        speed = len(visited[before * settings.batch_size :]) / passed
        row = Epoch(number, self.step, 0.0, speed, 0.0, 0.0, learning_rate=self._rate(self.step - 1))
        with nullcontext() if self._average is None else self._average.swap():
            self.group.share(list(self.model.network.buffers()))  # the average's
            self._measure_others(row)
            better = self._is_best(row)
            last = self._halted() or self._is_patience_over(row)
            if last or settings.measure_train or settings.until_train_accuracy is not None:
                train = self._measure(self._rows, number)
                self._require_finite(train.losses, after=True)
                visited = slice(None)
            self._fill(row, train, visited)
            enough = math.inf if settings.until_train_accuracy is None else settings.until_train_accuracy
            last = last or row.train_score >= enough
            if better if settings.early_stop is not None else last and self._average is not None:
                self._kept = {name: value.clone() for name, value in self.model.network.state_dict().items()}
        row.seconds = time.perf_counter() - start
        self.history.append(row)
        self._parts, self._finished = [], last

    def _pass(
        self, batches: Sequence[torch.Tensor], number: int, progress: Callable[[int, Epoch | None], None]
    ) -> None:
        """The steps of epoch `number` on what is left of its batches."""
        objective = self._loss.at(self._counts, number)
        weights = self._loss.row_weights(self._counts, number)
        self.model.network.train()
        for index in batches:
            if self._parts and self._halted():
                break
            self._parts.append(self._step(index, objective, weights))
            if len(self._parts) == _PARTS:
                self._parts = [Predictions.join(self._parts)]
            progress(self.step, None)

    def _step(self, index: torch.Tensor, objective: Objective, weights: torch.Tensor | None) -> Predictions:
        settings, network = self._settings, self.model.network
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate(self.step)
        images, wanted, here = self._batches.at(index, self.step)
        self._reseed(derive(settings.seed, "dropout", self.step, self.group.rank))
        self._optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, settings.precision == "bf16"):
            outputs = self._outputs(images)
        outputs = outputs.float()
        losses = objective(outputs, wanted)
        if weights is not None:  # of the whole batch, whichever of its rows are here
            losses = losses * (len(index) / weights[self._rows.labels[index]].sum())
        (losses.sum() / len(index)).backward()
        self.group.add([tensor.grad for tensor in network.parameters() if tensor.grad is not None])
        if settings.grad_clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), settings.grad_clip)
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        self.step += 1
        return _spread(Predictions.of(outputs.detach(), wanted, losses.detach()), here)

    def _outputs(self, images: torch.Tensor) -> torch.Tensor:
        try:
            return self._network(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise GencliError(
                f"--batch-size: at step {self.step + 1} the batch has only {len(images)} row, too few for batch norm",
                "use another size, or --sync-batch-norm",
            ) from None

    def _measure_others(self, row: Epoch) -> None:
        """Fills in what is measured on rows that are not trained on."""
        for name, rows in (("validation", self._validation), ("test", self._test)):
            if rows is not None:
                measured = self._measure(rows, row.epoch)
                for figure, value in (("loss", measured.mean_loss), ("score", measured.score)):
                    setattr(row, f"{name}_{figure}", value if math.isfinite(value) else None)

    def _measure(self, rows: Rows, epoch: int) -> Predictions:
        """Of all rows, each by the process that holds it."""
        objective = self._loss.over(self._counts, epoch, rows.labels)
        held, numbers = rows.held()
        parts = (predict(self.model, part, objective, self._settings.precision) for part in held.parts())
        measured = Predictions.join([replace(part, logits=None) for part in parts])
        if self.group.size > 1:
            here = torch.zeros(len(rows), dtype=torch.bool, device=rows.labels.device)
            here[numbers] = True
            measured = _spread(measured, here)
            self._add_up(measured)
        return measured

    def _add_up(self, predictions: Predictions) -> None:
        """Puts those of all processes together, each of which has zeros for the others' rows."""
        for column in predictions.tensors().values() if self.group.size > 1 else ():
            self.group.add([column])

    def _rate(self, step: int) -> float:
        factor = self._schedule.factor(step, self._steps_per_epoch, self.total_steps)
        return self._settings.learning_rate * factor

    def _halted(self) -> bool:
        limit = self._settings.max_time
        if limit is None or self.step == self.total_steps:
            return self.step == self.total_steps
        (over,) = self.group.most(time.perf_counter() - self._start >= 60 * limit)  # clocks differ
        return bool(over)

    def _is_best(self, row: Epoch) -> bool:
        best = self.best and self.best.validation_score
        if row.validation_score is None or (best is not None and row.validation_score <= best):
            return False
        self.best = row
        return True

    def _is_patience_over(self, row: Epoch) -> bool:
        patience = self._settings.early_stop
        return patience is not None and self.best is not None and row.epoch - self.best.epoch >= patience

    def _fill(self, row: Epoch, train: Predictions, visited: torch.Tensor | slice) -> None:
        row.train_loss, row.train_score = train.mean_loss, train.score
        if train.predicted is not None:
            true = self._rows.labels_true
            labels, true = self._rows.labels[visited], None if true is None else true[visited]
            _, row.clean_accuracy, row.memorized, row.recovered = fractions(train.predicted, labels, true)

    def _require_finite(self, losses: torch.Tensor, after: bool = False) -> None:
        """Of an epoch's steps, or of the rows `after` its last step."""
        wrong = (~losses.isfinite()).nonzero()
        if not len(wrong):
            return
        size, first, number = self._settings.batch_size, int(wrong[0]), len(self.history) + 1
        step = self.step if after else (number - 1) * self._steps_per_epoch + first // size + 1
        finite = losses[: first - first % size].split(size)[-1] if not after and first >= size else None
        last = "" if finite is None else f"; that of the step before was {double(finite).mean().item():.4g}"
        raise GencliError(
            f"the loss became {losses[first].item()} {'after' if after else 'at'} step {step}, in epoch {number}{last}",
            "lower --lr, or clip with --grad-clip",
        )


def _spread(predictions: Predictions, here: torch.Tensor | None) -> Predictions:
    """Predictions of the rows `here` [n], a mask, as those of all n, with zeros for the others; bool becomes uint8."""
    if here is None:
        return predictions

    def spread(column: torch.Tensor) -> torch.Tensor:
        kind = torch.uint8 if column.dtype == torch.bool else column.dtype
        whole = torch.zeros(len(here), dtype=kind, device=column.device)
        whole[here] = column.to(kind)
        return whole

    return Predictions(**{name: spread(column) for name, column in predictions.tensors().items()})


def _optimizer(model: Model, settings: Settings, loss: Loss) -> optimizers.Optimizer:
    return optimizers.build(
        settings.optimizer,
        model.network,
        settings.learning_rate,
        settings.momentum,
        settings.nesterov,
        settings.weight_decay,
        no_decay(settings),
        exempt=_head_bias(model) if loss.head == "sigmoid" else (),
    )


def _head_bias(model: Model) -> list[nn.Parameter]:
    """The last layer's bias, which a sigmoid loss exempts from weight decay (Cui et al. 2019)."""
    found = last_layer(model.network, len(model.classes))
    return [] if found is None or found[1].bias is None else [found[1].bias]
