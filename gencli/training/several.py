"""Several networks of one architecture: how many go at once, the rounds that they take, and what they have come to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from gencli import machine, models, runs
from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.held import Held
from gencli.files.provenance import Step
from gencli.files.stream import Output
from gencli.files.tables import ImageTable
from gencli.models import Model, summary
from gencli.models.inputs import Preprocessing, Rows
from gencli.training import dynamics, stacking
from gencli.training.batches import say_fitting
from gencli.training.course import Course
from gencli.training.distributed import Group
from gencli.training.loop import Training, together
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.setup import Setup
from gencli.training.states import Epoch

_NUMBERS = 1 << 22  # parameters that go at once: what does not fit in the caches is read anew at every step
_LARGEST = 100_000  # parameters of a network on a CPU; larger ones were slower at once, as `make bench` shows
_TRIED = 3  # networks of a trial
_COPIES = 3  # of all networks: those trained, those of the file, its bytes


@dataclass
class Mean(Epoch):
    """The means over several runs of the rows of one epoch; the images a second are those of all.

    Attributes:
        who: the runs, in words.
    """

    who: str = ""

    @classmethod
    def of(cls, rows: Sequence[Epoch], who: str) -> Mean:
        """Those of the rows."""
        columns = {name: [getattr(row, name) for row in rows] for name in vars(rows[0])}
        means: dict[str, Any] = {
            name: None if None in values else sum(values) / len(rows) for name, values in columns.items()
        }
        means |= {"epoch": rows[0].epoch, "step": rows[0].step, "images_per_second": sum(columns["images_per_second"])}
        return cls(**means, who=who)


class Several:
    """The runs of a training of several networks, in rounds.

    Attributes:
        rounds: the numbers of the runs that go at once.
        why: they take turns, in words; empty where they do not.
        courses: of the runs of the rounds so far.
        total_steps: of all rounds.

    Raises:
        GencliError: they do not fit in memory, or the first run is refused.
    """

    def __init__(
        self,
        setup: Setup,
        rows: Rows,
        test: Rows | None,
        group: Group,
        rehearsed: bool = False,
        watched: int | None = None,
    ) -> None:
        self.group, self._setup, self._count, self._watched = group, setup, setup.settings.count, watched
        self._rows, self._test, self._rehearsed = rows, test, rehearsed
        at_once, self.why = _at_once(setup, len(rows), rehearsed)
        count = self._count
        self.rounds = [range(start, min(start + at_once, count)) for start in range(0, count, at_once)]
        self.courses: list[Course] = []
        self._made = {0: self._training(0)}
        self._each = self._made[0].total_steps
        self.total_steps = self._each * len(self.rounds)

    def _training(self, number: int) -> Training:
        copied = len(self.rounds[0]) == 1
        return self._setup.member(number).on_rows(
            self._rows, self._test, self.group, copied, self._rehearsed, self._watched
        )

    @property
    def said(self) -> str:
        """How they go, in a line."""
        first, count = len(self.rounds[0]), self._count
        if self.why:
            return f"{count} networks, one after the other: {self.why}"
        return f"{count} networks, {'all' if first == count else first} at once" + (
            f", in {len(self.rounds)} rounds" if first < count else ""
        )

    def run(self, progress: Callable[[int, Epoch | None], None] = lambda step, epoch: None) -> None:
        """Trains all to their ends; see `Training.run`. The rows of `progress` are means over the runs of a round."""
        console.message(self.said)
        say_fitting(len(self._rows), self._setup.settings)
        for place, part in enumerate(self.rounds):
            if len(self.courses) < part.stop:
                self.courses += [self._made.pop(number, None) or self._training(number) for number in part]
                self._tell_empty(part)
            going = [course for course in self.courses[part.start : part.stop] if isinstance(course, Training)]
            who = f"run {part.start}" if len(part) == 1 else f"runs {part.start} to {part.stop - 1}"

            def tell(step: int, rows: list[Epoch], before: int = place * self._each, who: str = who) -> None:
                words = who if len(rows) == len(part) else f"{len(rows)} of {who}"  # noqa: B023
                progress(before + step, Mean.of(rows, words) if rows else None)

            if going:
                together(going, tell)
            self._close(part)

    def _close(self, part: range) -> None:
        """Keeps of a round what its runs have come to."""
        self.courses[part.start : part.stop] = [
            course.result() if isinstance(course, Training) else course
            for course in self.courses[part.start : part.stop]
        ]

    def _tell_empty(self, part: range) -> None:
        all_classes = self._rows.labels.unique().tolist()
        names = self._setup.description.classes
        for number in part:
            counts = self.courses[number].model.class_rows
            if gone := [names[label] for label in all_classes if counts is not None and not counts[label]]:
                console.message(f"run {number}: its rows leave a class empty: {', '.join(gone)}")

    @property
    def models(self) -> list[Model]:
        """Of all runs."""
        return [course.model for course in self.courses]

    @property
    def step(self) -> int:
        """How many steps of how many rounds are done."""
        stops = [part.stop for part in self.rounds]
        if not self.courses:
            return 0
        place = stops.index(len(self.courses))
        part = self.rounds[place]
        return place * self._each + max(course.step for course in self.courses[part.start : part.stop])

    def table(self, name: str) -> pa.Table:
        """Their `history` or `dynamics`, one below the other, with first the columns run and what is varied."""
        tables = []
        for number, (course, own) in enumerate(zip(self.courses, self._own(), strict=True)):
            rows = course.table(name)
            lead = {"run": pa.array([number] * rows.num_rows, pa.int64())}
            lead |= {name: pa.array([value] * rows.num_rows) for name, value in own.items() if name != "seed"}
            tables.append(pa.table(lead | dict(zip(rows.column_names, rows.columns))))
        return pa.concat_tables(tables)

    def _own(self) -> list[dict[str, Any]]:
        return runs.several(vars(self._setup.settings)) or []

    def write(self, output: Output, made: Step) -> None:
        """Writes the models as one, made by a step."""
        models.write_runs(output, self.models, made.arguments, made)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the same runs need to continue from here: tensors, and what JSON can hold; see `Training.state`."""
        tensors, facts = dict[str, Tensor](), list[dict[str, Any]]()
        for number, course in enumerate(self.courses):
            own, told = course.state()
            tensors |= {f"{number}/{name}": tensor for name, tensor in own.items()}
            facts.append(told)
        return tensors, {"runs": facts}

    def load_state(self, held: Held) -> None:
        """Takes the state that the same runs had.

        Raises:
            GencliError: it is none; see `states`.
        """
        for number, part in enumerate(held.parts("runs", self._count)):
            course = self._made.pop(number, None) or self._training(number)
            course.load_state(part)
            self.courses.append(course)
        stops = [0, *(part.stop for part in self.rounds)]
        if len(self.courses) not in stops:
            raise held.refused("runs", len(self.courses), "the runs of whole rounds")
        for part in self.rounds[: stops.index(len(self.courses))]:
            going = [course for course in self.courses[part.start : part.stop] if not course.finished]
            places = {(course.step, len(course.history)) for course in going}
            if len(places) > 1 or (going and part.stop < len(self.courses)):
                raise held.refused("runs", "runs of a round at different steps", "one step")
            if not going:
                self._close(part)
        held.close(f"step {self.step:,}")


