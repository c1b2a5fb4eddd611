"""`gencli data`: bring data in as an image table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gencli.options import Output, command, group

if TYPE_CHECKING:
    from gencli.tables import ImageTable

app = group("Bring data in as an image table.")


@dataclass(frozen=True)
class Selection:
    """Which rows to keep: of these classes, then a sample of them, then the first."""

    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Keep these classes (names or numbers); their labels stay.")
    ] = None
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep N rows drawn at random.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Which rows --sample draws is a function of it.")] = 0
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep the first N rows.")] = None


@command(app, "digits")
def digits(
    split: Annotated[
        Literal["train", "test"], typer.Option(help="Rows 0-1436 of the 1,797 are train, the others test.")
    ] = "train",
    *,
    selection: Selection,
    output: Output = None,
) -> None:
    """Handwritten digits, 8x8, gray; no download.

    Reads nothing; writes an image table: the 1,797 real digits that scikit-learn ships, ink values 0-16
    stretched to 0-255.

    \b
    Example:
      gencli data digits --split test --classes 3,8 -o test.parquet
    """
    from gencli.sources.digits import digits as load

    _write(load(split), "data digits", {"split": split}, selection, output, ["sklearn"])


@command(app, "parquet")
def parquet(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATH...", help="Files of one data set in order, a folder, or -.", show_default=False),
    ] = None,
    *,
    name: Annotated[
        str | None, typer.Option(help="Data set's name; default: the file's, without -train or -test.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Default: train or test, where the file's name ends so.")] = None,
    label: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the labels.")] = "label",
    mode: Annotated[
        Literal["gray", "rgb"] | None, typer.Option(help="Convert all images; default: as they are.")
    ] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="HxWxC", help="Of raw pixels whose description was lost.")
    ] = None,
    selection: Selection,
    output: Output = None,
) -> None:
    """Parquet that others made, such as public hubs publish.

    Reads columns image or img (encoded images, struct<bytes, path>) and label, and class names from the
    huggingface metadata; writes an image table. A row's identity is its place in the files and a hash of the
    data set's name and split: name the splits differently, and they draw differently.

    \b
    Example:
      gencli data parquet cifar10-train.parquet --sample 5000 -o train.parquet
    """
    from gencli.sources import Foreign, read_table
    from gencli.sources.encoded import parse_shape
    from gencli.stream import open_inputs, require_writable

    require_writable(output)
    inputs = [source for path in paths or ["-"] for source in open_inputs(path)]
    table = read_table(inputs, Foreign(name, split, label, mode, parse_shape(shape)))
    known = {"name": table.description.name, "split": table.description.split}
    arguments = known | {"label": label, "mode": mode, "shape": shape}
    _write(table, "data parquet", arguments, selection, output, ["PIL"])


def _write(
    table: ImageTable,
    command: str,
    arguments: dict[str, Any],
    selection: Selection,
    output: str | None,
    packages: list[str],
) -> None:
    from gencli import provenance, tables
    from gencli.outputs import write_images
    from gencli.sources.selection import select

    made = arguments | asdict(selection)
    used = ["numpy", "pyarrow", *packages]
    keep = select(table, **asdict(selection))
    write_images(table, output, lambda: provenance.step(command, made, tables.sources(table, "data"), used), keep)
