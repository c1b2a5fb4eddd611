"""What a command loads: nothing heavy that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.pipelines.shell import PATIENCE, Shell, environment

pytestmark = pytest.mark.cold

TORCH = {"torch", "torchvision"}
FIGURES = {"matplotlib", "plotext"}
TABLES = {"numpy", "pyarrow"}
HEAVY = TORCH | FIGURES | TABLES | {"sklearn", "rich", "PIL", "safetensors", "scipy", "pandas"}
_LOADED = """
import json, os, sys
shown = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
from gencli.__main__ import main
status = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module}
os.write(shown, json.dumps([status, sorted(loaded)]).encode())
"""


def _loaded(sh: Shell, command: str) -> set[str]:
    """Which of the heavy modules a command that works has loaded."""
    out = subprocess.run(
        ["bash", "-c", f'exec "$0" -c "$1" {command}', sys.executable, _LOADED],
        cwd=sh.folder, env=environment(sh.extra), stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE,
        capture_output=True,
    ).stdout  # fmt: skip
    status, names = json.loads(out)
    assert status == 0
    return HEAVY & set(names)


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "data --help", "data digits --help", "data parquet --help", "data cifar10 --help"],
)
def test_help_loads_nothing(sh: Shell, command: str) -> None:
    assert _loaded(sh, command) == set()


@pytest.mark.parametrize(
    "command",
    ["corrupt --help", "corrupt random-labels --help", "train --help", "eval --help", "report --help"],
)
def test_the_help_of_commands_loads_tables_at_the_most(sh: Shell, command: str) -> None:
    assert _loaded(sh, command) <= TABLES


def test_a_corruption_loads_tables_alone(sh: Shell) -> None:
    assert _loaded(sh, "corrupt random-labels -p 1 $D/digits.parquet -q") == TABLES


def test_data_loads_no_torch(sh: Shell) -> None:
    assert not _loaded(sh, "data digits --limit 3") & (TORCH | FIGURES)
    assert not _loaded(sh, "data parquet $D/digits.parquet --limit 3") & (TORCH | FIGURES | {"sklearn", "rich"})


def test_what_is_in_a_file_is_shown_without_torch(sh: Shell) -> None:
    assert not _loaded(sh, "show --help") & (HEAVY - TABLES)
    files = "$D/history.parquet $D/model.safetensors $D/corrupted.parquet"
    assert not _loaded(sh, f"show {files}") & (HEAVY - TABLES - {"rich", "pandas"})


def test_a_report_loads_no_torch(sh: Shell) -> None:
    assert not _loaded(sh, "report $D/history.parquet") & (TORCH | FIGURES | {"sklearn"})


def test_training_loads_torch_and_no_torchvision(sh: Shell) -> None:
    """Which also shows that what is loaded is seen."""
    loaded = _loaded(sh, "train $D/digits.parquet --arch mlp-1x2 --epochs 1 -q -o model.safetensors")
    assert "torch" in loaded
    assert not loaded & (FIGURES | {"torchvision", "sklearn"})
