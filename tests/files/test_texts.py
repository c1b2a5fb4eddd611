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


def columns(path: Path, content: str) -> dict[str, list[str]]:
    path.write_text(content)
    return texts.columns(Input(str(path)))


def test_cells_of_csv_stand_under_their_names(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert columns(path, ' a , b\n1 , x\n\n2,"y, z"\n') == {"a": ["1", "2"], "b": ["x", "y, z"]}
    assert columns(path, "3\n4\n") == {"": ["3", "4"]}
    assert columns(path, "a\n4\n") == {"a": ["4"]}
    assert columns(path, "a\n") == {"a": []}
    assert columns(path, "1,2\n3,4\n") == {"1": ["3"], "2": ["4"]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no rows"), ("\n\n", "no rows"), ("a,b, a\n1,2,3\n", "two columns have the same name: a, b, a"),
        ("a,b\n1,2\n3\n", "row 2: 1 cells for 2 columns"), ("a,b\n1,2,3\n", "row 1: 3 cells for 2 columns"),
        ("a\0b\n", "not CSV: 'utf-8' codec can't decode byte 0x00 in position 1: a zero byte"),
    ],
)  # fmt: skip
def test_other_text_is_no_csv(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(GencliError) as refused:
        columns(path, content)
    assert refused.value.message == f"{path}: {said}"
    assert refused.value.hint == "give CSV whose first line names its columns"


def test_text_needs_memory_for_its_bytes_and_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = list[int]()
    monkeypatch.setattr(machine, "require_memory", lambda need, what, hint: needed.append(need))
    (tmp_path / "t.csv").write_text("a,b\n1;2\n[{")
    assert texts.read(Input(str(tmp_path / "t.csv"))) == "a,b\n1;2\n[{"
    assert needed == [3 * 10, 3 * 10 + 72 * 6]
