"""What networks say of rows, one network after the other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gencli.errors import GencliError
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


def model(title: str, **more: Any) -> Any:
    return SimpleNamespace(**{
        "title": title, "task": "classes", "arch": "a", "options": 1, "shape": (2, 2, 1), "classes": ("a", "b"),
        "require": lambda table: None, "class_rows": (2, 1), "arguments": {"seed": 3}, "subset_below": None,
    } | more)  # fmt: skip


def rows_of(title: str, ids: list[int], labels: list[int] | None = None) -> Any:
    columns = {"id": np.array(ids), "label": np.array(labels or [0] * len(ids))}
    return SimpleNamespace(title=title, column=columns.__getitem__)


@pytest.mark.parametrize(
    ("other", "ids", "test", "message"),
    [
        ({"task": "images"}, [1, 2, 3], [4], "n: its outputs are images"),
        ({"arch": "b"}, [1, 2, 3], [4], "n: another network than m"),
        ({"options": 2}, [1, 2, 3], [4], "n: another network than m"),
        ({"shape": (1, 2, 1)}, [1, 2, 3], [4], "n: another network than m"),
        ({"classes": ("a", "c")}, [1, 2, 3], [4], "n: another network than m"),
        ({"class_rows": (1000, 200)}, [1, 2, 3], [4], "n: it saw 1,200 rows, and which of t is not known"),
        ({"class_rows": (1, 2)}, [1, 2, 3], [4], "n: it saw 3 rows, and which of t is not known"),
        ({"subset_below": 5, "arguments": {}}, [1, 2, 3], [4], "n: its seed is unknown here"),
        ({}, [1, 2, 2], [4], "t: ids occur twice"),
        ({}, [1, 2, 3], [3, 4, 2], "u: 2 of its rows are in t too"),
    ],
)
def test_networks_and_tables_that_do_not_go_together_are_refused(
    other: dict[str, Any], ids: list[int], test: list[int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gencli.evaluation.runs.require_random", lambda model, title, why: None)
    with pytest.raises(GencliError) as refused:
        networks.require([model("m"), model("n", **other)], rows_of("t", ids, [0, 1, 0]), rows_of("u", test))
    assert str(refused.value).startswith(message)


def test_networks_that_are_alike_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.evaluation.runs.require_random", lambda model, title, why: None)
    table = rows_of("t", [1, 2, 3], [0, 1, 0])
    for other in ({}, {"class_rows": None}, {"arguments": {}}):
        networks.require([model("m"), model("n", **other)], table, rows_of("u", [4]))
        networks.require([model("m"), model("n", **other)], table, None)


def test_outputs_that_are_not_finite_are_counted_and_scores_that_are_none_are_left_out() -> None:
    rows: Any = SimpleNamespace(labels=torch.tensor([1, 0, 1]))
    plain: Any = SimpleNamespace(title="m", logits=False)
    with pytest.raises(GencliError, match=r"^m: its outputs of 2 rows of t are not finite"):
        networks._answer(plain, torch.tensor([[0, torch.nan], [0, 0], [torch.inf, 0]]), rows, "t")
    right, none = networks._answer(plain, torch.tensor([[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]]), rows, "t")
    assert (right.tolist(), none) == ([True, False, True], None)


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
