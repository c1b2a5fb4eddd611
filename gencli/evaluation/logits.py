"""What logits say of each row besides the prediction: margin and confidence; `top_k` has the rank of its label."""

from __future__ import annotations

import torch


def margins(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[n] the logit of the label minus the largest other one: below 0 if another class is predicted.

    Bartlett, Foster, Telgarsky 2017, arXiv:1706.08498, section 1.1. Infinite where there is one class.

    Args:
        logits: [n, classes] floating.
        labels: [n] int64.
    """
    column = labels[:, None]
    return (logits.gather(1, column) - logits.scatter(1, column, -torch.inf).amax(1, keepdim=True)).squeeze(1)


def confidences(logits: torch.Tensor, sigmoid: bool = False) -> torch.Tensor:
    """[n] the probability of the predicted class, the largest of `probabilities`."""
    if sigmoid:
        return logits.amax(1).sigmoid()
    return (logits - logits.amax(1, keepdim=True)).exp_().sum(1).reciprocal_()


def probabilities(logits: torch.Tensor, sigmoid: bool = False) -> torch.Tensor:
    """[n, classes] the softmax of logits [n, classes]; or each class's own sigmoid, which then do not sum to 1.

    Sigmoids are for networks that were trained by them (Cui et al. 2019, arXiv:1901.05555, whose code does so too).
    """
    return logits.sigmoid() if sigmoid else logits.softmax(1)
