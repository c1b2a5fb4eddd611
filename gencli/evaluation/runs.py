"""Several models on several image tables: what fits together, and one table of all results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from gencli.errors import GencliError, nearest
from gencli.evaluation.classes import GROUPED, confusion, labelled, per_class
from gencli.evaluation.predictions import evaluate
from gencli.evaluation.settings import ASCENTS, DIRECTIONS, Requests
from gencli.evaluation.similarity import WINDOW
from gencli.models import Model
from gencli.models.inputs import load
from gencli.tables import ImageTable


@dataclass
class Plan:
    """Attributes:
    by: of each table, the columns to group its rows by.
    lead: of each model and table, what tells it apart: its `model` and `data`, where there are several.
    notes: what is to be said of the results; known when they are there.
    """

    requests: Requests
    models: list[Model]
    tables: list[ImageTable]
    by: list[list[str]]
    lead: list[dict[str, str]]
    notes: list[str] = field(default_factory=list)

    @property
    def work(self) -> tuple[str, int]:
        """What progress counts, and how many there are: rows, or sharpness' directions."""
        if self.requests.measures:
            return "directions", (DIRECTIONS + ASCENTS) * len(self.tables)
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
        return f"{models} on {tables}" if tables else models

    def arguments(self) -> dict[str, Any]:
        """What was asked for that bears on the result."""
        asked = self.requests
        by = ",".join(dict.fromkeys(name for each in self.by for name in each)) or None
        return {
            "by": by,
            "top": asked.top or None,
            "intervals": asked.intervals,
            "measures": asked.measures,
            "seed": asked.drawn,
        }

    def evaluate(self, device: torch.device, progress: Callable[[int], None]) -> list[pa.Table]:
        """The results (see `per_class`), then where asked for the predictions, then the confusion matrices."""
        asked, done = self.requests, 0
        results, predictions, matrices = [], [], []
        for (model, (table, by)), lead in zip(product(self.models, zip(self.tables, self.by)), self.lead):
            model.network.to(device)
            before = done
            found = evaluate(
                model,
                table,
                device,
                asked.predictions is not None,
                lambda rows, start=before: progress(start + rows),
                by,
            )
            done += table.rows
            resampled = asked.seed if asked.intervals else None
            results.append(labelled(per_class(found, model.classes, asked.top or (), resampled), lead))
            if asked.predictions:
                predictions.append(labelled(found.table(), lead))
            if asked.confusion and found.predicted is not None:
                matrices.append(labelled(confusion(found.labels, found.predicted, model.classes), lead))
            if found.psnr is not None and found.ssim is None:
                self.notes.append(f"{table.title}: no ssim, its window of {WINDOW}×{WINDOW} is larger than the images")
        parts = [each for each in (results, predictions, matrices) if each]
        return [pa.concat_tables(each, promote_options="default") for each in parts]

    def measure(
        self, initial: nn.Module | None, device: torch.device, progress: Callable[[int], None]
    ) -> list[pa.Table]:
        """The measures of the one model (see `measures`), on the one table if there is one."""
        from gencli.evaluation.measures import measure  # which loads scipy

        model = self.models[0]
        model.network.to(device)
        rows = load(self.tables[0]).to(device) if self.tables else None
        return [measure(model, initial, rows, self.requests.seed, progress)]


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
    for model, table in product(models, tables):
        model.require(table)
    for model, place in zip(models, model_places):
        if model.task == "images":
            requests.require_classes(f"{place}: {model.arch} makes images", bool(tables))
        elif requests.measures and tables and not model.logits:
            raise GencliError(f"{place}: {model.arch} gives scores, no logits to measure", "leave the table out")
        elif requests.top and max(requests.top) > len(model.classes):
            raise GencliError(
                f"--top: {max(requests.top)} of {len(model.classes)} classes", f"take {len(model.classes)} or less"
            )
    lead = [{"model": model} | {"data": table} for model, table in product(_names(model_places), _names(table_places))]
    kept = [name for name, several in (("model", len(models) > 1), ("data", len(tables) > 1)) if several]
    grouping = [_grouping(requests.by, table) for table in tables]
    return Plan(requests, models, tables, grouping, [{name: each[name] for name in kept} for each in lead])


def _names(places: Sequence[str]) -> Sequence[str]:
    """Without their folders, where that tells them apart."""
    short = [os.path.basename(os.path.normpath(place)) for place in places]
    return short if len(set(short)) == len(set(places)) else places


def _grouping(by: str | None, table: ImageTable) -> list[str]:
    known = [name for name in table.schema.names if name not in ("image", "target")]
    if by == "label":
        return []
    if by is None:
        return [name for name in GROUPED if name in known]
    columns = by.split(",")
    for column in columns:
        if column not in known:
            raise GencliError(f"{table.title}: no column {column!r} to group by", nearest(column, known))
    return columns
