"""Sizes that are none are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gencli.curvature.settings import MethodSettings
from gencli.errors import GencliError


@pytest.mark.parametrize("name", ["density_width", "along_radius", "tolerance"])
def test_sizes_lie_above_0(name: str) -> None:
    for value in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: {value:g} is out of range"):
            replace(MethodSettings(), **{name: value}).resolved([])
    for value in (1e-3, 1.0, 1e300):
        assert getattr(replace(MethodSettings(), **{name: value}).resolved([]), name) == value


def test_a_density_is_no_finer_than_eigenvalues_are_known() -> None:
    for width in (1e-300, 0.9e-12):
        with pytest.raises(GencliError, match=f"--density-width: {width:g} is finer than eigenvalues are known"):
            MethodSettings(density_width=width).resolved([])
    MethodSettings(density_width=1.1e-12).resolved([])
