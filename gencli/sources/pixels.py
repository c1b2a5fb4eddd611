"""Encoded images to pixels and back, by Pillow: what one process does.

`processes` runs this file as a script to use other cores: it imports nothing of gencli, so that a worker starts fast.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gencli.counts import by

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

FORCED = {"gray": "L", "rgb": "RGB"}
# what is decoded here, in Pillow's names, the frequent first; no others, since some of Pillow's start other programs
FORMATS = (
    "PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF", "ICO", "QOI", "SGI", "PCX", "TGA"
)  # fmt: skip
_KEPT = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # the conversions that lose nothing
_SIGNED, _FLOAT = 2, 3  # TIFF's sample formats
_NARROWED = "more than 8 bits per value: the highest 8 are kept"
_SHRINK = "shrink it first, or remove it"
WARNED = "Pillow warns: "
_ANY_FILE, _A_BYTE = 64 << 20, 256  # bytes of pixels that any file may hold, and each byte of a larger one
_COPIES = 8  # of pixels on their way: Pillow's, converted, as bytes, between processes, in a batch
_LFS = b"version https://git-lfs.github.com/spec/"

Ends = tuple[float, float]


class BadImage(Exception):  # noqa: N818
    """An image that cannot be used: its place in the list, what is wrong with it, what to do."""


def decode(
    values: list[bytes | None],
    shape: tuple[int, int, int] | None = None,
    mode: str | None = None,
    size: tuple[int, ...] | None = None,
    crop: tuple[int, int] | None = None,
    ends: Ends | None = None,
    most: int | None = None,
) -> tuple[NDArray[np.uint8], Counter[str]]:
    """[n, height, width, channels] uint8 of n image files, turned upright where their EXIF data says that they are not.

    Of several frames or pages the first counts; profiles of colours and gamma are left aside.

    Args:
        shape: what each must be; None for what the first is.
        mode: `gray` or `rgb` converts every image; by default only what loses nothing is converted. It drops
            transparency, and keeps the high byte of unsigned values of 16 bits: v >> 8.
        size: one number for the shorter side, the longer in proportion; two for height and width. Bilinear, over
            all pixels that a new one covers, as torchvision's `Resize`.
        crop: height and width of the part kept from the middle, after `size`.
        ends: the values of deep gray images (16 and 32 bits, float) that become 0 and 255, linearly between them.
        most: bytes of memory that an image may take on its way.

    Returns:
        The images, and what is to be said of them, each with the number of images it is true of.

    Raises:
        BadImage: the first that cannot be decoded, or has another shape.
    """
    from PIL import Image

    pixels, notes, how = np.empty((0, 0, 0, 0), np.uint8), Counter[str](), _How(mode, size, crop, ends, most)
    logger = logging.getLogger("PIL")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # otherwise what it logs goes to standard error
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", "Palette images with Transparency")  # which is noted
        for place, value in enumerate(values):
            try:
                image = _decode(value, how, notes)
            except BadImage as bad:
                raise BadImage(place, *bad.args) from None
            if warned:
                notes[_noted(warned[0].message)] += 1
                warned.clear()
            if place == 0:
                pixels = np.empty((len(values), *(shape or image.shape)), np.uint8)
            _require_equal(place, image.shape, pixels.shape[1:])
            pixels[place] = image
    return pixels, notes


def _noted(warning: Warning | str) -> str:
    """The note that a warning of Pillow becomes: its first clause, one note whatever its numbers."""
    words = re.split(r"[.:;]", str(warning).strip())[0]
    return f"{WARNED}{re.sub('[0-9]+', '…', words)}"


def _require_equal(place: int, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if found != wanted:
        raise BadImage(
            place, f"an image of {by(found)}, the first is {by(wanted)}",
            "--size, --crop and --mode of `gencli data` make them equal",
        )  # fmt: skip


class _How(NamedTuple):
    """See `decode`."""

    mode: str | None
    size: tuple[int, ...] | None
    crop: tuple[int, int] | None
    ends: Ends | None
    most: int | None


def _decode(value: bytes | None, how: _How, notes: Counter[str]) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if value is None:
        raise BadImage("the image has no bytes", "only embedded images can be read")
    if value.startswith(_LFS):
        raise BadImage("is a Git LFS pointer, not the image", "git lfs pull downloads the images")
    try:
        with _bounded(len(value)), Image.open(io.BytesIO(value), formats=FORMATS) as image:
            _require_room(image.size, image.mode, how.most, len(value))
            if getattr(image, "is_animated", False):
                notes["the first of several frames or pages is used"] += 1
            stored = _Stored(image, value)  # loading drops what it is told by
            with _hushed() if image.format == "TIFF" else nullcontext():
                image.load()
            if image.info.keys() & {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}:
                ImageOps.exif_transpose(image, in_place=True)
            fitted = _converted(image, stored, how, notes)
            if how.size is not None or how.crop is not None:
                fitted = _fit(fitted, how.size, how.crop, how.most)
            width, height = fitted.size
            return np.frombuffer(fitted.tobytes(), np.uint8).reshape(height, width, len(fitted.mode))
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        raise _unknown(value) from None
    except Exception as error:  # decoders raise anything at corrupt bytes
        why = str(error).partition("\n")[0] or type(error).__name__
        raise BadImage(f"not an image: {why}", "remove it first") from None


def _converted(image: Image.Image, stored: _Stored, how: _How, notes: Counter[str]) -> Image.Image:
    """The image in mode L or RGB, if that loses nothing, or as `how` allows."""
    if _is_transparent(image):
        if how.mode is None:
            raise BadImage(
                f"an image of mode {image.mode} with transparency, neither gray nor RGB of 8 bits",
                "--mode rgb or gray of `gencli data` drops the transparency: hidden colours show",
            )
        notes["transparency is dropped, hidden colours show"] += 1
    flat = stored.flat(image, how, notes)
    wanted = FORCED[how.mode] if how.mode else _KEPT.get(flat.mode)
    if wanted is None:
        raise BadImage(
            f"an image of mode {image.mode}, neither gray nor RGB of 8 bits",
            "--mode rgb or gray of `gencli data` converts every image",
        )
    if flat.mode in ("LAB", "RGBa", "La"):  # without a way of their own to gray
        flat = flat.convert({"LAB": "RGB", "RGBa": "RGBA", "La": "LA"}[flat.mode])
    return flat if flat.mode == wanted else flat.convert(wanted)


def _unknown(value: bytes) -> BadImage:
    if value.startswith((b"II*\0", b"MM\0*")):
        return BadImage(
            "an unsupported TIFF, such as one of float64 or of 2 channels",
            "store it as 8 or 16 bits or float32, of 1 or 3 channels, first",
        )
    known = ", ".join(FORMATS)
    return BadImage(f"not an image: its bytes are of no known format ({known})", "remove it first")


@contextmanager
def _bounded(stored: int) -> Iterator[None]:
    """Opening and loading within: images of so many pixels that no mode fits are refused, an icon's pictures too."""
    from PIL import Image

    known = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = min(known or _allowed(stored), _allowed(stored))
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        pixels = int((re.findall(r"\d+", str(error)) or ["0"])[0])
        most = f"more than {Image.MAX_IMAGE_PIXELS:,}"
        raise BadImage(f"an image of {pixels:,} pixels in {stored:,} bytes: {most}", _SHRINK) from None
    finally:
        Image.MAX_IMAGE_PIXELS = known


