"""Several networks of one architecture: how many go at once, the rounds that they take, and what they have come to.

Of several processes each trains a share of them by itself; at the end all have all.
"""

from __future__ import annotations

import os
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
from gencli.models import Model, stacking, summary
from gencli.models.inputs import Preprocessing, Rows
from gencli.ranks import Group
from gencli.training import distinct, dynamics
from gencli.training.batches import say_fitting
from gencli.training.course import Course
from gencli.training.loop import Training, together
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.setup import Setup
from gencli.training.states import Epoch

# parameters that go at once: what does not fit in a cache is read anew at every step; several threads wait for each
# other in every operation, which pays for more networks, as `make bench` shows
_OF_ONE, _OF_SEVERAL = 1 << 18, 1 << 22
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
        rounds: the numbers of the runs that go at once, of this process's.
        why: they take turns, in words; empty where they do not.
        total_steps: of all rounds.

    Raises:
        GencliError: they do not fit in memory, runs would be one and the same, or the first run is refused.
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
        if group.size > self._count:
            raise GencliError(f"--runs: {group.size} processes for {self._count} networks", "start fewer with torchrun")
        start, stop = (rank * self._count // group.size for rank in (group.rank, group.rank + 1))
        distinct.require_different(setup, len(rows))
        at_once, self.why = _at_once(setup, len(rows), rehearsed, stop - start)
        self.rounds = [range(first, min(first + at_once, stop)) for first in range(start, stop, at_once)]
        self._courses: dict[int, Course] = {}
        self._made = {start: self._training(start)}
        self._each = self._made[start].total_steps
        self.total_steps = self._each * len(self.rounds)
        self._gather = group.gatherer()

    @property
    def courses(self) -> list[Course]:
        """Of the runs of the rounds so far; at the end of all."""
        return [self._courses[number] for number in sorted(self._courses)]

    def _training(self, number: int) -> Training:
        copied = len(self.rounds[0]) == 1
        return self._setup.member(number).on_rows(
            self._rows, self._test, Group(), copied, self._rehearsed, self._watched
        )

    @property
    def said(self) -> str:
        """How they go, in a line."""
        first, size, count = len(self.rounds[0]), self.group.size, sum(map(len, self.rounds))
        whole = f"{self._count} networks" + (f", divided among {size} processes, here {count}" if size > 1 else "")
        if self.why:
            return f"{whole}, one after the other: {self.why}"
        return f"{whole}, {'all' if first == count else first} at once" + (
            f", in {len(self.rounds)} rounds" if first < count else ""
        )

    def run(self, progress: Callable[[int, Epoch | None], None] = lambda step, epoch: None) -> None:
        """Trains all to their ends; see `Training.run`. The rows of `progress` are means over the runs of a round."""
        console.message(self.said)
        say_fitting(len(self._rows), self._setup.settings)
        for place, part in enumerate(self.rounds):
            if part.start not in self._courses:
                self._courses |= {number: self._made.pop(number, None) or self._training(number) for number in part}
                self._tell_empty(part)
            going = [course for number in part if isinstance(course := self._courses[number], Training)]
            self._limit(place, going)
            who = f"run {part.start}" if len(part) == 1 else f"runs {part.start} to {part.stop - 1}"

            def tell(step: int, rows: list[Epoch], before: int = place * self._each, who: str = who) -> None:
                words = who if len(rows) == len(part) else f"{len(rows)} of {who}"  # noqa: B023
                progress(before + step, Mean.of(rows, words) if rows else None)

            if going:
                together(going, tell, lenient=True)
            self._close(part)
        self._bring()
        for one, other in distinct.alike(self.models):
            console.message(f"runs {one} and {other} came to the same network: what they differ in changed nothing")
        if all(course.failed for course in self.courses):
            raise GencliError(f"all of {self._count} runs failed, run 0: {self.courses[0].failed}",
                              "lower --lr, or clip with --grad-clip")  # fmt: skip

    def _close(self, part: range) -> None:
        """Keeps of a round what its runs have come to."""
        for number in part:
            if isinstance(course := self._courses[number], Training):
                self._courses[number] = course.result()

    def _limit(self, place: int, going: Sequence[Training]) -> None:
        """Gives a round an equal part of the time that is left."""
        if (minutes := self._setup.settings.max_time) is None:
            return
        spent = sum(max(self._courses[number].seconds for number in part) for part in self.rounds[:place])
        for course in going:
            course.limit = (60 * minutes - spent) / (len(self.rounds) - place)

    def _bring(self) -> None:
        """Takes what the runs of other processes have come to."""
        own = {} if self.group.size == 1 else {number: course.state() for number, course in self._courses.items()}
        found = {number: state for part in self._gather(own) for number, state in part.items()}
        for number, (tensors, facts) in found.items():
            if number not in self._courses:
                part = Held(f"run {number}", tensors, facts)
                self._courses[number] = self._resumed(number, part).result()
                self._tell_empty(range(number, number + 1))

    def _tell_empty(self, part: range) -> None:
        all_classes = self._rows.labels.unique().tolist()
        names = self._setup.description.classes
        for number in part:
            counts = self._courses[number].model.class_rows
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
        """Their `history` or `dynamics`, one below the other, with first the columns run and what is varied.

        A run that failed has none, as it would have by itself; on the way there is what there is so far.
        """
        tables = []
        for number, (course, own) in enumerate(zip(self.courses, self._own())):
            if course.failed or not course.history:  # on the way not all have some
                continue
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
            self._courses[number] = self._resumed(number, part)
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

    def _resumed(self, number: int, held: Held) -> Training:
        course = self._made.pop(number, None) or self._training(number)
        if why := held.facts.text("failed"):
            held.close("")
            course.fail(why)
        else:
            course.load_state(held)
        return course


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
        dynamics.require(setup.settings, setup.score == "psnr", 1 if setup.settings.several else group.size)
    reasons = {
        "mix": "a row's partner may be in another process",
        "track": "each process holds a part of the rows",
    }
    for name in [name for name in reasons if group.size > 1 and getattr(setup.settings, name)]:
        raise GencliError(f"--{name}: {group.size} processes of torchrun: {reasons[name]}", "omit it")
    if not setup.settings.several:
        return setup.training(table, test_table, group, rehearsed, watched)
    rows, test = setup.loaded(table, test_table, Group(), rehearsed)
    return Several(setup, rows.to(torch.device(setup.settings.device)), test, group, rehearsed, watched)


def _at_once(setup: Setup, rows: int, rehearsed: bool, share: int) -> tuple[int, str]:
    """How many of a process's share go at once, and why it is one: a rule, not a race, which gives the same every time.

    Raises:
        GencliError: all together do not fit in memory.
    """
    settings, count = setup.settings, setup.settings.count
    shape = Preprocessing(crop=settings.crop).input_shape(setup.description.shape)
    with torch.device("meta"):
        network = setup.build(shape)
    one = sum(tensor.nbytes for tensor in network.state_dict().values())
    free = machine.free_memory() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if (fit := free // (_COPIES * one)) < count:
        raise GencliError(
            f"--runs: {count:,} networks of {machine.size(one)} and their file need "
            f"{machine.size(count * _COPIES * one)} of memory, but only {machine.size(free)} are free",
            f"{fit:,} fit; train the others into another file, with another --seed",
        )
    whitened = settings.whiten == "dataset" and (settings.subset is not None or settings.validation_fraction)
    size = models.trained(network)
    reasons = {
        "there is only one": share == 1,
        "each streams the images in an order of its own": settings.stream is not None,
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
    numbers = _OF_ONE if torch.get_num_threads() == 1 and settings.device == "cpu" else _OF_SEVERAL
    several = min(share, numbers // size, (free - count * _COPIES * one) // step)
    if several < 2:
        return 1, "there is no room for two"
    if not rehearsed:
        device = torch.device(settings.device)
        tried = [setup.member(number).build(shape).to(device) for number in range(min(_TRIED, count))]
        if not stacking.agrees(tried, shape):
            return 1, "a batched step was not the networks' own"
    return several, ""
