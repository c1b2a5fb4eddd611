"""Encoded images to pixels and back, by Pillow: what one process does.

`processes` runs this file as a script to use other cores: it imports nothing of gencli, so that a worker starts fast.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

FORCED = {"gray": "L", "rgb": "RGB"}
_KEPT = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}  # the conversions that lose nothing


class BadImage(Exception):  # noqa: N818
    """An image that cannot be used: its place in the list, what is wrong with it, what to do."""


def decode(
    values: list[bytes | None],
    shape: tuple[int, int, int] | None = None,
    mode: str | None = None,
    size: tuple[int, ...] | None = None,
    crop: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """[n, height, width, channels] uint8 of n image files, turned upright where their EXIF data says that they are not.

    Args:
        shape: what each must be; None for what the first is.
        mode: `gray` or `rgb` converts every image; by default only what loses nothing is converted.
        size: one number for the shorter side, the longer in proportion; two for height and width. Bilinear, over
            all pixels that a new one covers, as torchvision's `Resize`.
        crop: height and width of the part kept from the middle, after `size`.

    Raises:
        BadImage: the first that cannot be decoded, or has another shape.
    """
    from PIL import Image

    pixels = np.empty((0, 0, 0, 0), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for place, value in enumerate(values):
            try:
                image = _decode(value, mode, size, crop)
            except BadImage as bad:
                raise BadImage(place, *bad.args) from None
            if place == 0:
                pixels = np.empty((len(values), *(shape or image.shape)), np.uint8)
            if image.shape != pixels.shape[1:]:
                found, wanted = ("×".join(map(str, each)) for each in (image.shape, pixels.shape[1:]))
                raise BadImage(
                    place,
                    f"an image of {found}, the first is {wanted}",
                    "--size, --crop and --mode of `gencli data` make them alike",
                )
            pixels[place] = image
    return pixels


def _decode(
    value: bytes | None, mode: str | None, size: tuple[int, ...] | None, crop: tuple[int, int] | None
) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if value is None:
        raise BadImage("the image has no bytes", "only embedded images can be read")
    try:
        with Image.open(io.BytesIO(value)) as image:
            if "exif" in image.info:
                ImageOps.exif_transpose(image, in_place=True)
            wanted = FORCED[mode] if mode else _KEPT.get(image.mode)
            if wanted is None:
                raise BadImage(
                    f"an image of mode {image.mode}, neither gray nor RGB of 8 bits",
                    "--mode rgb or gray of `gencli data` converts every image",
                )
            fitted = image if image.mode == wanted else image.convert(wanted)
            if size is not None or crop is not None:
                fitted = _fit(fitted, size, crop)
            width, height = fitted.size
            return np.frombuffer(fitted.tobytes(), np.uint8).reshape(height, width, len(wanted))
    except BadImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = f"{Image.MAX_IMAGE_PIXELS or 0:,}"
        raise BadImage(f"an image of more than {most} pixels", "shrink it first, or leave it out") from None
    except Exception as error:  # decoders raise anything at damaged bytes
        why = str(error).partition("\n")[0] or type(error).__name__
        if "BytesIO" in why:
            why = "its bytes are of no known format"
        raise BadImage(f"not an image: {why}", "leave it out first") from None


def _fit(image: Image.Image, size: tuple[int, ...] | None, crop: tuple[int, int] | None) -> Image.Image:
    from PIL import Image

    if size is not None:
        width, height = image.size
        shorter = min(width, height)
        scaled = size if len(size) == 2 else (size[0] * height // shorter, size[0] * width // shorter)
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
                answer = functions[name](values, **others)
            except BadImage as bad:
                answer = bad.args
            calls.send(answer)
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    import gc
    import sys

    gc.set_threshold(100_000)  # decoding makes many objects and hardly a cycle: a tenth of the time
    serve(int(sys.argv[1]))
