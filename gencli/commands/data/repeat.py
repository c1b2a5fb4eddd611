"""`gencli data repeat`: as many rows as a test of scale needs."""

from __future__ import annotations

from typing import Annotated

import typer

from gencli.cli.options import Data, ImagesOutput, command, single

app = single()


@command(app, "repeat")
def repeat(
    data: Data = None,
    *,
    times: Annotated[int, typer.Option(min=1, metavar="N", help="Number of copies, written one after the other.")],
    output: ImagesOutput = None,
) -> None:
    """Repeat an image table several times, for tests of scale.

    Reads an image table; writes its rows N times. The first copy keeps its row identities; the others get new ones, so
    that each copy draws its own random numbers. Everything else is unchanged.

    \b
    Example:
      gencli data digits | gencli data repeat --times 10 -o many.parquet
    """
    from gencli.cli.outputs import write_images
    from gencli.files import provenance, tables
    from gencli.files.stream import require_writable
    from gencli.sources import open_table
    from gencli.sources.repeated import Repeated

    require_writable(output)
    table = open_table(data)
    made, used = {"times": times}, ["numpy", "pyarrow"]
    write_images(
        Repeated(table, times),
        output,
        lambda: provenance.step("data repeat", made, tables.sources(table, "data"), used),
    )
