"""What the sources share: how images are decoded, which rows to keep, and writing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gencli.files.tables import ImageTable
    from gencli.sources.decoded import Decoding

Renumber = Annotated[
    bool, typer.Option("--renumber", help="Renumber the labels that occur from 0, in order; class names stay.")
]


@dataclass(frozen=True)
class Decode:
    """How encoded images are decoded."""

    mode: Annotated[
        Literal["gray", "rgb"] | None, typer.Option(help="Convert all images. Default: leave them as they are.")
    ] = None
    range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH", help="Values that become 0 and 255, for gray images of 16 or 32 bits or of floats."
        ),
    ] = None
    size: Annotated[
        str | None, typer.Option(metavar="N|HxW", help="Resize: N for the shorter side, or height and width.")
    ] = None
    crop: Annotated[str | None, typer.Option(metavar="N|HxW", help="Keep the center, after --size.")] = None

    @property
    def decoding(self) -> Decoding:
        """The options as they are computed with.

        Raises:
            GencliError: one cannot be read.
        """
        from gencli.sources.decoded import Decoding, parse_crop, parse_range, parse_size

        return Decoding(self.mode, parse_size(self.size), parse_crop(self.crop), parse_range(self.range))


@dataclass(frozen=True)
class Listed(Decode):
    """How images that a file lists with their labels are decoded, and what they are called."""

    renumber: Renumber = False
    class_names: Annotated[str | None, typer.Option(metavar="N|A,B|FILE", help="Number or names of the classes.")] = (
        None
    )
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the file's.")] = None
    split: Annotated[str | None, typer.Option(help="Name of the split. Default: from the file's name.")] = None

    def open(
        self, kind: Callable[..., ImageTable], source: Any, image: str | None, label: str
    ) -> tuple[ImageTable, dict[str, Any]]:
        """The table of a source, made by `kind`, and the arguments that provenance records."""
        from gencli.sources.classes import parse_names, written

        names = parse_names(self.class_names)
        table = kind(source, self.name, self.split, self.decoding, image, label, names, self.renumber)
        arguments = {"name": table.description.name, "split": table.description.split, "image": image, "label": label}
        arguments |= {"renumber": self.renumber, "mode": self.mode, "range": self.range}
        arguments |= {"size": self.size, "crop": self.crop}
        return table, arguments | ({"class_names": written(names)} if names else {})


@dataclass(frozen=True)
class Selection:
    """Which rows to keep: of these classes, then a sample of them, then the first, then a part."""

    classes: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Keep only these classes (names or numbers); labels are unchanged."),
    ] = None
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep N rows, drawn at random.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Random seed of --sample.")] = 0
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Keep only the first N rows.")] = None
    shard: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Write only part K of N, K from 0; a folder of all parts is the whole."),
    ] = None

    def placed(self, output: str | None) -> tuple[Self, str | None]:
        """What this process writes, and where, see `outputs.own_part`."""
        from gencli.cli.outputs import own_part

        shard, output = own_part(self.shard, output)
        return replace(self, shard=shard), output

    def kept(self, table: ImageTable) -> NDArray[np.bool_] | None:
        """The mask [rows] of the rows to keep; None for all."""
        import numpy as np

        from gencli.counts import parse_part, span
        from gencli.sources.selection import select

        keep = select(table, self.classes, self.sample, self.limit, self.seed)
        if self.shard is None:
            return keep
        places = np.arange(table.rows) if keep is None else np.flatnonzero(keep)
        own = span(len(places), *parse_part(self.shard, "--shard"))
        return np.isin(np.arange(table.rows), places[own.start : own.stop])


def write(
    table: ImageTable,
    command: str,
    arguments: dict[str, Any],
    selection: Selection,
    output: str | None,
    packages: list[str],
    role: str = "data",
    roles: Sequence[str] = (),
) -> None:
    """Writes the selected rows with this step as provenance; `packages` are those that made the rows.

    `role` is what the inputs were given as, `source` where the command finds them itself; `roles` are those of single
    inputs, in their order.
    """
    from gencli.cli.outputs import write_images
    from gencli.files import provenance, tables

    made = arguments | {name: value for name, value in asdict(selection).items() if name != "shard" or value}
    used = ["numpy", "pyarrow", *packages]
    keep = selection.kept(table)

    def step() -> provenance.Step:
        inputs = tables.sources(table, role)
        inputs = [replace(each, role=name) for each, name in zip(inputs, roles)] or inputs
        return provenance.step(command, made, inputs, used)

    write_images(table, output, step, keep)
