"""Which files and names vectors are taken from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gencli.curvature.vectors import open_file
from gencli.errors import GencliError


def test_a_word_is_a_file_that_exists(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"bytes")
    assert open_file(str(tmp_path / "v")).size == 5
    with pytest.raises(GencliError, match=r"--vector: .*w: no such file"):
        open_file(str(tmp_path / "w"))
