"""`gencli jacobian`: compute Jacobians of formulas by three methods, and of networks row by row."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import Data, DerivativesOutput, Format, Shard, command, single
from gencli.commands import jacobian_formulas, jacobian_network
from gencli.errors import GencliError
from gencli.formulas.settings import FormulaSettings
from gencli.jacobians.settings import JacobianLossSettings, JacobianNetworkSettings, JacobianSettings

app = single()


@command(app, "jacobian", alone="")
def jacobian(
    *,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="Model (safetensors).", show_default=False)
    ] = None,
    data: Data = None,
    formulas: FormulaSettings,
    networks: JacobianSettings,
    network: JacobianNetworkSettings,
    objective: JacobianLossSettings,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Allowed difference between methods, see above. Default: 1e-10, in float32 1e-4."),
    ] = None,
    dtype: Annotated[
        Literal["float64", "float32"] | None,
        typer.Option(help="Precision. Default: float64; for networks that of their parameters."),
    ] = None,
    shard: Shard = None,
    format: Format = None,
    output: DerivativesOutput = None,
) -> None:
    """Compute Jacobians by numeric, forward and reverse modes.

    Reads formulas and points, or a model and an image table; writes derivatives, to a .safetensors file as matrices,
    otherwise as a table. The exit status is 1 if methods disagree by more than --tolerance.

    For formulas it writes every derivative by three methods: numeric (difference quotients, with an error estimate),
    forward (tangents by the rules of calculus) and reverse (torch's autograd). --tolerance is multiplied by the
    derivative if that is above 1; for numeric the estimated error is added. The quotients are forward, central or
    extrapolated (richardson), of evaluations in --dtype, or extended: of evaluations in hundreds of digits over tiny
    steps, with as many digits as the derivative needs. The extended quotients always run, to report where
    forward and reverse lose digits to rounding. A formula holds numbers, pi and e, the coordinates w1, w2,
    ... (also w[1], x1, x[1]; x, y and z are the first three), + - * / ^ (or **), parentheses, and the functions square,
    sqrt, rsqrt, reciprocal, exp, exp2, expm1, ln (log), log2, log10, log1p, logaddexp, sin, cos, tan, asin, acos, atan,
    atan2, sinh, cosh, tanh, asinh, acosh, atanh, hypot, sigmoid, logsigmoid, logit, softplus, softsign, relu, relu6,
    hardtanh, leaky_relu, elu, selu, silu, mish, gelu, tanhshrink, erf, erfc, erfinv, abs, sign, floor, ceil, round,
    trunc, max, min; derivatives at kinks are torch's. Limits: 10,000 characters, 200 nested operators and parentheses
    and 1,000 coordinates per formula; 1,000 formulas and 100,000 characters in total. A terminal shows one table per
    point; other formats have one row per number, with columns method, output, input, second_input (for Hessians),
    value, output_value (the formula's), difference (from reverse), allowed (the largest allowed difference) and error
    (of the value, by extended evaluation), preceded by point if there are several. --at, --hvp and --check-against read
    Parquet, CSV and numbers separated by spaces, --check-against also safetensors. Columns named like coordinates are
    matched by name.

    For a network in evaluation mode it writes each row's Jacobian: one tensor `input`, or one tensor per parameter
    under its name, of shape [rows, outputs, ...], for a loss [rows, ...]. The table has one line per data row, with
    columns id, label, loss, norm, rank (singular values above 32 units in the last place of the norm) and
    singular_value_1, ..., the ten largest. All rows are checked against reverse mode without torch.func.vmap, some
    against differences in float64; if routes disagree, the one that differences confirm is used, and if none is
    confirmed, the exit status is 1 and nothing is written. --verify compares 20 more numbers, or one per parameter;
    --tolerance is multiplied by the output's largest derivative, and kinks are distinguished from errors.

    \b
    Example:
      gencli jacobian -f "cos(w1)*cos(w2) + sigmoid(w2)" \\
        -f "ln(w1+w2) + w1^2*w2" --at 1,2 --step 0.01 --format table
      gencli jacobian -f "ln(w1+w2) + w1^2*w2" --at 1,2 --trace reverse \\
        --graph graph.svg --format table
      gencli data digits --limit 50 -o digits.parquet
      gencli train digits.parquet --arch mlp-1x16 -q -o model.safetensors
      gencli jacobian model.safetensors digits.parquet --verify \\
        --summary norms.csv -o jacobians.safetensors
    """
    from gencli.files import endings, shards
    from gencli.files.stream import require_writable
    from gencli.machine import first, require_alone

    as_tensors = format is None and endings.named(output) == "safetensors"
    if model is None and shard is not None:
        raise GencliError("--shard: formulas have no rows", "omit it")
    if model is None:
        require_alone("formulas have no rows")
        require_writable(output, formulas.graph)
        jacobian_formulas.run(formulas, tolerance, dtype or "float64", as_tensors, format, output)
    else:
        if tolerance is not None and not networks.verify:
            raise GencliError("--tolerance: nothing is compared", "add --verify")
        if not as_tensors:
            shards.require_kept(shard, format, output)
        if first():
            require_writable(output, networks.summary)
        place = jacobian_network.Place(shard, as_tensors, "parquet" if shard else format, output)
        jacobian_network.run(model, data, networks, network, objective, tolerance, dtype, place)
