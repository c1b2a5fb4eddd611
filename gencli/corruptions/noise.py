"""Independent noise on images and on targets, as in learning from noisy targets."""

from __future__ import annotations

import math
import string
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, cast

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import Apply, Corruption, Moved, rounded
from gencli.counts import number
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws, Rows

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_BLOCK = 1 << 19  # values at a time, which stay in the cache
_CHARACTERS = string.ascii_letters + string.digits
_SIZES, _SMALLEST = 8, 7  # of letters, in pixels: what is still legible
_LENGTHS = range(5, 11)

Values = NDArray[Any]


@dataclass(frozen=True)
class NoiseCorruption(Corruption):
    """Corrupts images, targets or both; the strength is an option, a number or the ends of a range.

    Attributes:
        option: the field that holds the strength.
        most: its largest value.
        values: the range in which the values of float32 images must lie.
    """

    family = "noise"
    option: ClassVar[str]
    most: ClassVar[float]
    values: ClassVar[tuple[float, float]] = -math.inf, math.inf
    on: Annotated[
        Literal["image", "target", "both"], typer.Option(help="What to corrupt; a new target is the unchanged image.")
    ] = field(default="image", kw_only=True)
    clean_target: Annotated[bool, typer.Option("--clean-target", help="Keep the unchanged image as the target.")] = (
        field(default=False, kw_only=True)
    )
    dtype: Annotated[
        Literal["uint8", "float32"] | None,
        typer.Option(
            show_default=False, help="Type of images and targets; uint8 is rounded and clipped. Default: the table's."
        ),
    ] = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        low, high = self.strength
        if not 0 <= low <= high <= self.most:
            name = f"-{self.option}" if len(self.option) == 1 else f"--{self.option}"
            raise GencliError(
                f"{name}: {getattr(self, self.option)!r} is neither a number from 0 to {self.most:,.7g} nor a range",
                "write A, or A:B to draw a number between A and B per image",
            )
        if self.clean_target and self.on != "image":
            raise GencliError(f"--clean-target: --on {self.on} corrupts the target", "omit one of them")

    @cached_property
    def strength(self) -> tuple[float, float]:
        """The range in which an image's own number is drawn; not numbers where the option is none."""
        words = getattr(self, self.option).split(":")
        try:
            low, high = number(words[0]), number(words[-1])
        except ValueError:
            return math.nan, math.nan
        return (low, high) if len(words) <= 2 else (math.nan, math.nan)

    def describe(self, description: Description) -> Description:
        return replace(description, dtype=self.dtype or description.dtype)

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        fixed = self.describe(description).schema(("image", "target"))
        fields = [fixed.field(each.name) if each.name in fixed.names else each for each in schema]
        if "target" not in schema.names and (self.clean_target or self.on != "image"):
            fields.append(fixed.field("target"))
        return pa.schema(fields, fixed.metadata)

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        if self.clean_target and "target" in table.schema.names:
            raise GencliError(f"{table.title}: already has a target", "omit --clean-target; the target is kept")
        schema = self.schema(table.schema, table.description)

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            columns = dict(zip(batch.schema.names, batch.columns, strict=True))
            for stream, name in enumerate(("image", "target")):
                if name in schema.names:
                    images = arrow.unpack(batch, table.description, name if name in batch.schema.names else "image")
                    corrupted = self.on in (name, "both")
                    columns[name] = arrow.pack(self._made(table, images, batch, draws, stream if corrupted else None))
            return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

        return apply

    def _made(
        self, table: ImageTable, images: Values, batch: pa.RecordBatch, draws: Draws, stream: int | None
    ) -> Values:
        """The images in the requested dtype, corrupted by draws from this stream of each row."""
        dtype, ids = self.describe(table.description).dtype, arrow.values(batch.column("id"))
        if stream is None and images.dtype == dtype:
            return images
        low, high = self.strength
        made, step = np.empty(images.shape, dtype), max(1, _BLOCK // images[0].size)
        for start in range(0, len(images), step):
            part, rows = images[start : start + step], ids[start : start + step]
            self._check(table, part, rows)
            if stream is None:
                values = part.copy()
            else:
                lots = draws.words(rows, 2)[:, stream].astype(np.float64) * 2.0**-32
                values = self.noisy(part, high - (high - low) * lots, draws.rows(rows, stream))
            made[start : start + step] = rounded(values) if dtype == "uint8" != values.dtype else values
        return made

    def _check(self, table: ImageTable, images: Values, ids: NDArray[np.int64]) -> None:
        least, most = self.values
        good = images.dtype == np.uint8 or (images >= least) & (images <= most)  # false for what is not a number
        if not np.all(good):
            row = np.argwhere(~good)[0]
            raise GencliError(
                f"{table.title}: id {ids[row[0]]}: a value of {images[tuple(row)]:g}",
                f"{self.name} takes numbers from {least:g} to {most:g}, white being 255",
            )

    @abstractmethod
    def noisy(self, images: Values, strengths: NDArray[np.float64], rows: Rows) -> Values:
        """New images [n, height, width, channels] in place of these, of gray levels 0 … 255, unclipped.

        Args:
            strengths: [n] how much.
            rows: for each image where its random numbers are from.
        """

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table | None]:
        what = {"image": "images", "target": "targets", "both": "images and their targets"}[self.on]
        return f"{moved.rows.sum():,} {what}", None


