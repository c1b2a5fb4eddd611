"""`gencli spectrum`: eigenvalues, trace and spectral density of a model's curvature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import typer

from gencli.cli.options import Data, Format, ModelFile, ResultOutput, command, single
from gencli.curvature.settings import (
    MethodSettings,
    OperatorSettings,
    OwnLossSettings,
    QuantitySettings,
    SavingSettings,
)

if TYPE_CHECKING:
    from gencli.curvature.operators import Operator
    from gencli.curvature.spectrum import Spectrum
    from gencli.files.provenance import Step
    from gencli.files.stream import Input
    from gencli.files.together import Together

app = single()


@command(app, "spectrum")
def spectrum(
    model: ModelFile,
    quantities: QuantitySettings,
    matrix: OperatorSettings,
    objective: OwnLossSettings,
    method: MethodSettings,
    saving: SavingSettings,
    data: Data = None,
    *,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Compute eigenvalues, trace and density of a model's curvature.

    Reads a model and an image table; writes a result table with one row per quantity and columns quantity (eigenvalue,
    condition, trace), index (for eigenvalues: 1 the largest, 2 the next, -1 the smallest), value, residual (for an
    eigenpair, the norm of A v - value v; an eigenvalue lies within it), standard_error (of the trace), products
    (number of matrix-vector products; all eigenvalues share theirs), route (of the products) and apart (relative
    difference between a product of a few rows by that route and differences of gradients in float64). The matrix is
    that of the mean loss over all rows, with the network in evaluation mode. If eigenvalues have both signs, the
    smallest absolute eigenvalue is unknown, and the row says "condition at least".

    Second derivatives can be wrong without an error, even for only a few rows, so that product is checked first, then
    one product per batch, at about the cost of six gradients of all rows in float64: the first route that passes is
    used; if none does, the exit status is 1 and nothing is written. Eigenvalues are in algebraic order, computed by the
    Lanczos process with full reorthogonalization; copies of a multiple eigenvalue may be missed. If some do not
    converge within --max-products, a message says so and the exit status is 1. The trace is by XTrace, its standard
    error by the jackknife. The --density file has columns eigenvalue, density and standard_error; the --along file has
    index, distance, loss, and quadratic, the loss that gradient and eigenvalue predict.

    \b
    Example:
      gencli data digits --limit 500 -o digits.parquet
      gencli train digits.parquet --arch mlp-1x16 -o model.safetensors
      gencli spectrum model.safetensors digits.parquet --top 5 --bottom 2 \\
        --trace --density density.parquet --figure density.svg --format table
    """
    from gencli.files import checkpoints
    from gencli.files.stream import require_writable

    checkpoints.require(saving, checkpoints.SPECTRUM)
    require_writable(output, *quantities.files, saving.checkpoint)

    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import opening
    from gencli.curvature import routes
    from gencli.curvature import spectrum as spectra
    from gencli.files.together import Together

    opened, loss, operator = opening.open_operator(model, data, matrix, objective)
    request = spectra.Request.of(quantities, method, operator.size)
    found = spectra.Spectrum(operator.size, operator.dtype, request, method.seed)
    used = spectra.arguments(request, method, matrix, loss) | opening.computed(opened.device)
    made = opened.step("spectrum", used)
    made_files = opened.step("spectrum", used | method.of_files(quantities))
    with Together() as places:
        write = open_result(places, output, format, opened.inputs)
        save = _open_files(quantities, places, opened.inputs)
        spectra.resume(found, saving, opened.inputs, made_files)
        choice = routes.choose(operator)
        console.message(choice.said)
        with console.progress("products", lambda: found.expected) as advance:
            spectra.compute(found, operator.matvec, advance, saving, made_files)
        save(operator, found, method, made_files)
        size = f"{operator.size:,} parameters, {operator.rows:,} rows"
        title = f"{matrix.operator} of {loss.name}: {opened.model.arch}, {size}"
        write(found.table(choice.record), lambda: made, title)
    if not found.converged:
        console.message("gencli spectrum: not all eigenvalues converged; raise --max-products, or see their residuals")
        raise typer.Exit(1)


def _open_files(
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
