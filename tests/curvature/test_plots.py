"""The figure of a spectrum: what its axes show, of which tables."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch

from gencli.curvature.plots import along_table, picture
from gencli.ranks import ALONE

DENSITY = pa.table({"eigenvalue": [-1.0, 0.0, 2.0], "density": [0.5, 4.0, 0.25], "standard_error": [0.0, 0.1, 0.0]})
ALONG = pa.table(
    {"index": [0, 0, 3, 3], "distance": [-1.0, 1.0, -1.0, 1.0], "loss": [1.0, 2, 3, 4], "quadratic": [1.5, 2.5, 3.5, 4]}
)


def test_the_density_has_its_eigenvalues_below_it_and_the_loss_along_vectors_stands_beside() -> None:
    figure = picture(DENSITY, ALONG, [2.0, 1.5])
    left, right = figure.axes
    assert left.get_position().x1 < right.get_position().x0
    curve, places = left.lines
    assert (np.asarray(curve.get_xdata()).tolist(), np.asarray(curve.get_ydata()).tolist()) == (
        [-1, 0, 2],
        [0.5, 4, 0.25],
    )
    assert np.asarray(places.get_xdata()).tolist() == [2, 1.5]
    assert np.asarray(places.get_ydata()).tolist() == pytest.approx([4e-6] * 2)
    assert left.get_ylim() == pytest.approx((2e-6, 8))
    assert left.get_yscale() == "log"
    first, expected, *other = right.lines
    assert np.asarray(first.get_ydata()).tolist() == [1, 2]
    assert np.asarray(expected.get_ydata()).tolist() == [1.5, 2.5]
    assert first.get_color() == expected.get_color() != other[0].get_color() == other[1].get_color()
    legend = right.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["vector 0", "vector 3"]


def test_a_table_alone_has_the_figure_to_itself() -> None:
    both = picture(DENSITY, ALONG, []).get_figwidth()
    for tables in ((DENSITY, None), (None, ALONG)):
        figure = picture(*tables, [])
        assert len(figure.axes) == 1
        assert figure.get_figwidth() == both / 2
    assert picture(DENSITY, None, []).axes[0].get_legend() is None


def test_along_a_vector_of_a_quadratic_loss_the_quadratic_is_the_loss() -> None:
    curvatures, slopes, weights = (torch.randn(3, dtype=torch.float64) for _ in range(3))

    def loss(w: torch.Tensor) -> torch.Tensor:
        return (curvatures * w**2).sum() / 2 + slopes @ w

    halves = [SimpleNamespace(loss=lambda w: loss(w) / 2)] * 2
    gradient = curvatures * weights + slopes
    operator = SimpleNamespace(gradient=lambda: gradient, weights=weights, batches=lambda: halves, group=ALONE)
    pairs = {place: (curvatures[place].item(), 0.0, torch.eye(3)[place]) for place in (0, 2)}
    told: list[int] = []
    table = along_table(operator, SimpleNamespace(pairs=lambda: pairs), 0.5, 3, told.append)  # type: ignore[arg-type]
    assert table["index"].to_pylist() == [0, 0, 0, 2, 2, 2]
    assert table["distance"].to_pylist() == [-0.5, 0, 0.5] * 2
    expected = [loss(weights + d * torch.eye(3)[place]).item() for place in (0, 2) for d in (-0.5, 0, 0.5)]
    assert table["loss"].to_pylist() == pytest.approx(expected)
    assert table["quadratic"].to_pylist() == pytest.approx(expected)
    assert told == [1, 2, 3, 4, 5, 6]