@dataclass(frozen=True)
class GaussianNoise(NoiseCorruption):
    """Add normal noise of a given standard deviation.

    The noise of every value is independent, with mean 0 and standard deviation SIGMA, in gray levels from 0 to 255;
    0:50 draws a standard deviation per image, uniformly. 8-bit images are rounded and clipped, which shifts the mean
    near black and white: --dtype float32 keeps the exact sums, on the scale 0-255. Image and target get independent
    noise: --on both makes two noisy versions of the same image. Reads and writes an image table.

    Source: Lehtinen et al. 2018, arXiv:1803.04189, trained with 0:50 and tested with 25, unclipped.

    \b
    Example:
      gencli data digits | gencli corrupt gaussian-noise --sigma 0:50 --on both --dtype float32 -o pairs.parquet
      gencli data digits | gencli corrupt gaussian-noise --sigma 25 --clean-target -o clean-targets.parquet
    """

    name = "gaussian-noise"
    option = "sigma"
    most = 1e6
    sigma: Annotated[str, typer.Option(metavar="S|A:B", help="Standard deviation, in gray levels from 0 to 255.")]

    def noisy(self, images: Values, strengths: NDArray[np.float64], rows: Rows) -> Values:
        values = rows.normals(images[0].size).reshape(images.shape)
        values *= strengths.astype(np.float32)[:, None, None, None]
        values += images
        return values


@dataclass(frozen=True)
class PoissonNoise(NoiseCorruption):
    """Add Poisson noise, which grows with the brightness.

    A value x becomes 255 k / L, where k is Poisson with mean L x / 255 and L is the mean photon count of white
    (--peak); 0:50 draws L per image, uniformly. The mean stays x, the variance is 255 x / L. 8-bit images are rounded
    and clipped, which shifts the mean of bright values: --dtype float32 keeps the exact values, on the scale 0-255.
    Image and target get independent noise. Reads and writes an image table.

    Source: Lehtinen et al. 2018, arXiv:1803.04189, trained with 0:50 and tested with 30, unclipped.

    \b
    Example:
      gencli data digits | gencli corrupt poisson-noise --peak 30 --dtype float32 -o dark.parquet
    """

    name = "poisson-noise"
    option = "peak"
    most = 1e6
    values = 0.0, 1e9
    peak: Annotated[str, typer.Option(metavar="L|A:B", help="Mean photon count at gray level 255; above 0.")]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength[1] < 1e-3:
            raise GencliError(f"--peak: {self.peak!r}: too few photons", "write a number of at least 0.001, or 0:50")

    def noisy(self, images: Values, strengths: NDArray[np.float64], rows: Rows) -> Values:
        values = np.empty(images.shape, np.float32)
        for row, image, peak, generator in zip(values, images, strengths, rows):
            np.multiply(generator.poisson(image * (peak / 255)), 255 / peak, out=row, casting="same_kind")
        return values


