"""What a network predicts for rows, in memory or streamed from an image table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from gencli.errors import GencliError
from gencli.evaluation import grouping
from gencli.evaluation import logits as rows_of
from gencli.evaluation.similarity import psnr, squared_error, ssim
from gencli.evaluation.top_k import ranks
from gencli.files.tensors import double
from gencli.models import Model
from gencli.models.alone import HINT, first_apart, spaced
from gencli.models.inputs import Rows, target_input

Objective = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (outputs, labels or targets) → [n] losses

NONE = -1  # predicted where a row's outputs are not all finite
_BATCH, _DENSE_BATCH = 250, 1000
_ALONE, _APART = 32, 0.01  # rows of a batch that are tried by themselves, and the share of their range allowed
_MOST_VALUES = (1 << 31) - 1  # of a list array


@dataclass
class Predictions:
    """Attributes:
    losses: [n] float32.
    scores: [n], whether a row's label is predicted (bool), or its PSNR in dB (float32), NaN where an output is not
        finite.
    predicted: [n] int64, the class of the largest logit, the first of equals, `NONE` where one is not finite; None of
        image-to-image networks. On the way through training logits are not looked at: losses say it.
    logits: [n, classes] float32, float64 where the network gives that, where they are kept.
    ssim: [n] float64 (see `similarity.ssim`), where it is asked for.
    margins, chances, errors: [n] float32, of the labels, where training's dynamics are watched.
    cross_entropies: [n] float32, in nats, where training counts them beside other losses.
    """

    losses: torch.Tensor
    scores: torch.Tensor
    predicted: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    ssim: torch.Tensor | None = None
    margins: torch.Tensor | None = None
    chances: torch.Tensor | None = None
    errors: torch.Tensor | None = None
    cross_entropies: torch.Tensor | None = None

    @classmethod
    def of(cls, outputs: torch.Tensor, wanted: torch.Tensor, losses: torch.Tensor) -> Predictions:
        """Those of a batch; what is `wanted` are labels [n], or images."""
        if wanted.ndim > 1:
            return cls(losses, psnr(outputs, wanted))
        predicted = outputs.argmax(1)
        return cls(losses, predicted == wanted, predicted)

    def where(self, finite: torch.Tensor) -> Predictions:
        """These, but of the rows that are not `finite` [n] predictions of no class, which are wrong, and no PSNR."""
        if self.predicted is None:
            return replace(self, scores=self.scores.where(finite, torch.nan))
        return replace(self, scores=self.scores & finite, predicted=self.predicted.where(finite, NONE))

    @classmethod
    def join(cls, parts: Sequence[Predictions]) -> Predictions:
        """Those of all rows of the parts, which may be of several networks, see `unflatten`."""
        columns, rows = [part.tensors() for part in parts], parts[0].losses.ndim - 1
        return cls(**{name: torch.cat([column[name] for column in columns], rows) for name in columns[0]})

    def unflatten(self, networks: int) -> Predictions:
        """Those of several networks, network after network, as columns [networks, rows]."""
        return Predictions(**{name: each.unflatten(0, (networks, -1)) for name, each in self.tensors().items()})

    def network(self, number: int) -> Predictions:
        """One network's, of several's."""
        return Predictions(**{name: each[number] for name, each in self.tensors().items()})

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


def require_alone(model: Model, images: torch.Tensor, outputs: torch.Tensor, share: float = _APART) -> None:
    """Refuses a network, not gencli's own, whose output for one of some rows of a batch is another by itself.

    Args:
        images: [n, height, width, channels] of the batch.
        outputs: [n, …] the network's for them.
        share: of the range of a row's outputs, by which they may differ.

    Raises:
        GencliError: they differ by more, or one of them alone is finite.
    """
    if model.ours:
        return
    places = spaced(len(images), _ALONE).to(images.device)
    if first_apart(model.title, model.network, model.preprocessing(images[places]), outputs[places], share) is not None:
        raise GencliError(
            f"{model.title}: its output for an image depends on other images of its batch, or on chance, so that "
            "what it says of a row is not defined",
            HINT,
        )


@torch.no_grad()
def predict(
    model: Model,
    rows: Rows,
    objective: Objective | None = None,
    precision: str = "float32",
    similarity: bool = False,
) -> Predictions:
    """Runs a network in evaluation mode over rows on its device; the result stays there.

    Args:
        objective: of `losses`; cross-entropy, or for image-to-image networks the squared error, where None.
        precision: `bf16` for autocast.
        similarity: whether to compute the SSIM, of image-to-image networks.

    Raises:
        GencliError: see `require_alone`.
    """
    images = model.task == "images"
    parts: list[Predictions] = []
    logits: list[torch.Tensor] = []
    size = batch_size(model.network)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        with torch.autocast(rows.images.device.type, torch.bfloat16, precision == "bf16"):
            outputs = model.network(model.preprocessing(rows.images[part]))
            outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
            require_alone(model, rows.images[part], outputs, _APART if precision == "float32" else 10 * _APART)
        if not images:
            logits.append(outputs)  # what is made of them is made of all at once: a call takes as long as for a batch
            continue
        wanted = rows.labels[part]
        if rows.targets is not None:  # as `Model.require` saw to
            wanted = target_input(model.preprocessing.center(rows.targets[part]))
        losses = (objective or squared_error)(outputs, wanted)
        parts.append(Predictions.of(outputs, wanted, losses).where(_are_finite(outputs)))
        parts[-1].ssim = ssim(outputs, wanted) if similarity else None
    return Predictions.join(parts) if images else of_logits(torch.cat(logits), rows, objective)


def of_logits(logits: torch.Tensor, rows: Rows, objective: Objective | None) -> Predictions:
    """What a network with these outputs [n, classes] says of the rows; see `predict`."""
    losses = (objective or cross_entropy)(logits, rows.labels)
    found = Predictions.of(logits, rows.labels, losses).where(_are_finite(logits))
    found.logits = logits
    return found


def _are_finite(outputs: torch.Tensor) -> torch.Tensor:
    return outputs.isfinite().flatten(1).all(1)


@dataclass
class Evaluated:
    """The predictions for a whole table.

    Attributes:
        ids, labels: [n] int64, as in the table.
        losses: [n] float64, NaN where the outputs are not finite; None where the loss is not known, or of scores that
            are no logits.
        labels_true: [n] int64, as in the table; None where it has none.
        predicted, confidences, margins, ranks: [n] int64, float64, float64, int64, see `Predictions` and `logits`;
            None of image-to-image networks. Where outputs are not finite they are `NONE`, NaN, NaN and the last.
        psnr, ssim: [n] float64, in dB and at most 1; of image-to-image networks only, and SSIM of images that have
            room for its windows. NaN where outputs are not finite.
        probabilities: [n, classes] floating; None where not asked for, or not known.
        by: the columns to group by.
        groups: [n] what they say; None without such columns.
        cross_entropies: [n] float64, in nats, NaN and None as the losses, and None where probabilities are sigmoids.
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
    probabilities: NDArray[np.floating] | None = None
    by: tuple[str, ...] = ()
    groups: list[grouping.Group] | None = None
    cross_entropies: NDArray[np.float64] | None = None

    @property
    def not_finite(self) -> NDArray[np.bool_]:
        """[n] the rows whose outputs are not all finite."""
        if self.predicted is not None:
            return self.predicted == NONE
        return np.zeros(len(self.labels), bool) if self.psnr is None else np.isnan(self.psnr)

    def part(self, rows: slice) -> Evaluated:
        """Those of some of the rows."""
        return replace(self, **{k: v[rows] for k, v in vars(self).items() if v is not None and k != "by"})

    def table(self) -> pa.Table:
        """One row per image: id, label, label_true where known, prediction or psnr and ssim, loss, probabilities.

        What is made of outputs that are not finite is null.
        """
        columns = {"id": self.ids, "label": self.labels, "label_true": self.labels_true}
        found = {"prediction": self.predicted, "psnr": self.psnr, "ssim": self.ssim, "loss": self.losses}
        unknown = self.not_finite
        arrays = {name: pa.array(values) for name, values in columns.items() if values is not None}
        arrays |= {name: pa.array(values, mask=unknown) for name, values in found.items() if values is not None}
        if self.losses is None:
            arrays["loss"] = pa.nulls(len(self.ids), pa.float64())
        kind = pa.list_(pa.float32())
        if self.probabilities is not None:
            arrays["probabilities"] = _lists(self.probabilities, unknown)
        elif self.confidences is None and self.predicted is not None:
            arrays["probabilities"] = pa.nulls(len(self.ids), kind)
        return pa.table(arrays)


