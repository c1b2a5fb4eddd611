"""Images that a CSV manifest lists with their labels, as an image table."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError, nearest
from gencli.files import tables, texts
from gencli.files.stream import Input
from gencli.sources.coded import of_words
from gencli.sources.decoded import DecodedTable, Decoding, Piece, identify
from gencli.sources.folder import ImageFiles

_PATHS = ("path", "file", "filename", "file_name", "image", "image_path")


class ManifestTable(DecodedTable):
    """The images of a manifest's rows in their order, whose paths lead from its folder to files in it.

    Args:
        image, label: the columns; by default one of path, file, filename, image, and label.

    Raises:
        GencliError: not CSV with these columns, a path that leads out of the folder, or that is no image.
    """

    def __init__(
        self, source: Input, name: str | None, split: str | None, decoding: Decoding, image: str | None, label: str,
        classes: tuple[str, ...] | None, renumber: bool,
    ) -> None:  # fmt: skip
        if source.path is None:
            raise GencliError("standard input: its paths lead nowhere", "name the manifest's file")
        if source.address:
            raise GencliError(f"{source.name}: its images would be beside it", "name a manifest of this machine")
        rows = texts.columns(source)
        image = image or next((each for each in _PATHS if each in rows), "path")
        for each, option in ((image, "--image"), (label, "--label")):
            if each not in rows:
                raise GencliError(f"{source.name}: no column `{each}`", f"{option} names it; {nearest(each, rows)}")
        self._paths, folder = rows[image], os.path.dirname(source.name)
        if not self._paths:
            raise GencliError(f"{source.name}: no rows", "an image table needs at least one row")
        above = os.path.realpath(folder or ".")
        for row, path in enumerate(self._paths):
            inside = path and "\0" not in path and not os.path.isabs(path)
            if not inside or os.path.commonpath([above, os.path.realpath(os.path.join(above, path))]) != above:
                raise GencliError(
                    f"{source.name}: row {row}: {path!r:.80} leads out of the manifest's folder",
                    "put the manifest above the images, and write paths from its folder",
                )
        self._files = ImageFiles(folder or ".", list(dict.fromkeys(self._paths)))
        identified = identify(source.path.stem)
        name, split = identified[0] if name is None else name, identified[1] if split is None else split
        labels, shown = of_words(rows[label], classes, renumber, source.name, label)
        columns = {"id": tables.identities(name, split, 0, len(labels)), "label": labels}
        super().__init__([source, self._files], None, columns, name, split, shown, decoding)
        self.title = source.name

    def image_name(self, place: int) -> str:
        return f"{self.inputs[0].name}: row {place}: {self._paths[place]}"

    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        for place in np.arange(len(self._paths)) if keep is None else np.flatnonzero(keep):
            yield [self._files.read(self._paths[place])], np.array([place])
