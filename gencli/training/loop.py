"""The training loop: the data set as tensors, no loader, the whole loop on one screen.

One network or several of one architecture go through it together; what each of them is, and has come to, is a
`Training`, the gradient steps are in `steps`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from itertools import chain
from typing import Any

import torch

from gencli.evaluation.classes import fractions
from gencli.evaluation.predictions import Predictions
from gencli.files.held import Held
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.models import Model
from gencli.models.inputs import Rows
from gencli.models.start import chosen, freeze
from gencli.ranks import Group
from gencli.training import states
from gencli.training.batches import require_exact, require_fitting, say_fitting
from gencli.training.course import Course
from gencli.training.dynamics import Dynamics
from gencli.training.geometry import Geometry
from gencli.training.seen import NotFiniteError, mean_cross_entropy, measured, require_finite
from gencli.training.settings import Settings
from gencli.training.states import Epoch
from gencli.training.steps import Job, Progress, Steps


class Training(Course):
    """Fits a model, which it changes in place, to rows on its device by minibatch gradient descent on the mean loss."""

    def __init__(
        self,
        model: Model,
        rows: Rows,
        settings: Settings,
        loss: Loss,
        validation: Rows | None = None,
        test: Rows | None = None,
        group: Group | None = None,
        watched: int | None = None,
    ) -> None:
        """The run before its first step; `watched` is the epoch whose errors its dynamics take, None for none."""
        super().__init__(model, settings, rows.labels, rows.labels_true is not None, validation is not None)
        self.group = group or Group()
        self._rows, self._loss, self._validation, self._test = rows, loss, validation, test
        counts = loss.counts(rows.labels.cpu(), len(model.classes))
        self._counts = None if counts is None else counts.to(rows.labels.device)
        model.class_rows = None if counts is None else tuple(counts.tolist())
        self.dynamics = None if watched is None else Dynamics(rows, watched)
        counters = [
            (name, each) for name, each in model.network.named_buffers() if name.endswith("num_batches_tracked")
        ]
        self._counted = {name: int(each) for name, each in counters} if model.start is not None else {}
        frozen, classes = settings.freeze, len(model.classes)
        self._frozen = [] if frozen is None else freeze(model.network, frozen, classes)  # until the end
        self.job = Job(model, rows, settings, loss, self._counts, watched)
        self.steps, self._number = Steps([self.job], self.group), 0  # where it is one of several, which one
        self._kept: dict[str, torch.Tensor] = {}
        self.resumable = False  # whether a checkpoint of its end is to hold what more epochs need
        self.to_save: Collection[int] = ()  # epochs after which the network is kept in `saved`
        self.saved: dict[str, torch.Tensor] = {}
        self._means: Epoch | None = None  # the last row as it would be if epochs followed
        self._onward: tuple[dict[str, torch.Tensor], dict[str, Any]] | None = None
        self.limit = None if settings.max_time is None else 60 * settings.max_time  # seconds
        self._start = time.perf_counter()
        require_fitting(len(rows), settings, model.network)
        require_exact(len(rows), settings, model.network, self.group.size)
        self.geometry = None if settings.track is None else Geometry(model, rows, loss, settings)

    def run(self, progress: Callable[[int, Epoch | None], None] = lambda step, epoch: None) -> None:
        """Trains to the end; leaves the model in evaluation mode.

        Args:
            progress: called after every step with the steps done, and after every epoch with its row as well. It may
                take the `state`, and an exception that it raises ends the run there.

        Raises:
            GencliError: the loss is no longer finite.
        """
        say_fitting(len(self._rows), self.settings)
        together([self], lambda step, epochs: progress(step, epochs[0] if epochs else None))

    @property
    def step(self) -> int:
        """How many steps are done."""
        return super().step if self.finished else self.steps.done

    @property
    def total_steps(self) -> int:
        """That the settings allow."""
        return self.steps.last_step

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """All that a run of the same settings and data needs to continue from here: tensors, and what JSON can hold.

        Of several processes all take it, at the same step; the first one's is whole.
        """
        if not self.finished:
            self.seconds = time.perf_counter() - self._start
        tensors, facts = super().state()
        if self.finished and self._onward is not None:
            tensors |= {f"onward/{name}": tensor for name, tensor in self._onward[0].items()}
            return tensors, facts | {"onward": self._onward[1]}
        if self.finished:
            return tensors, facts
        now = self.steps.progress(self._number)
        parts = {"optimizer": now.optimizer, "average": now.average, "epoch": now.seen}
        parts["kept"] = {} if self.settings.early_stop is None else self._kept
        parts["tracked"] = {} if self.geometry is None else {"vector": self.geometry.vector}
        tensors |= {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
        return tensors, facts | {"idle": self.steps.optimizer.idle(self.step)}

    def load_state(self, held: Held) -> None:
        """Takes the state that a run of the same settings and data had.

        Raises:
            GencliError: it is none; see `states`.
        """
        onward = held.apart("onward")
        held = onward if onward is not None and held.before is not None else held
        state, device = states.read(held, self._run()), self._rows.labels.device
        self.model.network.load_state_dict(state.network)
        if not state.finished:
            self.steps.resume([Progress(state.step, state.optimizer, state.average, state.epoch)])
        self._kept = {name: tensor.to(device) for name, tensor in state.kept.items()}
        self.finished, self.seconds = state.finished, state.seconds
        self.first_loss, self.history = state.first_loss, state.history
        self.best = None if state.best is None else self.history[state.best - 1]
        if self.dynamics is not None:
            self.dynamics.load(state.dynamics)
        if self.geometry is not None and state.tracked is not None:
            self.geometry.vector = state.tracked
        if self.finished:
            self._thaw()
            self.model.epoch = self.kept.epoch
            self.model.network.eval()

    def _run(self) -> states.Run:
        batches = self.steps.batches
        return states.Run(
            self.settings,
            rows=len(self._rows),
            classes=len(self.model.classes),
            images=self.model.task == "images",
            probabilities=self._loss.task == "classes" and self._loss.head != "sigmoid",
            apart=self.job.apart,
            corrupted=self._rows.labels_true is not None,
            validation=self._validation is not None,
            test=self._test is not None,
            steps_per_epoch=self.steps.steps_per_epoch,
            total_steps=self.total_steps,
            rate=self.steps.rate,
            network=self.model.network.state_dict(),
            optimizer=self.steps.optimizer.state_like(),
            average=self.steps.average,
            visited=lambda epoch: self._rows.labels[batches.order(epoch)],
            together=self.group.size > 1,
            own=":" in self.settings.arch,
            counted=self._counted,
            frozen=self._stays(),
            watched=self.job.watched,
            tracked=None if self.geometry is None else self.geometry.vector,
        )

    def _stays(self) -> set[str]:
        """The names of the tensors that training leaves as they are."""
        names, network = self.settings.freeze, self.model.network
        if names is None:
            return set()
        return chosen("--freeze", names, [*network.state_dict()], network, len(self.model.classes))

    def join(self, steps: Steps, number: int) -> None:
        """Goes on as one of several networks."""
        self.steps, self._number = steps, number

    def progress(self) -> Progress:
        """What the steps so far leave behind, besides the model."""
        return self.steps.progress(self._number)

    def start(self) -> None:
        """The time runs, from what it took before it was resumed."""
        if self.geometry is not None:
            self.geometry.prepare()
        self._start = time.perf_counter() - self.seconds

    def halted(self) -> bool:
        """Whether the steps or the time are used up."""
        if self.limit is None or self.step == self.total_steps:
            return self.step == self.total_steps
        (over,) = self.group.most(time.perf_counter() - self._start >= self.limit)  # clocks differ
        return bool(over)

    def measure(self, row: Epoch, train: Predictions, visited: torch.Tensor, halted: bool) -> bool:
        """Completes the row of an epoch; returns whether it is the last one.

        Args:
            train: what was predicted on the way for the rows `visited`.
            halted: whether the steps or the time are used up.

        Raises:
            NotFiniteError: a loss.
        """
        settings, number = self.settings, row.epoch
        self._require_finite(train.losses)
        if self.dynamics is not None:
            self.dynamics.update(number, visited, train)
        if self.first_loss is None:
            self.first_loss = double(train.losses[: settings.step_rows(len(self._rows))]).mean().item()
        self._measure_others(row)
        for name, value in ({} if self.geometry is None else self.geometry.measure(number)).items():
            setattr(row, name, value)
        if number in self.to_save:
            self.saved = {name: tensor.clone() for name, tensor in self.model.network.state_dict().items()}
        better = self._is_best(row)
        last = halted or self._is_patience_over(row)
        index: torch.Tensor | slice = visited
        always = settings.measure_train or (settings.until_train_accuracy, settings.until_train_loss) != (None, None)
        if last and self.resumable and not always:
            self._fill(row, train, visited)
            self._means = replace(row)
        if last or always:
            train = self._measure(self._rows, number)
            self._require_finite(train.losses, after=True)
            index = slice(None)
        self._fill(row, train, index)
        last = last or settings.is_fitted(row.train_score, row.train_loss)
        if better if settings.early_stop is not None else last and settings.ema is not None:
            self._kept = {name: value.clone() for name, value in self.model.network.state_dict().items()}
        return last

    def close(self, row: Epoch, last: bool) -> None:
        """Ends an epoch, and the run where it was the `last`; the model is then its own, no part of several."""
        if last and self.resumable and self._may_go_on(row):
            self.history.append(replace(self._means or row, seconds=row.seconds))
            tensors, facts = self.state()
            self._onward = {name: tensor.clone() for name, tensor in tensors.items()}, facts
            self.history.pop()
        self.history.append(row)
        if not last:
            return
        self.finished, network = True, self.model.network
        if self._kept:
            network.load_state_dict(self._kept)
            self._kept = {}
        for tensor in chain(network.parameters(), network.buffers()) if len(self.steps.jobs) > 1 else ():
            tensor.data = tensor.data.clone()
        self._thaw()
        self.model.epoch = self.kept.epoch
        self.seconds = time.perf_counter() - self._start

    def save(self) -> Model:
        """The model as it was after the last epoch of `to_save`, which is forgotten."""
        network = copy.deepcopy(self.model.network)
        for own, frozen in zip(network.parameters(), self.model.network.parameters()):
            own.requires_grad = frozen.requires_grad or any(frozen is each for each in self._frozen)
        network.load_state_dict(self.saved)
        self.saved = {}
        return replace(self.model, network=network, epoch=self.history[-1].epoch)

    def fail(self, why: str) -> None:
        """Ends the run, one of several, without a model: its tensors are not numbers."""
        self.failed = self.model.failed = why
        self.finished, self._kept = True, {}
        for tensor in chain(self.model.network.parameters(), self.model.network.buffers()):
            tensor.data = torch.full_like(tensor.data, torch.nan if tensor.is_floating_point() else 0)
        self._thaw()

    def _thaw(self) -> None:
        """Its parameters are parameters again, which the model's file counts."""
        for parameter in self._frozen:
            parameter.requires_grad = True

    def result(self) -> Course:
        """What it has come to, without what it needs to go on."""
        return Course(**{field.name: getattr(self, field.name) for field in fields(Course)})

    def _measure_others(self, row: Epoch) -> None:
        """Fills in what is measured on rows that are not trained on."""
        for name, rows in (("validation", self._validation), ("test", self._test)):
            if rows is not None:
                found = self._measure(rows, row.epoch)
                for figure, value in (("loss", found.mean_loss), ("score", found.score)):
                    setattr(row, f"{name}_{figure}", value if math.isfinite(value) else None)
                setattr(row, f"{name}_cross_entropy", mean_cross_entropy(found, self._loss))

    def _measure(self, rows: Rows, epoch: int) -> Predictions:
        objective = self._loss.over(self._counts, epoch, rows.labels)
        return measured(self.model, rows, objective, self.settings.precision, self.job.apart, self.group)

    def _is_best(self, row: Epoch) -> bool:
        best = self.best and self.best.validation_score
        if row.validation_score is None or (best is not None and row.validation_score <= best):
            return False
        self.best = row
        return True

    def _is_patience_over(self, row: Epoch) -> bool:
        patience = self.settings.early_stop
        return patience is not None and self.best is not None and row.epoch - self.best.epoch >= patience

    def _may_go_on(self, row: Epoch) -> bool:
        """Whether more epochs would follow the last one, if there were more."""
        settings = self.settings
        over = self._is_patience_over(row) or settings.is_fitted(row.train_score, row.train_loss)
        most = settings.epochs * self.steps.steps_per_epoch
        return not over and row.step == most and (settings.max_steps is None or settings.max_steps > most)

    def _fill(self, row: Epoch, train: Predictions, visited: torch.Tensor | slice) -> None:
        row.train_loss, row.train_score = train.mean_loss, train.score
        row.train_cross_entropy = mean_cross_entropy(train, self._loss)
        if train.predicted is not None:
            true = self._rows.labels_true
            labels, true = self._rows.labels[visited], None if true is None else true[visited]
            _, row.clean_accuracy, row.memorized, row.recovered = fractions(train.predicted, labels, true)

    def _require_finite(self, losses: torch.Tensor, after: bool = False) -> None:
        """Of an epoch's steps, or of the rows `after` its last step."""
        done, size = len(self.history), self.settings.step_rows(len(self._rows))
        require_finite(losses, size, done + 1, done * self.steps.steps_per_epoch, self.step if after else None)


