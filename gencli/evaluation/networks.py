"""Several networks' predictions for the same rows: in one batched computation where that is faster."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gencli.evaluation import grouping
from gencli.evaluation.predictions import Evaluated, Objective, Predictions, batch_size, figures, of_logits, predict
from gencli.evaluation.similarity import WINDOW
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
        at_once = len(models) > 1 and first.task == "classes" and numbers and small and stacking.known(first.network)
        self._stack = stacking.Stack([model.network for model in models]).eval() if at_once else None

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
        for logits, objective in zip(torch.cat(parts, 1), objectives, strict=True):
            yield of_logits(logits, rows, objective)


def _note(
    part: _Columns, model: Model, objective: Objective | None, found: Mapping[str, torch.Tensor], place: tuple[int, int]
) -> None:
    """Adds a batch's figures to a network's, those left out that it has not; for `place` see `_put`."""
    for name, values in found.items():
        if (model.logits or name in ("predicted", "ranks")) and (objective or name != "losses"):
            _put(part, name, values.cpu().numpy(), *place)


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
    owns, first = owns or [(CrossEntropy(), 1)] * len(models), models[0]
    known = {name: field for name, field in _FIELDS.items() if name in table.schema.names}
    images = ["image", "target"] if first.task == "images" else ["image"]
    similarity = first.task == "images" and min(first.preprocessing.input_shape(first.shape)[:2]) >= WINDOW
    labels = torch.from_numpy(table.column("label").copy()).to(device)
    objectives = [
        each_row(model, *own, labels) if own and model.logits else None
        for model, own in zip(models, owns, strict=True)
    ]  # fmt: skip
    networks, own = Networks(models, device), group.span(table.rows)
    read = own or range(min(1, table.rows))  # no rows have the columns of one
    keep = None if len(read) == table.rows else np.isin(np.arange(table.rows), read)

    def taken() -> tuple[_Columns, list[_Columns], list[grouping.Group]]:
        shared: _Columns = {}
        parts: list[_Columns] = [{} for _ in models]
        groups: list[grouping.Group] = []
        done = read.start
        for batch in table.batches(keep):
            place = done - read.start, len(read)
            for name, field in known.items():
                _put(shared, field, arrow.values(batch.column(name)), *place)
            groups += zip(*(grouping.values(batch.column(name)) for name in by))
            unpacked = {name: arrow.unpack(batch, table.description, name) for name in images}
            pixels = {name: torch.from_numpy(values).to(device) for name, values in unpacked.items()}
            rows = Rows(pixels["image"], labels[done : done + batch.num_rows], targets=pixels.get("target"))
            for model, objective, part, found in zip(
                models, objectives, parts, networks.predict(rows, objectives, similarity), strict=True
            ):
                _note(part, model, objective, figures(model, found, rows.labels, probabilities), place)
            done += batch.num_rows
            progress(min(done - read.start, len(own)) * len(models))
        shared, *parts = ({name: each[: len(own)] for name, each in columns.items()} for columns in (shared, *parts))
        return shared, parts, groups[: len(own)]

    every = group.each(taken)
    whole = _joined([shared for shared, _, _ in every])
    values = [each for *_, groups in every for each in groups] if by else None
    told: dict[str, Any] = {"by": tuple(by), "groups": values}
    return [
        Evaluated(**whole, **_joined([parts[number] for _, parts, _ in every]), **told) for number in range(len(models))
    ]


def _put(columns: _Columns, name: str, values: NDArray[Any], start: int, rows: int) -> None:
    """Fills a column of `rows` from row `start` on: parts that were joined in the end would take as much again."""
    if name not in columns:
        columns[name] = np.empty((rows, *values.shape[1:]), values.dtype)
    columns[name][start : start + len(values)] = values


def _joined(parts: Sequence[_Columns]) -> _Columns:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
