"""The part of `gencli spectrum` that is about kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencli.alignment.settings import KernelSettings
    from gencli.cli.options import TableFormat
    from gencli.curvature.settings import MethodSettings, OperatorSettings, QuantitySettings

_TOP = 10


def run(
    asked: KernelSettings, model: str | None, data: str | None, quantities: QuantitySettings, matrix: OperatorSettings,
    method: MethodSettings, format: TableFormat | None, output: str | None,
) -> None:  # fmt: skip
    """Reads, computes, writes; see the help of `gencli spectrum`."""
    from gencli.alignment.energies import Alignment
    from gencli.cli import console
    from gencli.cli.outputs import open_figure, open_result
    from gencli.commands import spectrum_sources
    from gencli.files.together import Together
    from gencli.reporting import alignments, curves

    opened = (
        spectrum_sources.of_network(asked, model, data, matrix)
        if asked.empirical
        else spectrum_sources.of_images(asked, model, data, matrix, method.seed)
    )
    top = quantities.top or (0 if quantities.bottom else _TOP)
    used = asked.arguments() | {"top": top or None, "bottom": quantities.bottom} | opened.arguments
    with Together() as places:
        write = open_result(places, output, format, opened.inputs)
        energy, descent = (
            open_result(places, each, None, opened.inputs) if each else None for each in (asked.energy, asked.descent)
        )
        draw = open_figure(places, quantities.figure, opened.inputs)
        with console.progress("pairs of rows", opened.pairs) as advance:
            kernel = opened.matrix(advance)
        for note in [*opened.said(), f"eigenvalues of a matrix of {len(kernel):,} rows"]:
            console.message(note)
        names, title = opened.table.description.classes, opened.table.title
        found = Alignment.of(kernel, opened.rows.labels.cpu().numpy(), names, asked.targets, title, opened.eps)
        del kernel
        step_size = found.step_size(asked.step_size)
        made = opened.step(used)
        words = f"{asked.kernel}: {len(opened.rows):,} rows, {len(names)} classes, {asked.targets} targets"
        write(found.table(top, quantities.bottom or 0, step_size, asked.fitted_at), lambda: made, words)
        curve = found.descent_table(step_size) if descent or draw else None
        if energy:
            energy(found.energy_table(), lambda: made.to("energy"), words)
        if descent and curve:
            descent(curve, lambda: made.to("descent"), words)
        if draw and curve:
            panels = alignments.panels(found.energy_table(), curve)
            draw(lambda form, provenance: curves.image(panels, form, provenance, words), made.to("figure"))
    if found.rank < len(found.values):
        n = len(found.values)
        console.message(
            f"K has rank {found.rank:,} of {n:,}: {found.outside:.2%} of the labels' energy is outside its range"
            + (", so complexity is infinite" if math.isinf(found.complexity(found.energies)) else "")
        )
