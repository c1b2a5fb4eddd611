"""Options of losses at the edges of what they may be, and the rows of classes that losses need."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from gencli.errors import GencliError
from gencli.losses import LOSSES, choose
from gencli.losses.base import CountedLoss
from gencli.losses.settings import LossSettings


@pytest.mark.parametrize(
    ("loss", "name", "right", "wrong", "words"),
    [
        ("focal", "gamma", [0, 0.5, 1e9], [-1e-9, math.inf], "0 or more"),
        ("cb-ce", "beta", [0, 0.999999], [-1e-9, 1], "from 0 (equal weights) to below 1"),
        ("ce", "label_smoothing", [0, 0.999], [-1e-9, 1], "from 0 to below 1"),
        ("ldam", "deferred_reweighting", [0, 1], [-1], "0 or more"),
        ("logit-adjusted", "tau", [0, 7.5], [-1e-9, math.inf], "0 or more"),
        ("gce", "gce_q", [1e-9, 1], [0, 1.001, -1], "above 0 and up to 1"),
        ("sce", "ce_weight", [0, 9], [-1e-9, math.inf], "0 or more"),
        ("sce", "reverse_weight", [0, 9], [-1e-9, math.inf], "0 or more"),
        ("huber", "delta", [1e-9, 9], [0, math.inf, -1], "above 0"),
    ],
)
def test_the_edges_of_ranges(loss: str, name: str, right: list[float], wrong: list[float], words: str) -> None:
    for value in right:
        assert getattr(choose(replace(LossSettings(loss), **{name: value})), name) == value
    for value in wrong:
        with pytest.raises(GencliError) as refused:
            choose(replace(LossSettings(loss), **{name: value}))
        assert refused.value.message == f"--{name.replace('_', '-')}: {value} is out of range"
        assert refused.value.hint == f"give a number {words}"


@pytest.mark.parametrize("loss", [each for each in LOSSES.values() if each.task == "classes"])
def test_losses_of_classes_need_two(loss: type) -> None:
    made = loss()
    with pytest.raises(GencliError, match=f"--loss: {made.name} needs several classes, but the training table has one"):
        made.counts(torch.tensor([0, 0]), 1)
    assert made.counts(torch.tensor([0, 1, 1]), 2).tolist() == [1, 2]
    assert made.counts(torch.tensor([0, 2, 2]), 3).tolist() == [1, 0, 2]
    alone = torch.tensor([1, 1])
    if isinstance(made, CountedLoss):
        with pytest.raises(GencliError, match=f"{made.name} balances classes, but all training rows have"):
            made.counts(alone, 2)
    else:
        assert made.counts(alone, 2).tolist() == [0, 2]
