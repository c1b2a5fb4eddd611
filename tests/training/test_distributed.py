"""What several processes share, without the processes: real ones are in tests/pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gencli.errors import GencliError
from gencli.ranks import Group
from gencli.training import distributed
from gencli.training.distributed import SyncedBatchNorm, synchronize
from tests.helpers import image_table


@pytest.mark.parametrize(("make", "shape"), [(nn.BatchNorm1d, (6, 3)), (nn.BatchNorm2d, (4, 3, 5, 2))])
@pytest.mark.parametrize("momentum", [0.3, None])
def test_a_synced_batch_norm_of_one_process_is_torchs(
    make: type[nn.Module], shape: tuple[int, ...], momentum: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of values so small that epsilon counts, in training and in evaluation; and with gradients."""
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: tensor)
    torch.manual_seed(0)
    ours, theirs = (make(3, momentum=momentum) for _ in range(2))
    for layer in (ours, theirs):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([1.0, 2, 3]))  # type: ignore[operator]
            layer.bias.copy_(torch.tensor([0.1, 0, -1]))  # type: ignore[operator]
    synchronize(ours, Group(0, 2))
    assert type(ours) is SyncedBatchNorm
    values = torch.zeros(shape)
    for _ in range(3):
        values = 3e-3 * torch.randn(shape) + 0.01
        found, expected = (values.clone().requires_grad_() for _ in range(2))
        weights = torch.randn(shape)
        outputs = ours(found), theirs(expected)
        for output in outputs:
            (output * weights).sum().backward()
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-2)
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(ours.eval()(values), theirs.eval()(values))


def test_what_has_nothing_to_synchronize_is_refused() -> None:
    with pytest.raises(GencliError, match="there is only one process"):
        synchronize(nn.BatchNorm1d(3), Group())
    with pytest.raises(GencliError, match="the network has no batch norm"):
        synchronize(nn.Linear(3, 3), Group(0, 2))


def test_row_groups_are_divided_among_processes() -> None:
    table = image_table(2500)
    assert Group().part(table) is None
    parts = [Group(rank, 3).part(table) for rank in range(3)]
    assert [np.flatnonzero(part)[[0, -1]].tolist() for part in parts if part is not None] == [
        [0, 999], [1000, 1999], [2000, 2499]
    ]  # fmt: skip
    halves = [Group(rank, 2).part(table) for rank in range(2)]
    assert [np.flatnonzero(part)[[0, -1]].tolist() for part in halves if part is not None] == [[0, 1999], [2000, 2499]]
    fourths = [Group(rank, 4).part(table) for rank in range(4)]  # more than there are row groups
    assert [np.flatnonzero(part)[[0, -1]].tolist() for part in fourths if part is not None] == [
        [0, 624], [625, 1249], [1250, 1874], [1875, 2499]
    ]  # fmt: skip
    with pytest.raises(GencliError, match="toy: 4 processes for 3 rows"):
        Group(0, 4).part(image_table(3))


def test_one_process_adds_and_shares_nothing() -> None:
    tensor = torch.ones(2)
    alone = Group()
    alone.add([tensor])
    alone.share([tensor])
    assert tensor.tolist() == [1, 1]
    assert alone.most(3, 1) == (3, 1)
