"""The gradient steps of a network, or of several of one architecture in one batched computation.

What is drawn at a step is a function of the seed and the step alone, so that a run can continue from any step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from gencli.errors import GencliError
from gencli.evaluation.predictions import Objective, Predictions, cross_entropy
from gencli.losses import Loss
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, stacking, start
from gencli.models.heads import last_layer
from gencli.models.inputs import Rows
from gencli.randomness import derive
from gencli.ranks import Group
from gencli.training import devices, distributed, dynamics, mixing, optimizers, sam, schedules
from gencli.training.averaging import Average
from gencli.training.batches import Batches
from gencli.training.seen import spread
from gencli.training.settings import Settings

_PARTS = 64  # steps whose predictions are kept apart: small tensors that stay keep large ones from being reused


@dataclass(frozen=True)
class Job:
    """A network, and what it learns from.

    Attributes:
        counts: what `loss.counts` says of the rows, on their device.
        watched: the epoch whose errors the dynamics take; None where there are none.
    """

    model: Model
    rows: Rows
    settings: Settings
    loss: Loss
    counts: Tensor | None
    watched: int | None = None

    @property
    def hyperparameters(self) -> tuple[float | None, ...]:
        """What optimizers of one kind can differ in."""
        return self.settings.learning_rate, self.settings.momentum, self.settings.weight_decay

    @property
    def apart(self) -> bool:
        """Whether its rows have cross-entropies that are not their losses in a step."""
        same = self.loss == CrossEntropy() and self.settings.mix is None
        return self.loss.task == "classes" and self.loss.head != "sigmoid" and not same

    @property
    def objective(self) -> tuple[Loss, list[int] | None]:
        """What the function of a row's loss depends on."""
        return self.loss, None if self.counts is None else self.counts.tolist()


@dataclass(frozen=True)
class Progress:
    """What steps leave behind of a network besides its tensors, by name, to continue from.

    Attributes:
        optimizer: see `optimizers.Optimizer.state_dict`.
        average: see `averaging.Average.state_dict`; empty without.
        seen: the columns of what was predicted in the epoch under way; empty at its start.
    """

    step: int
    optimizer: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    seen: Mapping[str, Tensor]


