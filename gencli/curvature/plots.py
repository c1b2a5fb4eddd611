"""Curves of a spectrum, as tables and as a figure: its density, and the loss along its eigenvectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pyarrow as pa
import torch
from torch import Tensor

from gencli.curvature.operators import Operator
from gencli.curvature.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_POINTS = 1000


def density_table(spectrum: Spectrum, width: float) -> pa.Table:
    """The density's curve: eigenvalue, density, standard_error, all float64; see `Density.curve`."""
    if spectrum.quadrature is None:
        raise TypeError("no density was requested")
    grid, density, error = spectrum.quadrature.result().curve(_POINTS, width)
    columns = [grid, density, torch.full_like(grid, torch.nan) if error is None else error]
    arrays = [pa.array(column.numpy(), from_pandas=True) for column in columns]
    return pa.table(arrays, ["eigenvalue", "density", "standard_error"])


@torch.no_grad()
def mean_loss(operator: Operator, weights: Tensor) -> float:
    """Of all rows, at weights [size]; added in float64."""
    total = torch.zeros((), dtype=torch.float64)
    with operator.group.summed(total):
        for batch in operator.batches():
            total += batch.loss(weights).item()
    return total.item()


def along_table(
    operator: Operator, spectrum: Spectrum, radius: float, points: int, advance: Callable[[int], None]
) -> pa.Table:
    """The mean loss along eigenvectors v of length 1, at parameters w + d v.

    Returns:
        One row per eigenvector and distance d: index, distance, loss, and quadratic, which is what gradient g and
        eigenvalue predict: loss(w) + d g·v + d² λ / 2.
    """
    gradient, rows = operator.gradient(), []
    base = mean_loss(operator, operator.weights)
    distances = torch.linspace(-radius, radius, points, dtype=torch.float64).tolist()
    for index, (value, _, vector) in spectrum.pairs().items():
        way = vector.to(gradient)
        slope = (gradient @ way).item()
        for distance in distances:
            loss = mean_loss(operator, operator.weights + distance * way)
            predicted = base + distance * slope + distance**2 * value / 2
            rows.append({"index": index, "distance": distance, "loss": loss, "quadratic": predicted})
            advance(len(rows))
    return pa.Table.from_pylist(rows)


def picture(density: pa.Table | None, along: pa.Table | None, eigenvalues: list[float]) -> Figure:
    """The density with the eigenvalues below it, and the loss along each vector, side by side."""
    from matplotlib.figure import Figure

    panels = [panel for panel in (density, along) if panel is not None]
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    axes = iter(figure.subplots(1, len(panels), squeeze=False)[0])
    if density is not None:
        axis, (grid, curve) = next(axes), (density[name].to_numpy() for name in ("eigenvalue", "density"))
        axis.plot(grid, curve, color="#0072B2")
        axis.plot(eigenvalues, [curve.max() * 1e-6] * len(eigenvalues), "|", color="#D55E00", label="eigenvalues")
        axis.set(yscale="log", ylim=(curve.max() * 5e-7, curve.max() * 2), xlabel="eigenvalue", ylabel="density")
        if eigenvalues:
            axis.legend(frameon=False)
    if along is not None:
        axis = next(axes)
        for place, index in enumerate(dict.fromkeys(along["index"].to_pylist())):
            rows = [row for row in along.to_pylist() if row["index"] == index]
            distances = [row["distance"] for row in rows]
            axis.plot(distances, [row["loss"] for row in rows], color=f"C{place % 10}", label=f"vector {index}")
            axis.plot(distances, [row["quadratic"] for row in rows], ":", color=f"C{place % 10}", linewidth=1)
        axis.set(xlabel="distance along the eigenvector", ylabel="loss (dotted: quadratic)")
        axis.legend(frameon=False)
    return figure
