"""When a fit is saved, by which process, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.files.provenance import step
from gencli.fitting import saving
from gencli.fitting.saving import Saved
from gencli.ranks import ALONE

Written = list[tuple[str, list[str], str]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    found: Written = []
    monkeypatch.setattr(
        saving.checkpoints, "write", lambda path, kind, content, made, at: found.append((path, list(content), at))
    )
    return found


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(saving.console, "message", found.append)
    return found


def saved(path: str | None = "c", every: int = 3, rank: int = 0) -> Saved:
    group: Any = ALONE if rank == 0 else SimpleNamespace(rank=rank, require_equal=lambda *words: None)
    asked: Any = SimpleNamespace(checkpoint=path, checkpoint_every=every, resume=False)
    return Saved(asked, step("fit", {}), 2, group)


class Steps:
    """A solver that is over after so many products."""

    def __init__(self, last: int) -> None:
        self.last, self.products, self.over = last, 0, False

    def run(self, most: int) -> Iterator[None]:
        while not self.over:
            self.products += 1
            self.over = self.products == min(self.last, most)
            yield

    def state(self) -> dict[str, torch.Tensor]:
        return {"rest": torch.zeros(1)}


def run(one: Saved, last: int, monkeypatch: pytest.MonkeyPatch, signal_at: int = 0) -> list[int]:
    """The products at which the fit told of itself; a signal arrives at one of them."""
    solver: Any = Steps(last)
    told: list[int] = []

    @contextmanager
    def deferred() -> Iterator[Callable[[], int | None]]:
        yield lambda: 15 if solver.products == signal_at else None

    def die(number: int) -> None:
        raise SystemExit(number)

    monkeypatch.setattr(saving.signals, "deferred", deferred)
    monkeypatch.setattr(saving.signals, "die", die)
    one.run(solver, 1000, lambda: told.append(solver.products))
    return told


def test_iterations_are_saved_at_intervals_while_they_last(
    written: Written, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(saved(), 9, monkeypatch) == list(range(1, 10))
    assert written == [("c", ["rest"], "product 3"), ("c", ["rest"], "product 6")]
    assert not said
    assert run(saved(None), 9, monkeypatch, 4) == list(range(1, 10))
    assert run(saved(rank=1), 9, monkeypatch) == list(range(1, 10))
    assert len(written) == 2


@pytest.mark.parametrize("last", [9, 4])
def test_a_signal_saves_what_is_not_over(
    last: int, written: Written, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(saved(every=100), last, monkeypatch, 4)
    assert ended.value.code == 15
    assert written == ([("c", ["rest"], "product 4")] if last > 4 else [])
    assert said == (["c: stopped after product 4; --resume continues from there"] if last > 4 else [])


def test_kernels_that_were_tried_are_saved_with_what_is_in_progress(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = saved()
    assert one._at(None) == "the start"
    one.tried(0.5)
    one.tried(0.75)
    assert one.accuracies == [0.5, 0.75]
    assert run(one, 4, monkeypatch) == [1, 2, 3, 4]
    assert written == [
        ("c", ["accuracies"], "kernel 1"), ("c", ["accuracies"], "kernel 2"),
        ("c", ["rest", "accuracies"], "kernel 2, product 3"),
    ]  # fmt: skip
    saved(None).tried(0.5)
    assert len(written) == 3
    many: Any = SimpleNamespace(products=12_345)
    assert saved()._at(many) == "product 12,345"
