"""Where two files differ and by how much, against differences that were put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from gencli.errors import GencliError
from gencli.files import parquet, provenance, tensors
from gencli.files.stream import Input, Output
from gencli.replay import reading
from gencli.replay.comparison import differences

RESULT = provenance.Step("eval", {}, {"gencli": "0.1.0"})
HISTORY = provenance.Step("train", {"seed": 0}, {"gencli": "0.1.0"}, output="history")


def table(path: Path, made: provenance.Step, **columns: object) -> Input:
    with Output(str(path)) as output:
        parquet.write_rows(output, pa.table(columns), made)
    return Input(str(path))


def vectors(path: Path, **found: torch.Tensor) -> Input:
    with Output(str(path)) as output:
        tensors.write(output, found, {"step": RESULT})
    return Input(str(path))


def test_columns_are_compared_row_by_row(tmp_path: Path) -> None:
    images = pa.array([bytes([1, 2, 3]), bytes([4, 5, 6])], pa.binary(3))
    other = pa.array([bytes([1, 2, 3]), bytes([4, 250, 6])], pa.binary(3))
    one = table(tmp_path / "a", RESULT, x=[1.0, 2.0], nan=[np.nan, 1.0], name=["a", "b"], image=images, gone=[1, 2])
    two = table(tmp_path / "b", RESULT, x=[1.0, 2.5], nan=[np.nan, 1.0], name=["a", "c"], image=other, new=[1, 2])
    assert differences(one, two) == [
        "column `x`: 1 of 2 rows differ, by up to 0.5, the first is row 1",
        "column `name`: 1 of 2 rows differ, the first is row 1",
        "column `image`: 1 of 2 rows differ, values by up to 245, the first is row 1",
        "column `gone`: gone",
        "column `new`: new",
    ]


def test_the_clock_of_a_history_may_differ_and_nothing_else(tmp_path: Path) -> None:
    one, two, other = (
        table(tmp_path / name, HISTORY, epoch=[1], seconds=[seconds], train_loss=[loss])
        for name, seconds, loss in (("a", 0.5, 2.0), ("b", 0.7, 2.0), ("c", 0.5, 2.25))
    )
    assert differences(one, two) == []
    assert differences(one, other) == ["column `train_loss`: 1 of 1 rows differ, by up to 0.25, the first is row 0"]


def test_only_a_table_of_training_that_does_not_say_which_is_a_history(tmp_path: Path) -> None:
    for said, output in {"dynamics": "dynamics", "history": "history", "": "history"}.items():
        made = provenance.Step("train", {}, {"gencli": "0.1.0"}, output=said)
        assert reading.read(table(tmp_path / "made", made, id=[1])).step.output == output


@pytest.mark.parametrize("wrong", [5.0, float("nan")])
def test_tensors_are_compared_number_by_number(wrong: float, tmp_path: Path) -> None:
    weight = torch.zeros(2, 3)
    changed = weight.clone()
    changed[1, 2] = wrong
    one = vectors(tmp_path / "a", weight=weight, bias=torch.ones(2), gone=torch.ones(1))
    two = vectors(tmp_path / "b", weight=changed, bias=torch.ones(3))
    assert sorted(differences(one, two)) == sorted([
        f"tensor weight: 1 of 6 numbers differ, by up to {wrong:g}, at [1, 2]",
        "tensor bias: torch.float32 [2], now torch.float32 [3]",
        "tensor gone: gone",
    ])  # fmt: skip


def test_files_made_otherwise_say_in_what(tmp_path: Path) -> None:
    one = table(tmp_path / "a", RESULT, x=[1])
    two = table(tmp_path / "b", provenance.Step("eval", {"top": [2]}, {"gencli": "0.1.0"}), x=[1])
    assert differences(one, two) == ["eval:", "  --top: none and [2]"]


def test_a_run_that_failed_in_both_files_is_no_difference(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    one = vectors(tmp_path / "a", weight=torch.tensor([[nan, inf, 1], [2, 3, 4]]))
    two = vectors(tmp_path / "b", weight=torch.tensor([[nan, inf, 1], [2, nan, 4.5]]))
    assert differences(one, two) == ["tensor weight: 2 of 6 numbers differ, by up to nan, at [1, 1]"]
    assert differences(one, vectors(tmp_path / "c", weight=torch.tensor([[nan, -inf, 1], [2, 3, 4]]))) == [
        "tensor weight: 1 of 6 numbers differ, by up to inf, at [0, 1]"
    ]


def test_a_picture_of_64_mebibytes_is_read_and_none_that_is_larger(tmp_path: Path) -> None:
    for size, words in ((64 << 20, "no provenance"), ((64 << 20) + 1, "67,108,865 bytes, too many for a figure")):
        with open(tmp_path / "large.png", "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            file.truncate(size)
        with pytest.raises(GencliError, match=words):
            reading.read(Input(str(tmp_path / "large.png")))
