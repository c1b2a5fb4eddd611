"""Interrupted and terminated: the old file stays, nothing else does, and nobody sees a traceback."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from subprocess import Popen

import pytest

from tests.pipelines.shell import PATIENCE, Shell, finish, wait_for

pytestmark = pytest.mark.cold

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
TRAIN = "exec gencli train $D/digits.parquet --arch mlp-1x16 --epochs 100000 -q -o out"
CORRUPT = "gencli corrupt random-labels -p 0.5 -q"


def _wait_for_library(process: Popen[bytes], name: str) -> None:
    """Until the process has this shared library in its memory: the import of what it belongs to is under way."""
    maps = Path(f"/proc/{process.pid}/maps")
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        if name in maps.read_text():
            return
    raise AssertionError(f"no {name}: {process.communicate()}")


@BOTH
def test_training_is_ended(sh: Shell, number: signal.Signals) -> None:
    (sh.folder / "out").write_text("old")
    process = sh.start(TRAIN)
    wait_for(sh.folder, ".out.*.partial", process)
    process.send_signal(number)
    done = finish(process)
    assert (done.status, done.err) == (128 + number, "")
    assert sh.files() == {"out"}
    assert (sh.folder / "out").read_text() == "old"


@BOTH
def test_writing_is_ended(sh: Shell, number: signal.Signals) -> None:
    (sh.folder / "out").write_text("old")
    process = sh.start(f"exec {CORRUPT} $D/large.parquet -o out")
    wait_for(sh.folder, ".out.*.partial", process, size=1)
    process.send_signal(signal.SIGSTOP)  # long enough for the next signal to meet it
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    done = finish(process)
    assert (done.status, done.err) == (128 + number, "")
    assert sh.files() == {"out"}
    assert (sh.folder / "out").read_text() == "old"


@BOTH
def test_waiting_for_input_is_ended(sh: Shell, number: signal.Signals) -> None:
    process = sh.start(f"mkfifo never; exec 3<>never; exec {CORRUPT} -o out <&3")
    _wait_for_library(process, "libarrow")
    process.send_signal(number)
    assert finish(process).status == 128 + number
    assert sh.files() == {"never"}


@BOTH
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
@pytest.mark.parametrize("library", ["_multiarray_umath", "libtorch_python"])
def test_imports_are_ended(sh: Shell, number: signal.Signals, library: str) -> None:
    process = sh.start(TRAIN)
    _wait_for_library(process, library)
    process.send_signal(number)
    done = finish(process)
    assert (done.status, done.err) == (128 + number, "")
    assert sh.files() == set()


def test_an_interrupt_at_the_very_start_is_no_traceback(sh: Shell) -> None:
    process = sh.start("exec gencli --help", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert process.stderr
    for line in process.stderr:  # the report of the first import after the program's own first lines
        if line.split()[-1] == b"typing":
            break
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.status == 130
    assert "Traceback" not in done.err
    assert "KeyboardInterrupt" not in done.err


def test_a_hangup_ends_and_nohup_prevents_it(sh: Shell) -> None:
    for start, name, status in (("", "a", 129), ("trap '' HUP; ", "b", 0)):
        process = sh.start(f"{start}exec {CORRUPT} -o {name} $D/large.parquet")
        wait_for(sh.folder, f".{name}.*.partial", process, size=1)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGCONT)
        assert finish(process).status == status
    assert sh.files() == {"b"}


def test_an_interrupt_stops_a_loop_of_the_shell(sh: Shell) -> None:
    """Bash goes on with the next command after an exit status of 130, but not after a death by SIGINT."""
    process = sh.start(f"for out in a b; do {CORRUPT} $D/large.parquet -o $out; done; echo went on")
    wait_for(sh.folder, ".a.*.partial", process, size=1)
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGCONT):
        os.killpg(process.pid, number)
    done = finish(process)
    assert done.status == 130
    assert not done.out
    assert sh.files() == set()


def test_a_long_computation_in_c_is_ended(sh: Shell) -> None:
    call = "hashlib.pbkdf2_hmac('sha512', b'a', b'b', 2**31 - 1)"  # half an hour, in which Python's handlers wait
    undo = "signals.before_dying(lambda: Path('half').unlink(missing_ok=True))"
    (sh.folder / "long.py").write_text(
        "import hashlib\nfrom pathlib import Path\nfrom gencli.cli import signals\n"
        f"{undo}\nwith signals.handled():\n    Path('half').touch()\n    {call}\n"
    )
    process = sh.start("exec python long.py")
    wait_for(sh.folder, "half", process)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert (done.status, done.err) == (128 + signal.SIGINT, "")
    assert sh.files() == {"long.py"}


def test_the_limit_of_processor_time_is_an_error(sh: Shell) -> None:
    done = finish(sh.start(f"ulimit -t 6; {TRAIN}"))
    assert done.status == 2
    assert "the limit of processor time is reached" in done.err
    assert not sh.files()


def test_the_next_run_removes_what_a_killed_one_left_and_nothing_else(sh: Shell) -> None:
    others = {".out.partial", ".out.0123456.partial", ".outer.01234567.partial", ".out.01234567.partial.x"}
    for name in others:
        (sh.folder / name).touch()
    begun = []
    for name, number in (("killed", signal.SIGKILL), ("living", signal.SIGSTOP)):
        begun.append(sh.start(f"exec {CORRUPT} $D/large.parquet -o {name}"))
        wait_for(sh.folder, f".{name}.*.partial", begun[-1], size=1)
        begun[-1].send_signal(number)
    begun[0].wait()
    (left,), (held,) = ([path.name for path in sh.folder.glob(f".{name}.*")] for name in ("killed", "living"))
    for name in ("killed", "living", "out"):
        done = sh(f"gencli corrupt random-labels -p 0.5 $D/digits.parquet -o {name}").worked()
        assert (f"{left}: removed, left behind by a killed run" in done.err) == (name == "killed")
    assert sh.files() == others | {held, "killed", "living", "out"}
    begun[1].send_signal(signal.SIGCONT)
    finish(begun[1]).worked()
    assert sh.files() == others | {"killed", "living", "out"}


def test_what_cannot_be_undone_keeps_no_process_from_dying(sh: Shell) -> None:
    script = "from gencli.cli import signals; signals.before_dying(lambda: 1 / 0); signals.die(15); print('alive')"
    done = sh(f'python -c "{script}"')
    assert (done.status, done.text, done.err) == (143, "", "")


def test_no_way_out_is_pythons_own(sh: Shell) -> None:
    """Which aborts the process while a thread of Arrow's reads through Python."""
    script = """
import threading, time
import pyarrow.parquet as pq
import gencli.__main__ as program

class Slow:
    closed = False
    def __init__(self):
        self.file = open("digits.parquet", "rb")
        self.seek, self.tell = self.file.seek, self.file.tell
    def read(self, size=-1):
        time.sleep(0.05)
        return self.file.read(size)
    def close(self):
        pass

def main():
    batches = pq.ParquetFile(Slow(), pre_buffer=True).iter_batches(10)
    threading.Thread(target=lambda: list(batches), daemon=True).start()
    time.sleep(0.1)
    raise MemoryError("nothing left")

program.main = main
program.run()
"""
    (sh.folder / "exit.py").write_text(script)
    done = sh("cp $D/digits.parquet .; python exit.py")
    assert (done.status, done.err) == (2, "gencli: unexpected MemoryError: nothing left\n  please report it\n")