class Steps:
    """Steps of several networks at once, each on its own batch; or of one, which need not be one that can be stacked.

    Attributes:
        jobs: with as many rows each, and the same settings but for seeds and numbers.
        done: how many steps.
        steps_per_epoch, total_steps: that the settings allow, as schedules count them.
        last_step: after which they end.
        batches: of all networks.
    """

    def __init__(self, jobs: Sequence[Job], group: Group) -> None:
        self.jobs, self.group, first = jobs, group, jobs[0]
        settings, model, device = first.settings, first.model, first.rows.labels.device
        self._settings, self._several = settings, len(jobs) > 1
        self._apart, self._watched = any(job.apart for job in jobs), first.watched is not None
        if settings.sync_batch_norm:
            distributed.synchronize(model.network, group)
        self._stack = stacking.Stack([job.model.network for job in jobs]) if self._several else None
        self._network = self._stack.network if self._stack else model.network
        self._still = [] if settings.freeze is None else start.still(self._network, settings.freeze, len(model.classes))
        self._call = devices.compiled(self._network, device) if settings.compile else self._network
        self._parameters = [each for each in self._network.parameters() if each.requires_grad]
        self._optimizers = [*self._build()]
        self._schedule = schedules.parse(settings.schedule, settings.warmup)
        self._average = None if settings.ema is None else Average(self._network, settings.ema)
        others = [(job.rows, job.settings) for job in jobs[1:]]
        self.batches = Batches(first.rows, model, settings, others, group.size > 1)
        self._reseed = _reseeding(device)
        self._mixing = mixing.parse(settings.mix, first.loss)
        self.steps_per_epoch = -(-len(first.rows) // settings.step_rows(len(first.rows)))
        steps = settings.epochs * self.steps_per_epoch
        self.total_steps = min(steps, settings.max_steps or steps)
        self.last_step = min(self.total_steps, settings.last_epoch * self.steps_per_epoch)
        self.done = 0
        self._parts: list[Predictions] = []  # of the epoch under way
        self._losses: list[tuple[slice, Objective, Tensor | None]] = []
        self._epoch, self._order = 0, torch.empty(0)

    def _build(self) -> Iterator[tuple[slice, list[nn.Parameter], optimizers.Optimizer]]:
        """An optimizer for all networks of the same numbers, with the parameters that it changes."""
        spans = [*_spans(self.jobs, lambda job: job.hyperparameters)]
        for span in spans:
            job = self.jobs[span.start]
            network = self._stack.part(span) if self._stack and len(spans) > 1 else self._network
            settings = job.settings
            found = last_layer(network, len(job.model.classes)) if job.loss.head == "sigmoid" else None
            optimizer = optimizers.build(
                settings.optimizer,
                network,
                settings.learning_rate,
                settings.momentum,
                settings.nesterov,
                settings.weight_decay,
                settings.undecayed,
                # a sigmoid loss exempts the last layer's bias from weight decay (Cui et al. 2019)
                exempt=[] if found is None or found[1].bias is None else [found[1].bias],
                rho=settings.rho,
            )
            yield span, [each for each in network.parameters() if each.requires_grad], optimizer

    @property
    def started(self) -> bool:
        """Whether an epoch is under way."""
        return bool(self._parts)

    def rate(self, step: int, number: int = 0) -> float:
        """A network's learning rate at a step, from 0."""
        factor = self._schedule.factor(step, self.steps_per_epoch, self.total_steps)
        return self.jobs[number].settings.learning_rate * factor

    def begin(self, epoch: int) -> Tensor:
        """Sets an epoch up, from 1: the order of each network's rows, [n] int64, of several [networks, n]."""
        self._losses = []
        for span in _spans(self.jobs, lambda job: job.objective):
            job = self.jobs[span.start]
            self._losses.append((span, job.loss.at(job.counts, epoch), job.loss.row_weights(job.counts, epoch)))
        self._network.train()
        for layer in self._still:
            layer.training = False
        orders = [self.batches.order(epoch, number) for number in range(len(self.jobs))]
        self._epoch, self._order = epoch, torch.stack(orders) if self._several else orders[0]
        return self._order

    def step(self, index: Tensor) -> None:
        """Changes the networks by the gradients of the rows `index` [m], of several [networks, m]."""
        settings = self._settings
        gradients = self._differentiate(index)
        if settings.rho is not None:
            moved = [each for each in self._parameters if each.grad is not None]
            radii = [job.settings.rho or 0.0 for job in self.jobs]
            with sam.ascended(self._network, moved, gradients, radii):
                gradients = self._differentiate(index, again=True)
        if settings.grad_clip is not None and self._several:
            stacking.clip(gradients, settings.grad_clip)
        elif settings.grad_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, settings.grad_clip)
        self._update()
        if self._average is not None:
            self._average.update()
        self.done += 1

    def _differentiate(self, index: Tensor, again: bool = False) -> list[Tensor]:
        """The gradients of the mean loss over the rows `index`, summed over batches and processes, where there are any.

        Args:
            again: whether it is at other parameters, so that what is predicted does not count.
        """
        settings, size = self._settings, index.shape[-1]
        for parameter in self._parameters:
            parameter.grad = None
        if self._stack:
            self._stack.seed(lambda number: derive(self.jobs[number].settings.seed, "dropout", self.done, 0))
        else:
            self._reseed(derive(settings.seed, "dropout", self.done, self.group.rank))
        for part in index.split(settings.batch_size, -1):  # of a full batch there are several
            images, wanted, here = self.batches.at(part, self.done)
            partners = shares = None
            if self._mixing is not None:
                seeds = [job.settings.seed for job in self.jobs]
                images, partners, shares = mixing.mixed(self._mixing, images, seeds, self.done)
            with torch.autocast(images.device.type, torch.bfloat16, settings.precision == "bf16"):
                outputs = self._outputs(images)
            outputs = outputs.float()
            losses = self._of_rows(outputs, wanted, index)
            if partners is not None and shares is not None:
                losses = shares * losses + (1 - shares) * self._of_rows(outputs, wanted[partners], index)
            (losses.sum() / size).backward()
            if not again:
                self._keep(outputs.detach(), wanted, losses.detach(), here)
        gradients = [each.grad for each in self._parameters if each.grad is not None]
        self.group.add(gradients)
        return gradients

    def _keep(self, outputs: Tensor, wanted: Tensor, losses: Tensor, here: Tensor | None) -> None:
        """Keeps what is predicted for a batch."""
        found = Predictions.of(outputs, wanted, losses)
        if self._apart and here is not None:  # of a part of the rows, which are dealt out at once
            found.cross_entropies = cross_entropy(outputs, wanted)
        found = spread(found, here)
        if here is None and (self._apart or self._watched):  # what is made of them is made of many steps' at once
            found.logits = outputs
        self._parts.append(found.unflatten(len(self.jobs)) if self._several else found)
        if len(self._parts) == _PARTS:
            self._join()

    def _join(self) -> None:
        """Makes one of the parts, with figures in place of logits."""
        old = [part for part in self._parts if part.logits is None]
        if new := [part for part in self._parts if part.logits is not None]:
            start, part = sum(each.losses.shape[-1] for each in old), Predictions.join(new)
            labels = self.batches.labels(self._order[..., start : start + part.losses.shape[-1]])
            if self._apart and part.logits is not None:
                part.cross_entropies = cross_entropy(part.logits.flatten(0, -2), labels.flatten()).view(labels.shape)
            if self._watched:
                sigmoid = self.jobs[0].loss.head == "sigmoid"
                part = dynamics.reduced(part, labels, sigmoid, self._epoch == self.jobs[0].watched)
            part.logits = None
            old.append(part)
        self._parts = [Predictions.join(old)]

    def _update(self) -> None:
        for span, parameters, optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rate(self.done, span.start)
            if len(self._optimizers) > 1:
                for part, whole in zip(parameters, self._parameters, strict=True):
                    part.grad = None if whole.grad is None else whole.grad[span]
            optimizer.step()

    def _of_rows(self, outputs: Tensor, wanted: Tensor, index: Tensor) -> Tensor:
        """[rows] losses of a batch of each network's, of the rows `index` of its step."""
        size, parts = len(outputs) // len(self.jobs), []
        for span, objective, weights in self._losses:
            rows = slice(span.start * size, span.stop * size)
            losses = objective(outputs[rows], wanted[rows])
            if weights is not None:  # of the whole step, whichever of its rows are here
                totals = weights[self.batches.labels(index)].view(len(self.jobs), -1)[span].sum(1, keepdim=True)
                losses = (losses.view(len(totals), -1) * (index.shape[-1] / totals)).flatten()
            parts.append(losses)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _outputs(self, images: Tensor) -> Tensor:
        try:
            return self._call(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise GencliError(
                f"--batch-size: at step {self.done + 1} the batch has only {len(images) // len(self.jobs)} row, "
                "too few for batch norm",
                "use another size, or --sync-batch-norm",
            ) from None

    def end(self) -> list[Predictions]:
        """Ends an epoch: what was predicted for each network's rows as they were visited; networks then evaluate."""
        whole = self._whole()
        self._parts = []
        self.group.share(list(self._network.buffers()))  # batch norm's are of each process's own rows
        for job in self.jobs:
            job.model.network.eval()
        return [whole.network(number) for number in range(len(self.jobs))] if self._several else [whole]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The networks with their averages in place of their weights, where they have any."""
        with nullcontext() if self._average is None else self._average.swap():
            self.group.share(list(self._network.buffers()))  # the average's
            yield

    def _whole(self) -> Predictions:
        self._join()
        if self.group.size == 1:
            return self._parts[0]
        whole = Predictions.join(self._parts)  # a copy, since the steps that follow add to their own
        for column in whole.tensors().values():
            self.group.add([column])  # each process has zeros for the others' rows
        return whole

    def progress(self, number: int = 0) -> Progress:
        """What there is to continue from for one of the networks. Of several processes all take it at the same step."""
        span, _, optimizer = next(each for each in self._optimizers if each[0].start <= number < each[0].stop)
        seen = self._whole().tensors() if self._parts else {}
        if not self.jobs[number].apart:  # others' may be
            seen.pop("cross_entropies", None)
        average = {} if self._average is None else self._average.state_dict()
        if self._several:
            seen, average = _of(seen, number), _of(average, number)
            return Progress(self.done, _of(optimizer.state_dict(), number - span.start), average, seen)
        return Progress(self.done, optimizer.state_dict(), average, seen)

    def resume(self, states: Sequence[Progress]) -> None:
        """Takes what each of the networks had at one step."""
        device = self.jobs[0].rows.labels.device

        def here(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
            if not self._several:
                return {name: tensor.to(device) for name, tensor in parts[0].items()}
            return {
                name: torch.stack([part[name].to(device) for part in parts]) if tensor.ndim else tensor.to(device)
                for name, tensor in parts[0].items()
            }

        self.done = states[0].step
        for span, _, optimizer in self._optimizers:
            optimizer.load_state_dict(here([state.optimizer for state in states[span]]))
        if self._average is not None:
            self._average.load_state_dict(here([state.average for state in states]))
        before = [dict(state.seen) for state in states]
        for each in before if self._apart else ():
            each.update({} if "cross_entropies" in each or not each else {"cross_entropies": each["losses"]})
        seen = here(before)
        if self.group.rank > 0:  # the first process brings what all have seen in the epoch
            seen = {name: torch.zeros_like(column) for name, column in seen.items()}
        self._parts = [Predictions(**seen)] if seen else []

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """That of the first network."""
        return self._optimizers[0][2]

    @property
    def average(self) -> dict[str, Tensor]:
        """The state of the averages; empty without."""
        return {} if self._average is None else self._average.state_dict()


def _reseeding(device: torch.device) -> Callable[[int], object]:
    """What seeds all that is drawn on the CPU and on a device; torch.manual_seed, for all devices, takes 0.1 ms."""
    if device.type == "cpu":
        return torch.default_generator.manual_seed
    if device.type != "cuda":
        return torch.manual_seed

    def both(seed: int) -> None:
        torch.default_generator.manual_seed(seed)
        torch.cuda.manual_seed(seed)

    return both


def _spans(jobs: Sequence[Job], key: Callable[[Job], object]) -> Iterator[slice]:
    """The parts of jobs with the same key, which lie beside each other."""
    start = 0
    for _, each in groupby(jobs, key):
        stop = start + len([*each])
        yield slice(start, stop)
        start = stop


def _of(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    """One network's, of all; scalars are the same for all."""
    return {name: tensor[number] if tensor.ndim else tensor for name, tensor in tensors.items()}
