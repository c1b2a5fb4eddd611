"""`gencli spectrum`: eigenvalues, trace and spectral density of a model's curvature."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.alignment.settings import KernelSettings
from gencli.cli.options import Data, Format, ResultOutput, command, single
from gencli.commands import spectrum_files, spectrum_kernel
from gencli.curvature.settings import (
    MethodSettings,
    OperatorSettings,
    OwnLossSettings,
    QuantitySettings,
    SavingSettings,
)
from gencli.errors import GencliError

app = single()


@command(app, "spectrum", alone="")
def spectrum(
    *,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Model (safetensors), or - for standard input; of a kernel without a model the image table.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    kernel: KernelSettings,
    quantities: QuantitySettings,
    matrix: OperatorSettings,
    objective: OwnLossSettings,
    method: MethodSettings,
    saving: SavingSettings,
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Compute eigenvalues of a model's curvature, or of a kernel.

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

    With --kernel the matrix is K, k(x_i, x_j) of all pairs of rows, and the table (quantity, class, index, value) says
    how the labels y lie along its eigenvectors v_i: complexity sqrt(2 y' K^-1 y / n) of all classes together and of
    each, infinite where labels lie outside the range of K, and how many steps gradient descent from f = 0 on 1/2 sum (f
    - y)^2 takes until --fitted-at of the rows are right or 1 % of the loss is left, with step size and time = steps
    times step size, by which tables can be compared. The --energy file has columns class (none: all), index,
    eigenvalue, energy (<v_i, y>^2 as a share) and cumulative; the --descent file class, step, time, loss (the share
    that is left, sum (1 - eta lambda_i)^(2 step) energy_i) and train_accuracy. --figure draws both. K is computed in
    float64 (empirical: from gradients of --dtype, confirmed like those of gencli jacobian, in evaluation mode), and all
    its eigenvalues; those below n units of rounding of the largest count as 0. With --outputs all, a class's lines are
    of its targets alone, those of other classes 0. Source: Arora, Du, Hu, Li, Wang 2019, arXiv:1901.08584.

    \b
    Example:
      gencli data digits --limit 500 -o digits.parquet
      gencli train digits.parquet --arch mlp-1x16 -o model.safetensors
      gencli spectrum model.safetensors digits.parquet --top 5 --bottom 2 \\
        --trace --density density.parquet --figure density.svg --format table
      gencli spectrum --kernel ntk:2 digits.parquet --energy energy.parquet \\
        --descent descent.parquet --figure labels.svg --format table
      gencli spectrum --kernel empirical model.safetensors digits.parquet \\
        --limit 50 --format table
    """
    from gencli.files import checkpoints
    from gencli.files.stream import require_writable
    from gencli.machine import first, require_alone

    if kernel.kernel is not None:
        require_alone("--kernel: one process finds all eigenvalues of the matrix K")
        require_writable(output, *kernel.files, quantities.figure)
        spectrum_kernel.run(kernel, model, data, quantities, matrix, method, format, output)
        return
    if model is None:
        raise GencliError("MODEL: no model is named", "name MODEL and DATA; or give --kernel ntk:2 and DATA")
    checkpoints.require(saving, checkpoints.SPECTRUM)
    if first():
        require_writable(output, *quantities.files, saving.checkpoint)

    from gencli import ranks
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import opening
    from gencli.curvature import routes
    from gencli.curvature import spectrum as spectra
    from gencli.files.together import Together
    from gencli.training import devices

    device = devices.choose(matrix.device, matrix.dtype == "float64")
    with ranks.dividing(device, model, data) as group, Together(first()) as places:
        opened, loss, operator = opening.open_operator(model, data, matrix, objective, group)
        request = spectra.Request.of(quantities, method, operator.size)
        found = spectra.Spectrum(operator.size, operator.dtype, request, method.seed)
        used = spectra.arguments(request, method, matrix, loss) | opening.computed(opened.device, group)
        made = opened.step("spectrum", used)
        made_files = opened.step("spectrum", used | method.of_files(quantities))
        group.require_same(lambda: made_files)
        write = open_result(places, output, format, opened.inputs)
        save = spectrum_files.opened(quantities, places, opened.inputs)
        spectra.resume(found, saving, opened.inputs, made_files, group)
        choice = routes.choose(operator)
        console.message(choice.said)
        with console.progress("products", lambda: found.expected) as advance:
            spectra.compute(found, operator.matvec, advance, saving, made_files, group)
        save(operator, found, method, made_files)
        size = f"{operator.size:,} parameters, {operator.rows:,} rows"
        title = f"{matrix.operator} of {loss.name}: {opened.model.arch}, {size}"
        write(found.table(choice.record), lambda: made, title)
    if not found.converged:
        console.message("gencli spectrum: not all eigenvalues converged; raise --max-products, or see their residuals")
        raise typer.Exit(1)
