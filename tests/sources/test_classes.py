"""How many classes there are and what they are called, where a table does not say."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.corruptions import Corrupted
from gencli.corruptions.labels import PairLabels
from gencli.errors import GencliError
from gencli.files.tables import Description, MemoryTable
from gencli.sources import Foreign, open_table
from gencli.sources.classes import parse_names, written
from gencli.sources.exported import Exported, write_folder
from gencli.sources.selection import class_numbers
from tests.helpers import save
from tests.pipelines.shell import many
from tests.sources.test_encoded import GOOD, hub_file


def raw(path: Path, **columns: list[int]) -> str:
    """Pixels as another tool copies them, without a description."""
    rows = len(columns["label"])
    images = pa.array([b"1234"] * rows, pa.binary(4))
    pq.write_table(pa.table({"id": range(rows), "image": images, **columns}), path)
    return str(path)


def twins(labels: list[int]) -> MemoryTable:
    """Two classes of one name."""
    description = Description("toy", "", ("crane", "dog", "crane"), (1, 1, 1))
    return MemoryTable("toy", description, np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels))


def test_labels_of_both_kinds_count_classes(tmp_path: Path) -> None:
    path = raw(tmp_path / "raw.parquet", label=[0, 1, 1], label_true=[0, 3, 1])
    table = open_table(path, Foreign(shape=(2, 2, 1)))
    assert table.description.classes == ("0", "1", "2", "3")
    assert table.column("label_true").tolist() == [0, 3, 1]
    with pytest.raises(GencliError, match="row 1: label_true 3 is not one of the 3 classes"):
        open_table(path, Foreign(shape=(2, 2, 1), classes=("a", "b", "c")))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("3", ("0", "1", "2")),
        ("cat,dog", ("cat", "dog")),
        ('cat,"a, b"', ("cat", "a, b")),
        ("names.txt", ("cat", "grüner Hund")),
        ("solo", ("solo",)),
    ],
)
def test_classes_are_counted_or_named(
    text: str, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text("\ufeffcat\r\ngrüner Hund\n", encoding="utf-8")
    parsed = parse_names(text)
    assert parsed == names
    assert parse_names(written(names)) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0", "0 classes"),
        ("99999999999", "99999999999 classes"),
        ("1000001", "1000001 classes"),
        ("a,,b", "a class without a name"),
        ("", "a class without a name"),
        ("a,b,a", "classes 0 and 2 are both called 'a'"),
        ("binary", "not a text file"),
    ],
)
def test_what_names_no_classes_is_refused(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("binary").write_bytes(GOOD)
    with pytest.raises(GencliError, match=f"--class-names: .*{words}"):
        parse_names(text)


def test_there_may_be_a_million_classes() -> None:
    assert len(parse_names("1000000") or ()) == 1_000_000


def test_names_that_metadata_has_are_not_given_again(tmp_path: Path) -> None:
    path = hub_file(tmp_path / "toy.parquet", [GOOD] * 3, names=["a", "b", "c"])
    with pytest.raises(GencliError, match="its metadata already names 3 classes"):
        open_table(path, Foreign(classes=("x", "y", "z")))
    path = hub_file(tmp_path / "bare.parquet", [GOOD] * 3)
    assert open_table(path, Foreign(classes=("x", "y", "z", "never"))).description.classes == ("x", "y", "z", "never")
    save(twins([0, 1]), tmp_path / "own.parquet")
    with pytest.raises(GencliError, match="written by gencli"):
        open_table(str(tmp_path / "own.parquet"), Foreign(classes=("x", "y")))


def test_two_classes_of_one_name_are_refused_where_names_are_keys(tmp_path: Path) -> None:
    table = twins([0, 1, 2])
    both = "classes 0 and 2 are both called 'crane'"
    with pytest.raises(GencliError, match=both):
        class_numbers("dog,crane", table)
    assert class_numbers("dog,2", table) == [1, 2]
    with pytest.raises(GencliError, match=both):
        Corrupted(table, PairLabels(0.5, "dog:crane"), 0)
    with pytest.raises(GencliError, match=both):
        list(write_folder(table, str(tmp_path / "folder")))
    assert not (tmp_path / "folder").exists()
    with pytest.raises(GencliError, match=both):
        Exported(table)
    path = hub_file(tmp_path / "toy.parquet", [GOOD] * 3, names=["crane", "dog", "crane"])
    with pytest.raises(GencliError, match=both):
        open_table(path)
    assert open_table(path, Foreign(classes=("crane", "dog", "crane (bird)"))).description.classes[2] == "crane (bird)"


def test_a_test_table_without_the_last_class_goes_with_its_model(tmp_path: Path) -> None:
    def run(*commands: str) -> None:
        for done in many(tmp_path, [command.split() for command in commands]):
            assert (done.status, done.err) == (0, "")

    run(
        "data digits -q --limit 200 -o train.parquet",
        "data digits -q --split test --classes 0,1,2,3,4,5,6,7 -o some.parquet",
    )
    for name in ("train", "some"):
        duckdb.sql(f"copy (from '{tmp_path}/{name}.parquet') to '{tmp_path}/{name}-copy.parquet'")
    run(
        "data parquet -q train-copy.parquet --shape 8x8x1 -o train.parquet",
        "data parquet -q some-copy.parquet --shape 8x8x1 -o some.parquet",
        "data parquet -q some-copy.parquet --shape 8x8x1 --class-names 10 -o named.parquet",
        "train -q train.parquet --arch linear --epochs 1 -o model",
        "eval -q model some.parquet -o some.csv",
        "eval -q model named.parquet -o named.csv",
    )
    assert open_table(str(tmp_path / "some.parquet")).description.classes == tuple("01234567")
    assert open_table(str(tmp_path / "named.parquet")).description.classes == tuple("0123456789")
    assert (tmp_path / "some.csv").read_text() == (tmp_path / "named.csv").read_text()
    assert len((tmp_path / "some.csv").read_text().splitlines()) == 12


@pytest.mark.parametrize("text", ["1" * 5000, "a\rb", "x" * 200_000 + ",b"])
def test_names_that_no_list_can_hold_are_refused(text: str) -> None:
    with pytest.raises(GencliError):
        parse_names(text)
