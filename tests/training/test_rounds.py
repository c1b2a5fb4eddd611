"""How many of several networks go at once, and why they take turns; what is said and shown of their rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from gencli import machine
from gencli.errors import GencliError
from gencli.models.inputs import Rows, load
from gencli.ranks import Group
from gencli.training import several
from gencli.training.several import Several, begin
from gencli.training.states import Epoch
from tests.training.test_several import PLAIN, TABLE, setup

ONE = 4 * (6 * 17 + 3 * 7)  # bytes of a network of 16 pixels, 6 units and 3 classes


def started(**more: Any) -> Several:
    made = begin(setup(replace(PLAIN, **more)), TABLE, None, Group(), rehearsed=True)
    assert isinstance(made, Several)
    return made


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, ""),
        ({"runs": 1}, "there is only one"),
        ({"stream": 20}, "each streams the images in an order of its own"),
        ({"precision": "bf16"}, "in bf16 sums would differ"),
        ({"optimizer": "muon", "arch": "mlp-2x6"}, "muon takes each network's matrices by themselves"),
        ({"whiten": "dataset"}, ""),
        ({"whiten": "dataset", "subset": 0.8}, "each is whitened by its own rows"),
        ({"whiten": "dataset", "validation_fraction": 0.2}, "each is whitened by its own rows"),
        ({"whiten": "image", "subset": 0.8}, ""),
        ({"arch": "convnet-vanilla"}, "layers of convnet-vanilla have no batched form"),
        ({"arch": "mlp-1x4999"}, ""),
        ({"arch": "mlp-1x5000"}, "100,003 parameters a network are too many to gain"),
    ],
)
def test_networks_take_turns_for_a_reason(more: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    made = started(**more)
    assert made.why == why
    count = made._count
    whole = f"{count} networks"
    assert made.said == (f"{whole}, one after the other: {why}" if why else f"{whole}, all at once")
    assert len(made.rounds) == (count if why else 1)


def test_as_many_go_at_once_as_fit_a_cache_or_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = ONE // 4
    for threads, name in ((1, "_OF_ONE"), (2, "_OF_SEVERAL")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(several, "_OF_ONE", 9 * parameters)
        monkeypatch.setattr(several, "_OF_SEVERAL", 9 * parameters)
        for numbers, rounds in ((2 * parameters, 2), (3 * parameters - 1, 2), (3 * parameters, 3), (5 * parameters, 5)):
            monkeypatch.setattr(several, name, numbers)
            made = started(runs=5)
            assert len(made.rounds[0]) == rounds
            assert [number for part in made.rounds for number in part] == [*range(5)]
            assert made.total_steps == 3 * 4 * len(made.rounds)
            told = "all at once" if rounds == 5 else f"{rounds} at once, in {len(made.rounds)} rounds"
            assert made.said == f"5 networks, {told}"
        monkeypatch.setattr(several, name, 2 * parameters - 1)
        assert started(runs=5).why == "there is no room for two"


def test_memory_is_for_all_networks_and_then_for_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    step = 4 * (3 * ONE // 4 + 16 * (16 + 6))  # weights, gradients, momentum; 16 rows of pixels and units
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for room, at_once in ((2 * step - 1, 1), (2 * step, 2), (3 * step - 1, 2), (3 * step, 3), (99 * step, 4)):
        monkeypatch.setattr(machine, "free_memory", lambda room=room: 4 * 3 * ONE + room)
        assert len(started(runs=4).rounds[0]) == at_once
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(machine, "free_memory", lambda: 2 * (4 * 3 * ONE + 3 * step))
    assert len(started(runs=4).rounds[0]) == 3
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * 3 * ONE)
    assert started(runs=4).why == "there is no room for two"
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * 3 * ONE - 1)
    with pytest.raises(GencliError) as refused:
        started(runs=4)
    size = machine.size
    assert refused.value.message == (
        f"--runs: 4 networks of {size(ONE)} and their file need {size(12 * ONE)} of memory, "
        f"but only {size(12 * ONE - 1)} are free"
    )
    assert refused.value.hint == "3 fit; train the others into another file, with another --seed"


def test_progress_goes_through_the_rounds_and_names_their_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_OF_ONE", "_OF_SEVERAL"):
        monkeypatch.setattr(several, name, 2 * ONE // 4)
    made = begin(setup(replace(PLAIN, epochs=2)), TABLE, None, Group())
    assert isinstance(made, Several)
    heard: list[tuple[int, Epoch | None]] = []
    assert made.step == 0
    made.run(lambda step, epoch: heard.append((step, epoch)))
    assert [step for step, epoch in heard if epoch is None] == [*range(1, 17)]
    epochs = [(step, epoch) for step, epoch in heard if isinstance(epoch, several.Mean)]
    assert [(step, epoch.epoch, epoch.step, epoch.who) for step, epoch in epochs] == [
        (4, 1, 4, "runs 0 to 1"), (8, 2, 8, "runs 0 to 1"), (12, 1, 4, "run 2"), (16, 2, 8, "run 2")
    ]  # fmt: skip
    losses = [course.history[0].train_loss for course in made.courses]
    assert epochs[0][1].train_loss == pytest.approx(sum(losses[:2]) / 2)
    assert epochs[2][1].train_loss == losses[2]
    assert (made.step, made.total_steps) == (16, 16)
    assert "3 networks, 2 at once, in 2 rounds" in capsys.readouterr().err


def test_processes_divide_the_networks_evenly() -> None:
    shares = []
    for rank in range(3):
        made = Several(setup(replace(PLAIN, runs=7)), _rows(), None, _Silent(rank, 3), rehearsed=True)
        shares.append([number for part in made.rounds for number in part])
        assert made.said.startswith(f"7 networks, divided among 3 processes, here {len(shares[-1])}, all at once")
    assert shares == [[0, 1], [2, 3], [4, 5, 6]]
    Several(setup(replace(PLAIN, runs=3)), _rows(), None, _Silent(2, 3), rehearsed=True)  # one each


class _Silent(Group):
    def gatherer(self) -> Any:
        return lambda mine: [mine]


def _rows() -> Rows:
    return load(TABLE)


@pytest.mark.parametrize(("option", "value"), [("mix", "cutmix"), ("track", "distance")])
def test_several_processes_hold_parts_of_the_rows(option: str, value: str) -> None:
    settings = replace(PLAIN, runs=None, **{option: value})
    with pytest.raises(GencliError, match=f"--{option}: 2 processes of torchrun: "):
        begin(setup(settings), TABLE, None, _Silent(0, 2), rehearsed=True)
    begin(setup(settings), TABLE, None, Group(), rehearsed=True)
