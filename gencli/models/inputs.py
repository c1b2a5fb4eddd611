"""A data set as tensors, and how its images become a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gencli import tables
from gencli.tables import ImageTable

PREPROCESSING = {"scale": 255, "whiten": "image"}


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

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        true = None if self.labels_true is None else self.labels_true.to(device)
        return Rows(self.images.to(device), self.labels.to(device), true)


def load(table: ImageTable) -> Rows:
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


def network_input(images: torch.Tensor, preprocessing: dict[str, Any] = PREPROCESSING) -> torch.Tensor:
    """Scales and whitens each image: (x − mean) / max(std, 1/√N), with N its number of values.

    Args:
        images: [n, height, width, channels], any dtype.

    Returns:
        [n, channels, height, width] float32, channels last in memory. The standard deviation is the population's.

    Zhang et al. 2017, arXiv:1611.03530, appendix A; the formula is TensorFlow's `per_image_standardization`.
    """
    flat = images.flatten(1).to(torch.float32).div_(preprocessing["scale"])
    variance, mean = torch.var_mean(flat, dim=1, correction=0, keepdim=True)
    flat.sub_(mean).div_(variance.sqrt_().clamp_(min=flat.shape[1] ** -0.5))
    return flat.view(images.shape).permute(0, 3, 1, 2)
