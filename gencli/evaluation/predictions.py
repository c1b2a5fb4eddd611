"""What a network predicts for rows, in memory or streamed from an image table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from gencli import tables
from gencli.models.inputs import Rows, network_input
from gencli.tables import ImageTable

_BATCH = 1000


@dataclass
class Predictions:
    """Attributes:
    predicted: [n] int64, the class of the largest logit, the first of equals.
    losses: [n] float32, cross-entropy in nats of the row's label.
    logits: [n, classes] float32.
    """

    predicted: torch.Tensor
    losses: torch.Tensor
    logits: torch.Tensor

    @property
    def mean_loss(self) -> float:
        """Mean of the losses, added in float64."""
        return self.losses.double().mean().item()


@torch.no_grad()
def predict(network: nn.Module, rows: Rows) -> Predictions:
    """Runs a network in evaluation mode over rows on its device; the result stays there."""
    logits = torch.cat([network(network_input(images)) for images in rows.images.split(_BATCH)])
    losses = functional.cross_entropy(logits, rows.labels, reduction="none")
    return Predictions(logits.argmax(1), losses, logits)


@dataclass
class Evaluated:
    """A whole table's predictions.

    Attributes:
        ids, labels, labels_true: [n] int64, as in the table; labels_true None where it has none.
        predicted: [n] int64.
        losses: [n] float64, cross-entropy in nats.
        probabilities: [n, classes] float32; None where not asked for.
        groups: [n] what the columns to group by say, in words; None without such columns.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    labels_true: NDArray[np.int64] | None
    predicted: NDArray[np.int64]
    losses: NDArray[np.float64]
    probabilities: NDArray[np.float32] | None
    groups: list[str] | None

    def table(self) -> pa.Table:
        """One row an image: id, label, label_true where known, prediction, loss, probabilities."""
        columns: dict[str, pa.Array] = {"id": pa.array(self.ids), "label": pa.array(self.labels)}
        if self.labels_true is not None:
            columns["label_true"] = pa.array(self.labels_true)
        columns |= {"prediction": pa.array(self.predicted), "loss": pa.array(self.losses)}
        if self.probabilities is not None:
            columns["probabilities"] = pa.array(list(self.probabilities), pa.list_(pa.float32()))
        return pa.table(columns)


def evaluate(
    network: nn.Module,
    table: ImageTable,
    device: torch.device,
    probabilities: bool,
    progress: Callable[[int], None],
    by: Sequence[str] = (),
) -> Evaluated:
    """Runs a network over a table batch by batch; memory grows with the predictions alone.

    Args:
        by: columns that name a row's group together.
    """
    known = [name for name in ("id", "label", "label_true") if name in table.schema.names]
    parts: dict[str, list[NDArray[Any]]] = {}
    groups: list[str] = []
    done = 0
    for batch in table.batches():
        columns: dict[str, NDArray[Any]] = {name: tables.values(batch.column(name)) for name in known}
        groups += [" ".join(map(str, row)) for row in zip(*(batch.column(name).to_pylist() for name in by))]
        images = torch.from_numpy(tables.unpack(batch, table.description)).to(device)
        result = predict(network, Rows(images, torch.tensor(columns["label"]).to(device), None))
        columns |= {"predicted": result.predicted.cpu().numpy(), "losses": result.losses.double().cpu().numpy()}
        if probabilities:
            columns["probabilities"] = result.logits.softmax(1).cpu().numpy()
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
        done += batch.num_rows
        progress(done)
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    return Evaluated(
        whole["id"],
        whole["label"],
        whole.get("label_true"),
        whole["predicted"],
        whole["losses"],
        whole.get("probabilities"),
        groups if by else None,
    )
