"""Files of text are read whole, and refused where their values would not fit in memory."""

from pathlib import Path

import pytest

from gencli import machine
from gencli.errors import GencliError
from gencli.files import texts
from gencli.files.stream import Input


@pytest.mark.parametrize("content", ["1,2\n" * 9000, "[]," * 9000, "{} " * 9000, "1;" * 9000, "\n" * 9000])
def test_values_beyond_memory_are_refused(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"\ufeff{content}")
    assert texts.read(Input(str(path))) == content
    monkeypatch.setattr(machine, "free_memory", lambda: 1 << 19)
    with pytest.raises(GencliError, match=rf"^{path}: its values: needs [\d.]+ (MiB|KiB) of memory"):
        texts.read(Input(str(path)))
