"""Labels from a file: every format gives the same rows, joined by row or by id, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gencli.corruptions import Corrupted
from gencli.corruptions.given import GivenLabels
from gencli.corruptions.labels import FlipLabels
from gencli.errors import GencliError
from gencli.files import tables
from gencli.files.tables import ImageTable
from gencli.randomness import Draws
from tests.helpers import image_table, read, save, save_corrupted
from tests.pipelines.shell import Shell

TABLE = image_table(60, classes=5)
OLD, IDS = TABLE.column("label"), TABLE.column("id")
NEW = np.where(np.arange(60) % 3 == 0, (OLD + 1) % 5, OLD)
NAMES = [TABLE.description.classes[label] for label in NEW]


def labels(path: Path, table: ImageTable = TABLE, column: str | None = None) -> pa.Table:
    return read(Corrupted(table, GivenLabels(str(path), column), 0))


def files(folder: Path) -> dict[str, str | None]:
    """Files of the same labels, and the column to choose."""
    mixed = np.random.default_rng(0).permutation(60)
    np.save(folder / "a.npy", NEW)
    np.save(folder / "column.npy", NEW[:, None].astype(np.float32))
    np.savez(folder / "a.npz", worse=NEW, other=OLD)
    torch.save({"clean_label": OLD, "worse_label": NEW}, folder / "a.pt")  # as CIFAR-10N
    torch.save(torch.tensor(NEW), folder / "b.pt")
    (folder / "a.csv").write_text("".join(f"{label}\n" for label in NEW))
    rows = zip(IDS[mixed], np.array(NAMES)[mixed])
    (folder / "b.csv").write_text("id,name\n" + "".join(f"{row},{name}\n" for row, name in rows))
    pq.write_table(pa.table({"label": pa.array(NEW, pa.int8())}), folder / "a.parquet")
    joined = {"id": IDS[mixed], "name": pa.array(np.array(NAMES)[mixed]).dictionary_encode()}
    pq.write_table(pa.table(joined), folder / "b.parquet")
    return {
        "a.npy": None, "column.npy": None, "a.npz": "worse", "a.pt": "worse_label", "b.pt": None, "a.csv": None,
        "b.csv": None, "a.parquet": None, "b.parquet": None,
    }  # fmt: skip


def test_every_format_gives_the_same_labels_and_keeps_the_old_ones(tmp_path: Path) -> None:
    for name, column in files(tmp_path).items():
        rows = labels(tmp_path / name, column=column)
        assert np.array_equal(rows["label"].to_numpy(), NEW), name
        assert np.array_equal(rows["label_true"].to_numpy(), OLD), name


def test_a_part_of_the_source_takes_the_labels_of_its_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NEW)
    keep = np.arange(60) % 4 == 1
    part = save(TABLE, tmp_path / "part.parquet", keep)
    assert np.array_equal(labels(tmp_path / "a.npy", part)["label"].to_numpy(), NEW[keep])
    np.save(tmp_path / "b.npy", (NEW + 2) % 5)
    with pytest.raises(GencliError, match="is it of another split"):
        labels(tmp_path / "b.npy", part)
    other = image_table(30, classes=5)
    other._rows = other._rows.set_column(0, other.schema.field(0), pa.array(tables.identities("x", "", 0, 30)))
    with pytest.raises(GencliError, match="60 labels, but toy has 30 rows"):
        labels(tmp_path / "a.npy", other)


def test_shuffled_rows_need_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NEW)
    shuffled = image_table(60, classes=5)
    shuffled._rows = shuffled._rows.take(pa.array(np.random.default_rng(0).permutation(60)))
    with pytest.raises(GencliError, match="in another order than in their source"):
        labels(tmp_path / "a.npy", shuffled)


def test_true_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    torch.save({"clean_label": np.roll(OLD, 1), "worse_label": NEW}, tmp_path / "a.pt")
    with pytest.raises(GencliError, match="in another order"):
        labels(tmp_path / "a.pt", column="worse_label")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.append(NEW[:-1], 5), "label 5 is not one of the 5 classes"),
        (np.append(NEW[:-1], -1), "label -1 is not one of"),
        (np.append(NEW[:-1], 0.5), "row 59: 0.5"),
        (np.append(NEW[:-1], np.nan), "row 59: nan"),
        (np.full(60, 2**64 - 1, np.uint64), "is no class"),
        (NEW[:30], "30 labels, but toy has 60 rows"),
        (np.eye(5)[NEW], "60×5, not one label a row"),
    ],
)
def test_labels_that_are_none_are_refused(values: Any, said: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(GencliError, match=said):
        labels(tmp_path / "a.npy")


def test_tables_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def refused(rows: dict[str, Any], said: str, column: str | None = None) -> None:
        pq.write_table(pa.table(rows), tmp_path / "a.parquet")
        with pytest.raises(GencliError, match=said):
            labels(tmp_path / "a.parquet", column=column)

    refused({"id": IDS[:-1], "label": NEW[:-1]}, "no label for 1 of 60 rows")
    refused({"id": [*IDS[:-1], IDS[0]], "label": NEW}, "twice")
    refused({"a": NEW, "b": NEW}, "several columns: a, b")
    refused({"": NEW, "0": NEW}, "several columns: '', 0")  # as pandas writes a series with its index
    refused({"a": NEW}, "has no 'b'", "b")
    refused({"label": [*NEW[:-1], None]}, "1 rows without a label")
    refused({"label": [*NAMES[:-1], "cat"]}, "no class 'cat'")


def test_numbers_that_are_names_of_classes_are_those(tmp_path: Path) -> None:
    table = image_table(60, classes=3)
    table.description = dataclasses.replace(table.description, classes=("1", "2", "3"))
    given = table.column("label")[::-1] + 1
    np.save(tmp_path / "a.npy", given)
    assert np.array_equal(labels(tmp_path / "a.npy", table)["label"].to_numpy() + 1, given)
    np.save(tmp_path / "a.npy", given - 1)
    with pytest.raises(GencliError, match="no class 0"):
        labels(tmp_path / "a.npy", table)


def said_of(path: Path, table: ImageTable = TABLE, column: str | None = None) -> str:
    """What is said of a file whose labels are refused."""
    with pytest.raises(GencliError) as refused:
        labels(path, table, column)
    return refused.value.message


def of_ids(places: Any, old: Any = None) -> ImageTable:
    """A table of these rows of its source, with labels of its own."""
    table = image_table(len(places), classes=5)
    ids = tables.identities("toy", "train", 0, 100)[np.asarray(places)]
    table._rows = table._rows.set_column(0, table.schema.field(0), pa.array(ids))
    if old is not None:
        place = table.schema.get_field_index("label")
        table._rows = table._rows.set_column(place, table.schema.field(place), pa.array(np.asarray(old, np.int64)))
    return table


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.int64(5), "label 5 is not one of the 5 classes"),
        (np.uint64(2**63 - 1), "label 9223372036854775807 is not one of the 5 classes"),
        (2.0**53, "9007199254740992.0"), (2.0**53 - 1, "label 9007199254740991 is not one of the 5 classes"),
        (-(2.0**53), "-9007199254740992.0"), (-1.0, "label -1 is not one of the 5 classes"), (-0.25, "-0.25"),
    ],
)  # fmt: skip
def test_a_number_that_is_no_class_is_shown_with_its_row(value: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    column = NEW.astype(np.asarray(value).dtype)
    np.save(path, column)
    assert np.array_equal(labels(path)["label"].to_numpy(), NEW)
    column[7] = value
    np.save(path, column)
    assert said_of(path) == f"{path}: row 7: {said}"


def test_columns_that_are_no_labels_are_said_by_their_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for column, said in (
        (pa.array(NEW, pa.int32()).cast(pa.date32()), "date32[day]"), (pa.array([[3]] * 60), "list<element: int64>"),
        (pa.array([*NEW[:-2], None, None]), "2 rows without a label"), (pa.array([*NEW[:-1], 0.5]), "row 59: 0.5"),
    ):  # fmt: skip
        pq.write_table(pa.table({"label": column}), path)
        assert said_of(path) == f"{path}: column `label`: {said}"
    pq.write_table(pa.table({"id": IDS, "target": NEW}), path)
    assert said_of(path) == f"{path}: no labels"


def test_of_several_columns_that_of_labels_is_taken_and_others_need_be_no_labels(tmp_path: Path) -> None:
    pq.write_table(pa.table({"other": OLD, "label": NEW}), tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", pixels=np.zeros((60, 2)), worse=NEW)
    for name in ("a.parquet", "a.npz"):
        assert np.array_equal(labels(tmp_path / name)["label"].to_numpy(), NEW)
    path = tmp_path / "a.npz"
    assert said_of(path, column="pixels") == f"{path}: pixels is 60×2, not one label a row"
    np.save(tmp_path / "a.npy", np.zeros((60, 2)))
    assert said_of(tmp_path / "a.npy") == f"{tmp_path}/a.npy: the array is 60×2, not one label a row"


def test_ids_of_a_csv_are_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for first in ("one", "9" * 19):
        path.write_text("id,label\n" + "".join(f"{row},{label}\n" for row, label in zip([first, *IDS[1:]], NEW)))
        assert said_of(path) == f"{path}: ids that are no whole numbers"
    path.write_text("id,label\n" + "".join(f"{row},{label}\n" for row, label in zip(IDS[3:], NEW)))
    missing = f"{path}: no label for 3 of 60 rows of toy, the first of id {IDS[0]}"
    assert said_of(path) == missing


def test_rows_are_joined_by_place_where_one_order_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for places, mixed in (
        ([0, 2, 1], True), ([1, 2, 0], True), ([1, 3, 2], False), ([3, 2, 4], False), ([1, 2, 3], False),
        ([0, 0, 2], False),
    ):  # fmt: skip
        given = np.array([1, 1, 3])
        np.save(path, given)
        table = of_ids(places, given)
        if mixed:
            assert said_of(path, table) == (
                f"toy: its rows are in another order than in their source, and those of {path} in either"
            )
        else:
            assert np.array_equal(labels(path, table)["label"].to_numpy(), given), places
    given = np.arange(50) % 5
    np.save(path, given)
    for places in (np.arange(40), np.arange(9, 50), np.arange(40)[::-1], np.array([*range(20), *range(20)])):
        assert np.array_equal(labels(path, of_ids(places, given[places]))["label"].to_numpy(), given[places])
    for places in (np.arange(10, 51), np.array([*range(30), *range(30)])):
        table = of_ids(places, places % 5)
        assert said_of(path, table) == f"{path}: 50 labels, but toy has {len(places)} rows"


def test_only_where_all_classes_are_numbers_are_labels_their_names(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NEW % 3)
    for names, wanted in ((("7", "cat", "2"), NEW % 3), (("2", "1", "0"), 2 - NEW % 3), (("0", "1", "2"), NEW % 3)):
        table = image_table(60, classes=3)
        table.description = dataclasses.replace(table.description, classes=names)
        assert np.array_equal(labels(tmp_path / "a.npy", table)["label"].to_numpy(), wanted), names


def test_true_labels_are_compared_with_those_that_the_table_keeps(tmp_path: Path) -> None:
    again = save_corrupted(save(TABLE, tmp_path / "t.parquet"), FlipLabels(0.5), tmp_path / "flipped.parquet")
    assert not np.array_equal(again.column("label"), OLD)
    np.savez(tmp_path / "a.npz", clean_label=OLD, worse=NEW)
    rows = labels(tmp_path / "a.npz", again, "worse")
    assert np.array_equal(rows["label"].to_numpy(), NEW)
    assert np.array_equal(rows["label_true"].to_numpy(), OLD)
    assert np.array_equal(labels(tmp_path / "a.npz", again, "clean_label")["label"].to_numpy(), OLD)
    wrong = OLD.copy()
    wrong[[4, 9]] = (wrong[[4, 9]] + 1) % 5
    np.savez(tmp_path / "a.npz", label_true=wrong, worse=NEW)
    for table, own in ((again, "label_true"), (TABLE, "label")):
        assert said_of(tmp_path / "a.npz", table, "worse") == (
            f"{tmp_path}/a.npz: its label_true differs from {own} of {table.title} in 2 of 60 rows, the first 4: "
            "its rows are others, or in another order"
        )


def test_versions_of_a_row_take_one_label(tmp_path: Path) -> None:
    table = of_ids([0, 1, 2, 0], [0, 1, 2, 0])
    np.save(tmp_path / "a.npy", np.array([0, 1, 3, 0]))
    pq.write_table(pa.table({"id": table.column("id")[:3], "label": [0, 1, 3]}), tmp_path / "a.parquet")
    assert labels(tmp_path / "a.parquet", table)["label"].to_pylist() == [0, 1, 3, 0]
    table = of_ids([5, 6, 7, 5], [0, 1, 2, 0])
    assert labels(tmp_path / "a.npy", table)["label"].to_pylist() == [0, 1, 3, 0]
    np.save(tmp_path / "a.npy", np.array([0, 1, 3, 2]))
    assert "toy: holds each row in several versions" in said_of(tmp_path / "a.npy", table)


def report_of(old: Any, given: Any, folder: Path) -> tuple[str, Any]:
    np.save(folder / "a.npy", np.asarray(given))
    corrupted = Corrupted(of_ids(range(len(old)), old), GivenLabels(str(folder / "a.npy")), 0)
    read(corrupted)
    return corrupted.report()


def test_what_changed_is_counted_by_class(tmp_path: Path) -> None:
    old, given = [0] * 8 + [1] * 8 + [2] * 8 + [3], [0] * 7 + [1] + [1] * 6 + [3, 4] + [2] * 8 + [3]
    words, rows = report_of(old, given, tmp_path)
    assert words == "3 of 25 labels changed, joined by row"
    assert rows.to_pydict() == {
        "class": ["class 0", "class 1", "class 2", "class 3", "class 4", "all"],
        "rows": [8, 8, 8, 1, 0, 25], "changed": [1 / 8, 1 / 4, 0, 0, None, 3 / 25],
    }  # fmt: skip
    corruption, table = GivenLabels(str(tmp_path / "a.npy")), of_ids(range(25), old)
    assert corruption.asked(table, Draws(0)).tolist() == [1 / 8, 1 / 4, 0, 0, 0]
    assert corruption.differing(table) == 3 / 25


def test_labels_that_agree_by_chance_alone_are_said(tmp_path: Path) -> None:
    """Of 100 rows of two even classes half agree by chance, ±5 %: from 65 on it is more."""
    old = np.arange(100) % 2
    for agree, share in ((64, "64.0%"), (65, None), (36, "36.0%")):
        given = old.copy()
        given[agree:] = 1 - given[agree:]
        words, _ = report_of(old, given, tmp_path)
        plain = f"{100 - agree} of 100 labels changed, joined by row"
        by_chance = f"; of which {share} agree, no more than by chance (50.0%): is the order the same?"
        assert words == plain + (by_chance if share else "")


def test_cifar10n_in_one_pipeline_and_in_the_report(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        """gencli data digits --limit 200 -q -o d.parquet
        python -c "
import numpy, pyarrow.parquet as pq
old = pq.read_table('d.parquet')['label'].to_numpy()
numpy.savez('human.npz', clean_label=old, worse_label=numpy.where(numpy.arange(200) < 80, (old + 1) % 10, old))
"
        """
    ).worked()
    said = shell("gencli corrupt labels --from human.npz --column worse_label d.parquet -v -o n.parquet").worked().err
    assert "labels: 80 of 200 labels changed, joined by row" in said
    assert "0.4000" in said
    shell("gencli train n.parquet --arch linear --epochs 1 -q -o m --history h.parquet").worked()
    assert "labels from human.npz, 40 %" in shell("gencli report h.parquet --format csv").worked().text
