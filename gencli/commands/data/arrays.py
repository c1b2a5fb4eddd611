"""`gencli data arrays`: images and labels in files of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gencli.cli.options import ImagesOutput, command, single
from gencli.commands.data.selection import Renumber, Selection, write

if TYPE_CHECKING:
    from gencli.files.tables import ImageTable

app = single()


@command(app, "arrays", alone="")
def arrays(
    images: Annotated[
        str, typer.Argument(metavar="IMAGES", help="The images: .npy, .npz or .pt; or a folder, zip or tar.")
    ],
    labels: Annotated[
        str | None,
        typer.Argument(
            metavar="LABELS",
            help="The labels: .npy, .npz, .pt or CSV. Default: an array of IMAGES.",
            show_default=False,
        ),
    ] = None,
    *,
    image: Annotated[
        str | None, typer.Option(metavar="NAME", help="Array of the images, if IMAGES holds several.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="NAME", help="Array of the labels, if LABELS holds several.")] = (
        None
    ),
    name: Annotated[str | None, typer.Option(help="Name of the data set. Default: the file's.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Name of the split; also chooses among arrays such as x_train and x_test."),
    ] = None,
    layout: Annotated[
        Literal["NHWC", "NCHW"] | None, typer.Option(help="Order of the axes, if the lengths do not tell it.")
    ] = None,
    white: Annotated[
        Literal["1", "255"] | None, typer.Option(help="Value of white, if the values do not show it.")
    ] = None,
    severities: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            metavar="N",
            help="Number of severities, if the images are all rows at the first, then all at the next.",
        ),
    ] = None,
    class_names: Annotated[
        str | None, typer.Option(metavar="N|A,B|FILE", help="Number or names of the classes.")
    ] = None,
    renumber: Renumber = False,
    selection: Selection,
    output: ImagesOutput = None,
) -> None:
    """Load images and labels from NumPy's and PyTorch's files.

    Reads arrays of images, [n, height, width, channels], [n, channels, height, width] or [n, height, width], and of
    labels, [n] class numbers from 0; writes an image table. Nothing is unpickled: .pt may hold tensors, arrays, and
    dictionaries or tuples of them; .npy is read piece by piece. Axes of length 1 or 3 are channels; a message says
    which order was read. Values are whole numbers or floats from 0 to 255, or floats from 0 to 1, which are multiplied
    by 255 and stored in 8 bits if nothing is lost, otherwise as float32. What could be either is refused.

    If the labels repeat five times, as those of CIFAR-10-C do, the repetitions are severities: columns corruption (the
    file's name) and severity are added, and the versions of a row share its identity. A folder of such files, NAME.npy
    beside labels.npy, or of folders NAME with test_images.npy and test_labels.npy as MNIST-C's, is one table of all; a
    zip or tar of such a folder is read without unpacking it.

    \b
    Example:
      python -c "import numpy as np; np.save('fog.npy', np.zeros((20, 8, 8, 3), np.uint8))"
      python -c "import numpy as np; np.save('labels.npy', np.arange(20) % 10)"
      gencli data arrays fog.npy labels.npy -o fog.parquet
      mkdir set-c && cp fog.npy labels.npy set-c
      gencli data arrays set-c --name set -o set-c.parquet
    """
    import os
    from dataclasses import asdict

    from gencli.errors import GencliError
    from gencli.files.stores import is_address
    from gencli.files.stream import Input, require_writable
    from gencli.sources.arrayed import Arrays, ArrayTable
    from gencli.sources.classes import parse_names, written
    from gencli.sources.corrupted import CorruptedTable, is_packed

    selection, output = selection.placed(output)
    require_writable(output)
    names = parse_names(class_names)
    how = Arrays(image, label, name, split, layout, white, severities, names, renumber)
    place = images if not is_address(images) and os.path.isdir(images) else Input(images)
    if isinstance(place, str) or is_packed(place):
        if labels is not None:
            raise GencliError(f"{labels}: a folder of arrays has its labels in it", "omit LABELS, or name one array")
        table: ImageTable = CorruptedTable(place, how)
    else:
        table = ArrayTable(place, None if labels is None else Input(labels), how)
    arguments = asdict(how) | {"name": table.description.name, "split": table.description.split}
    del arguments["classes"]
    arguments |= {"class_names": written(names)} if names else {}
    write(table, "data arrays", arguments, selection, output, [], roles=("images", "labels"))
