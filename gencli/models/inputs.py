"""A data set as tensors, and how its images become a network's input."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from gencli import tables
from gencli.tables import Batches

PREPROCESSING = {"scale": 255, "whiten": "image"}
_CHUNK = 1000


@dataclass
class Rows:
    """All rows of an image table.

    Attributes:
        images: [n, height, width, channels] uint8 or float32, as in the table.
        labels: [n] int64.
        labels_true: [n] int64, what the labels were before they were corrupted; None where they were not.
    """

    images: torch.Tensor
    labels: torch.Tensor
    labels_true: torch.Tensor | None
    _whitening: tuple[torch.Tensor, torch.Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._whitening = whitening(self.images)

    def __len__(self) -> int:
        return len(self.labels)

    def network_input(self, index: torch.Tensor) -> torch.Tensor:
        """`network_input` of the rows `index` [m] int64."""
        slope, offset = self._whitening
        # index_select gathers rows several times faster than images[index]
        images = self.images.flatten(1).index_select(0, index).view(-1, *self.images.shape[1:])
        return _apply(images, slope.index_select(0, index), offset.index_select(0, index))

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        true = None if self.labels_true is None else self.labels_true.to(device)
        return Rows(self.images.to(device), self.labels.to(device), true)


def load(table: Batches) -> Rows:
    """Reads a whole image table into memory, its images as compact as they are stored."""
    description = table.description
    images = np.empty((table.rows, *description.shape), description.dtype)
    labels = {name: np.empty(table.rows, np.int64) for name in ("label", "label_true") if name in table.schema.names}
    start = 0
    for batch in table.batches():
        stop = start + batch.num_rows
        images[start:stop] = tables.unpack(batch, description)
        for name, values in labels.items():
            values[start:stop] = batch.column(name).to_numpy()
        start = stop
    tensors = {name: torch.from_numpy(values) for name, values in labels.items()}
    return Rows(torch.from_numpy(images), tensors["label"], tensors.get("label_true"))


def network_input(images: torch.Tensor) -> torch.Tensor:
    """Divides images by 255 and whitens each: (x − mean) / max(std, 1/√N), with N its number of values.

    Args:
        images: [n, height, width, channels], uint8 or float32.

    Returns:
        [n, channels, height, width] float32, channels last in memory. The standard deviation is the population's.

    Zhang et al. 2017, arXiv:1611.03530, appendix A; the formula is TensorFlow's `per_image_standardization`.
    """
    return _apply(images, *whitening(images))


def whitening(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and offset [n, 1] float32, computed in float64, with which `network_input` is x · slope + offset."""
    parts = [_whitening(part) for part in images.flatten(1).split(_CHUNK)]
    slopes, offsets = zip(*parts, strict=True)
    return torch.cat(slopes), torch.cat(offsets)


def _whitening(flat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = flat.to(torch.float64).div_(PREPROCESSING["scale"])
    mean = values.mean(1, keepdim=True)
    deviation = values.sub_(mean).square_().mean(1, keepdim=True).sqrt_()  # ten times as fast as var_mean
    slope = deviation.clamp_(min=flat.shape[1] ** -0.5).reciprocal_()
    return (slope / PREPROCESSING["scale"]).float(), (-mean * slope).float()


def _apply(images: torch.Tensor, slope: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    flat = torch.addcmul(offset, images.flatten(1).to(torch.float32), slope)
    return flat.view(images.shape).permute(0, 3, 1, 2)
