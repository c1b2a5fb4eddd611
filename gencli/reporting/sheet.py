"""Contact sheets: the first images of each class, or of each of several tables, as a PNG picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.arrow import unpack, values
from gencli.files.tables import ImageTable
from gencli.sources.statistics import Facts

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

MOST_CLASSES = 100
_SMALL, _LARGE = 64, 128  # pixels a side: enlarged up to the one, shrunk down to the other
_FONT, _MARGIN, _FRAME, _GAP = 15, 10, 2, 2
_NAME, _CAPTION = 220, 640  # pixels that a text may take
_RED = (220, 0, 0)

Values = NDArray[Any]


class Sheet:
    """A picture of the first `columns` images of each class; of the first hundred classes that have rows."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._tiles: dict[int, list[tuple[Values, bool]]] = {}

    def see(self, images: Values, labels: NDArray[np.int64], changed: NDArray[np.bool_]) -> None:
        """Adds the table's next rows (see `statistics.measure`)."""
        shown = sorted({*self._tiles, *np.unique(labels).tolist()})[:MOST_CLASSES]
        self._tiles = {label: self._tiles.get(label, []) for label in shown}
        for label, tiles in self._tiles.items():
            rows = np.flatnonzero(labels == label)[: self._columns - len(tiles)]
            tiles += [(_shrunk(images[row]), bool(changed[row])) for row in rows]

    def png(self, facts: Facts, provenance: str) -> bytes:
        """The picture of all rows that were added, with its provenance in the description; the same bytes every time.

        Raises:
            GencliError: there are values that are not finite.
        """
        _require_finite(facts)
        names = [_name(label, facts.description.classes[label]) for label in self._tiles]
        tiles = [[(_pixels(tile, facts.low, facts.high), red) for tile, red in tiles] for tiles in self._tiles.values()]
        return _encode(_draw(self._caption(facts), names, tiles), provenance)

    def _caption(self, facts: Facts) -> list[str]:
        description, known = facts.description, np.count_nonzero(facts.rows)
        shape = "x".join(map(str, description.shape))
        lines = [facts.name, f"{facts.rows.sum():,} rows, {description.dtype} {shape}"]
        if known > MOST_CLASSES:
            lines.append(f"the first {MOST_CLASSES} of {known:,} classes")
        if description.shape[2] not in (1, 3):
            lines.append(f"the first of {description.shape[2]} channels, as gray")
        if description.dtype == "float32":
            lines.append(f"black is {facts.low:.5g}, white is {facts.high:.5g}")
        if facts.corrupted is not None:
            lines.append(f"red frame: label differs from label_true, as in {facts.corrupted.sum():,} rows")
        return lines


def comparison(tables: Sequence[ImageTable], names: Sequence[str], columns: int, provenance: str) -> bytes:
    """The first `columns` images of each table, one row per table, as a PNG picture; a red frame as in `Sheet`.

    float32 images are on the scale of gray levels, 0 to 255, what lies beyond being black and white.
    """
    rows = []
    for table in tables:
        keep = np.arange(table.rows) < columns
        tiles: list[tuple[Values, bool]] = []
        for batch in table.batches(None if keep.all() else keep):
            labels = values(batch.column("label"))
            true = values(batch.column("label_true")) if "label_true" in batch.schema.names else labels
            images = unpack(batch, table.description)
            tiles += [(_pixels(_shrunk(image), 0, 255), red) for image, red in zip(images, (labels != true).tolist())]
        rows.append(tiles)
    return _encode(_draw([], names, rows), provenance)


def weights(tiles: Values, columns: int, largest: float, caption: Sequence[str], provenance: str) -> bytes:
    """Weights [n, height, width, channels] as a PNG picture, `columns` in a row behind the first's number.

    `largest` is white, 0 gray and -`largest` black; three channels are colors, of others the first is drawn.
    """
    starts = range(0, len(tiles), columns)
    rows = [[(_pixels(_shrunk(each), -largest, largest), False) for each in tiles[at : at + columns]] for at in starts]
    return _encode(_draw(caption, list(map(str, starts)), rows), provenance)


