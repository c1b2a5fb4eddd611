"""Images that stay in their file are those in memory; of rows that are not asked for none is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gencli.curvature import building
from gencli.curvature.operators import Operator
from gencli.curvature.settings import NetworkSettings
from gencli.files import arrow
from gencli.jacobians.building import Target
from gencli.losses.classes import CrossEntropy
from gencli.models import Model, build, paged
from gencli.models.inputs import load
from gencli.ranks import Group, Shard
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


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows whose images were read."""
    found, unpack = list[int](), arrow.unpack

    def counted(batch: Any, *more: Any) -> NDArray[Any]:
        found.append(batch.num_rows)
        return unpack(batch, *more)

    monkeypatch.setattr(arrow, "unpack", counted)
    return found


@pytest.mark.parametrize("again", [True, False])
def test_one_of_several_processes_reads_its_own_images_once(tmp_path: Path, read: list[int], again: bool) -> None:
    table = save(image_table(5000), tmp_path / "rows.parquet")
    whole, group = load(table).images[:4500], Group(1, 3)
    read.clear()
    found = paged.held(table, 4500, CPU, again, group)
    assert not read
    own = group.span(4500)
    for part in [slice(start, min(start + 400, own.stop)) for start in own[::400]] * 2:
        assert torch.equal(found.to(CPU).images[part], whole[part])
    assert sum(read) == 1500
    for part in (slice(0, 2), slice(1400, 1600), slice(2999, 3001)):  # what it has not, or only in part
        assert torch.equal(found.images[part], whole[part])
    index = torch.tensor([4499, 1600, 0])
    assert torch.equal(found.select(index).images, whole[index])


@pytest.mark.parametrize("wrt", ["input", "parameters"])
def test_jacobians_of_a_part_read_their_rows_and_the_first_four(
    wrt: Literal["input", "parameters"], tmp_path: Path, read: list[int]
) -> None:
    table, group = save(image_table(600, classes=3), tmp_path / "rows.parquet"), Shard(1, 3)
    model = Model("mlp-1x8", (2, 2, 1), ("a", "b", "c"), build("mlp-1x8", (2, 2, 1), 3).eval())
    rows, target = building.load(table, NetworkSettings(), CPU, group=group), Target(model, None, 1, wrt, "*")
    function = target.function(rows, torch.float32)
    confirmation = target.confirmation(function, rows, group.span(600))
    found = [chunk.matrices for chunk in function.jacobians(rows=group.span(600), confirm=confirmation)]
    assert sum(map(len, found)) == 200
    assert sum(read) <= 200 + 2 * (4 + 3)  # each precision: four rows to try it, the first for its shapes and memory


def test_a_limit_reads_no_image_of_other_rows(tmp_path: Path, read: list[int]) -> None:
    table = save(image_table(5000), tmp_path / "rows.parquet")
    found = paged.held(table, 1500, CPU)
    assert (len(found), len(found.images), found.place, sum(read)) == (1500, 1500, None, 1500)
    assert np.array_equal(found.labels, table.column("label")[:1500])
