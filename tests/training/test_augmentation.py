"""Augmentations are what they say image by image, uniform where they say so, a function of the generator's state."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch._subclasses import FakeTensorMode

from gencli.errors import GencliError
from gencli.training.augmentation import AUGMENTATIONS, apply, parse
from tests.helpers import chi_square

ALL = ["crop", "crop:2", "flip", "cutout:5", "translate:3", "rotate:40", "color", "color:1"]
DTYPES = [torch.uint8, torch.float32]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(rows: int = 40, height: int = 11, width: int = 8, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.randint(256, (rows, height, width, 3), generator=seeded(5)).to(dtype)


def augmented(text: str, images: torch.Tensor, seed: int = 0, crop: int | None = None) -> torch.Tensor:
    _, height, width, channels = images.shape
    return apply(parse(text, crop, (height, width, channels)), images, seeded(seed))


def one_by_one(images: torch.Tensor, change: Callable[[int, NDArray[np.float64]], NDArray[np.float64]]) -> torch.Tensor:
    """The images, each changed by itself in float64, in the type that they had."""
    changed = np.stack([change(row, image.double().numpy()) for row, image in enumerate(images)])
    return torch.from_numpy(changed if images.is_floating_point() else changed.round().clip(0, 255)).to(images.dtype)


def integers(generator: torch.Generator, count: int, rows: int) -> list[int]:
    return torch.randint(count, (rows,), generator=generator).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("text", "crop", "pad", "mode"),
    [
        ("crop", None, 4, "constant"),
        ("crop:2", None, 2, "constant"),
        ("crop", 6, 0, "constant"),
        ("crop:1", 6, 1, "constant"),
        ("translate:3", None, 3, "reflect"),
        ("translate:7", None, 7, "reflect"),
    ],
)
def test_a_window_is_cut_out_of_the_padded_image(
    text: str, crop: int | None, pad: int, mode: str, dtype: torch.dtype
) -> None:
    images, draws = pictures(dtype=dtype), seeded()
    height, width = (crop, crop) if crop else images.shape[1:3]
    tops = integers(draws, 11 + 2 * pad - height + 1, len(images))
    lefts = integers(draws, 8 + 2 * pad - width + 1, len(images))

    def window(row: int, image: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode)  # type: ignore[call-overload]
        return padded[tops[row] : tops[row] + height, lefts[row] : lefts[row] + width]

    assert torch.equal(augmented(text, images, crop=crop), one_by_one(images, window))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_flip_mirrors_left_to_right(dtype: torch.dtype) -> None:
    images = pictures(dtype=dtype)
    flipped = integers(seeded(), 2, len(images))
    expected = one_by_one(images, lambda row, image: image[:, ::-1] if flipped[row] else image)
    assert torch.equal(augmented("flip", images), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", [1, 4, 5, 8])
def test_a_cutout_is_the_images_mean_in_a_square_around_a_pixel(side: int, dtype: torch.dtype) -> None:
    images, draws = pictures(dtype=dtype), seeded()
    rows, columns = integers(draws, 11, len(images)), integers(draws, 8, len(images))

    def masked(row: int, image: NDArray[np.float64]) -> NDArray[np.float64]:
        top, left = rows[row] - side // 2, columns[row] - side // 2
        masked = image.copy()
        masked[max(top, 0) : top + side, max(left, 0) : left + side] = image.mean()
        return masked

    torch.testing.assert_close(augmented(f"cutout:{side}", images), one_by_one(images, masked), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rotation_is_bilinear_about_the_centre(dtype: torch.dtype) -> None:
    images = pictures(dtype=dtype)
    angles = (2 * torch.rand(len(images), generator=seeded()).double() - 1) * math.radians(40)

    def turned(row: int, image: NDArray[np.float64]) -> NDArray[np.float64]:
        sin, cos = math.sin(angles[row]), math.cos(angles[row])
        matrix, centre = np.array([[cos, sin], [-sin, cos]]), np.array([5, 3.5])
        start = (centre - matrix @ centre).tolist()
        planes = [
            scipy.ndimage.affine_transform(plane, matrix, start, order=1, mode="grid-constant")
            for plane in np.moveaxis(image, 2, 0)
        ]
        return np.stack(planes, 2)

    difference = augmented("rotate:40", images).float() - one_by_one(images, turned).float()
    assert difference.abs().max() <= (1 if dtype == torch.uint8 else 1e-3)
    assert difference.abs().mean() < 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_color_blends_with_black_the_mean_and_the_luma_in_any_order(order: tuple[int, ...], dtype: torch.dtype) -> None:
    images, draws = pictures(dtype=dtype), seeded()
    factors = [1 + (2 * torch.rand(len(images), generator=draws).double() - 1) * 0.3 for _ in range(3)]

    def jittered(row: int, image: NDArray[np.float64]) -> NDArray[np.float64]:
        for which in order:
            luma = image @ np.array([0.299, 0.587, 0.114])
            other = [np.zeros(1), luma.mean(), luma[:, :, None]][which]
            factor = factors[which][row].item()
            image = factor * image + (1 - factor) * other
        return image

    difference = augmented("color:0.3", images).float() - one_by_one(images, jittered).float()
    assert difference.abs().max() <= (1 if dtype == torch.uint8 else 1e-3)
    assert difference.abs().mean() < 1e-3


def test_crops_are_uniform_over_all_places() -> None:
    places = torch.arange(63, dtype=torch.uint8).view(1, 7, 9, 1).repeat(20_000, 1, 1, 1)
    corners = augmented("crop", places, crop=5)[:, 0, 0, 0]
    assert corners.unique().tolist() == [9 * top + left for top in range(3) for left in range(5)]
    assert abs(chi_square(corners.bincount().numpy()[corners.unique().numpy()])) < 4
    middles = augmented("crop:2", places)[:, 3, 4, 0]  # around row 3, column 4
    assert abs(chi_square(middles.bincount(minlength=63).view(7, 9)[1:6, 2:7].numpy())) < 4


def test_half_of_the_images_are_flipped() -> None:
    images = torch.arange(2, dtype=torch.uint8).view(1, 1, 2, 1).repeat(20_000, 1, 1, 1)
    flipped = augmented("flip", images)[:, 0, 0, 0]
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)


def test_a_cutout_covers_its_square_or_what_lies_in_the_image() -> None:
    images = torch.zeros(5000, 32, 32, 1, dtype=torch.float32)
    images[:, 0, 0] = 1024  # mean 1
    covered = (augmented("cutout", images) == 1).sum((1, 2, 3))
    assert covered.min() == 8 * 8
    assert covered.max() == 16 * 16
    whole = (17 / 32) ** 2
    assert (covered == 256).float().mean().item() == pytest.approx(whole, abs=4 * (whole * (1 - whole) / 5000) ** 0.5)


@pytest.mark.parametrize("text", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_seed_gives_the_same_bytes_and_the_input_is_left_alone(text: str, dtype: torch.dtype) -> None:
    images = pictures(dtype=dtype)
    before = images.clone()
    first = augmented(text, images)
    torch.rand(3)
    assert torch.equal(augmented(text, images), first)
    assert not torch.equal(augmented(text, images, seed=1), first)
    assert torch.equal(images, before)
    assert (first.dtype, first.shape, first.is_contiguous()) == (dtype, images.shape, True)


@given(rows=st.integers(1, 5), height=st.integers(5, 9), width=st.integers(5, 9), channels=st.integers(1, 4))
def test_any_view_of_any_images_will_do(rows: int, height: int, width: int, channels: int) -> None:
    images = torch.randint(256, (rows + 2, height, channels, width), generator=seeded()).to(torch.uint8)
    part = images[1:-1].transpose(2, 3)
    for text in (*AUGMENTATIONS.keys() - {"color"}, "color" if channels == 3 else "crop:1"):
        word = text + {"cutout": ":5", "translate": ":4", "rotate": ":180"}.get(text, "")
        packed = part.clone(memory_format=torch.contiguous_format)
        assert torch.equal(augmented(word, part, crop=5), augmented(word, packed, crop=5))


def test_the_order_is_that_of_the_names() -> None:
    images, draws = pictures(), seeded()
    for text in ("cutout:5", "flip", "crop"):
        images = apply(parse(text, None, (11, 8, 3)), images, draws)
    assert torch.equal(images, augmented("cutout:5,flip,crop", pictures()))
    assert not torch.equal(images, augmented("crop,flip,cutout:5", pictures()))


def test_images_and_their_targets_move_alike() -> None:
    images = pictures(dtype=torch.float32)
    text = "crop,flip,translate:3,rotate:40"
    assert torch.allclose(augmented(text, images * 2), augmented(text, images) * 2, rtol=1e-5)


def test_a_constant_image_keeps_its_values_in_both_types() -> None:
    images = torch.full((30, 8, 8, 3), 255, dtype=torch.uint8)
    for text in ("flip", "cutout", "translate:7"):
        assert torch.equal(augmented(text.replace("cutout", "cutout:8"), images), images)
    assert augmented("color:1", images).unique().numel() > 10
    noise = torch.full((30, 8, 8, 3), 400.0)
    assert augmented("color:1", noise).max() > 400  # unclipped


def test_without_crop_images_keep_their_size() -> None:
    assert parse(None, 8, (32, 32, 3)) == []
    assert augmented("flip", pictures(), crop=6).shape[1:3] == (11, 8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_waits_for_the_device(dtype: torch.dtype) -> None:
    with FakeTensorMode():
        images = torch.zeros(6, 32, 32, 3, dtype=dtype, device="cuda")
        result = augmented(",".join(ALL), images, crop=28)
    assert (result.device.type, result.dtype, result.shape) == ("cuda", dtype, (6, 28, 28, 3))


@pytest.mark.parametrize(
    ("text", "crop", "shape", "message", "hint"),
    [
        ("crop,flop", None, (8, 8, 3), "--augment: no augmentation 'flop'", "did you mean flip?"),
        ("", None, (8, 8, 3), "--augment: no augmentation ''", "known: " + ", ".join(AUGMENTATIONS)),
        ("crop,", None, (8, 8, 3), "--augment: no augmentation ''", "known: crop"),
        ("crop", 9, (8, 10, 3), "--crop: 9×9 does not fit images of 8×10", "give at most 8"),
        ("crop:9", None, (8, 10, 3), "--augment: crop:9 does not fit images of 8×10", "write crop[:PAD], with"),
        ("flip:1", None, (8, 8, 3), "--augment: flip:1: flip takes no number", "write flip"),
        ("cutout", None, (8, 9, 1), "--augment: cutout:16 does not fit images of 8×9", "a whole number from 1 to 8"),
        ("crop,cutout:7", 6, (8, 8, 1), "--augment: cutout:7 does not fit images of 6×6", "a whole number from 1 to 6"),
        ("cutout:2.5", None, (8, 8, 1), "--augment: cutout:2.5 does not", "a whole number from 1 to 8"),
        ("cutout:", None, (8, 8, 1), "--augment: cutout: does not", "a whole number from 1 to 8"),
        ("translate", None, (8, 9, 1), "--augment: translate does not", "translate:N, with a whole number from 1 to 7"),
        ("translate:8", None, (8, 9, 1), "--augment: translate:8 does not", "a whole number from 1 to 7"),
        ("rotate", None, (8, 8, 1), "--augment: rotate is not rotate:DEGREES", "a number above 0 and up to 180"),
        ("rotate:nan", None, (8, 8, 1), "--augment: rotate:nan is not", "a number above 0"),
        ("rotate:-5", None, (8, 8, 1), "--augment: rotate:-5 is not rotate:DEGREES", "a number above 0 and up to 180"),
        ("color:2", None, (8, 8, 3), "--augment: color:2 is not color[:S]", "a number above 0 and up to 1"),
        ("color", None, (8, 8, 1), "--augment: color needs 3 channels, and images have 1", "omit it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(
    text: str, crop: int | None, shape: tuple[int, int, int], message: str, hint: str
) -> None:
    with pytest.raises(GencliError) as caught:
        parse(text, crop, shape)
    assert message in caught.value.message
    assert hint in caught.value.hint
