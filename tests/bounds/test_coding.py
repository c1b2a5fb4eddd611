"""What is coded decodes, in hardly more bits than the entropy."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gencli.bounds import coding, compression
from gencli.bounds.coding import decode, encode
from gencli.bounds.settings import CompressionSettings
from gencli.errors import GencliError
from gencli.models.inputs import Rows


@given(
    st.integers(1, 12).flatmap(lambda size: st.tuples(st.just(size), st.lists(st.integers(0, size - 1), max_size=60)))
)
def test_symbols_come_back(case: tuple[int, list[int]]) -> None:
    size, symbols = case
    assert decode(encode(symbols, size), len(symbols), size) == symbols


@given(st.lists(st.integers(0, 1), max_size=80), st.integers(1, 9))
def test_any_bits_decode_to_symbols(bits: list[int], size: int) -> None:
    found = decode(bits, 20, size)
    assert len(found) == 20
    assert set(found) <= set(range(size))


def test_the_length_is_the_entropy_and_half_a_logarithm_a_symbol() -> None:
    random = np.random.default_rng(0)
    symbols = random.choice(5, 3000, p=[0.6, 0.2, 0.1, 0.09, 0.01]).tolist()
    entropy = -sum(count * math.log2(count / 3000) for count in Counter(symbols).values())
    bits = encode(symbols, 5)
    assert entropy < len(bits) < entropy + 4 / 2 * math.log2(3000) + 10


@pytest.mark.parametrize(("low", "high"), [(0, (1 << 32) - 1), (5, (1 << 31) + 3), ((1 << 30) + 1, 3 << 30)])
def test_the_intervals_of_symbols_fill_that_of_the_message(low: int, high: int) -> None:
    ends = [0, 1, 4, 5, 11]
    parts = [coding._narrowed(low, high, *pair, 11) for pair in pairwise(ends)]
    assert parts[0][0] == low
    assert parts[-1][1] == high
    assert all(after[0] == before[1] + 1 for before, after in pairwise(parts))
    shares = [(last - first + 1) / (high - low + 1) for first, last in parts]
    assert shares == pytest.approx([1 / 11, 3 / 11, 1 / 11, 6 / 11], abs=1e-8)


@pytest.mark.parametrize(
    ("low", "high", "case"),
    [
        (0, 0x7FFFFFFF, 0), (0, 0x80000000, None), (0x80000000, 0xFFFFFFFF, 1), (0x7FFFFFFF, 0xFFFFFFFF, None),
        (0x40000000, 0xBFFFFFFF, 2), (0x3FFFFFFF, 0xBFFFFFFF, None), (0x40000000, 0xC0000000, None),
    ],
)  # fmt: skip
def test_a_bit_is_settled_where_all_between_begin_with_it(low: int, high: int, case: int | None) -> None:
    assert coding._settled(low, high) == case
    if case is not None:
        assert coding._doubled(low, high, case) == (0, 0xFFFFFFFF)


def test_long_runs_cost_nearly_nothing() -> None:
    bits = encode([0] * 20_000, 2)
    assert len(bits) < 20
    assert decode(bits, 20_000, 2) == [0] * 20_000


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


@pytest.mark.parametrize("dimension", [0, 7, 1000])
def test_a_code_is_all_of_a_network_besides_its_beginning(dimension: int) -> None:
    space = compression.Subspace(network(), dimension, 4)
    assert space.size == (7 if dimension == 7 else 53)
    values = torch.tensor([-0.5, 0.0, 1.25]).half()
    symbols = torch.randint(3, (space.size,))
    bits = compression.written(symbols.tolist(), values)
    again = compression.decoded(bits, compression.Subspace(network(), dimension, 4), network())
    expected = space.weights(values.float()[symbols])
    for name, each in again.named_parameters():
        assert torch.equal(each, expected[name])
    if dimension == 7:
        with pytest.raises(GencliError, match="a code of 7 numbers, not 53"):
            compression.decoded(bits, compression.Subspace(network(), 0, 4), network())


@pytest.mark.parametrize(("epochs", "free"), [(1, 1), (2, 2), (3, 2), (6, 4), (8, 6)])
def test_the_last_third_of_the_epochs_has_rounding_in_it(
    epochs: int, free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, placed, place = [0], list[int](), compression._placed
    monkeypatch.setattr(compression, "_placed", lambda *given: (placed.append(done[-1]), place(*given))[1])
    model: Any = SimpleNamespace(network=network(), preprocessing=lambda images: images)
    rows = Rows(torch.randn(10, 6), torch.arange(10) % 3)
    asked = CompressionSettings(epochs=epochs, batch_size=4, levels=3)
    symbols, values = compression._trained(
        compression.Subspace(network(), 7, 0), model, rows, torch.zeros(7), asked, done.append
    )
    assert placed == [3 * free]
    assert done == list(range(3 * epochs + 1))
    assert compression.work(asked, 10) == 3 * epochs
    assert (symbols.shape, symbols.dtype) == ((7,), torch.int64)
    assert (values.shape, values.dtype) == ((3,), torch.float16)
    assert values.tolist() == sorted(values.tolist())


def test_the_subspace_has_columns_of_norm_one_that_are_orthogonal() -> None:
    start = network()
    space = compression.Subspace(start, 7, 4)
    columns = []
    for unit in torch.eye(7):
        moved = space.weights(unit)
        columns.append(torch.cat([(moved[name] - each).flatten() for name, each in space.start.items()]))
    matrix = torch.stack(columns).double()
    assert torch.allclose(matrix @ matrix.T, torch.eye(7).double(), atol=1e-6)
