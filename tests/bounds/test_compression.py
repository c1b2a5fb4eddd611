"""What a compressed network's code may be, and where the values of its numbers lie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.bounds import compression
from gencli.bounds.coding import encode
from gencli.bounds.compression import Subspace, decoded, levels, written
from gencli.bounds.settings import CompressionSettings
from gencli.errors import GencliError
from gencli.models.inputs import Rows
from tests.bounds.test_coding import network


def binary(number: int, count: int) -> list[int]:
    return [int(bit) for bit in f"{number:0{count}b}"]


def test_a_code_is_a_count_the_values_and_the_symbols() -> None:
    values = torch.tensor([-2.0, 0.5]).half()
    symbols = [1, 0, 0, 1, 1, 1, 0]
    bits = written(symbols, values)
    assert bits[:41] == binary(7, 32) + binary(2, 9)
    assert bits[41:73] == binary(0xC000, 16) + binary(0x3800, 16)
    assert bits[73:] == encode(symbols, 2)
    assert levels(bits) == 2


@pytest.mark.parametrize(
    ("count", "kinds", "cut", "fine"),
    [
        (7, 1, 0, True), (7, 256, 0, True), (7, 0, 0, False), (7, 257, 0, False), (8, 2, 0, False), (6, 2, 0, False),
        (7, 2, 1, False),
    ],
)  # fmt: skip
def test_a_code_that_cannot_be_is_refused(count: int, kinds: int, cut: int, fine: bool) -> None:
    """Of seven numbers of 1 to 256 values; symbols that are left out are those of zeros."""
    bits = binary(count, 32) + binary(kinds, 9) + binary(0x3800, 16) * kinds
    bits = bits[: len(bits) - cut]
    space = Subspace(network(), 7, 4)
    if fine:
        found = decoded(bits, space, network())
        expected = space.weights(torch.full((7,), 0.5))
        for name, each in found.named_parameters():
            assert torch.equal(each, expected[name])
    else:
        with pytest.raises(GencliError, match=f"^a code of {count} numbers, not 7$"):
            decoded(bits, space, network())


@pytest.mark.parametrize(
    ("dimension", "size"), [(0, 53), (1, 1), (52, 52), (53, 53), (54, 53)]
)  # of a network of 53 weights
def test_a_subspace_has_no_more_dimensions_than_weights(dimension: int, size: int) -> None:
    start = network()
    space = Subspace(start, dimension, 4)
    assert space.size == size
    moved = space.weights(torch.ones(size))
    change = torch.cat([(moved[name] - each).flatten() for name, each in space.start.items()])
    if size == 53:
        torch.testing.assert_close(change, torch.ones(53))
    assert change.square().sum() == pytest.approx(size, rel=1e-5)
    again, other = Subspace(start, dimension, 4).weights(torch.ones(size)), Subspace(start, dimension, 5)
    assert all(torch.equal(again[name], each) for name, each in moved.items())
    if size < 53:
        assert any(not torch.equal(each, moved[name]) for name, each in other.weights(torch.ones(size)).items())


def test_the_nearest_value_is_the_lower_one_half_way() -> None:
    values = torch.tensor([2.0, -1.0, 0.5])
    assert compression._nearest(torch.tensor([-5.0, -0.25, -0.2, 1.25, 1.3, 9.0]), values).tolist() == [
        1,
        1,
        2,
        2,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("numbers", "count", "expected"),
    [
        ([-1.0, -1, 1, 1], 2, [-1, 1]), ([-3.0, -3, 0, 0, 3, 3], 3, [-3, 0, 3]), ([5.0] * 4, 3, [0, 0, 5]),
        ([0.0, 0.2, 10, 10.2], 2, [0.1, 10.1]), ([-1.0, 1], 4, [None, -1, 1, None]),
    ],
)  # fmt: skip
def test_values_are_means_of_the_numbers_nearest_to_them(
    numbers: list[float], count: int, expected: list[float | None]
) -> None:
    found = compression._placed(torch.tensor(numbers), count).tolist()
    assert len(found) == count
    for value, right in zip(found, expected, strict=True):
        assert right is None or value == pytest.approx(right, abs=1e-6)


def test_numbers_that_overflow_float16_are_refused() -> None:
    made: Any = SimpleNamespace(network=network(), preprocessing=lambda images: images, title="m")
    rows = Rows(torch.randn(10, 6), torch.arange(10) % 3)
    asked = CompressionSettings(epochs=2, batch_size=4, levels=3, lr=1e7)
    with pytest.raises(GencliError, match=r"^m: the coded numbers overflow$"):
        compression._trained(Subspace(network(), 7, 0), made, rows, torch.zeros(7), asked, lambda done: None)
