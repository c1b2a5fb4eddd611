"""How many classes there are and what they are called, where a table does not say."""

import json
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
from gencli.sources.classes import classes_of, hub_names, parse_names, written
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


def said_of(text: str | None) -> str:
    with pytest.raises(GencliError) as refused:
        parse_names(text)
    return refused.value.message


def test_class_names_are_counted_from_one_to_a_million(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_names(None) is None
    assert parse_names("1") == ("0",)
    assert said_of("0") == "--class-names: 0 classes"
    assert said_of("01000001") == "--class-names: 01000001 classes"
    assert parse_names("0000010") == tuple("0123456789")
    path = tmp_path / "names"
    path.write_text("a\n" * 2)
    assert said_of(str(path)) == f"--class-names: {path}: classes 0 and 1 are both called 'a'"
    path.write_text("a\nb\nc")
    monkeypatch.setattr("gencli.sources.classes._LONGEST", 5)
    assert parse_names(str(path)) == ("a", "b", "c")
    monkeypatch.setattr("gencli.sources.classes._LONGEST", 4)
    assert said_of(str(path)) == f"--class-names: {path}: 5 bytes, too many for names"
    assert said_of("a,\0b") == "--class-names: a,\0b: a class without a name"


@pytest.mark.parametrize(
    ("names", "text"),
    [(("0", "1"), "2"), (("1", "0"), "1,0"), (("a,b", "c"), '"a,b",c'), (("0", "2"), "0,2"), (("solo",), "solo")],
)
def test_names_are_written_as_they_are_parsed(names: tuple[str, ...], text: str) -> None:
    assert written(names) == text
    assert parse_names(text) == names


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 2], None), ([0, 2], None), ([0, 1, 3], None), ([0, 4], "0, 4, so 3 of 5 classes have no rows; 1"),
        ([0, 1, 5], None), ([0, 1, 6], "0, 1, 6, so 4 of 7 classes have no rows; 2"),
        ([1, 2], "1 to 2, so 1 of 3 classes have no rows; 1"),
        ([0, 3, 5, 9, 20], "0, 3, 5, 9, 20, so 16 of 21 classes have no rows; 4"),
        ([0, 3, 5, 9, 20, 30], "0, 3, 5, 9, 20, ..., so 25 of 31 classes have no rows; 5"),
        ([1500], "1500 to 1500, so 1,500 of 1,501 classes have no rows; 0"),
    ],
)  # fmt: skip
def test_labels_that_leave_classes_empty_are_said(
    labels: list[int], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = list[str]()
    monkeypatch.setattr("gencli.sources.classes.message", messages.append)
    column = np.array([*labels, *labels])
    assert classes_of(None, None, {"label": column}, "x") == tuple(map(str, range(max(labels) + 1)))
    told = said and "; --renumber makes them 0 to ".join(said.split("; "))
    assert messages == ([f"x: labels are {told}"] if said else [])
    messages.clear()
    names = tuple(map(str, range(max(labels) + 1)))
    assert classes_of(names, None, {"label": column}, "x") == classes_of(None, names, {"label": column}, "x") == names
    assert not messages


def test_names_of_metadata_that_are_not_distinct_may_be_given_again() -> None:
    column = {"label": np.array([0, 1])}
    assert classes_of(("a", "a"), ("a", "b"), column, "x") == ("a", "b")
    with pytest.raises(GencliError, match=r"^x: its metadata already names 2 classes$"):
        classes_of(("a", "b"), ("c", "d"), column, "x")
    with pytest.raises(GencliError, match=r"^x: classes 0 and 1 and 3 are both called 'a'$"):
        classes_of(("a", "a", "b", "a"), None, column, "x")


@pytest.mark.parametrize("names", [[], "ab", [1, "b"], None, {"a": 1}])
def test_names_of_metadata_are_a_list_of_words(names: object) -> None:
    def schema(held: object) -> pa.Schema:
        known = {"info": {"features": {"label": {"names": held}}}}
        return pa.schema([("label", pa.int64())], {"huggingface": json.dumps(known)})

    assert hub_names(schema(names), "label") is None
    assert hub_names(schema(["a", "b"]), "label") == ("a", "b")
    assert hub_names(schema(["a", "b"]), "target") is None
    assert hub_names(pa.schema([("label", pa.int64())]), "label") is None