def _allowed(stored: int) -> int:
    return max(_ANY_FILE, _A_BYTE * stored)


def _require_room(size: tuple[int, int], mode: str, most: int | None, stored: int | None = None) -> None:
    """Refuses an image, of width and height, before there are pixels of it; `stored` bytes where it comes in a file."""
    held = size[0] * size[1] * (1 if mode in ("1", "L", "P") else 2 if mode.startswith("I;16") else 4)
    what = f"an image of {size[1]}×{size[0]}, {held >> 20:,} MiB of pixels"
    if stored is not None and held > _allowed(stored):
        raise BadImage(f"{what} in {stored:,} bytes: more than {_A_BYTE} times the file", _SHRINK)
    if most is not None and _COPIES * held > most:
        raise BadImage(
            f"{what}: needs {_COPIES} times that, but only {most >> 20:,} MiB of memory are free for it", _SHRINK
        )


@contextmanager
def _hushed() -> Iterator[None]:
    """Within this context, output to standard error is discarded, also that of C libraries such as libtiff."""
    with suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _is_transparent(image: Image.Image) -> bool:
    """Whether an image has an alpha channel, or colours that are declared transparent, of a palette's those it uses."""
    declared = image.info.get("transparency")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or declared is None:
        return image.mode.endswith(("A", "a"))
    if image.mode != "P" and image.format != "GIF":
        return True
    alphas = declared if isinstance(declared, bytes) else bytes([255] * declared + [0])
    return any(used and alpha < 255 for used, alpha in zip(image.histogram(), alphas))


