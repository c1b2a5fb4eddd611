"""Several networks' predictions for the same rows: in one batched computation where that is faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.evaluation import grouping
from gencli.evaluation.predictions import (
    Evaluated,
    Objective,
    Predictions,
    batch_size,
    figures,
    of_logits,
    predict,
    require_alone,
)
from gencli.evaluation.similarity import WINDOW
from gencli.evaluation.tallies import Tally
from gencli.files import arrow
from gencli.files.tables import ImageTable
from gencli.losses import Loss
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, stacking, trained
from gencli.models.inputs import Rows
from gencli.objectives import each_row
from gencli.ranks import ALONE, Group

_Columns = dict[str, NDArray[Any]]
_FIELDS = {"id": "ids", "label": "labels", "label_true": "labels_true"}

_TOGETHER = 16  # networks
# parameters of a network, and values of an image, on a CPU: larger ones were slower together, by up to a third
_PARAMETERS, _VALUES = 20_000, 256


def groups(models: Iterable[Model]) -> Iterator[list[Model]]:
    """The models in their order, those that are beside each other and may be evaluated together as one list."""
    found: list[Model] = []
    for model in models:
        if found and (len(found) == _TOGETHER or not _alike(found[0], model)):
            yield found
            found = []
        found.append(model)
    if found:
        yield found


def _alike(one: Model, other: Model) -> bool:
    """Whether they are of one file, and get the same input of an image."""
    return None not in (one.run, other.run) and one.made is other.made and one.preprocessing == other.preprocessing


class Networks:
    """Networks on a device in evaluation mode.

    Args:
        models: a list of `groups`; their tensors become parts of one.
    """

    def __init__(self, models: Sequence[Model], device: torch.device) -> None:
        self._models, first = models, models[0]
        for model in models:
            model.network.to(device)
        numbers = all(each.dtype == torch.float32 for each in first.network.parameters())
        values = math.prod(first.preprocessing.input_shape(first.shape))
        small = device.type != "cpu" or (trained(first.network) <= _PARAMETERS and values <= _VALUES)
        stacked = len(models) > 1 and first.task == "classes" and numbers and small and stacking.known(first.network)
        self._stack = stacking.Stack([model.network for model in models]).eval() if stacked else None

    @property
    def at_once(self) -> bool:
        """Whether they are one batched computation, not one after the other."""
        return self._stack is not None

    @torch.no_grad()
    def predict(
        self, rows: Rows, objectives: Sequence[Objective | None] | None = None, similarity: bool = False
    ) -> Iterator[Predictions]:
        """What each network says, as `predict` by itself, but for the order of sums; see there."""
        objectives = objectives or [None] * len(self._models)
        if self._stack is None:
            for model, objective in zip(self._models, objectives, strict=True):
                yield predict(model, rows, objective, similarity=similarity)
            return
        first, count = self._models[0], len(self._models)
        parts = []
        for images in rows.images.split(batch_size(first.network)):
            prepared = first.preprocessing(images)
            outputs = self._stack(prepared.repeat(count, *[1] * (prepared.ndim - 1)))
            parts.append(outputs.unflatten(0, (count, -1)))
            for model, own in zip(self._models, parts[-1], strict=True):
                require_alone(model, images, own)
        for logits, objective in zip(torch.cat(parts, 1), objectives, strict=True):
            yield of_logits(logits, rows, objective)


def evaluate(
    models: Sequence[Model],
    table: ImageTable,
    device: torch.device,
    probabilities: bool,
    progress: Callable[[int], None],
    by: Sequence[str] = (),
    owns: Sequence[tuple[Loss, int] | None] | None = None,
    group: Group = ALONE,
) -> list[Evaluated]:
    """Runs networks over a table batch by batch; memory grows only with the predictions.

    Of several processes each takes its part of the rows, and all get the predictions for all rows.

    Args:
        models: a list of `groups`.
        by: columns that name a row's group together.
        owns: of each its loss, and the epoch that it is of (see `objectives`), None where it is not known;
            cross-entropy without.
    """
    own = group.span(table.rows)

    def taken() -> tuple[list[_Columns], list[grouping.Group]]:
        parts: list[_Columns] = [{} for _ in models]
        groups: list[grouping.Group] = []
        done = 0
        for found in _batches(models, table, device, probabilities, progress, by, owns, own):
            for part, rows in zip(parts, found, strict=True):
                for field, values in vars(rows).items():
                    if isinstance(values, np.ndarray):
                        _put(part, field, values, done, len(own))
            groups += found[0].groups or []
            done += len(found[0].labels)
        return parts, groups

    every = group.each(taken)
    told: dict[str, Any] = {"by": tuple(by), "groups": [each for _, groups in every for each in groups] if by else None}
    return [Evaluated(**_joined([parts[number] for parts, _ in every]), **told) for number in range(len(models))]


def tally(
    models: Sequence[Model],
    table: ImageTable,
    device: torch.device,
    progress: Callable[[int], None],
    by: Sequence[str],
    owns: Sequence[tuple[Loss, int] | None],
    group: Group,
    made: Callable[[Model], Tally],
) -> list[Tally]:
    """Counts and sums of `evaluate`'s predictions alone, whose memory does not grow with the rows.

    Args:
        made: an empty one for a model.
    """

    def taken() -> list[Tally]:
        mine = [made(model) for model in models]
        for found in _batches(models, table, device, False, progress, by, owns, group.span(table.rows)):
            for each, rows in zip(mine, found, strict=True):
                each.add(rows)
        return mine

    first, *others = group.each(taken)
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            mine.merge(theirs)
    return first


def _batches(
    models: Sequence[Model], table: ImageTable, device: torch.device, probabilities: bool,
    progress: Callable[[int], None], by: Sequence[str], owns: Sequence[tuple[Loss, int] | None] | None, own: range,
) -> Iterator[list[Evaluated]]:  # fmt: skip
    """Each model's predictions for the next rows of `own`; see `evaluate`."""
    owns, first = owns or [(CrossEntropy(), 1)] * len(models), models[0]
    known = {name: field for name, field in _FIELDS.items() if name in table.schema.names}
    images = ["image", "target"] if first.task == "images" else ["image"]
    similarity = first.task == "images" and min(first.preprocessing.input_shape(first.shape)[:2]) >= WINDOW
    labels = torch.from_numpy(table.column("label")).to(device)
    objectives = [
        each_row(model, *own, labels) if own and model.logits else None
        for model, own in zip(models, owns, strict=True)
    ]  # fmt: skip
    networks, done = Networks(models, device), own.start
    read = own or range(min(1, table.rows))  # no rows have the columns of one
    keep = None if len(read) == table.rows else np.isin(np.arange(table.rows), read)
    for batch in table.batches(keep):
        shared: dict[str, Any] = {field: arrow.values(batch.column(name)) for name, field in known.items()}
        if by:
            groups = list(zip(*(grouping.values(batch.column(name)) for name in by)))
            shared |= {"by": tuple(by), "groups": groups}
        unpacked = {name: arrow.unpack(batch, table.description, name) for name in images}
        pixels = {name: torch.from_numpy(values).to(device) for name, values in unpacked.items()}
        rows = Rows(pixels["image"], labels[done : done + batch.num_rows], targets=pixels.get("target"))
        found = [
            Evaluated(**shared, **_told(model, objective, figures(model, said, rows.labels, probabilities)))
            for model, objective, said in zip(
                models, objectives, networks.predict(rows, objectives, similarity), strict=True
            )
        ]
        yield found if own else [each.part(slice(0)) for each in found]
        done += batch.num_rows if own else 0
        progress((done - own.start) * len(models))


def _told(model: Model, objective: Objective | None, found: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """A network's figures, those left out that it has not."""
    return {
        name: values.cpu().numpy()
        for name, values in found.items()
        if (model.logits or name in ("predicted", "ranks")) and (objective or name != "losses")
    }


def _put(columns: _Columns, name: str, values: NDArray[Any], start: int, rows: int) -> None:
    """Fills a column of `rows` from row `start` on: parts that were joined in the end would take as much again."""
    if name not in columns:
        columns[name] = np.empty((rows, *values.shape[1:]), values.dtype)
    columns[name][start : start + len(values)] = values


def _joined(parts: Sequence[_Columns]) -> _Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
