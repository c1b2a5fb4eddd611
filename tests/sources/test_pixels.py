"""Decoding of single images: resizing and cropping as torchvision does it, orientation, what is refused."""

import io
from typing import Any

import numpy as np
import pytest
import torchvision.transforms.v2.functional
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gencli.sources.pixels import BadImage, decode, encode

SIDES = st.integers(1, 40)
transforms: Any = torchvision.transforms.v2.functional  # which says that it takes tensors alone
RANDOM = np.random.default_rng(0)


def picture(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (height, width, channels), dtype=np.uint8)


def file(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@given(height=SIDES, width=SIDES, channels=st.sampled_from([1, 3]), count=st.integers(1, 4))
def test_what_is_encoded_is_decoded(height: int, width: int, channels: int, count: int) -> None:
    images = RANDOM.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    assert np.array_equal(decode(list(encode(images))), images)


@given(height=SIDES, width=SIDES, size=st.one_of(st.tuples(SIDES), st.tuples(SIDES, SIDES)))
def test_size_is_what_torchvision_does(height: int, width: int, size: tuple[int, ...]) -> None:
    image = Image.fromarray(picture(height, width))
    peer = transforms.resize(image, list(size))
    assert np.array_equal(decode([file(image)], size=size)[0], np.asarray(peer))


@given(height=SIDES, width=SIDES, down=SIDES, right=SIDES)
def test_crop_is_what_torchvision_does(height: int, width: int, down: int, right: int) -> None:
    image, crop = Image.fromarray(picture(height, width)), (down, right)
    if down > height or right > width:
        with pytest.raises(BadImage, match=f"an image of {height}×{width}, smaller than the crop of {down}×{right}"):
            decode([file(image)], crop=crop)
        return
    peer = transforms.center_crop(image, list(crop))
    assert np.array_equal(decode([file(image)], crop=crop)[0], np.asarray(peer))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_image_that_lies_is_turned_upright(form: str) -> None:
    flat = np.zeros((8, 16, 3), np.uint8)
    flat[:, :8] = 255  # left half white
    turned = Image.Exif()
    turned[0x0112] = 6  # the left side is the top
    upright = decode([file(Image.fromarray(flat), form, exif=turned)])[0]
    assert upright.shape == (16, 8, 3)
    assert upright[:6].min() > 200
    assert upright[10:].max() < 50


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "PCX", "SGI"])
def test_other_formats_are_read_as_pillow_reads_them(form: str) -> None:
    image = Image.fromarray(np.repeat(picture(1, 1), 16 * 16, 0).reshape(16, 16, 3))
    value = file(image, form)
    assert np.array_equal(decode([value], mode="rgb")[0], np.asarray(Image.open(io.BytesIO(value)).convert("RGB")))


def test_an_oversized_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for side in (11, 20):  # Pillow warns of the first and refuses the second
        with pytest.raises(BadImage, match="an image of more than 100 pixels") as bad:
            decode([file(Image.fromarray(picture(5, 5))), file(Image.fromarray(picture(side, side)))])
        assert bad.value.args[0] == 1