class _Stored:
    """How an image's values are stored, of which Pillow's mode tells a part.

    Attributes:
        bits: of a value.
        deep: whether it is a gray image of other values than unsigned bytes.
    """

    def __init__(self, image: ImageFile, value: bytes) -> None:
        self.bits, self._kind, self._white, self._most = 8, 1, False, 0
        self._format = image.format
        tile = image.tile[0] if image.tile else None
        if self._format == "TIFF":
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            self.bits, self._kind = tags.get(258, (1,))[0], tags.get(339, (1,))[0]
            self._white = tags.get(262) == 0  # Pillow turns those of 8 bits round, no others
        elif self._format == "PPM" and tile:
            self._kind = _FLOAT if image.mode == "F" else 1
            self._most = tile.args[1] if isinstance(tile.args, tuple) else 0
            self.bits = 16 if image.mode == "I" or self._most > 255 else 8
        elif self._format in ("PNG", "SGI") and tile:
            self.bits = 16 if "16" in f"{tile.codec_name} {tile.args}" else 8
        elif self._format == "JPEG2000" and (start := value.find(b"\xff\x4f\xff\x51")) >= 0:
            depth = value[start + 42]  # of the first channel, in the marker SIZ
            self.bits, self._kind = (depth & 127) + 1, _SIGNED if depth & 128 else 1
        elif self._format == "AVIF" and (start := value.find(b"pixi" + bytes(4))) >= 0:
            self.bits = value[start + 9]
        self.deep = image.mode[0] in "IF" or (self._format == "TIFF" and self._kind == _SIGNED)

    def flat(self, image: Image.Image, how: _How, notes: Counter[str]) -> Image.Image:
        """The image with 8 bits per value."""
        from PIL import Image

        if self.deep:
            return Image.fromarray(self.narrow(image, how.mode, how.ends, notes))
        if how.ends is not None:
            what = f"{self.bits} bits, of which 8 are read" if self.bits > 8 else "8 bits"
            raise BadImage(f"an image of {what}", "--range is for gray images of more bits and of floats; omit it")
        if self.bits > 8:
            notes[_NARROWED] += 1
        return image

    def narrow(self, image: Image.Image, mode: str | None, ends: Ends | None, notes: Counter[str]) -> NDArray[np.uint8]:
        """[height, width] uint8 of a deep image."""
        values = self._values(image)
        least, most = values.min(), values.max()
        if not np.isfinite([least, most]).all():
            raise BadImage("a float image with values that are not finite", "remove it first")
        sign = "signed " if self._kind == _SIGNED else ""
        what = "float" if self._kind == _FLOAT else f"{sign}{self.bits}-bit"
        here = f"a gray image of {what} values, here {least:.10g} to {most:.10g}"
        if ends is not None:
            low, high = ends
            if least < low or most > high:
                notes["values outside --range become its ends"] += 1
            narrow = np.rint(((values.astype(np.float64) - low) * (255 / (high - low))).clip(0, 255)).astype(np.uint8)
        elif self._kind != 1 or self.bits > 16:
            raise BadImage(here, "--range LOW,HIGH of `gencli data` says which values become 0 and 255")
        elif mode is None:
            raise BadImage(
                here,
                "--range LOW,HIGH of `gencli data` says which values become 0 and 255; "
                "--mode gray or rgb keeps the highest 8 bits of all that they could hold",
            )
        else:
            # Pillow scales the values of PPM and JPEG 2000 to 16 bits
            wide = np.asarray(image) >> (self.bits - 8 if self._format == "TIFF" else 8)
            notes[_NARROWED] += 1
            if wide.max() < 16:
                notes["values fill less than a sixteenth of their bits: --range LOW,HIGH would keep more"] += 1
            narrow = wide.astype(np.uint8)
        return 255 - narrow if self._white else narrow

    def _values(self, image: Image.Image) -> NDArray[Any]:
        """[height, width] as the file has them."""
        values: NDArray[Any] = np.asarray(image)
        if self._format == "TIFF" and self._kind == _SIGNED and self.bits == 8:
            return values.view(np.int8)
        if self._format == "TIFF" and self._kind == 1 and self.bits == 32:
            return values.view(np.uint32)
        if self._most:
            return np.rint(values * (self._most / 65535)).astype(np.int64)
        if self._format == "JPEG2000":
            return (values >> (16 - self.bits)).astype(np.int64) - (self._kind == _SIGNED) * (1 << (self.bits - 1))
        return values


def _fit(
    image: Image.Image, size: tuple[int, ...] | None, crop: tuple[int, int] | None, most: int | None
) -> Image.Image:
    from PIL import Image

    if size is not None:
        width, height = image.size
        shorter = min(width, height)
        scaled = size if len(size) == 2 else (size[0] * height // shorter, size[0] * width // shorter)
        _require_room((scaled[1], scaled[0]), image.mode, most)
        image = image.resize((scaled[1], scaled[0]), Image.Resampling.BILINEAR)
    if crop is not None:
        height, width = crop
        if height > image.height or width > image.width:
            raise BadImage(
                f"an image of {image.height}×{image.width}, smaller than the crop of {height}×{width}",
                "give a smaller --crop, or a larger --size",
            )
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        image = image.crop((left, top, left + width, top + height))
    return image


def encode(values: NDArray[np.uint8]) -> list[bytes]:
    """n PNG files of [n, height, width, channels] uint8 with 1 or 3 channels."""
    from PIL import Image

    files = []
    for value in values:
        file = io.BytesIO()
        Image.fromarray(value[..., 0] if value.shape[2] == 1 else value).save(file, "png")
        files.append(file.getvalue())
    return files


def serve(descriptor: int) -> None:
    """Answers calls (name of a function here, its first argument, its others) until the other end is closed."""
    from multiprocessing.connection import Connection

    functions: dict[str, Any] = {"decode": decode, "encode": encode}
    calls = Connection(descriptor)
    while True:
        try:
            name, values, others = calls.recv()
            try:
                answer = True, functions[name](values, **others)
            except BadImage as bad:
                answer = False, bad.args
            calls.send(answer)
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    import gc

    gc.set_threshold(100_000)  # decoding makes many objects and hardly a cycle: a tenth of the time
    serve(int(sys.argv[1]))
