"""Several models on several image tables: what fits together, and one table of all results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from gencli import machine, plugins
from gencli.errors import GencliError
from gencli.evaluation import grouping
from gencli.evaluation.classes import confusion, labelled
from gencli.evaluation.networks import evaluate, groups, tally
from gencli.evaluation.predictions import Evaluated
from gencli.evaluation.results import Facts, joined, packed
from gencli.evaluation.settings import ASCENTS, DIRECTIONS, Requests
from gencli.evaluation.tallies import Tally
from gencli.files.named import distinct_names
from gencli.files.tables import ImageTable
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.models import Model, build
from gencli.models.base import not_finite as why_not_finite
from gencli.models.base import require_finite
from gencli.models.inputs import load
from gencli.objectives import objective, of_training, saw_part
from gencli.randomness import derive
from gencli.ranks import ALONE, Group, Shard

_A_CELL = 32  # bytes of a confusion matrix: the count, the column's, and either of them on its way to a file


@dataclass
class Plan:
    """Attributes:
    by: of each table, the columns to group its rows by.
    lead: of each model and table, what tells it apart: its `model` and `data`, where there are several, and its `run`.
    losses: of each model its own loss, and the epoch that this is of; None where it is not known.
    notes: remarks on the results for people, complete after the evaluation.
    """

    requests: Requests
    models: list[Model]
    tables: list[ImageTable]
    by: list[list[str]]
    lead: list[dict[str, str | int]]
    losses: list[tuple[Loss, int] | None]
    notes: list[str] = field(default_factory=list)

    @property
    def work(self) -> tuple[str, int]:
        """What progress counts, and how many there are: rows, or sharpness' directions."""
        if self.requests.measures:
            return "directions", (DIRECTIONS + ASCENTS) * len(self.tables) * len(self.models)
        return "rows", len(self.models) * sum(table.rows for table in self.tables)

    @property
    def title(self) -> str:
        """One line."""
        models, tables = (
            ", ".join(dict.fromkeys(each))
            for each in (
                (model.arch for model in self.models),
                (f"{each.description.name} {each.description.split}".rstrip() for each in self.tables),
            )
        )
        losses = ", ".join(dict.fromkeys(own[0].name for own in self.losses if own))
        return f"{models} on {tables}" + (f"; loss: {losses}" if losses else "") if tables else models

    def names(self, what: str) -> list[str]:
        """The networks' or the data sets' as the result tells them apart; empty where there is one of them."""
        count = len(self.tables)
        several = len(self.models) if what == "model" else count
        if several < 2:
            return [""] * several
        lead = self.lead[:: max(1, count)] if what == "model" else self.lead[:count]
        return [str(each.get(what, "")) for each in lead]

    def arguments(self) -> dict[str, Any]:
        """What was asked for that bears on the result."""
        asked = self.requests
        by = ",".join(dict.fromkeys(name for each in self.by for name in each)) or None
        return {
            "by": by,
            "top": asked.top or None,
            "intervals": asked.intervals,
            "norm": asked.norm,
            "measures": asked.measures,
            "seed": asked.drawn,
            "run": asked.run,
            "reached": asked.reached if asked.history else None,
        }

    def results(
        self, steps: Sequence[float | str], device: torch.device, progress: Callable[[int], None], group: Group
    ) -> list[pa.Table]:
        """What is asked for: see `measure`, `part` of a shard, and `evaluate`."""
        if self.requests.measures:
            return self.measure(steps, device, progress)
        return (self.part if isinstance(group, Shard) else self.evaluate)(device, progress, group)

    def evaluate(self, device: torch.device, progress: Callable[[int], None], group: Group = ALONE) -> list[pa.Table]:
        """The results (see `per_class`), then where asked for the predictions, then the confusion matrices."""
        results, predictions, matrices = [], [], []
        for place, (sums, rows) in self._found(device, progress, group):
            facts = self._facts(place, sums.total("not_finite") > 0, sums.by)
            results.append(facts.result(sums, self._resampled))
            if rows:
                predictions.append(labelled(rows.table(), facts.lead))
            if "cells" in sums.sums:
                matrices.append(labelled(confusion(sums, facts.classes), facts.lead))
            self.notes += facts.notes(sums)
        rest = [pa.concat_tables(each, promote_options="default") for each in (predictions, matrices) if each]
        return [joined(results), *rest]

    def part(self, device: torch.device, progress: Callable[[int], None], group: Group) -> list[pa.Table]:
        """The predictions for the rows of a shard, see `results.packed`."""
        found = [
            (self._facts(place, bool(rows.not_finite.any()), rows.by), rows)
            for place, (_, rows) in self._found(device, progress, group)
            if rows
        ]
        return [packed(found, self.requests.top or (), self._resampled, self.title)]

    def _found(
        self, device: torch.device, progress: Callable[[int], None], group: Group
    ) -> Iterator[tuple[int, tuple[Tally, Evaluated | None]]]:
        """What each model's predictions for each table sum up to, by the place in `lead`, in its order; and the
        predictions, where they are asked for."""
        done, start, several = 0, 0, len(self.tables)
        wanted, shard = self.requests.predictions is not None, isinstance(group, Shard)
        for models in groups(self.models):
            found: dict[int, tuple[Tally, Evaluated | None]] = {}
            owns = self.losses[start : start + len(models)]
            for number, (table, by) in enumerate(zip(self.tables, self.by)):
                told = lambda rows, at=done: progress(at + rows * group.size)  # noqa: E731
                if wanted or shard:
                    each = evaluate(models, table, device, wanted, told, by, owns, group)
                    pairs = [(self._tally(model, rows), rows) for model, rows in zip(models, each)]
                else:
                    sums = tally(models, table, device, told, by, owns, group, self._tally)
                    pairs = [(each, None) for each in sums]
                found |= {(start + place) * several + number: pair for place, pair in enumerate(pairs)}
                done += table.rows * len(models)
            for place in sorted(found):
                yield place, found.pop(place)
            start += len(models)

    def _tally(self, model: Model, rows: Evaluated | None = None) -> Tally:
        """What is counted of a model's predictions, in these rows."""
        asked = len(model.classes), self.requests.top or (), self.requests.confusion is not None
        return Tally(*asked) if rows is None else Tally.of(rows, *asked)

    @property
    def _resampled(self) -> int | None:
        """The seed of intervals, where these are asked for."""
        return self.requests.seed if self.requests.intervals else None

    def _facts(self, place: int, not_finite: bool, by: tuple[str, ...]) -> Facts:
        """What the result at this place in `lead` says besides."""
        model, table = self.models[place // len(self.tables)], self.tables[place % len(self.tables)]
        norm = _norm(model) if self.requests.norm else None
        why = why_not_finite(model.network) if not_finite else None
        return Facts(self.lead[place], model.classes, norm, model.title, table.title, table.rows, why, by)

    def measure(
        self, steps: Sequence[float | str], device: torch.device, progress: Callable[[int], None]
    ) -> list[pa.Table]:
        """The measures of the models of one file (see `measures`), on the one table if there is one.

        Args:
            steps: of each model, those to a loss, or why they are not known.
        """
        from gencli.evaluation.measures import measure  # which loads scipy

        rows = load(self.tables[0]).to(device) if self.tables else None
        found = []
        for done, (model, to_loss) in enumerate(zip(self.models, steps, strict=True)):
            model.network.to(device)
            before = done * (DIRECTIONS + ASCENTS)
            start, seed = initial(model, model.file), self.requests.seed
            told = measure(model, start, rows, seed, lambda own, at=before: progress(at + own), to_loss)
            several = model.run is not None and self.requests.run is None
            found.append(labelled(told, {"run": model.run} if several and model.run is not None else {}))
        return [pa.concat_tables(found)]


def fitting(requests: Requests, table: ImageTable) -> ImageTable:
    """The table itself, if it has what is asked for.

    Raises:
        GencliError: it has no such columns, or fewer classes.
    """
    grouping.columns(requests.by, table)
    _require_classes(requests, len(table.description.classes))
    return table


def _require_classes(requests: Requests, classes: int) -> None:
    if requests.top and max(requests.top) > classes > 0:
        raise GencliError(f"--top: {max(requests.top)} of {classes} classes", f"use {classes} or less")
    if requests.confusion:
        machine.require_memory(_A_CELL * classes * (classes + 1), f"--confusion: {classes:,} classes", "omit it")


def plan(
    requests: Requests,
    models: list[Model],
    tables: list[ImageTable],
    model_places: Sequence[str],
    table_places: Sequence[str],
) -> Plan:
    """Checks what is asked for against models and tables.

    Args:
        model_places, table_places: as the command line names them.

    Raises:
        GencliError: a model and a table do not fit, or something asked for does not go with them.
    """
    notes: list[str] = []
    for model, table in product(models, tables):
        model.require(table)
    for model, place in zip(models, model_places):
        if requests.measures:
            require_finite(model.network, place)
        if model.task == "images":
            requests.require_classes(f"{place}: {model.arch} makes images", bool(tables))
        elif requests.measures and tables and not model.logits:
            raise GencliError(f"{place}: {model.arch} gives scores, not logits to measure", "omit the table")
        else:
            _require_classes(requests, len(model.classes))
    for model, place in zip(models, model_places):
        on = [table.title for table in tables if saw_part(model) and of_training(model, table)]
        notes += [f"{place}: trained on a part of {title}; the figures are of all of its rows" for title in on]
    lead = [
        {"model": model} | {"data": table}
        for model, table in product(distinct_names(model_places), distinct_names(table_places) or [""])
    ]
    measured = [] if requests.measures else tables
    losses = [_own_loss(model, place, measured, notes) for model, place in zip(models, model_places)]
    kept = [name for name, several in (("model", len(set(model_places)) > 1), ("data", len(tables) > 1)) if several]
    groups = [grouping.columns(requests.by, table) for table in tables]
    numbers = [{} if requests.run is not None or model.run is None else {"run": model.run} for model in models]
    told = [
        {name: each[name] for name in kept} | run for each, (run, _) in zip(lead, product(numbers, tables or [None]))
    ]
    return Plan(requests, models, tables, groups, told, losses, notes)


def _own_loss(model: Model, place: str, tables: list[ImageTable], notes: list[str]) -> tuple[Loss, int] | None:
    """The model's own, of the first table that says it; a note where none does."""
    why = None
    for table in tables if model.logits else ():
        try:
            return objective(model, table)
        except GencliError as error:
            words = error.message.removeprefix(f"{model.title}: ")
            why = "; ".join(filter(None, [words, plugins.hint(model.arguments, "")]))
    if why:
        notes.append(f"{place}: no loss: {why}")
    return None


def _norm(model: Model) -> float:
    """The norm of the model's parameters."""
    squares = (double(each.detach()).square().sum() for each in model.network.parameters() if each.requires_grad)
    return float(sum(squares)) ** 0.5


def initial(model: Model, title: str) -> nn.Module | None:
    """The network as it was before training; None where it was not trained.

    Raises:
        GencliError: its seed is unknown, or it started from another file.
    """
    if model.made is None or model.made.command != "train":
        return None
    require_random(model, title, "its network before training is not known from it")
    seed = initial_seed(model)
    if seed is None:
        raise GencliError(f"{title}: its seed is unknown here", "use the gencli that wrote it")
    with torch.random.fork_rng([]):
        torch.manual_seed(derive(seed, "initialization"))
        shape = model.preprocessing.input_shape(model.shape)
        return build(model.arch, shape, len(model.classes), model.options)


def initial_seed(model: Model) -> int | None:
    """The seed of its initialization; None where it is not known."""
    seeds = model.arguments.get("seed_init"), model.arguments.get("seed")
    return next((seed for seed in seeds if isinstance(seed, int)), None)


def require_random(model: Model, title: str, why: str) -> None:
    """Refuses a network that started from another file's tensors.

    Raises:
        GencliError: it did; `why` says what follows.
    """
    if model.made is not None and model.made.given("init"):
        raise GencliError(
            f"{title}: started from another file (train --init): {why}", "give one trained without --init"
        )
