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


@pytest.mark.parametrize(("start", "kind"), [(b"PAR1", "Parquet"), (b"PARE", "encrypted Parquet")])
def test_parquet_is_no_text(start: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(start + b"and so on" + start)
    with pytest.raises(GencliError, match=f"^{tmp_path}/t.csv: {kind}, not text$"):
        texts.read(Input(str(tmp_path / "t.csv")))


def test_a_zero_byte_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"1,2\n\0\n")
    with pytest.raises(UnicodeDecodeError, match="in position 4: a zero byte"):
        texts.read(Input(str(tmp_path / "t.csv")))
