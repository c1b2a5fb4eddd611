from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa
import pytest

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.reporting.documents import read, read_all
from tests.reporting.made import measured, save, training


def test_each_of_many_files_keeps_its_rows(tmp_path: Path) -> None:
    tables = []
    for number in range(250):
        count = 10_000 if number == 100 else number % 4 + 1
        columns = {"epoch": range(count), "train_loss": [number + place / count for place in range(count)]}
        columns |= {} if number % 3 else {"test_loss": [float(number)] * count}
        tables.append(pa.table({name: list(values) for name, values in columns.items()}))
    files = [save(tmp_path / f"{place}.parquet", table, training(seed=place)) for place, table in enumerate(tables)]
    documents = read_all(list(map(str, files)))
    assert [document.rows for document in documents] == tables
    assert [document.made and document.made.arguments["seed"] for document in documents] == list(range(250))


def test_a_table_of_several_models_is_a_document_each(tmp_path: Path) -> None:
    rows = {"model": ["a", "b", "a", "b"], "label": [0, 0, None, None], "name": ["x", "x", "all", "all"]}
    whole = pa.table(rows | {"n": [1, 2, 1, 2], "loss": [0.1, 0.2, 0.3, 0.4]})
    documents = read_all([str(save(tmp_path / "both.parquet", whole, measured(training(), "test")))])
    assert [document.title.rpartition(": ")[2] for document in documents] == ["a", "b"]
    assert [document.rows["loss"].to_pylist() for document in documents] == [[0.1, 0.3], [0.2, 0.4]]


def test_encrypted_parquet_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(b"PARE" * 9)
    with pytest.raises(GencliError, match="encrypted Parquet"):
        read(Input(str(tmp_path / "e.parquet")))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_files_keep_their_rows(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = list[str]()
    monkeypatch.setattr(console, "progress", lambda what, _: shown.append(what) or nullcontext(lambda _: None))
    tables = [pa.table({"epoch": [1, 2], "train_loss": [float(place), 0.5]}) for place in range(count)]
    files = [save(tmp_path / f"{place}.parquet", table, training(seed=place)) for place, table in enumerate(tables)]
    assert [document.rows for document in read_all(list(map(str, files)))] == tables
    assert shown == ["files"] * (count > 1)  # none beside the bars of those that write one
