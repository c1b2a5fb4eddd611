"""Rows whose images stay in their file, against the same rows in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gencli.files.tables import ImageTable
from gencli.models.inputs import Rows, load
from gencli.ranks import Group
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.streaming import Streamed
from gencli.training.validation import split
from tests.helpers import image_table, save

ROWS, WINDOW = 5500, 2000
SETTINGS = Settings(arch="mlp-1x8", epochs=2, batch_size=500, stream=WINDOW, device="cpu", whiten="dataset")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """Six row groups, the last of half the size."""
    return save(image_table(ROWS, (4, 4, 3)), tmp_path_factory.mktemp("streamed") / "rows.parquet")


def order(rows: Rows, seed: int = 0) -> torch.Tensor:
    return rows.order(torch.Generator().manual_seed(seed))


def test_gathers_the_images_that_memory_holds(table: ImageTable) -> None:
    rows, whole = Streamed(table, None, WINDOW), load(table)
    for epoch in range(2):
        for index in order(rows, epoch).split(333):
            assert torch.equal(rows.gather(index, False), whole.images[index])


def test_an_epoch_has_every_row_once_and_each_epoch_its_own_order(table: ImageTable) -> None:
    rows = Streamed(table, None, WINDOW)
    first, second = order(rows, 0), order(rows, 1)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(ROWS))
    assert not torch.equal(first, second)


def test_a_window_is_whole_groups_and_mixed(table: ImageTable) -> None:
    visited = order(Streamed(table, None, WINDOW)) // 1000
    starts = [(visited == group).nonzero()[0].item() for group in range(6)]
    ends = [(visited == group).nonzero()[-1].item() for group in range(6)]
    assert all(end - start < WINDOW + 1000 for start, end in zip(starts, ends))
    assert (visited[:-1] != visited[1:]).float().mean() > 0.3


def test_two_windows_are_in_memory_at_most(table: ImageTable) -> None:
    rows = Streamed(table, None, WINDOW)
    for index in order(rows).split(500):
        rows.gather(index, False)
        held = sum(len(images) for _, images in rows._loaded.values())
        assert held <= 2 * WINDOW


def test_rows_that_are_held_out_are_not_read_and_may_be_whole_groups(table: ImageTable) -> None:
    rows = Streamed(table, None, WINDOW).select(torch.arange(0, 2000, 5))  # none of the last four groups
    for index in order(rows).split(100):
        images = rows.gather(index if rows.place is None else rows.place[index], False)
        assert torch.equal(images, load(table).images[rows.place[index]])  # type: ignore[index]
        assert sum(len(images) for _, images in rows._loaded.values()) <= len(rows)


def test_parts_are_all_rows_in_order_also_of_a_selection(table: ImageTable) -> None:
    whole = load(table)
    train, held = split(Streamed(table, None, WINDOW), 0.2, 0)
    train_whole, held_whole = split(whole, 0.2, 0)
    for some, expected in ((train, train_whole), (held, held_whole), (Streamed(table, None, WINDOW), whole)):
        parts = list(some.parts())
        assert torch.equal(torch.cat([part.images for part in parts]), expected.images)
        assert torch.equal(torch.cat([part.labels for part in parts]), expected.labels)


def test_what_other_processes_read_is_not_here(table: ImageTable) -> None:
    kept = np.arange(ROWS) < 3000
    rows, whole = Streamed(table, kept, WINDOW), load(table)
    held, numbers = rows.held()
    assert numbers.tolist() == list(range(3000))
    assert torch.equal(torch.cat([part.images for part in held.parts()]), whole.images[:3000])
    index = order(rows)[:700]
    mine = index[index < 3000]
    assert torch.equal(rows.gather(mine, False), whole.images[mine])


def test_trains_as_from_memory_in_the_same_order(table: ImageTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(stream: int | None) -> tuple[torch.Tensor, list[float]]:
        settings = replace(SETTINGS, stream=stream, validation_fraction=0.1, augment="flip", measure_train=True)
        setup = prepare(settings, table.description, table.schema.names, "toy")
        run = setup.training(table, table, Group())
        run.run()
        weights = torch.cat([each.flatten() for each in run.model.network.parameters()])
        return weights, [score for row in run.history for score in (row.train_loss, row.test_loss or 0)]

    windowed = Streamed(table, None, WINDOW)
    expected = trained(WINDOW)

    def same_order(rows: Rows, generator: torch.Generator) -> torch.Tensor:
        held_out, _ = split(windowed, 0.1, 0)
        return held_out.order(generator)

    monkeypatch.setattr(Rows, "order", same_order)
    found = trained(None)
    torch.testing.assert_close(found[0], expected[0])
    assert found[1] == pytest.approx(expected[1], rel=1e-5)
