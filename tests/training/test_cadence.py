"""When a checkpoint is due, and which may be gone on from by more epochs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files import checkpoints as files
from gencli.files import provenance
from gencli.files.held import Held
from gencli.training import checkpoints
from gencli.training.checkpoints import Cadence
from gencli.training.states import Epoch


def epoch(number: int) -> Epoch:
    return Epoch(number, 4 * number, 1.0, 1.0, 1.0, None, 0.5)


def test_epochs_and_steps_are_counted() -> None:
    every = Cadence.parse("2ep")
    assert [every.due(4 * number, epoch(number)) for number in range(1, 6)] == [False, True, False, True, False]
    assert not every.due(8, None)
    steps = Cadence.parse("3")
    assert [steps.due(step, None) for step in range(1, 8)] == [False, False, True, False, False, True, False]
    assert not steps.due(3, epoch(1))


def test_time_runs_from_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    every = Cadence.parse("5s")
    found = []
    for now[0] in (100.0, 104.9, 105.0, 105.1, 109.9, 110.0, 117.0, 121.9, 122.0):
        found.append(every.due(1, None))
    assert found == [False, False, True, False, False, True, True, False, True]


SETTINGS: dict[str, Any] = {"epochs": 5, "schedule": "constant", "runs": None, "vary": None, "max_time": None}


def read(monkeypatch: pytest.MonkeyPatch, before: int | None, **more: Any) -> Held | None:
    made = provenance.step("train", SETTINGS | more)
    held = Held("c", {}, {})
    held.before = before
    asked: list[Any] = []
    monkeypatch.setattr(files, "read", lambda *given, **named: asked.append((given, named)) or held)
    found = checkpoints.read("c", made)
    assert asked == [(("c", files.TRAINING, made), {"grows": "epochs"})]
    return found


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, ""),
        ({"schedule": "exp:0.9"}, ""),
        ({"schedule": "step:1,2:0.1"}, ""),
        ({"schedule": "cosine"}, "--schedule cosine depends on how many there are"),
        ({"schedule": "linear"}, "--schedule linear depends on how many there are"),
        ({"schedule": "one-cycle"}, "--schedule one-cycle depends on how many there are"),
        ({"runs": 2}, "runs of --runs and --vary have ended"),
        ({"vary": ["lr=1"]}, "runs of --runs and --vary have ended"),
        ({"max_time": 1.0}, "where it ended was for --max-time to say"),
    ],
)
def test_more_epochs_follow_where_those_before_are_the_same(
    more: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(monkeypatch, None, **more) is not None
    if not why:
        found = read(monkeypatch, 3, **more)
        assert found is not None
        assert found.before == 3
        return
    with pytest.raises(GencliError) as refused:
        read(monkeypatch, 3, **more)
    assert refused.value.message == f"c: a checkpoint of another run: --epochs was 3, is 5: {why}"


def test_without_a_checkpoint_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "read", lambda *given, **named: None)
    assert checkpoints.read("c", provenance.step("train", SETTINGS)) is None
