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
from gencli.errors import GencliError
from gencli.files import tables
from gencli.files.tables import ImageTable
from tests.helpers import image_table, read, save
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
