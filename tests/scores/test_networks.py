"""What networks say of rows, one network after the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gencli.evaluation import networks as evaluated
from gencli.models import Model, build, paged
from gencli.models.inputs import Rows
from gencli.ranks import ALONE
from gencli.scores import networks
from tests.helpers import image_table, save


def test_a_progress_counts_the_networks_of_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cpu")
    network = SimpleNamespace(title="m", network=torch.nn.Identity())
    table: Any = SimpleNamespace(column=lambda name: [], title="t", rows=0)
    monkeypatch.setattr(evaluated, "groups", lambda models: [models[:2], models[2:]])
    monkeypatch.setattr(evaluated, "Networks", lambda *_: SimpleNamespace(at_once=True))
    monkeypatch.setattr(paged, "held", lambda *_: None)
    monkeypatch.setattr(networks, "_logits", lambda _, count, *__: range(count))
    monkeypatch.setattr(networks, "_answer", lambda *_: (None, None))
    monkeypatch.setattr(networks, "seen", lambda *_: None)
    counted: list[int] = []
    three: Any = [network] * 3
    assert len([*networks.answers(three, table, None, device, counted.append, ALONE)]) == 3
    assert counted == [1, 2, 3]


def test_a_network_trained_by_sigmoids_is_asked_for_sigmoids(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    rows = Rows(torch.zeros(2, 1), torch.tensor([0, 2]), torch.zeros(2, dtype=torch.int64))
    table: Any = SimpleNamespace(column=lambda name: [], title="t", rows=2)
    monkeypatch.setattr(evaluated, "groups", lambda models: [models])
    monkeypatch.setattr(evaluated, "Networks", lambda *_: SimpleNamespace(at_once=True))
    monkeypatch.setattr(paged, "held", lambda *_: rows)
    monkeypatch.setattr(networks, "_logits", lambda _, count, *__: [logits] * count)
    monkeypatch.setattr(networks, "seen", lambda *_: None)
    models: Any = [
        SimpleNamespace(title=head, network=torch.nn.Identity(), logits=True, options=SimpleNamespace(head=head))
        for head in ("softmax", "sigmoid")
    ]
    soft, single = networks.answers(models, table, None, torch.device("cpu"), lambda _: None, ALONE)
    powers = np.exp(logits.double().numpy())
    assert soft.probabilities == pytest.approx(powers / powers.sum(1, keepdims=True), abs=1e-15)
    assert single.probabilities == pytest.approx(powers / (1 + powers), abs=1e-15)
    assert soft.right.tolist() == single.right.tolist() == [True, False]


@pytest.mark.parametrize("arch", ["mlp-1x4", "convnet-vanilla"])
def test_images_that_are_many_stay_in_their_file(arch: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table, classes, device = (
        save(image_table(50, (4, 4, 1)), tmp_path / "rows.parquet"),
        tuple("abc"),
        torch.device("cpu"),
    )
    models = [Model(arch, (4, 4, 1), classes, build(arch, (4, 4, 1), 3).eval(), run=run) for run in range(3)]
    monkeypatch.setattr(networks, "seen", lambda *_: np.ones(50, bool))
    found = []
    for held in (1 << 30, 0):
        monkeypatch.setattr(paged, "HELD", held)
        monkeypatch.setattr(networks, "_PORTION", 17 if held == 0 else 50)
        if held == 0:
            monkeypatch.setattr(paged.Paged, "_held", None)
        found.append([*networks.answers(models, table, None, device, lambda _: None, ALONE)])
    for one, other in zip(*found, strict=True):
        assert (one.right == other.right).all()
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
