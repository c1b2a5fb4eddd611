"""The losses' arithmetic, in at least float32: finite, with finite gradients, at all finite outputs."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def wide(values: Tensor) -> Tensor:
    """Float32; float64 stays what it is, for derivatives that are checked in it."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def is_label(outputs: Tensor, labels: Tensor) -> Tensor:
    """[n, classes] bool: the place of each row's label."""
    return labels[:, None] == torch.arange(outputs.shape[1], device=outputs.device)


def cross_entropy(outputs: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """[n] of outputs [n, classes], any finite or -inf but at the label, and labels [n]."""
    return functional.cross_entropy(wide(outputs), labels, reduction="none", label_smoothing=smoothing)


def square(outputs: Tensor, labels: Tensor) -> Tensor:
    """[n] half the squared distances of outputs [n, classes] from the labels' one-hot rows."""
    outputs = wide(outputs)
    return (outputs - is_label(outputs, labels).to(outputs.dtype)).square().sum(1) / 2


def generalized(outputs: Tensor, labels: Tensor, q: float) -> Tensor:
    """[n] (1 - p^q) / q, by logarithms: a power below 1 has no gradient at p = 0."""
    return -torch.expm1(-q * cross_entropy(outputs, labels)) / q


def symmetric(outputs: Tensor, labels: Tensor, ce_weight: float, reverse_weight: float) -> Tensor:
    """[n] the sum of cross-entropy and of 1 - p, each times its weight."""
    forward = cross_entropy(outputs, labels)
    return ce_weight * forward - reverse_weight * torch.expm1(-forward)


def sigmoid_focal(outputs: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """[n] sums over the classes, each a yes or no of its own; gamma 0 is the sigmoid cross-entropy."""
    outputs = wide(outputs)
    return _focal(torch.where(is_label(outputs, labels), outputs, -outputs), gamma).sum(1)


def softmax_focal(outputs: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """[n]; the softmax's p_y is the sigmoid of the label's lead over the others' logsumexp."""
    outputs = wide(outputs)
    others = outputs.masked_fill(is_label(outputs, labels), -math.inf).logsumexp(1)
    return _focal(outputs.gather(1, labels[:, None])[:, 0] - others, gamma)


def _focal(lead: Tensor, gamma: float) -> Tensor:
    """-(1 - p)^gamma log p with p = sigmoid(lead).

    By logarithms: a power has no gradient at 1 - p = 0 where gamma < 1, and exp(-lead) overflows.
    """
    return (gamma * functional.logsigmoid(-lead)).exp() * -functional.logsigmoid(lead)


def adjusted(outputs: Tensor, labels: Tensor, adjustment: Tensor) -> Tensor:
    """[n] cross-entropy of outputs + adjustment [classes]; -inf leaves a class out, whose own rows give 0."""
    loss = cross_entropy(wide(outputs) + adjustment, labels)
    return torch.where(adjustment.isfinite()[labels], loss, 0.0)


def with_margins(outputs: Tensor, labels: Tensor, margins: Tensor) -> Tensor:
    """[n] cross-entropy after the label's output was lowered by its class's margin [classes]."""
    outputs = wide(outputs)
    return cross_entropy(outputs - is_label(outputs, labels) * margins[labels, None], labels)


def numbers(counts: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Counts [classes] int64 as numbers of a dtype, float32 where None."""
    return counts.to(dtype or torch.float32)


def class_weights(counts: Tensor, beta: float, dtype: torch.dtype | None = None) -> Tensor:
    """[classes] in proportion to 1 / (1 - beta^n), summing to the number of classes with rows; others 0."""
    exponents = numbers(counts, dtype) * (math.log(beta) if beta else -math.inf)
    weights = torch.where(counts > 0, -1 / exponents.expm1(), 0.0)
    return weights * ((counts > 0).sum() / weights.sum())


def class_margins(counts: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """[classes] in proportion to n^(-1/4), the largest 1; 0 for classes without rows."""
    margins = torch.where(counts > 0, numbers(counts, dtype).pow(-0.25), 0.0)
    return margins / margins.max()


def log_frequencies(counts: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """[classes] log(n_c / n); -inf for classes without rows."""
    return (numbers(counts, dtype) / counts.sum()).log()
