from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def pretender(tmp_path: Path) -> dict[str, str]:
    """An environment whose gencli makes empty files, and writes down what it was told and its threads."""
    bin = tmp_path / "bin"
    bin.mkdir()
    script = """
    echo "$OMP_NUM_THREADS $*" >> "$CALLS"
    [ -p /dev/stdin ] && cat > /dev/null
    while [ $# -gt 0 ]; do
      case $1 in -o|--history|--density|--figure) echo 1,1,1,1,1,1 > "$2"; shift;; esac
      shift
    done
    """
    (bin / "gencli").write_text(f"#!/bin/bash{script}")
    (bin / "gencli").chmod(0o755)
    (tmp_path / "calls").touch()
    return {"PATH": f"{bin}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
