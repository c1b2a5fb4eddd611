"""Sums over the rows of several processes, which are forks of this one; whole commands are in tests/pipelines."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch._C._distributed_c10d import HashStore, TCPStore

from gencli import machine, ranks
from gencli.counts import span
from gencli.errors import CheckFailed, GencliError
from gencli.files.provenance import Step
from gencli.ranks import Group, Shard
from tests.helpers import image_table

CPU = torch.device("cpu")
SEVERAL = {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3"}  # machines


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


def together(group: Group) -> tuple[Any, ...]:
    summed, single = [torch.full((2,), 1.0 + group.rank), torch.full((1, 3), 10.0 * group.rank)], torch.zeros(1)
    group.add(summed)
    group.add([])
    shared = [torch.full((2,), 5.0 + group.rank)]
    group.share(shared)
    with group.summed(single):
        single += 2
    few = group.whole(torch.full((len(group.span(1)), 2), 7.0), 1)
    gathered = group.gatherer()(group.rank + 3)
    most = group.most(group.rank, 5 - group.rank)
    facts = [each.tolist() for each in (*summed, *shared, single)]
    return facts, few.tolist(), gathered, most, group.arguments()


def test_two_processes_add_share_and_compare() -> None:
    for rank, (facts, few, gathered, most, arguments) in enumerate(in_processes(2, together)):
        assert facts == [[3.0, 3.0], [[10.0] * 3], [5.0, 5.0], [4.0]]
        assert few == ([[7.0, 7.0]] if rank == 0 or len(span(1, 1, 2)) else [])
        assert (gathered, most, arguments) == ([3, 4], (1, 5), {"processes": 2})
    facts, few, gathered, most, arguments = together(Group())
    assert facts == [[1.0, 1.0], [[0.0] * 3], [5.0, 5.0], [2.0]]
    assert (few, gathered, most, arguments) == ([[7.0, 7.0]], [3], (0, 5), {})
    assert (Group().rank, Group().size, ranks.ALONE.part(image_table(5))) == (0, 1, None)


def likewise(group: Group) -> None:
    def fail() -> None:
        raise GencliError("all" if group.rank != 1 else "one", "")

    group.each(fail)


def otherwise(group: Group) -> None:
    sys.argv = ["gencli", "eval", "model", "--top=3", "-q"] if group.rank != 1 else ["gencli", "eval", "--norm"]
    for name in [name for name in os.environ if name.startswith("GENCLI_")]:
        del os.environ[name]
    os.environ["GENCLI_SEED"] = "1"
    group.require_same(lambda: Step("eval", {}, {}))


def test_an_error_of_several_processes_is_said_once_and_other_options_are_refused() -> None:
    first, second, third = in_processes(3, likewise)
    assert (first.message, second.message) == ("all", "one")
    assert third.exit_code == 2
    one, other = in_processes(2, otherwise)
    assert one.exit_code == 2
    assert other.message == "process 1 of 2 is not at the same work as process 0: its options are --norm GENCLI_SEED"
    Group().require_same(lambda: Step("eval", {}, {}))


@pytest.mark.parametrize(("rows", "size"), [(9, 2), (10, 3), (3, 2), (12, 4), (2, 2), (2, 3), (1, 2)])
def test_a_process_holds_whole_row_groups_where_there_are_enough(
    rows: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gencli.files.tables._GROUP_ROWS", 3)
    table = image_table(rows)
    if rows < size:
        with pytest.raises(GencliError) as refused:
            Group(0, size).part(table)
        assert refused.value.message == f"toy: {size} processes for {rows} rows"
        assert refused.value.hint == f"start {rows} or fewer with torchrun --nproc-per-node"
        return
    parts = [Group(rank, size).part(table) for rank in range(size)]
    held = np.stack([part for part in parts if part is not None])
    assert held.shape == (size, rows)
    assert (held.sum(0) == 1).all()
    owner, unit = held.argmax(0), 3 if -(-rows // 3) >= size else 1
    assert (np.diff(owner) >= 0).all()
    assert all(len({*owner[start : start + unit]}) == 1 for start in range(0, rows, unit))
    counts = [len({place // unit for place in np.flatnonzero(part)}) for part in held]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("variables", "rank", "told", "prefix"),
    [
        (SEVERAL, 0, True, ""),
        (SEVERAL, 1, False, ""),
        ({"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "0"}, 0, False, ""),
        ({"GROUP_WORLD_SIZE": "2"}, 0, False, ""),
        ({"TORCHELASTIC_MAX_RESTARTS": "3"}, 0, False, ""),
        ({"GROUP_WORLD_SIZE": "1", "TORCHELASTIC_MAX_RESTARTS": "3"}, 0, False, "restart 0"),
        ({"GROUP_WORLD_SIZE": "1", "TORCHELASTIC_RESTART_COUNT": "2"}, 0, False, "restart 2"),
        (
            {"GROUP_WORLD_SIZE": "2", "TORCHELASTIC_MAX_RESTARTS": "3", "TORCHELASTIC_USE_AGENT_STORE": "no"},
            0,
            False,
            "",
        ),
    ],
)
def test_restarts_on_several_machines_are_warned_of_once(
    variables: dict[str, str], rank: int, told: bool, prefix: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in ("GROUP_WORLD_SIZE", "TORCHELASTIC_MAX_RESTARTS", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for name, word in ({"TORCHELASTIC_USE_AGENT_STORE": "True"} | variables).items():
        monkeypatch.setenv(name, word)
    store, made = HashStore(), list[str]()
    monkeypatch.setattr(ranks, "rendezvous", lambda *given, **named: iter([(store, 0, 1)]))
    monkeypatch.setattr(ranks, "PrefixStore", lambda prefix, store: made.append(prefix))
    ranks._meeting(rank)
    assert made == [prefix]
    assert ("--max-restarts: on several machines" in capsys.readouterr().err) == told


def test_errors_of_the_others_are_told_from_ones_own() -> None:
    for word in (
        "rendezvous failed",
        "gloo",
        "Connection reset",
        "connection closed",
        "NCCL",
        "Timed out",
        "timed out",
    ):
        assert ranks._is_lost(RuntimeError(f"x {word} y"))
        assert ranks._is_lost(ValueError(word))
        assert not ranks._is_lost(OSError(word))
    assert ranks._is_lost(torch.distributed.DistError("x"))
    assert not ranks._is_lost(RuntimeError("shapes do not fit"))
