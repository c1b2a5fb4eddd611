"""What networks say of rows, one network after the other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.evaluation import networks as evaluated
from gencli.models import inputs
from gencli.ranks import ALONE
from gencli.scores import networks


def test_a_progress_counts_the_networks_of_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    network = SimpleNamespace(title="m", network=torch.nn.Identity())
    table: Any = SimpleNamespace(column=lambda name: [], title="t", rows=0)
    monkeypatch.setattr(evaluated, "groups", lambda models: [models[:2], models[2:]])
    monkeypatch.setattr(evaluated, "Networks", lambda *_: None)
    monkeypatch.setattr(inputs, "load", lambda table, keep: torch.zeros(0))
    monkeypatch.setattr(networks, "_logits", lambda _, several, *__: several)
    monkeypatch.setattr(networks, "_answer", lambda *_: (None, None))
    monkeypatch.setattr(networks, "seen", lambda *_: None)
    counted: list[int] = []
    three: Any = [network] * 3
    assert len([*networks.answers(three, table, None, device, counted.append, ALONE)]) == 3
    assert counted == [1, 2, 3]
