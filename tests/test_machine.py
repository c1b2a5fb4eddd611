"""What the machine has: the memory that is free, and the refusal of more."""

from __future__ import annotations

import os
import subprocess
import sys
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