@dataclass(frozen=True)
class ImpulseNoise(NoiseCorruption):
    """Replace pixels by random colors.

    Each pixel is replaced, with probability p, by a color drawn uniformly from all colors of 8 bits per channel;
    0:0.95 draws p per image, uniformly. A pixel that p replaces is replaced by the same color at every larger p.
    Image and target get independent noise. Reads and writes an image table.

    Source: Lehtinen et al. 2018, arXiv:1803.04189, random-valued impulse noise.

    \b
    Example:
      gencli data digits | gencli corrupt impulse-noise -p 0:0.95 --on both -o pairs.parquet
    """

    name = "impulse-noise"
    option = "p"
    most = 1.0
    p: Annotated[str, typer.Option("-p", metavar="P|A:B", help="Probability that a pixel is replaced.")]

    def noisy(self, images: Values, strengths: NDArray[np.float64], rows: Rows) -> Values:
        channels = images.shape[3]
        pixels = images[0].size // channels
        count = -(-pixels * (4 + channels) // 8)
        drawn = rows.bits(count).astype("<u8", copy=False).view(np.uint8)
        lots = drawn[:, : 4 * pixels].view("<u4")
        colors = drawn[:, 4 * pixels : (4 + channels) * pixels].reshape(images.shape)
        replaced = np.repeat((lots < strengths[:, None] * 2.0**32).ravel(), channels).reshape(images.shape)
        if images.dtype == np.uint8:
            return images ^ (images ^ colors) * replaced  # seven times as fast
        return np.where(replaced, colors, images)


@dataclass(frozen=True)
class TextOverlay(NoiseCorruption):
    """Write random text over images.

    Strings of 5 to 10 letters and digits, of random size, color and position in one font, are written until a fraction
    p of the pixels is covered, each string beneath the earlier ones; 0:0.5 draws p per image, uniformly. The last
    letter can exceed p slightly. A pixel that p covers is covered by the same color at every larger p. Letters are 1/16
    to 1/4 of the shorter side high, at least 7 to 14 pixels, without smoothing. Image and target get independent text.
    Reads and writes an image table.

    Source: Lehtinen et al. 2018, arXiv:1803.04189, text removal. Lengths and sizes
    are not in the paper; the font is Pillow's.

    \b
    Example:
      gencli data digits | gencli corrupt text-overlay -p 0.25 -o text.parquet
    """

    name = "text-overlay"
    packages = ("PIL",)
    option = "p"
    most = 1.0
    p: Annotated[str, typer.Option("-p", metavar="P|A:B", help="Fraction of the pixels to cover with text.")]

    def noisy(self, images: Values, strengths: NDArray[np.float64], rows: Rows) -> Values:
        made = images.copy()
        page = _Page(*images.shape[1:3])
        for image, share, generator in zip(made, strengths, rows):
            for pixels, color in page.strings(generator, round(share * page.height * page.width), image.shape[2]):
                image[pixels] = color
        return made


class _Page:
    """Pixels as the bits of an integer, the first one the highest: Python shifts and joins them faster than Pillow.

    Right of an image lies room for a letter, so that none comes in again on the left.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        side, steps = min(height, width), range(_SIZES)
        small, large = max(_SMALLEST, side // 16), max(2 * _SMALLEST, side // 4)
        self._sizes = [small + (large - small) * step // steps[-1] for step in steps]
        self._stride = -(-(width + 2 * large) // 8) * 8
        line = (1 << width) - 1 << self._stride - width
        self._visible = int.from_bytes(line.to_bytes(self._stride // 8, "big") * height, "big")

    def strings(
        self, generator: np.random.Generator, wanted: int, channels: int
    ) -> Iterator[tuple[NDArray[np.bool_], list[int]]]:
        """Strings that together cover `wanted` pixels: where each shows [height, width], and its colour."""
        covered = 0
        while covered.bit_count() < wanted:
            size, length, right, down, *lots = generator.random(4 + channels + _LENGTHS[-1]).tolist()
            size, length = self._sizes[int(size * _SIZES)], _LENGTHS[int(length * len(_LENGTHS))]
            letters = [_letter(int(lot * len(_CHARACTERS)), size, self._stride) for lot in lots[channels:][:length]]
            width, rows = sum(letter.width for letter in letters), letters[0].rows
            x, y = int(right * (self.width + width)) - width, int(down * (self.height + rows)) - rows
            before = covered
            for letter in letters:
                if -letter.width < x < self.width and covered.bit_count() < wanted:
                    up = (self.height - rows - y) * self._stride - x
                    covered |= (letter.bits << up if up >= 0 else letter.bits >> -up) & self._visible
                x += letter.width
            new = (covered ^ before).to_bytes(self.height * self._stride // 8, "big")
            pixels = np.unpackbits(np.frombuffer(new, np.uint8)).reshape(self.height, self._stride)
            yield pixels[:, : self.width].view(bool), [int(lot * 256) for lot in lots[:channels]]


class _Letter(NamedTuple):
    """A box of `rows` rows and its pixels, the last one being the lowest bit; how far it moves the next letter."""

    bits: int
    rows: int
    width: int


@cache
def _letter(number: int, size: int, stride: int) -> _Letter:
    from PIL import Image, ImageDraw

    font, character = _font(size), _CHARACTERS[number]
    box = Image.new("1", (stride, sum(font.getmetrics())))
    ImageDraw.Draw(box).text((size, 0), character, 1, font)  # some reach out to the left
    return _Letter(int.from_bytes(box.tobytes(), "big") << size, box.height, round(font.getlength(character)))


@cache
def _font(size: int) -> FreeTypeFont:
    from PIL import ImageFont

    font = cast("FreeTypeFont", ImageFont.load_default(size))  # with a size it is one
    return font.font_variant(layout_engine=ImageFont.Layout.BASIC)  # the other one is not everywhere
