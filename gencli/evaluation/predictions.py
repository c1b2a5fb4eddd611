"""What a network predicts for rows, in memory or streamed from an image table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.nn import functional

from gencli import tables
from gencli.models import Model
from gencli.models.inputs import Rows, target_input
from gencli.tables import ImageTable

Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (outputs, labels or targets) → [n] losses

_BATCH = 250


@dataclass
class Predictions:
    """Attributes:
    losses: [n] float32.
    scores: [n], whether a row's label is predicted (bool), or its PSNR in dB (float32).
    predicted: [n] int64, the class of the largest logit, the first of equals; None of image-to-image networks.
    logits: [n, classes] float32, where they are kept.
    """

    losses: torch.Tensor
    scores: torch.Tensor
    predicted: torch.Tensor | None = None
    logits: torch.Tensor | None = None

    @classmethod
    def of(cls, outputs: torch.Tensor, wanted: torch.Tensor, losses: torch.Tensor) -> Predictions:
        """Those of a batch; what is `wanted` are labels [n], or images."""
        if wanted.ndim > 1:
            return cls(losses, psnr(outputs, wanted))
        predicted = outputs.argmax(1)
        return cls(losses, predicted == wanted, predicted)

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Those of all rows of the parts."""
        columns = [part.tensors() for part in parts]
        return cls(**{name: torch.cat([column[name] for column in columns]) for name in columns[0]})

    def tensors(self) -> dict[str, torch.Tensor]:
        """The columns that there are, by name."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    @property
    def mean_loss(self) -> float:
        """Mean of the losses, added in float64."""
        return self.losses.double().mean().item()

    @property
    def score(self) -> float:
        """Mean of the scores: accuracy, or PSNR in dB."""
        return self.scores.double().mean().item()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[n] cross-entropy in nats of logits [n, classes] and labels [n] int64."""
    return functional.cross_entropy(logits, labels, reduction="none")


def squared_error(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[n] mean squared difference of images [n, channels, height, width]."""
    return (outputs - targets).square().mean((1, 2, 3))


def psnr(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """[n] peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error), of images whose peak is 1.

    Outputs are clipped to [0, 1] before, as what is shown would be.
    """
    return -10 * squared_error(outputs.clamp(0, 1), targets).log10()


@torch.no_grad()
def predict(model: Model, rows: Rows, objective: Objective | None = None, precision: str = "float32") -> Predictions:
    """Runs a network in evaluation mode over rows on its device; the result stays there.

    Args:
        objective: of `losses`; cross-entropy, or for image-to-image networks the squared error, where None.
        precision: `bf16` for autocast.
    """
    images = model.task == "images"
    objective = objective or (squared_error if images else cross_entropy)
    parts = []
    for start in range(0, len(rows), _BATCH):
        part = slice(start, start + _BATCH)
        with torch.autocast(rows.images.device.type, torch.bfloat16, precision == "bf16"):
            outputs = model.network(model.preprocessing(rows.images[part]))
        outputs = outputs.float()
        wanted = rows.labels[part]
        if images and rows.targets is not None:  # as `Model.require` saw to
            wanted = target_input(model.preprocessing.center(rows.targets[part]))
        parts.append(Predictions.of(outputs, wanted, objective(outputs, wanted)))
        parts[-1].logits = None if images else outputs
    return Predictions.join(parts)


@dataclass
class Evaluated:
    """A whole table's predictions.

    Attributes:
        ids, labels, labels_true: [n] int64, as in the table; labels_true None where it has none.
        losses: [n] float64, cross-entropy in nats, or the squared error of image-to-image networks.
        predicted: [n] int64; None of image-to-image networks.
        psnr: [n] float64 in dB; of image-to-image networks alone.
        probabilities: [n, classes] float32; None where not asked for.
        groups: [n] what the columns to group by say, in words; None without such columns.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    labels_true: NDArray[np.int64] | None
    losses: NDArray[np.float64]
    predicted: NDArray[np.int64] | None
    psnr: NDArray[np.float64] | None
    probabilities: NDArray[np.float32] | None
    groups: list[str] | None

    def table(self) -> pa.Table:
        """One row an image: id, label, label_true where known, prediction or psnr, loss, probabilities."""
        columns = {
            "id": self.ids, "label": self.labels, "label_true": self.labels_true, "prediction": self.predicted,
            "psnr": self.psnr, "loss": self.losses,
        }  # fmt: skip
        arrays = {name: pa.array(values) for name, values in columns.items() if values is not None}
        if self.probabilities is not None:
            arrays["probabilities"] = pa.array(list(self.probabilities), pa.list_(pa.float32()))
        return pa.table(arrays)


def evaluate(
    model: Model,
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
    images = ["image", "target"] if model.task == "images" else ["image"]
    parts: dict[str, list[NDArray[Any]]] = {}
    groups: list[str] = []
    done = 0
    for batch in table.batches():
        columns: dict[str, NDArray[Any]] = {name: tables.values(batch.column(name)) for name in known}
        groups += [" ".join(map(str, row)) for row in zip(*(batch.column(name).to_pylist() for name in by))]
        pixels = {name: torch.from_numpy(tables.unpack(batch, table.description, name)).to(device) for name in images}
        labels = torch.tensor(columns["label"]).to(device)
        result = predict(model, Rows(pixels["image"], labels, targets=pixels.get("target")))
        columns["losses"] = result.losses.double().cpu().numpy()
        if result.predicted is None:
            columns["psnr"] = result.scores.double().cpu().numpy()
        else:
            columns["predicted"] = result.predicted.cpu().numpy()
        if probabilities and result.logits is not None:
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
        whole["losses"],
        whole.get("predicted"),
        whole.get("psnr"),
        whole.get("probabilities"),
        groups if by else None,
    )
