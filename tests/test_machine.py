"""What the machine has: the memory that is free, and the refusal of more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gencli import machine
from gencli.errors import GencliError


def test_what_cannot_fit_in_memory_is_refused_with_its_size() -> None:
    machine.require_memory(1 << 20, "--size 1")
    with pytest.raises(GencliError, match=r"--size 9: needs 1,048,576\.0 GiB of memory, but only .* are free"):
        machine.require_memory(1 << 50, "--size 9")
    with pytest.raises(GencliError, match=r"needs 2\^5000 bytes"):
        machine.require_memory(1 << 5000, "--size 9")


def test_sizes_are_said_in_the_largest_unit_of_which_there_is_one() -> None:
    assert [machine.size(count) for count in (0, 1023, 1024, 3 << 19, 5 << 30)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.5 MiB", "5.0 GiB"
    ]  # fmt: skip


def test_free_memory_is_below_the_machines() -> None:
    assert 0 < machine.free_memory() < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_limit_of_the_shell_bounds_what_is_free() -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30,) * 2); import gencli.machine as m; "
    shown = subprocess.run([sys.executable, "-c", f"{script}print(m.free_memory())"], capture_output=True, check=True)
    assert 1 << 28 < int(shown.stdout) < 1 << 30


@pytest.mark.parametrize(
    ("groups", "limit", "usage", "folder"),
    [
        ("0::/a/b\n", "memory.max", "memory.current", "sys/fs/cgroup/a"),
        ("4:memory:/a/b\n0::/\n", "memory.limit_in_bytes", "memory.usage_in_bytes", "sys/fs/cgroup/memory/a/b"),
    ],
)
def test_a_control_group_bounds_what_is_free(
    groups: str, limit: str, usage: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    (place / limit).write_text(f"{9 << 20}\n")
    (place / usage).write_text(f"{6 << 20}\n")
    (place / "memory.stat").write_text(f"anon 5\ninactive_file {1 << 20}\n")
    monkeypatch.setattr(machine, "Path", lambda *parts: Path(tmp_path, *(part.lstrip("/") for part in parts)))
    assert machine.free_memory() == 4 << 20


def test_several_processes_share_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for count in (1, 2, 3):
        monkeypatch.setattr(machine, "process", lambda count=count: (0, count))
        machine.require_files("a", "b")
        for places in (("-",), ("a", None)):
            if count == 1:
                machine.require_files(*places)
                continue
            with pytest.raises(GencliError, match=f"standard input: {count} processes cannot share it"):
                machine.require_files(*places)


@pytest.mark.parametrize(
    ("asked", "used"), [("3", 3), (" 5 ,2", 5), ("0", None), ("", None), ("x", None), ("-1", None)]
)
def test_cores_are_those_asked_for_or_all(asked: str, used: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)) if process == 0 else {0})
    assert machine.cores() == (used or 7)


def test_few_items_are_begun_before_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 2)
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(9):
            drawn.append(item)
            yield item

    made = machine.in_threads(lambda item: item**2, items())
    assert next(made) == (0, 0)
    assert len(drawn) == 4  # one for each core, one that waits, and one for the result that is taken
    assert list(made) == [(item, item**2) for item in range(1, 9)]


def launched(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, word in variables.items():
        monkeypatch.setenv(name, word)


def test_the_first_process_is_the_one_of_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch)
    assert (machine.process(), machine.first()) == ((0, 1), True)
    for rank, size in ((0, 1), (0, 2), (1, 2), (2, 3)):
        launched(monkeypatch, RANK=str(rank), WORLD_SIZE=str(size))
        assert (machine.process(), machine.first()) == ((rank, size), rank == 0)


@pytest.mark.parametrize(
    ("size", "word", "count"), [("2", "2", 2), ("3", "1", 1), ("3", "", 1), ("3", "x", 1), ("3", "0", 1), ("1", "4", 1)]
)
def test_processes_of_this_machine_are_counted_where_there_are_several(
    size: str, word: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(monkeypatch, RANK="0", WORLD_SIZE=size, LOCAL_WORLD_SIZE=word)
    assert machine.local() == count


def test_several_processes_are_refused_where_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, RANK="0", WORLD_SIZE="1")
    machine.require_alone("it is one")
    for size in ("2", "3"):
        launched(monkeypatch, RANK="0", WORLD_SIZE=size)
        machine.require_alone("")
        with pytest.raises(GencliError, match=f"^{size} processes of torchrun: it is one$"):
            machine.require_alone("it is one")


def test_a_first_process_with_a_place_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, RANK="1", WORLD_SIZE="2", MASTER_ADDR="a", MASTER_PORT="1")
    machine.require_launched()
    launched(monkeypatch, RANK="1", WORLD_SIZE="2", MASTER_ADDR="a", MASTER_PORT="x" * 30)
    with pytest.raises(GencliError) as refused:
        machine.require_launched()
    assert refused.value.message == f"WORLD_SIZE=2, but MASTER_PORT is {'x' * 20}"
    launched(monkeypatch, RANK="9" * 30, WORLD_SIZE="8" * 30)
    with pytest.raises(GencliError) as refused:
        machine.process()
    assert refused.value.message == f"RANK={'9' * 20} and WORLD_SIZE={'8' * 20} are no process of torchrun's"


def test_all_that_is_free_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 3 << 20)
    machine.require_memory(3 << 20, "--size")
    with pytest.raises(GencliError) as refused:
        machine.require_memory((3 << 20) + 1, "--size", "take less")
    assert refused.value.message == "--size: needs 3.0 MiB of memory, but only 3.0 MiB are free"
    assert refused.value.hint == "take less"
    assert [machine.size(count) for count in ((1 << 70) - (1 << 30), 1 << 70, 3 << 70)] == [
        "1,099,511,627,775.0 GiB", "2^70 bytes", "2^71 bytes"
    ]  # fmt: skip


def test_nothing_is_free_where_more_is_used_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for rooms, free in (([-5], 0), ([5, 3, 9], 3), ([0], 0)):
        monkeypatch.setattr(machine, "_groups_rooms", lambda rooms=rooms: iter(rooms))
        assert machine.free_memory() == free


def test_the_numbers_of_the_kernel_are_kibibytes_of_what_is_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:    41 kB\n")
    monkeypatch.setattr(machine, "Path", lambda *parts: Path(tmp_path, *(part.lstrip("/") for part in parts)))
    assert machine.free_memory() == 41 << 10
