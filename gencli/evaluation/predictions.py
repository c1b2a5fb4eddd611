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

from gencli import arrow
from gencli.evaluation import logits as rows_of
from gencli.evaluation.similarity import WINDOW, psnr, squared_error, ssim
from gencli.models import Model
from gencli.models.inputs import Rows, target_input
from gencli.tables import ImageTable
from gencli.tensors import double

Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (outputs, labels or targets) → [n] losses

_BATCH, _DENSE_BATCH = 250, 1000


@dataclass
class Predictions:
    """Attributes:
    losses: [n] float32.
    scores: [n], whether a row's label is predicted (bool), or its PSNR in dB (float32).
    predicted: [n] int64, the class of the largest logit, the first of equals; None of image-to-image networks.
    logits: [n, classes] float32, where they are kept.
    ssim: [n] float64 (see `similarity.ssim`), where it is asked for.
    """

    losses: torch.Tensor
    scores: torch.Tensor
    predicted: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    ssim: torch.Tensor | None = None

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
        return double(self.losses).mean().item()

    @property
    def score(self) -> float:
        """Mean of the scores: accuracy, or PSNR in dB."""
        return double(self.scores).mean().item()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[n] cross-entropy in nats of logits [n, classes] and labels [n] int64."""
    return functional.cross_entropy(logits, labels, reduction="none")


def batch_size(network: nn.Module) -> int:
    """Rows at a time: of dense layers larger products are faster, of others the outputs would take memory."""
    dense = all(isinstance(each, nn.Linear) for each in network.modules() if [*each.parameters(recurse=False)])
    return _DENSE_BATCH if dense else _BATCH


@torch.no_grad()
def predict(
    model: Model, rows: Rows, objective: Objective | None = None, precision: str = "float32", similarity: bool = False
) -> Predictions:
    """Runs a network in evaluation mode over rows on its device; the result stays there.

    Args:
        objective: of `losses`; cross-entropy, or for image-to-image networks the squared error, where None.
        precision: `bf16` for autocast.
        similarity: whether to compute the SSIM, of image-to-image networks.
    """
    images = model.task == "images"
    objective = objective or (squared_error if images else cross_entropy)
    parts: list[Predictions] = []
    logits: list[torch.Tensor] = []
    size = batch_size(model.network)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        with torch.autocast(rows.images.device.type, torch.bfloat16, precision == "bf16"):
            outputs = model.network(model.preprocessing(rows.images[part]))
        outputs = outputs.float()
        if not images:
            logits.append(outputs)  # what is made of them is made of all at once: a call takes as long as for a batch
            continue
        wanted = rows.labels[part]
        if rows.targets is not None:  # as `Model.require` saw to
            wanted = target_input(model.preprocessing.center(rows.targets[part]))
        parts.append(Predictions.of(outputs, wanted, objective(outputs, wanted)))
        parts[-1].ssim = ssim(outputs, wanted) if similarity else None
    if images:
        return Predictions.join(parts)
    whole = torch.cat(logits)
    found = Predictions.of(whole, rows.labels, objective(whole, rows.labels))
    found.logits = whole
    return found


@dataclass
class Evaluated:
    """A whole table's predictions.

    Attributes:
        ids, labels: [n] int64, as in the table.
        losses: [n] float64, cross-entropy in nats, or the squared error of image-to-image networks; None of scores
            that are no logits.
        labels_true: [n] int64, as in the table; None where it has none.
        predicted, confidences, margins, ranks: [n] int64, float64, float64, int64, see `Predictions` and `logits`;
            None of image-to-image networks.
        psnr, ssim: [n] float64, in dB and at most 1; of image-to-image networks alone, and SSIM of images that have
            room for its windows.
        probabilities: [n, classes] float32; None where not asked for, or not known.
        by: the columns to group by.
        groups: [n] what they say; None without such columns.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    losses: NDArray[np.float64] | None = None
    labels_true: NDArray[np.int64] | None = None
    predicted: NDArray[np.int64] | None = None
    confidences: NDArray[np.float64] | None = None
    margins: NDArray[np.float64] | None = None
    ranks: NDArray[np.int64] | None = None
    psnr: NDArray[np.float64] | None = None
    ssim: NDArray[np.float64] | None = None
    probabilities: NDArray[np.float32] | None = None
    by: tuple[str, ...] = ()
    groups: list[tuple[Any, ...]] | None = None

    def table(self) -> pa.Table:
        """One row an image: id, label, label_true where known, prediction or psnr and ssim, loss, probabilities."""
        columns = {
            "id": self.ids, "label": self.labels, "label_true": self.labels_true, "prediction": self.predicted,
            "psnr": self.psnr, "ssim": self.ssim, "loss": self.losses,
        }  # fmt: skip
        arrays = {name: pa.array(values) for name, values in columns.items() if values is not None}
        if self.losses is None:
            nothing = {"loss": pa.float64(), "probabilities": pa.list_(pa.float32())}
            arrays |= {name: pa.nulls(len(self.ids), kind) for name, kind in nothing.items()}
        elif self.probabilities is not None:
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
    fields = {"id": "ids", "label": "labels", "label_true": "labels_true"}
    known = {name: field for name, field in fields.items() if name in table.schema.names}
    images = ["image", "target"] if model.task == "images" else ["image"]
    similarity = model.task == "images" and min(model.preprocessing.input_shape(model.shape)[:2]) >= WINDOW
    parts: dict[str, list[NDArray[Any]]] = {}
    groups: list[tuple[Any, ...]] = []
    done = 0
    for batch in table.batches():
        columns: dict[str, NDArray[Any]] = {to: arrow.values(batch.column(name)) for name, to in known.items()}
        groups += zip(*(batch.column(name).to_pylist() for name in by))
        pixels = {name: torch.from_numpy(arrow.unpack(batch, table.description, name)).to(device) for name in images}
        labels = torch.tensor(columns["labels"]).to(device)
        rows = Rows(pixels["image"], labels, targets=pixels.get("target"))
        figures = _figures(predict(model, rows, similarity=similarity), labels, probabilities)
        for name, values in figures.items():
            if model.logits or name in ("predicted", "ranks"):
                columns[name] = values.cpu().numpy()
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
        done += batch.num_rows
        progress(done)
    whole: dict[str, Any] = {name: np.concatenate(values) for name, values in parts.items()}
    return Evaluated(**whole, by=tuple(by), groups=groups if by else None)


def _figures(result: Predictions, labels: torch.Tensor, probabilities: bool) -> dict[str, torch.Tensor]:
    figures = {"losses": double(result.losses)}
    if result.predicted is None or result.logits is None:
        figures["psnr"] = double(result.scores)
        return figures if result.ssim is None else figures | {"ssim": result.ssim}
    figures["predicted"] = result.predicted
    figures["confidences"] = double(rows_of.confidences(result.logits))
    figures["margins"] = double(rows_of.margins(result.logits, labels))
    figures["ranks"] = rows_of.ranks(result.logits, labels)
    return figures | ({"probabilities": result.logits.softmax(1)} if probabilities else {})
