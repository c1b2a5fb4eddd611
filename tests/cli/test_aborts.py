"""Libraries that exit, abort or crash: status 2, a message, and nothing half done."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_END = """
import ctypes, sys, threading
from pathlib import Path
from gencli.cli import aborts, signals

left = Path(sys.argv[1])
left.write_text("half")
signals.before_dying(lambda: left.unlink(missing_ok=True))
aborts.caught()
library = ctypes.CDLL(None)
end = {"exit": lambda: library.exit(1), "abort": library.abort, "crash": lambda: ctypes.string_at(0)}[sys.argv[2]]
if sys.argv[3] == "thread":
    threading.Thread(target=end).start()
    threading.Event().wait()
end()
"""


@pytest.mark.parametrize("where", ["main", "thread"])
@pytest.mark.parametrize("how", ["exit", "abort", "crash"])
def test_what_a_library_ends_has_status_2_and_leaves_nothing(how: str, where: str, tmp_path: Path) -> None:
    left = tmp_path / "half"
    ended = subprocess.run(
        [sys.executable, "-c", _END, str(left), how, where], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("gencli: ")
    assert "ulimit -v" in ended.stderr
    assert not left.exists()


_STUCK = """
import ctypes, os, signal, sys, threading
from pathlib import Path
from gencli.cli import signals

left = Path(sys.argv[1])
left.write_text("half")
signals.before_dying(lambda: left.unlink(missing_ok=True))
library, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
with signals.handled():
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    library.pthread_mutex_lock(lock)
    library.pthread_mutex_lock(lock)  # forever, in no Python code that could run a handler
"""


def test_a_signal_ends_a_process_whose_main_thread_is_in_a_library(tmp_path: Path) -> None:
    left = tmp_path / "half"
    ended = subprocess.run([sys.executable, "-c", _STUCK, str(left)], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, b"")
    assert not left.exists()