def _lists(values: NDArray[np.floating], gone: NDArray[np.bool_]) -> pa.ChunkedArray:
    """The rows [n, k] as lists of float32, null where they are `gone` [n]; no object a row."""
    size = max(1, _MOST_VALUES // max(1, values.shape[1]))
    parts = []
    for start in range(0, max(1, len(values)), size):
        part, null = values[start : start + size], gone[start : start + size]
        lengths = np.where(null, 0, values.shape[1])
        ends = np.concatenate([[0], lengths.cumsum()]).astype(np.int32)
        flat = (part[~null] if null.any() else part).astype(np.float32, copy=False).ravel()
        parts.append(pa.ListArray.from_arrays(pa.array(ends), pa.array(flat), mask=pa.array(null)))
    return pa.chunked_array(parts)


def figures(model: Model, result: Predictions, labels: torch.Tensor, probabilities: bool) -> dict[str, torch.Tensor]:
    """What a network's predictions for rows labelled `labels` [n] say of each, by the name of its column."""
    if result.predicted is None or result.logits is None:
        named = {"losses": result.losses, "psnr": result.scores, "ssim": result.ssim}
        found = {name: double(each) for name, each in named.items() if each is not None}
        unknown = found["psnr"].isnan()
        return {name: each.masked_fill(unknown, torch.nan) for name, each in found.items()}
    logits, unknown = result.logits, result.predicted == NONE
    sigmoid = model.options.head == "sigmoid"
    found = {
        "losses": result.losses,
        "confidences": rows_of.confidences(logits, sigmoid),
        "margins": rows_of.margins(logits, labels),
        **({} if sigmoid else {"cross_entropies": cross_entropy(logits, labels)}),
    }
    found = {name: double(each) for name, each in found.items()}
    found = {name: each.masked_fill(unknown | ~each.isfinite(), torch.nan) for name, each in found.items()}
    found["predicted"] = result.predicted
    found["ranks"] = ranks(logits, labels).masked_fill(unknown, logits.shape[1])
    return found | ({"probabilities": rows_of.probabilities(logits, sigmoid)} if probabilities else {})