def begin(
    setup: Setup,
    table: ImageTable,
    test_table: ImageTable | None,
    group: Group,
    rehearsed: bool = False,
    watched: int | None = None,
) -> Training | Several:
    """The run, or the runs, on a table's rows, before the first step; this process loads its part onto the device.

    Args:
        rehearsed: whether it is only to refuse what a run refuses: networks have no numbers.
        watched: see `Training`.

    Raises:
        GencliError: the settings and the rows do not fit.
    """
    if watched is not None:
        dynamics.require(setup.settings, setup.score == "psnr", group.size)
    reasons = {
        "mix": "a row's partner may be in another process",
        "track": "each process holds a part of the rows",
    }
    for name in [name for name in reasons if group.size > 1 and getattr(setup.settings, name)]:
        raise GencliError(f"--{name}: {group.size} processes of torchrun: {reasons[name]}", "omit it")
    if not setup.settings.several:
        return setup.training(table, test_table, group, rehearsed, watched)
    if group.size > 1:
        raise GencliError(
            f"--runs: {group.size} processes of torchrun share the rows of one network", "start gencli by itself"
        )
    rows, test = setup.loaded(table, test_table, group, rehearsed)
    return Several(setup, rows.to(torch.device(setup.settings.device)), test, group, rehearsed, watched)


def _at_once(setup: Setup, rows: int, rehearsed: bool) -> tuple[int, str]:
    """How many go at once, and why it is one: a rule, not a race, so that a machine gives the same result every time.

    Raises:
        GencliError: all together do not fit in memory.
    """
    settings, count = setup.settings, setup.settings.count
    shape = Preprocessing(crop=settings.crop).input_shape(setup.description.shape)
    with torch.device("meta"):
        network = setup.build(shape)
    one = sum(tensor.nbytes for tensor in network.state_dict().values())
    free = machine.free_memory()
    if (fit := free // (_COPIES * one)) < count:
        raise GencliError(
            f"--runs: {count:,} networks of {machine.size(one)} and their file need "
            f"{machine.size(count * _COPIES * one)} of memory, but only {machine.size(free)} are free",
            f"{fit:,} fit; train the others into another file, with another --seed",
        )
    whitened = settings.whiten == "dataset" and (settings.subset is not None or settings.validation_fraction)
    size = models.trained(network)
    reasons = {
        "there is only one": count == 1,
        f"in {settings.precision} sums would differ": settings.precision != "float32",
        "each is compiled by itself": settings.compile,
        "muon takes each network's matrices by themselves": settings.optimizer == "muon",
        "each is whitened by its own rows": whitened,
        f"layers of {settings.arch} have no batched form": not stacking.known(network),
        f"{size:,} parameters a network are too many to gain": settings.device == "cpu" and size > _LARGEST,
    }
    if why := next((why for why, holds in reasons.items() if holds), ""):
        return 1, why
    kept = OPTIMIZERS[settings.optimizer].states + (settings.ema is not None)
    step = summary.step_memory(network, shape, min(settings.batch_size, rows), kept)
    several = min(count, _NUMBERS // size, (free - count * _COPIES * one) // step)
    if several < 2:
        return 1, "there is no room for two"
    if not rehearsed:
        device = torch.device(settings.device)
        tried = [setup.member(number).build(shape).to(device) for number in range(min(_TRIED, count))]
        if not stacking.agrees(tried, shape):
            return 1, "a batched step was not the networks' own"
    return several, ""
