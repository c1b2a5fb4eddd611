"""`gencli data cifar10` and its like: data sets that are downloaded once."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Selection, write

_Root = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder of the downloads. Default: gencli in XDG_CACHE_HOME or ~/.cache."),
]


class _Source(NamedTuple):
    purpose: str
    rows: str
    splits: Any = Literal["train", "test"]


SOURCES = {
    "cifar10": _Source("Load photographs of 10 classes, 32x32, RGB.", "50,000 train and 10,000 test rows"),
    "cifar100": _Source(
        "Load photographs of 100 classes, 32x32, RGB.", "50,000 train and 10,000 test rows, fine labels"
    ),
    "mnist": _Source("Load handwritten digits, 28x28, gray.", "60,000 train and 10,000 test rows"),
    "fashion-mnist": _Source("Load images of clothing, 10 classes, 28x28, gray.", "60,000 train and 10,000 test rows"),
    "svhn": _Source(
        "Load digits of house numbers, 32x32, RGB.",
        "73,257 train, 26,032 test and 531,131 extra rows",
        Literal["train", "test", "extra"],
    ),
}


def app(name: str) -> typer.Typer:
    """The app of one of `SOURCES`."""
    source = SOURCES[name]

    def data(split="train", root: _Root = None, *, selection: Selection, output: ImagesOutput = None) -> None:  # type: ignore[no-untyped-def]
        _run(name, split, root, selection, output)

    data.__annotations__["split"] = Annotated[source.splits, typer.Option(help="Which split.")]
    data.__doc__ = f"""{source.purpose}

    Reads torchvision's files under --root, after downloading those that are missing; writes an image table:
    {source.rows}, in the source's order.

    \b
    Example:
      gencli data {name} --split test -o test.parquet
    """
    built = single()
    command(built, name, alone="")(data)
    return built


def _run(name: str, split: str, root: str | None, selection: Selection, output: str | None) -> None:
    from gencli.cli.console import progress
    from gencli.files.stream import require_writable
    from gencli.sources.downloads import load

    selection, output = selection.placed(output)
    require_writable(output)
    table = load(name, split, root, progress)
    write(table, f"data {name}", {"split": split}, selection, output, ["torchvision"], role="source")
