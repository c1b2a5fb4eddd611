"""`gencli bound verify`: whether a certificate follows from what it rests on."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Data, Device, Format, OwnArch, ResultOutput, Seed, command, single
from gencli.errors import GencliError

app = single()


@command(app, "verify")
def verify(
    certificate: Annotated[
        str, typer.Argument(metavar="FILE", help="Certificate that --certificate wrote.", show_default=False)
    ],
    data: Data = None,
    *,
    test: Annotated[
        str | None, typer.Option(metavar="TABLE", help="The test rows, to check the test error as well.")
    ] = None,
    seed: Seed = 0,
    arch: OwnArch = None,
    device: Device = "auto",
    format: Format = None,
    output: ResultOutput = None,
) -> None:
    """Check a certificate again; exit status 1 if it is wrong.

    Reads a certificate and the table that it was made for, all rows of it; writes a result table with one row per part:
    part, claimed, found, holds, note. The rows are compared by content, and those of a trained prior taken out again by
    id; the weights before training are rebuilt from the seed. Numbers that the file says twice must agree.

    Nothing that made the certificate checks it: weights are drawn themselves, 200 times for 500 random rows each, and
    the error rate claimed may not lie below theirs by more than five standard errors; KL is summed entry by entry in
    float64; codes are decoded and errors counted again; the limits are Brent's roots and the beta distribution's
    quantiles instead of bisections. The bound must be the one recomputed in this way. If a part does not hold, the exit
    status is 1. No file can show that a trained prior saw only its own rows, or that held-out rows were not trained on:
    gencli how FILE prints the commands that make it again.

    \b
    Example:
      gencli data digits -o train.parquet
      gencli train train.parquet --arch mlp-1x32 --epochs 3 -o model.safetensors
      gencli bound compression model.safetensors train.parquet \\
        --subspace 100 --epochs 6 --certificate code.safetensors
      gencli bound verify code.safetensors train.parquet --format table
    """
    from gencli.files import stream

    stream.require_writable(output)

    import torch

    from gencli.bounds import certificates, independence, verification
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.commands import opening
    from gencli.files import provenance, tables
    from gencli.files.named import named_first, require_one_standard_input
    from gencli.files.stream import Input
    from gencli.files.together import Together
    from gencli.models import inputs
    from gencli.sources import open_table
    from gencli.training import devices

    require_one_standard_input(certificate, data or "-", test)
    where: torch.device = devices.choose(device)
    devices.precision("float32", where)
    tests = [(test, open_table)] if test else []
    opened = named_first((certificate, Input), (data, open_table), *tests)
    source, table, other = opened[0], opened[1], opened[2] if test else None
    made, facts, parts = certificates.read(source)
    if other is not None and made.test_rows is None:
        raise GencliError(f"{source.name}: was made without test rows", "omit --test")
    for each in opened[1:]:
        independence.require_rows(each)
    if other is None and made.test_rows is not None:
        console.message(f"{source.name}: its test error is not checked without --test")

    def step() -> provenance.Step:
        of_tables = tables.sources(table, "data") + (tables.sources(other, "test") if other else [])
        of_file = provenance.source("file", source.sha256, facts["step"], source.path)
        arguments = {"seed": seed, "arch": arch} | opening.computed(where)
        return provenance.step("bound verify", arguments, [of_file, *of_tables], ["torch", "numpy", "pyarrow", "scipy"])

    with Together() as places:
        write = open_result(places, output, format, [source, *(file for each in opened[1:] for file in each.inputs)])
        rows, tested = inputs.load(table), inputs.load(other) if other else None
        found = verification.verify(made, facts, parts, rows, tested, where, seed, source.name, arch)
        write(verification.table(found), step, f"{made.kind}: error rate at most {made.bound:.2%}")
    wrong = [each for each in found if not each.holds]
    for each in wrong:
        what = "" if each.claimed is None or each.found is None else f": claimed {each.claimed:g}, found {each.found:g}"
        console.message(f"gencli bound verify: {each.part}{what}{f' ({each.note})' if each.note else ''}")
    if wrong:
        raise typer.Exit(1)
