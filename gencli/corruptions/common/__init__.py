"""The common corruptions of CIFAR-10-C and ImageNet-C: one kind of corruption of 8-bit images, by name and severity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from gencli.corruptions.base import Apply, Moved, PixelCorruption, rounded
from gencli.corruptions.common import blur, digital, noise, weather
from gencli.errors import GencliError
from gencli.files.tables import Description, ImageTable
from gencli.randomness import Draws

Kind = Literal[
    "gaussian-noise",
    "shot-noise",
    "impulse-noise",
    "defocus-blur",
    "glass-blur",
    "motion-blur",
    "zoom-blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic-transform",
    "pixelate",
    "jpeg-compression",
    "speckle-noise",
    "gaussian-blur",
    "spatter",
    "saturate",
]
Images = Callable[[NDArray[Any], NDArray[np.int64]], NDArray[Any]]
RECIPES = noise.RECIPES | blur.RECIPES | weather.RECIPES | digital.RECIPES
KINDS: tuple[Kind, ...] = get_args(Kind)
_ADDED = pa.field("corruption", pa.string(), nullable=False), pa.field("severity", pa.int64(), nullable=False)
_SMALL = 64  # pixels
_AT_ONCE = 1 << 17  # values; what stays in the cache is computed faster


@dataclass(frozen=True)
class Common(PixelCorruption):
    """Apply one of the 19 common corruptions, or all of them.

    The 15 of CIFAR-10-C and ImageNet-C: gaussian-noise, shot-noise, impulse-noise, defocus-blur, glass-blur,
    motion-blur, zoom-blur, snow, frost, fog, brightness, contrast, elastic-transform, pixelate, jpeg-compression; and
    the 4 extra ones: speckle-noise, gaussian-blur, spatter, saturate. --constants selects the constants of severity
    1 to 5: cifar (milder) or imagenet; auto is cifar for images of up to 64 pixels per side. All severities of a kind
    share their random numbers. --all writes the table once for every kind and severity, one after the other, with
    columns corruption and severity; a single kind adds no columns. Images must have 8 bits and 1 or 3 channels.
    Reads and writes an image table.

    Differences from the authors' code: values are rounded, not truncated; frost is synthetic, with the brightness,
    contrast and roughness of their photographs at 32x32, so errors on frost, and means that include it, are not
    comparable with published ones; distances in spatter are exact; the disk of defocus-blur keeps its weight at every
    radius. For images of one channel, saturate changes nothing, brightness adds to the values, and frost and spatter
    use the luminance of their colors.

    Source: Hendrycks, Dietterich 2019, arXiv:1903.12261, and its code, make_cifar_c.py and make_imagenet_c.py.

    \b
    Example:
      gencli data digits --split test -o test.parquet
      gencli corrupt common --kind fog --severity 3 test.parquet -o fog.parquet
      gencli corrupt common --all test.parquet -o all.parquet
    """

    name = "common"
    family = "common corruptions"
    packages = ("scipy", "PIL")
    kind: Annotated[Kind | None, typer.Option(metavar="KIND", help="Corruption to apply.", show_default=False)] = None
    severity: Annotated[int | None, typer.Option(min=1, max=5, help="Severity, from 1 to 5.", show_default=False)] = (
        None
    )
    constants: Annotated[
        Literal["auto", "cifar", "imagenet"], typer.Option(help="Whose published constants to use.")
    ] = "auto"
    all: Annotated[bool, typer.Option("--all", help="Apply every corruption at every severity.")] = False

    def __post_init__(self) -> None:
        if self.all and not (self.kind is self.severity is None):
            raise GencliError("--all excludes --kind and --severity", "omit --all, or omit the others")
        if not self.all and (self.kind is None or self.severity is None):
            lacking = [name for name in ("kind", "severity") if getattr(self, name) is None]
            raise GencliError(f"which corruption? no --{' and no --'.join(lacking)}", "give both, or --all")

    @property
    def purpose(self) -> str:
        return f"{self.name} {self.kind}"

    def passes(self) -> Sequence[PixelCorruption]:
        if not self.all:
            return [self]
        return [_Tagged(kind, severity, self.constants) for kind in KINDS for severity in range(1, 6)]

    def schema(self, schema: pa.Schema, description: Description) -> pa.Schema:
        if not self.all:
            return schema
        for field in _ADDED:
            if field.name in schema.names:
                raise GencliError(
                    f"column `{field.name}` already exists", "corrupt the table that this one was made from"
                )
            schema = schema.append(field)
        return schema

    def images(self, table: ImageTable, draws: Draws) -> Images:
        *_, channels = shape = table.description.shape
        if table.description.dtype != "uint8" or channels not in (1, 3):
            raise GencliError(
                f"{table.title}: images of {channels} channels of {table.description.dtype}",
                "common corruptions are defined for images of 8 bits (uint8) and 1 or 3 channels",
            )
        assert self.kind is not None
        assert self.severity is not None
        recipe = RECIPES[self.kind]
        constants = getattr(recipe, self._whose(shape))[self.severity - 1]
        step = max(_AT_ONCE // int(np.prod(shape)), 1)

        def corrupted(images: NDArray[np.uint8], ids: NDArray[np.int64]) -> NDArray[np.uint8]:
            made = np.empty_like(images)
            for start in range(0, len(images), step):
                few = slice(start, start + step)
                x = images[few].transpose(1, 2, 3, 0).astype(np.float32, order=recipe.order)
                x /= 255
                after = recipe.function(x, constants, draws.rows(ids[few]))
                after *= 255
                made[few] = rounded(after).transpose(3, 0, 1, 2)
            return made

        return corrupted

    def _whose(self, shape: tuple[int, int, int]) -> str:
        return self.constants if self.constants != "auto" else "cifar" if max(shape[:2]) <= _SMALL else "imagenet"

    def report(self, table: ImageTable, draws: Draws, moved: Moved) -> tuple[str, pa.Table | None]:
        what = "each kind and severity" if self.all else f"{self.kind}, severity {self.severity}"
        return f"{moved.rows.sum():,} images, {what}, {self._whose(table.description.shape)}'s constants", None


class _Tagged(Common):
    """A corruption whose rows say which one it is."""

    def start(self, table: ImageTable, draws: Draws) -> Apply:
        corrupt = super().start(table, draws)

        def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
            batch = corrupt(batch)
            for field, value in zip(_ADDED, (self.kind, self.severity), strict=True):
                batch = batch.append_column(field, pa.repeat(pa.scalar(value, field.type), batch.num_rows))
            return batch

        return apply
