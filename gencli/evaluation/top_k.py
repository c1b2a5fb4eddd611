"""The rank of each row's label among its logits, by which accuracies of the top k count."""

from __future__ import annotations

import torch


def ranks(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """[n] int64, how many classes go before the label: those of larger logits, and of equal ones the first.

    So rank 0 is the prediction, and the label is among the top k where its rank is below k. A label whose logit is
    not a number is behind all.

    Args:
        logits: [n, classes] floating.
        labels: [n] int64.
    """
    column = labels[:, None]
    own = logits.gather(1, column)
    before = torch.arange(logits.shape[1], device=logits.device) < column
    return torch.where(before, ~(logits < own), ~(logits <= own)).sum(1)
