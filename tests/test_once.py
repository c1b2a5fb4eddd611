"""What several processes of torchrun say of why they end; the launcher's store is one of this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from torch._C._distributed_c10d import TCPStore

from gencli import once


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A process that torchrun started, one of two."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(once, "_PATIENCE", timedelta(seconds=0.3))
    monkeypatch.setattr(once, "_ROOM", 0)
    yield monkeypatch
    del store


def says(process: pytest.MonkeyPatch, rank: int, words: str) -> bool:
    process.setenv("LOCAL_RANK", str(rank))
    with once.said(words) as wanted:
        return wanted


def test_the_first_process_says_what_all_refuse_and_each_what_it_alone_refuses(process: pytest.MonkeyPatch) -> None:
    assert says(process, 1, "no such file")  # the first one is at work
    assert says(process, 0, "no such file")
    assert not says(process, 1, "no such file")
    assert says(process, 1, "no such option")
    process.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert says(process, 1, "no such file")


def test_processes_without_a_launcher_all_speak(process: pytest.MonkeyPatch) -> None:
    process.setenv("MASTER_PORT", "1")
    assert says(process, 0, "no such file")
    assert says(process, 1, "no such file")
    process.delenv("TORCHELASTIC_USE_AGENT_STORE")
    assert says(process, 1, "no such file")
