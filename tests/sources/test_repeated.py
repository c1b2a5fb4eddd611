"""An image table several times over: the same rows under identities of their own."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gencli.cli.app import main
from gencli.corruptions import Corrupted
from gencli.corruptions.labels import RandomLabels
from gencli.errors import GencliError
from gencli.files.tables import MemoryTable
from gencli.sources import open_table
from gencli.sources.repeated import Repeated
from tests.helpers import image_table, read, save, save_corrupted


@given(st.integers(1, 40), st.integers(1, 5))
def test_copies_follow_each_other_and_differ_in_their_ids_alone(rows: int, times: int) -> None:
    table = image_table(rows)
    before, after = read(table), read(Repeated(table, times))
    assert after.drop_columns("id").equals(pa.concat_tables([before.drop_columns("id")] * times))
    assert after.schema.equals(before.schema, check_metadata=True)
    ids = after["id"].to_numpy()
    assert np.array_equal(ids[:rows], before["id"].to_numpy())
    assert len(set(ids)) == rows * times
    assert set(ids >> 32) == set(ids[:rows] >> 32)


@given(st.sets(st.integers(0, 20)))
def test_a_mask_keeps_its_rows(places: set[int]) -> None:
    repeated = Repeated(image_table(7), 3)
    keep = np.isin(np.arange(21), list(places))
    assert read(repeated, keep).equals(read(repeated).filter(pa.array(keep)))


def test_rows_of_any_order_and_of_several_data_sets_stay_apart() -> None:
    description = image_table().description
    table = MemoryTable("toy", description, np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64))
    ids = np.array([9, 1 << 32 | 2, 2, 7 << 32 | 9])
    table._rows = table._rows.set_column(0, table.schema.field("id"), pa.array(ids))
    assert read(Repeated(table, 3))["id"].to_pylist() == [*ids, *(ids + 10), *(ids + 20)]


def test_repeating_twice_gives_all_copies_ids_of_their_own(tmp_path: Path) -> None:
    twice = Repeated(save(Repeated(image_table(5), 3), tmp_path / "once.parquet"), 4)
    assert len(set(read(twice)["id"].to_pylist())) == twice.rows == 60


def test_copies_draw_their_own_corruptions_and_keep_the_truth(tmp_path: Path) -> None:
    corrupted = save_corrupted(image_table(500), RandomLabels(p=1.0), tmp_path / "corrupted.parquet")
    path = str(tmp_path / "repeated.parquet")
    assert main(["data", "repeat", "--times", "2", str(tmp_path / "corrupted.parquet"), "-o", path]) == 0
    table = open_table(path)
    assert np.array_equal(table.column("label_true"), np.tile(corrupted.column("label_true"), 2))
    first, second = np.split(read(Corrupted(table, RandomLabels(p=1.0), 0))["label"].to_numpy(), 2)
    assert abs((first == second).mean() - 1 / 3) < 0.1


def test_provenance_is_chained(tmp_path: Path) -> None:
    source, path = tmp_path / "toy.parquet", str(tmp_path / "repeated.parquet")
    save(image_table(1500), source)
    assert main(["data", "repeat", "--times", "3", str(source), "-o", path]) == 0
    table = open_table(path)
    assert table.rows == 4500
    assert table.made is not None
    assert (table.made.command, table.made.arguments) == ("data repeat", {"times": 3})
    (entry,) = table.made.inputs
    assert (entry.role, entry.step and entry.step.command) == ("data", "data toy")


def test_too_many_copies_are_refused_and_the_most_are_not() -> None:
    table = image_table(1 << 10)
    assert Repeated(table, 1 << 22).rows == 1 << 32
    with pytest.raises(GencliError, match="4194305 copies") as refused:
        Repeated(table, (1 << 22) + 1)
    assert "--times can be at most 4194304" in refused.value.hint


def test_the_output_is_refused_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "repeat", "--times", "2", "missing.parquet", "-o", str(tmp_path)]) == 2
    assert f"{tmp_path}: a folder, not a file" in capsys.readouterr().err


def test_memory_does_not_grow_with_the_copies(tmp_path: Path) -> None:
    table = save(image_table(1500), tmp_path / "toy.parquet")

    def peak(times: int) -> int:
        tracemalloc.start()
        for _ in Repeated(table, times).batches():
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)  # imports
    assert peak(100) < peak(10) + 50_000  # other threads allocate a little


def test_copies_whose_ids_run_out_are_refused() -> None:
    table = image_table(2)
    table._rows = table._rows.set_column(0, table.schema.field("id"), pa.array([3, (1 << 30) - 1]))
    assert Repeated(table, 4).rows == 8
    with pytest.raises(GencliError) as raised:
        Repeated(table, 5)
    said = "toy: 5 copies of ids up to 1073741823 need more than 4294967296 ids"
    assert (raised.value.message, raised.value.hint) == (said, "--times can be at most 4")