def together(runs: Sequence[Training], progress: Callable[[int, list[Epoch]], None], lenient: bool = False) -> None:
    """Trains networks to their ends, several in one batched computation; one that has come to its end stands still.

    Args:
        runs: as far as each other, see `Steps`.
        progress: called after every step with the steps done and nothing, and after every epoch with its rows.
        lenient: whether one whose loss is not finite fails by itself, and the others go on.

    Raises:
        NotFiniteError: a loss, where not lenient.
    """
    device = runs[0].job.rows.labels.device
    for run in runs:
        run.start()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        while active := [run for run in runs if not run.finished]:
            if len(active[0].steps.jobs) != len(active):
                before = [run.progress() for run in active]
                steps = Steps([run.job for run in active], active[0].group)
                steps.resume(before)
                for number, run in enumerate(active):
                    run.join(steps, number)
            steps = active[0].steps
            rows = _epoch(active, steps, progress, lenient)
            progress(steps.done, rows)


def _epoch(
    runs: Sequence[Training], steps: Steps, progress: Callable[[int, list[Epoch]], None], lenient: bool
) -> list[Epoch]:
    start, first = time.perf_counter(), runs[0]
    number = len(first.history) + 1
    order = steps.begin(number)
    size = first.job.settings.step_rows(order.shape[-1])
    before = steps.done - (first.history[-1].step if first.history else 0)  # where a resumed run continues
    for index in order.split(size, -1)[before:]:
        if steps.started and first.halted():
            break
        steps.step(index)
        progress(steps.done, [])
    passed = time.perf_counter() - start
    ended: list[tuple[Training, Epoch, bool]] = []
    failed: list[tuple[Training, str]] = []
    parts = zip(runs, steps.end(), order.view(len(runs), -1), strict=True)
    halted = first.halted()  # once for all, whose clocks differ
    with steps.averaged():
        for place, (run, train, ordered) in enumerate(parts):
            visited = ordered[: len(train.losses)]
            speed = len(visited[before * size :]) / passed
            rate = steps.rate(steps.done - 1, place)
            row = Epoch(number, steps.done, 0.0, speed, 0.0, None, 0.0, learning_rate=rate)
            try:
                ended.append((run, row, run.measure(row, train, visited, halted)))
            except NotFiniteError as error:
                if not lenient:
                    raise
                failed.append((run, error.message))
    for run, row, last in ended:
        row.seconds = time.perf_counter() - start
        run.close(row, last)
    for run, why in failed:
        run.fail(why)
    return [row for _, row, _ in ended]
