"""Images that stay in their file are those in memory; of rows that are not asked for none is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gencli.curvature.operators import Operator
from gencli.files import arrow
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, build, paged
from gencli.models.inputs import load
from tests.helpers import image_table, save

CPU = torch.device("cpu")


@pytest.mark.parametrize("limit", [None, 1700])
def test_slices_and_rows_are_those_in_memory(
    limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = save(image_table(2500), tmp_path / "rows.parquet")
    whole = load(table)
    monkeypatch.setattr(paged, "HELD", 0)
    found = paged.held(table, limit, CPU, again=True)
    count = limit or 2500
    assert isinstance(found.images, paged.Paged)
    assert len(found) == len(found.images) == count
    # in order, across row groups, backwards, and beyond the end
    for part in (slice(0, 128), slice(128, 1100), slice(1100, 1200), slice(5, 9), slice(count - 3, count + 9)):
        assert torch.equal(found.images[part], whole.images[:count][part])
    index = torch.tensor([5, 1699, 3, 3, 1001])
    assert torch.equal(found.select(index).images, whole.images[index])
    assert torch.equal(found.select(index).labels, whole.labels[index])


def test_a_product_over_images_in_their_file_is_that_over_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = save(image_table(2100, classes=3), tmp_path / "rows.parquet")
    torch.manual_seed(0)
    model = Model("mlp-1x8", (2, 2, 1), ("a", "b", "c"), build("mlp-1x8", (2, 2, 1), 3).eval())
    products = []
    for most in (paged.HELD, 0):
        monkeypatch.setattr(paged, "HELD", most)
        operator = Operator(model, paged.held(table, None, CPU, again=True), CrossEntropy(), batch_size=400)
        v = torch.linspace(-1, 1, operator.size)
        products += [(operator.matvec(v), operator.matvec(v), operator.again(torch.tensor([7, 2000])).matvec(v))]
    for one, other in zip(*products, strict=True):
        assert torch.equal(one, other)


def test_a_limit_reads_no_image_of_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, read = save(image_table(5000), tmp_path / "rows.parquet"), 0
    unpack = arrow.unpack

    def counted(batch: Any, *more: Any) -> NDArray[Any]:
        nonlocal read
        read += batch.num_rows
        return unpack(batch, *more)

    monkeypatch.setattr(arrow, "unpack", counted)
    found = paged.held(table, 1500, CPU)
    assert (len(found), len(found.images), found.place, read) == (1500, 1500, None, 1500)
    assert np.array_equal(found.labels, table.column("label")[:1500])
