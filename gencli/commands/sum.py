"""`gencli sum`: one result from parts of it that commands computed with --shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gencli.cli.options import Format, SumOutput, command, single

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from torch import Tensor

    from gencli.files.shards import Part

app = single()


@command(app, "sum")
def total(
    files: Annotated[
        list[str], typer.Argument(metavar="PART...", help="All parts of one result, in any order.", show_default=False)
    ],
    *,
    format: Format = None,
    output: SumOutput = None,
) -> None:
    """Combine the parts of a result that --shard computed.

    Reads what gencli hvp, jacobian or eval wrote with --shard K/N, for every K from 0 to N - 1; writes what they write
    without it. Each of N processes, on any machines, computes a part of the rows, for example as an array job of Slurm:
    products with curvature matrices, which are sums over rows, are added in float64; Jacobians are concatenated;
    results are those of the predictions of all rows. The numbers are those of a single process up to the rounding of
    sums. A part that is missing, given twice, or of another model, table, options or version is refused. gencli
    spectrum has no parts, since each of its products over all rows needs the previous one; torchrun divides its work
    among processes, and that of these commands too.

    \b
    Example:
      gencli data digits --limit 200 -o digits.parquet
      gencli train digits.parquet --arch mlp-1x16 --epochs 3 -o model.safetensors
      for k in 0 1; do
        gencli hvp model.safetensors digits.parquet --shard $k/2 -o part-$k.safetensors
      done
      gencli sum part-*.safetensors -o products.safetensors
    """
    from gencli.cli import console
    from gencli.cli.outputs import open_result
    from gencli.errors import GencliError
    from gencli.files import endings, provenance, shards, tensors
    from gencli.files.stream import require_writable
    from gencli.files.together import Together

    require_writable(output)
    parts = shards.require_whole([shards.open_part(place) for place in files])
    first, read, of_tensors = parts[0], [part.source for part in parts], parts[0].facts is not None
    known = format or endings.named(output)
    if known and of_tensors != (known == "safetensors"):
        what = "tensors" if of_tensors else "tables"
        raise GencliError(f"the parts are {what}, which are not written as {known}", "give -o a file of that kind")
    inputs = [provenance.source("file", part.source.sha256, part.made, part.source.path) for part in parts]
    made = provenance.step("sum", {}, inputs, ["numpy", "pyarrow", *(["torch"] if of_tensors else [])])
    with Together() as places:
        if of_tensors:
            place = places.open(output, read, binary=True)
            facts = {name: value for name, value in (first.facts or {}).items() if name not in ("rows", "step")}
            if "verified" in facts:
                facts["verified"] = max((part.facts or {} for part in parts), key=_worst)["verified"]
            tensors.write(place, _added(parts), facts | {"step": made})
        else:
            rows, notes, title = _joined(parts)
            for note in notes:
                console.message(note)
            open_result(places, output, format, read)(rows, lambda: made, title)
    console.message(f"{first.made.command}: {len(parts)} parts")


def _worst(facts: dict[str, object]) -> float:
    verified = facts.get("verified")
    apart = verified.get("difference") if isinstance(verified, dict) else None
    return apart if isinstance(apart, float) else 0.0


def _added(parts: Sequence[Part]) -> dict[str, Tensor]:
    """Sums over rows are added in float64, rows put one after the other."""
    import torch

    from gencli.errors import GencliError
    from gencli.files import tensors

    by_row = parts[0].made.command == "jacobian"
    kept: dict[str, list[Tensor]] = {}
    kind = torch.float64
    for number, part in enumerate(parts):
        found = tensors.read(part.source)
        if number and {name: each.shape[by_row:] for name, each in found.items()} != {
            name: each[0].shape[by_row:] for name, each in kept.items()
        }:
            raise GencliError(f"{part.source.name}: other tensors than {parts[0].source.name}", "make it again")
        for name, each in found.items():
            if by_row and len(each) != len(part.rows):
                raise GencliError(f"{part.source.name}: {len(each)} rows, not {len(part.rows)}", "make it again")
            if by_row or not number:
                kept.setdefault(name, []).append(each if by_row else each.double())
            else:
                kept[name][0] += each.double()
            kind = each.dtype
    if by_row:
        return {name: torch.cat(each) for name, each in kept.items()}
    return {name: each.to(kind) for name, [each] in kept.items()}


def _joined(parts: Sequence[Part]) -> tuple[pa.Table, list[str], str]:
    import pyarrow as pa

    from gencli.evaluation import results
    from gencli.files import parquet

    tables = []
    for part in parts:
        with parquet.undamaged(part.source.name):
            tables.append((part.source.name, parquet.read(parquet.open_file(part.source))))
    if parts[0].made.command == "jacobian":
        return pa.concat_tables([rows for _, rows in tables]), [], ""
    found, notes, title = results.unpacked(tables)
    return results.joined(found), notes, title
