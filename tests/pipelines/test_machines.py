"""Two machines under torchrun, as two network namespaces: one dies, comes back, and the run ends in its bytes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.shell import Shell, finish, wait_for

TRAIN = "-m gencli train rows.parquet --arch mlp-1x32 --batch-size 64 --epochs 6 --threads 1 -q"
KEPT = "--checkpoint saved --checkpoint-every 50 --resume -o there"
NAMES = [f"gencli{os.getpid()}{each}" for each in "ab"]
LINKS = [f"gc{os.getpid() % 10**8}{each}" for each in "ab"]
CLEAR = "; ".join(f"ip netns del {name} 2> /dev/null" for name in NAMES)
MAKE = (
    f"ip netns add {NAMES[0]} && ip netns add {NAMES[1]} && "
    f"ip link add {LINKS[0]} netns {NAMES[0]} type veth peer name {LINKS[1]} netns {NAMES[1]} && "
    + " && ".join(
        f"ip -n {name} link set lo up && ip -n {name} addr add 10.77.0.{number}/24 dev {link} && "
        f"ip -n {name} link set {link} up"
        for number, (name, link) in enumerate(zip(NAMES, LINKS, strict=True), 1)
    )
)


@pytest.fixture(scope="module", autouse=True)
def machines() -> Iterator[None]:
    if not os.environ.get("GENCLI_TEST_ALL"):
        pytest.skip("two minutes: with GENCLI_TEST_ALL=1")
    made = subprocess.run(["bash", "-c", MAKE], check=False, capture_output=True, text=True)
    if made.returncode:
        subprocess.run(["bash", "-c", CLEAR], check=False)
        pytest.skip(f"no network namespaces can be made here: {made.stderr.strip()}")
    yield
    subprocess.run(["bash", "-c", CLEAR], check=False)


def started(sh: Shell, number: int) -> subprocess.Popen[bytes]:
    """A launcher on a machine, as README has it: addresses, not names, which are the same on both."""
    return sh.start(
        f"exec ip netns exec {NAMES[number]} torchrun --nnodes 2 --nproc-per-node 1 --max-restarts 3 "
        f"--rdzv-backend c10d --rdzv-id one --rdzv-endpoint 10.77.0.1:29500 --local-addr 10.77.0.{number + 1} "
        f"--rdzv-conf is_host={1 - number} --monitor-interval 0.3 {TRAIN} {KEPT}",
        env={"GLOO_SOCKET_IFNAME": LINKS[number], "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
    )  # fmt: skip


def running(number: int) -> list[int]:
    """The processes of a machine: its launcher, then its worker."""
    told = subprocess.run(["ip", "netns", "pids", NAMES[number]], check=True, capture_output=True, text=True)
    return sorted(map(int, told.stdout.split()))


@pytest.mark.cold
@pytest.mark.parametrize(("number", "whole"), [(0, False), (1, False), (1, True)])
def test_a_machine_that_dies_and_comes_back_ends_in_the_same_bytes(sh: Shell, number: int, whole: bool) -> None:
    sh(f"""gencli data repeat $D/digits.parquet --times 4 -q -o rows.parquet
      torchrun --standalone --nproc-per-node 2 {TRAIN} -o here""").worked()
    launchers = [started(sh, each) for each in range(2)]
    wait_for(sh.folder, "saved", launchers[0])
    first, *rest = running(number)
    for process in [first, *rest] if whole else rest:
        os.kill(process, signal.SIGKILL)
    if whole:
        finish(launchers[number])
        launchers[number] = started(sh, number)
    for each in launchers:
        finish(each).worked()
    assert Path(sh.folder, "there").read_bytes() == Path(sh.folder, "here").read_bytes()
