"""Libraries that exit, abort or crash: status 2, a message, and nothing half done."""

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
