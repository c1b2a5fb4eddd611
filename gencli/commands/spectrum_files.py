"""The files that `gencli spectrum` writes of the curvature beside its table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencli.curvature.operators import Operator
    from gencli.curvature.settings import MethodSettings, QuantitySettings
    from gencli.curvature.spectrum import Spectrum
    from gencli.files.provenance import Step
    from gencli.files.stream import Input
    from gencli.files.together import Together


def opened(
    asked: QuantitySettings, places: Together, read: Sequence[Input]
) -> Callable[[Operator, Spectrum, MethodSettings, Step], None]:
    """Opens the files beside the table; gives what writes them."""
    from gencli.cli import console
    from gencli.cli.outputs import open_figure, open_result
    from gencli.curvature import plots
    from gencli.curvature import spectrum as spectra
    from gencli.files import tensors
    from gencli.reporting import curves

    write_density = open_result(places, asked.density, None, read) if asked.density else None
    write_along = open_result(places, asked.along, None, read) if asked.along else None
    vectors = places.open(asked.vectors, read, binary=True) if asked.vectors else None
    draw = open_figure(places, asked.figure, read)

    def save(operator: Operator, found: Spectrum, method: MethodSettings, made: Step) -> None:
        density = along = None
        if write_density:
            density = plots.density_table(found, method.density_width)
            write_density(density, lambda: made.to("density"))
        if write_along:
            with console.progress("losses", len(found.eigenvalues()) * method.along_points) as advance:
                along = plots.along_table(operator, found, method.along_radius, method.along_points, advance)
            write_along(along, lambda: made.to("along"))
        if vectors:
            tensors.write(vectors, spectra.named_vectors(operator, found), {"step": made.to("vectors")})
        if draw:
            draw(
                curves.drawn(lambda: plots.picture(density, along, found.eigenvalues())),
                made.to("figure"),
            )

    return save