def tile(image: Values) -> NDArray[np.uint8]:
    """An image [height, width, channels] as [height, width, 3] of some 64 pixels a side, on the scale 0 to 255."""
    return _pixels(_shrunk(image), 0, 255)


def _encode(page: Image, provenance: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info, file = PngInfo(), io.BytesIO()
    info.add_text("Description", provenance)
    page.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _draw(caption: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[tuple[Values, bool]]]) -> Image:
    """Lines of text, then rows of tiles behind their names, those marked framed in red."""
    from PIL import Image, ImageDraw

    font = _font()
    lines = [_fitted(line, font, _CAPTION) for line in caption]
    names = [_fitted(name, font, _NAME) for name in names]
    sizes = [[max(tile.shape[side] for tile, _ in row) for side in (0, 1)] for row in rows]
    line, left = sum(font.getmetrics()), _widest(names, font) + 2 * _MARGIN
    top = len(lines) * line + 2 * _MARGIN
    downs = [max(height + 2 * _FRAME + _GAP, line) for height, _ in sizes]
    across = [width + 2 * _FRAME + _GAP for _, width in sizes]
    right = max(left + max(len(row) * step for row, step in zip(rows, across)), _widest(lines, font) + _MARGIN)
    page = Image.new("RGB", (right + _MARGIN, top + sum(downs) + _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for place, text in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + place * line), text, "black", font)
    y = top
    for name, tiles, (height, width), step, down in zip(names, rows, sizes, across, downs, strict=True):
        draw.text((_MARGIN, y + height // 2), name, "black", font, anchor="lm")
        for column, (pixels, red) in enumerate(tiles):
            x = left + column * step
            page.paste(Image.fromarray(pixels), (x, y))
            if red:
                frame = x - _FRAME, y - _FRAME, x + width + _FRAME - 1, y + height + _FRAME - 1
                draw.rectangle(frame, outline=_RED, width=_FRAME)
        y += down
    return page


def _require_finite(facts: Facts) -> None:
    if not math.isfinite(facts.low) or not math.isfinite(facts.high):
        raise GencliError(f"{facts.title}: values that are not finite have no color", "omit --sheet")


def _shrunk(image: Values) -> Values:
    """[height, width, 1 or 3], of at most `_LARGE` pixels a side, with memory of its own."""
    from PIL import Image

    shown = image if image.shape[2] == 3 else image[..., :1]
    factor = math.ceil(max(image.shape[:2]) / _LARGE)
    planes = [Image.fromarray(shown[..., channel]).reduce(factor) for channel in range(shown.shape[2])]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def _pixels(tile: Values, low: float, high: float) -> NDArray[np.uint8]:
    """[height, width, 3] uint8, of about `_SMALL` pixels a side where it was smaller; `low` is black, `high` white."""
    if tile.dtype != np.uint8:
        tile = np.round((tile.astype(np.float64) - low) * (255 / ((high - low) or 1))).clip(0, 255)
    factor = max(1, _SMALL // max(tile.shape[:2]))
    large = tile.astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    return np.broadcast_to(large, (*large.shape[:2], 3))


def _font() -> FreeTypeFont:
    from PIL import ImageFont

    font = cast("FreeTypeFont", ImageFont.load_default(_FONT))  # with a size it is one
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)  # the other one is not everywhere


def _name(label: int, name: str) -> str:
    return name if name.isascii() else f"{label}: {name}"  # the font has boxes for all but ASCII


def _fitted(text: str, font: FreeTypeFont, room: int) -> str:
    """The text, shortened where it is wider than `room` pixels."""
    text = console.printable(text)
    if font.getlength(text) <= room:
        return text
    end = next(end for end in range(min(len(text), room), -1, -1) if font.getlength(f"{text[:end]}…") <= room)
    return f"{text[:end].rstrip()}…"


def _widest(texts: list[str], font: FreeTypeFont) -> int:
    return math.ceil(max(map(font.getlength, texts), default=0))
