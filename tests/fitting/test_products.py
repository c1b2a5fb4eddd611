"""Products by oneDNN against numpy's in float64."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gencli.fitting import products
from gencli.fitting.products import Matrix, across

WIDE = np.random.default_rng(0).standard_normal((300, 320)).astype(np.float32)
CASES: dict[str, tuple[Matrix, Matrix]] = {
    "whole": (WIDE, WIDE[::-1].copy()),
    "parts of rows": (WIDE[:, 40:200], WIDE[100:, 7:167]),
    "every other row": (WIDE[::2], WIDE[1::2]),
    "transposed": (WIDE[:10, :300].copy(), WIDE.T),
    "transposed parts": (WIDE[5:15, :200], WIDE[40:240, 100:200].T),
    "transposed left": (WIDE.T, WIDE[:30, :300]),
    "one row": (WIDE[:1], WIDE),
    "no columns": (WIDE[:, :0], WIDE[:, :0]),
    "no rows": (WIDE[:0], WIDE),
    "float64": (WIDE.astype(np.float64), WIDE[:9].astype(np.float64)),
}


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_float64(name: str):
    a, b = CASES[name]
    found = across(a, b)
    assert found.dtype == a.dtype
    wide = a.astype(np.float64), b.astype(np.float64)
    bound = a.shape[1] * np.finfo(a.dtype).eps * (np.abs(wide[0]) @ np.abs(wide[1]).T)
    assert (np.abs(found - wide[0] @ wide[1].T) <= bound).all()


@pytest.mark.skipif(products._FUSED is None, reason="torch without oneDNN")
def test_parts_of_wider_rows_take_no_slow_path():
    """400 times as long, where they reach oneDNN as they are."""
    part = np.random.default_rng(0).standard_normal((600, 600)).astype(np.float32)[:, :500]
    across(part, part)
    start = time.process_time()
    across(part, part)
    taken = time.process_time() - start
    start = time.process_time()
    _ = part @ part.T
    assert taken < 0.01 + 20 * (time.process_time() - start)
