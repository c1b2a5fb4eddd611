"""Sums over the rows of several processes, which are forks of this one; whole commands are in tests/pipelines."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch._C._distributed_c10d import TCPStore

from gencli import machine, ranks
from gencli.counts import span
from gencli.errors import CheckFailed, GencliError
from gencli.ranks import Group, Shard

CPU = torch.device("cpu")


def in_processes(size: int, work: Callable[[Group], Any], port: int | None = None, late: float = 0) -> list[Any]:
    """What the function gives in each of them, of which the first is `late` by seconds, or the error that ends it."""
    context = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = port or free.getsockname()[1]

    def run(rank: int, answer: Any) -> None:
        time.sleep(late if rank == 0 else 0)
        os.environ.update(
            RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK="0", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
        )
        torch.set_num_threads(1)
        try:
            with ranks.dividing(CPU) as group:
                found = work(group)
        except (GencliError, typer.Exit, ValueError) as error:
            found = error
        answer.send(found)
        os._exit(0)

    pipes = [context.Pipe(duplex=False) for _ in range(size)]
    processes = [context.Process(target=run, args=(rank, pipes[rank][1])) for rank in range(size)]
    for each in processes:
        each.start()
    found = [receive.recv() if receive.poll(60) else None for receive, _ in pipes]
    for each in processes:
        each.kill()
    return found


def sums(group: Group) -> tuple[Any, ...]:
    values = torch.arange(7.0) / 3
    exact, rounded, counts = torch.zeros(2, dtype=torch.float64), torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    with group.summed(exact, rounded, counts):
        for place in group.span(7):
            exact += values[place].double()
            rounded += values[place]
            counts += (1 << 60) + place
    own = group.span(7)
    whole = group.whole(values[own.start : own.stop, None], 7)
    return exact.tolist(), rounded.item(), counts.item(), group.each(lambda: group.rank), whole[:, 0].tolist()


def failing(group: Group) -> None:
    with group.summed(torch.zeros(1)):
        if group.rank == 1:
            raise CheckFailed("row 5 is wrong", "leave it out")


def unequal(group: Group) -> None:
    group.require_equal(3 + group.rank // 2, "the checkpoint of")


def test_sums_are_those_over_all_rows_and_errors_those_of_one_process() -> None:
    values = torch.arange(7.0) / 3
    found = in_processes(3, sums)
    for rank, (exact, rounded, counts, each, whole) in enumerate(found):
        assert exact == pytest.approx([values.double().sum().item()] * 2, rel=1e-15)
        assert rounded == pytest.approx(values.sum().item(), rel=1e-6)
        assert counts == sum((1 << 60) + place for place in range(7))  # float64 has no such numbers
        assert each == [0, 1, 2]
        assert rank or whole == values.tolist()
    one, two, three = in_processes(3, failing)
    assert isinstance(two, CheckFailed)
    assert (two.message, two.hint, two.status) == ("row 5 is wrong", "leave it out", 1)
    assert [each.exit_code for each in (one, three)] == [1, 1]  # without a word
    *quiet, told = in_processes(3, unequal)
    assert [each.exit_code for each in quiet] == [2, 2]
    assert told.message == "the checkpoint of process 2 is at 4, that of process 0 at 3"


def test_processes_after_a_restart_do_not_look_for_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # as torchrun's is
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("GROUP_WORLD_SIZE", "1")
    for restart in range(2):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(restart))
        found = in_processes(2, lambda group: group.each(lambda: group.rank), kept.port, late=0.5 * restart)
        assert found == [[0, 1]] * 2


@pytest.mark.parametrize(("rows", "parts"), [(0, 3), (2, 5), (7, 3), (360, 2), (1437, 4)])
def test_every_row_is_of_one_part_and_parts_are_even(rows: int, parts: int) -> None:
    spans = [span(rows, part, parts) for part in range(parts)]
    assert [place for each in spans for place in each] == list(range(rows))
    assert np.ptp([len(each) for each in spans]) <= 1


def test_a_part_that_is_computed_by_itself_asks_no_others() -> None:
    shard, total = Shard(1, 3), torch.zeros(1)
    with shard.summed(total):
        total += 2
    assert total.item() == 2
    assert shard.each(lambda: 5) == [5]
    assert shard.arguments() == {"shard": "1/3"}


@pytest.mark.parametrize(("rank", "size"), [("2", "2"), ("-1", "2"), ("a", "2"), ("0", "x")])
def test_variables_that_are_no_process_of_torchruns_are_refused(
    rank: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", size)
    assert machine.process() == (0, 1)  # some schedulers set only that
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(GencliError, match=f"RANK={rank} and WORLD_SIZE={size}"):
        machine.process()


def test_processes_that_know_no_first_one_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, word in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_PORT", "abc")):
        monkeypatch.setenv(name, word)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(GencliError, match="WORLD_SIZE=2, but MASTER_ADDR is not set"), ranks.joined(CPU):
        pass
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(GencliError, match="WORLD_SIZE=2, but MASTER_PORT is abc"), ranks.joined(CPU):
        pass
