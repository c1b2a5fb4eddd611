"""Common corruptions: each against a slow computation of one image or its known properties; rows each by itself."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.stats import poisson

from gencli.corruptions import Corrupted
from gencli.corruptions.common import KINDS, RECIPES, Common, Kind
from gencli.corruptions.common.weather import _distances, _equalized, _outlines
from gencli.errors import GencliError
from gencli.files.tables import Description, MemoryTable
from gencli.randomness import Draws
from gencli.sources import open_table
from tests.helpers import image_table, images, read, save, save_corrupted

Constants = Literal["cifar", "imagenet"]
CONSTANTS: tuple[Constants, ...] = ("cifar", "imagenet")
BLURS: tuple[Kind, ...] = ("defocus-blur", "glass-blur", "motion-blur", "zoom-blur", "gaussian-blur")
# theirs, of which a greater one does more; motion blur's third and fourth differ in weights that are nothing
MONOTONE: tuple[Kind, ...] = (
    "gaussian-noise", "shot-noise", "impulse-noise", "speckle-noise", "defocus-blur", "zoom-blur", "gaussian-blur",
    "snow", "fog", "brightness", "contrast", "pixelate", "jpeg-compression",
)  # fmt: skip
Values = NDArray[np.float64]


def table_of(values: NDArray[np.uint8], split: str = "train") -> MemoryTable:
    shape: Any = values.shape[1:]
    return MemoryTable("toy", Description("toy", split, ("a",), shape), values, np.zeros(len(values), np.int64))


def corrupted(
    values: NDArray[np.uint8], kind: Kind, severity: int, constants: Constants = "cifar", seed: int = 0
) -> NDArray[np.uint8]:
    return images(Corrupted(table_of(values), Common(kind, severity, constants), seed))


def level(value: int, shape: tuple[int, ...] = (64, 32, 32, 3)) -> NDArray[np.uint8]:
    return np.full(shape, value, np.uint8)


def pictures(rows: int = 3, shape: tuple[int, ...] = (21, 26, 3)) -> NDArray[np.uint8]:
    """Random, but smooth enough to have colours, edges, black and white."""
    noise = np.random.default_rng(1).normal(size=(rows, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 1.5, 1.5, 0))
    return np.clip(128 + 400 * smooth, 0, 255).astype(np.uint8)


def streams(values: NDArray[np.uint8], kind: Kind) -> list[np.random.Generator]:
    """What each row draws by."""
    draws = Draws(0, f"common {kind}", 0)
    ids = table_of(values).column("id")
    return [next(iter(draws.rows(ids[place : place + 1]))) for place in range(len(ids))]


def assert_equal_to(
    slow: Callable[[Values, Any, np.random.Generator], Values],
    kind: Kind,
    shape: tuple[int, ...] = (21, 26, 3),
    off: float = 0.01,
) -> None:
    """The kind does to each image what `slow` does to [height, width, channels] in 0 … 1, at all constants."""
    before = pictures(shape=shape)
    for constants in CONSTANTS:
        for severity, each in enumerate(getattr(RECIPES[kind], constants), 1):
            after = corrupted(before, kind, severity, constants)
            for image, found, stream in zip(before, after, streams(before, kind), strict=True):
                expected = np.clip(slow(image / 255, each, stream), 0, 1) * 255
                assert abs(found - expected).max() <= 0.5 + off, (constants, severity)


# how rows are drawn


@pytest.mark.parametrize("kind", KINDS)
@given(ends=st.lists(st.integers(0, 12), max_size=3).map(sorted), random=st.randoms(use_true_random=False))
def test_any_batches_in_any_order_give_the_same_rows(kind: Kind, ends: Sequence[int], random: Random) -> None:
    table = table_of(pictures(12, (9, 11, 3)))
    [batch] = table.batches()
    apply = Common(kind, 4).start(table, Draws(3, kind))
    order = random.sample(range(12), 12)
    shuffled = batch.take(pa.array(order))
    pieces = [shuffled.slice(a, b - a) for a, b in zip([0, *ends], [*ends, 12], strict=True)]
    found = pa.Table.from_batches([apply(piece) for piece in pieces if len(piece)])
    assert found.equals(pa.Table.from_batches([apply(batch)]).take(pa.array(order)))


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_do_not_fit_in_one_block_are_alike(kind: Kind) -> None:
    few = pictures(2, (70, 66, 3))
    many = np.concatenate([few, few, few, few, np.repeat(few[:1], 15, axis=0)])
    severity = 5
    assert np.array_equal(corrupted(many, kind, severity)[:2], corrupted(few, kind, severity))


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (5, 40, 3), (1, 1, 3), (2, 3, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_any_size_goes_gray_or_in_colour(kind: Kind, shape: tuple[int, int, int]) -> None:
    before = np.concatenate([pictures(2, shape), level(0, (1, *shape)), level(255, (1, *shape))])
    for constants in CONSTANTS:
        for severity in (1, 5):
            assert corrupted(before, kind, severity, constants).shape == before.shape


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"saturate"}))
def test_a_gray_image_changes(kind: Kind) -> None:
    before = pictures(4, (28, 28, 1))
    assert not np.array_equal(corrupted(before, kind, 5), before)


def test_saturate_leaves_images_of_one_channel() -> None:
    before = pictures(4, (8, 8, 1))
    assert np.array_equal(corrupted(before, "saturate", 5), before)


@pytest.mark.parametrize("kind", ["brightness", "contrast", "pixelate", "gaussian-blur", "fog", "snow", "glass-blur"])
def test_what_is_gray_in_three_channels_is_treated_as_in_one(kind: Kind) -> None:
    gray = pictures(4, (17, 12, 1))
    in_color = corrupted(gray.repeat(3, 3), kind, 3)
    assert abs(in_color.astype(int) - corrupted(gray, kind, 3)).max() <= 1


def test_seeds_and_kinds_draw_independently_and_severities_alike() -> None:
    before = level(128)

    def noise(kind: Kind, severity: int, seed: int) -> Values:
        return (corrupted(before, kind, severity, seed=seed).astype(float) - 128).ravel()

    one = noise("gaussian-noise", 5, 0)
    for other in (noise("gaussian-noise", 5, 1), noise("speckle-noise", 5, 0)):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)
    assert np.corrcoef(one, noise("gaussian-noise", 2, 0))[0, 1] > 0.99


def test_the_pixels_that_a_severity_hits_a_higher_one_hits_alike() -> None:
    before = level(128)
    hits = [corrupted(before, "impulse-noise", severity) for severity in range(1, 6)]
    for few, many in pairwise(hits):
        hit = few != 128
        assert np.array_equal(few[hit], many[hit])
        assert (many != 128).sum() > hit.sum()


# noise


def assert_normal(values: Values, mean: float, deviation: float) -> None:
    assert abs(values.mean() - mean) < 5 * deviation / np.sqrt(values.size)
    assert abs(values.std() - deviation) < 5 * deviation / np.sqrt(2 * values.size)


@pytest.mark.parametrize("severity", range(1, 6))
def test_gaussian_noise_has_its_standard_deviation(severity: int) -> None:
    sigma = [0.04, 0.06, 0.08, 0.09, 0.10][severity - 1]
    noisy = corrupted(level(128), "gaussian-noise", severity)
    assert_normal(noisy.astype(float), 128, np.sqrt((255 * sigma) ** 2 + 1 / 12))


@pytest.mark.parametrize("severity", range(1, 6))
def test_speckle_noise_grows_with_the_value(severity: int) -> None:
    sigma = [0.06, 0.10, 0.12, 0.16, 0.20][severity - 1]
    for value in (40, 120):
        noisy = corrupted(level(value), "speckle-noise", severity)
        assert_normal(noisy.astype(float), value, np.sqrt((value * sigma) ** 2 + 1 / 12))


@pytest.mark.parametrize("severity", range(1, 6))
def test_shot_noise_is_poisson(severity: int) -> None:
    photons = [500, 250, 100, 75, 50][severity - 1]
    noisy = corrupted(level(102), "shot-noise", severity).astype(float)
    counts = np.arange(2 * photons)
    chances, levels = poisson.pmf(counts, 0.4 * photons), np.rint(np.minimum(counts / photons, 1) * 255)
    mean = chances @ levels
    variance, fourth = (chances @ (levels - mean) ** power for power in (2, 4))
    assert abs(noisy.mean() - mean) < 5 * np.sqrt(variance / noisy.size)
    assert abs(noisy.var() - variance) < 5 * np.sqrt((fourth - variance**2) / noisy.size)
    assert (corrupted(level(0), "shot-noise", severity) == 0).all()


@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("severity", range(1, 6))
def test_impulse_noise_is_salt_and_pepper_at_its_rate(severity: int, constants: Constants) -> None:
    rate = RECIPES["impulse-noise"]._asdict()[constants][severity - 1]
    noisy = corrupted(level(128), "impulse-noise", severity, constants)
    assert set(np.unique(noisy)) == {0, 128, 255}
    for value in (0, 255):
        share = np.mean(noisy == value)
        assert abs(share - rate / 2) < 5 * np.sqrt(rate / 2 / noisy.size)


# blurs


@pytest.mark.parametrize("kind", [*BLURS, "pixelate", "elastic-transform", "contrast"])
def test_a_constant_image_stays(kind: Kind) -> None:
    for value in (0, 77, 255):
        before = level(value, (2, 19, 23, 3))
        for constants in CONSTANTS:
            for severity in range(1, 6):
                assert (corrupted(before, kind, severity, constants) == value).all()


def test_gaussian_blur_is_scipys() -> None:
    def slow(x: Values, sigma: float, stream: np.random.Generator) -> Values:
        return ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest", truncate=4)

    assert_equal_to(slow, "gaussian-blur")


def test_defocus_blur_is_a_smoothed_disk() -> None:
    def slow(x: Values, constants: tuple[float, float], stream: np.random.Generator) -> Values:
        radius, sigma = constants
        y, z = np.mgrid[-13:14, -13:14]
        reach = 1 if radius <= 8 else 2
        bump = np.exp(-(y**2 + z**2) / (2 * sigma**2)) * (np.maximum(abs(y), abs(z)) <= reach)
        disk = ndimage.convolve((y**2 + z**2 <= radius**2).astype(float), bump, mode="constant")
        return ndimage.correlate(x, (disk / disk.sum())[..., None], mode="mirror")

    assert_equal_to(slow, "defocus-blur", (29, 33, 3))


def streak(x: Values, radius: int, sigma: float, angle: float) -> Values:
    """Weights of half a Gaussian along a line, the border's pixels beyond it."""
    height, width = x.shape[:2]
    total, weights = np.zeros_like(x), 0.0
    y, z = np.mgrid[:height, :width]
    for step in range(2 * radius + 1):
        weight = np.exp(-(step**2) / (2 * sigma**2))
        down, right = (int(np.ceil(step * side - 0.5)) for side in (np.sin(angle), np.cos(angle)))
        total += weight * x[np.clip(y + down, 0, height - 1), np.clip(z + right, 0, width - 1)]
        weights += weight
    return total / weights


def test_motion_blur_runs_along_a_line() -> None:
    def slow(x: Values, constants: tuple[int, float], stream: np.random.Generator) -> Values:
        return streak(x, *constants, np.deg2rad(stream.uniform(-45, 45)))

    assert_equal_to(slow, "motion-blur")


def enlarged(x: Values, factor: float) -> Values:
    few = [int(np.ceil(size / factor)) for size in x.shape[:2]]
    top, left = ((size - part) // 2 for size, part in zip(x.shape, few))
    large: Any = ndimage.zoom(x[top : top + few[0], left : left + few[1]], (factor, factor, 1), order=1, mode="nearest")
    top, left = ((size - part) // 2 for size, part in zip(large.shape[:2], x.shape))
    return large[top:, left:][: x.shape[0], : x.shape[1]]


# theirs, the ends of CIFAR's and of ImageNet's five severities
ZOOMS = {
    "cifar": [np.arange(1, end, 0.01) for end in (1.06, 1.11, 1.16, 1.21, 1.26)],
    "imagenet": [
        np.arange(1, 1.11, 0.01), np.arange(1, 1.16, 0.01), np.arange(1, 1.21, 0.02), np.arange(1, 1.26, 0.02),
        np.arange(1, 1.31, 0.03),
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (21, 26, 3), (64, 64, 3)])
def test_zoom_blur_averages_enlargements(shape: tuple[int, int, int]) -> None:
    before = pictures(2, shape)
    for constants in CONSTANTS:
        for severity, factors in enumerate(ZOOMS[constants], 1):
            for image, found in zip(before, corrupted(before, "zoom-blur", severity, constants), strict=True):
                x = image / 255
                expected = (x + sum(enlarged(x, factor) for factor in factors)) / (len(factors) + 1) * 255
                assert abs(found - expected).max() <= 0.51, (constants, severity)


def test_the_last_factor_of_zoom_blur_makes_33_of_26_pixels() -> None:
    assert round(26 * ZOOMS["cifar"][4][-1]) == 33
    assert round(26 * 1.25) == 32


def test_glass_blur_copies_pixel_by_pixel() -> None:
    def slow(x: Values, constants: tuple[float, int, int], stream: np.random.Generator) -> Values:
        sigma, reach, times = constants
        height, width = x.shape[:2]
        x = ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest")
        for down, right in stream.integers(-reach, reach, (times, 2, height, width), np.int8):
            for line in range(height - reach, reach, -1):
                for column in range(width - reach, reach, -1):
                    x[line, column] = x[line + down[line, column], column + right[line, column]]
        return ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest")

    assert_equal_to(slow, "glass-blur")


# weather


def plasma(side: int, decay: float, stream: np.random.Generator) -> Values:
    """Diamond-square on a torus, point by point."""
    wibbles, heights, step, wibble = 2 * stream.random((side, side), np.float32) - 1, np.zeros((side, side)), side, 1.0
    while step > 1:
        half = step // 2
        for phase in ("square", "diamond"):
            for y in range(0, side, half):
                for z in range(0, side, half):
                    odd = (y // half % 2) + (z // half % 2)
                    corners = [(half, half), (half, -half), (-half, half), (-half, -half)]
                    sides = [(half, 0), (-half, 0), (0, half), (0, -half)]
                    if odd == (2 if phase == "square" else 1):
                        near = corners if odd == 2 else sides
                        total = sum(heights[(y + a) % side, (z + b) % side] for a, b in near)
                        heights[y, z] = total / 4 + wibble * wibbles[y, z]
        step, wibble = half, wibble / decay**2
    return (heights - heights.min()) / np.ptp(heights)


def test_fog_adds_a_fractal_and_dims() -> None:
    def slow(x: Values, constants: tuple[float, float], stream: np.random.Generator) -> Values:
        strength, decay = constants
        fog = plasma(32, decay, stream)[: x.shape[0], : x.shape[1], None]
        return (x + strength * fog) * x.max() / (x.max() + strength)

    assert_equal_to(slow, "fog")


def test_snow_falls_twice_on_a_whitened_image() -> None:
    def slow(x: Values, constants: Any, stream: np.random.Generator) -> Values:
        mean, deviation, factor, threshold, radius, sigma, kept = constants
        noise = mean + deviation * stream.standard_normal((*x.shape[:2], 1), np.float32).astype(float)
        flakes = enlarged(noise, factor)
        flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)
        flakes = streak(flakes, radius, sigma, np.deg2rad(stream.uniform(-135, -45)))
        gray = (x @ [0.299, 0.587, 0.114])[..., None]
        white = np.maximum(x, 1.5 * gray + 0.5)
        return kept * x + (1 - kept) * white + flakes + np.rot90(flakes, 2)

    assert_equal_to(slow, "snow")


@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("severity", range(1, 6))
def test_frost_is_a_bluish_texture_over_a_dimmed_image(severity: int, constants: Constants) -> None:
    dim, strength = RECIPES["frost"]._asdict()[constants][severity - 1]
    texture = corrupted(level(0), "frost", severity, constants) / 255 / strength
    assert 0.5 < texture.mean() < 0.75
    over = corrupted(level(60), "frost", severity, constants) / 255
    visible = over < 1
    assert abs(over - (dim * 60 / 255 + strength * texture))[visible].max() < 1.1 / 255


def test_the_tint_of_frost_takes_as_much_red_as_it_adds_blue() -> None:
    """Where nothing is clipped, green is the mean of red and blue, to the rounding to whole levels."""
    most = RECIPES["frost"]._asdict()["cifar"][4][1] * 255 - 1
    red, green, blue = corrupted(level(0, (100, 32, 32, 3)), "frost", 5).reshape(-1, 3).astype(float).T
    inside = (np.minimum(red, blue) > 0) & (np.maximum(red, blue) < most)
    off = (red + blue - 2 * green)[inside]
    assert np.ptp((blue - red)[inside]) > 10
    assert abs(off.mean()) < 0.012


def test_frost_is_as_strong_as_the_photographs() -> None:
    """What was measured of 2,000 parts of 32×32 of the authors' first five photographs at a fifth of their size."""
    strength = 0.45
    texture = corrupted(level(0, (1000, 32, 32, 3)), "frost", 5) / strength
    gray = texture.mean(3)
    assert gray.mean() == pytest.approx(162.7, rel=0.03)
    assert gray.mean((1, 2)).std() == pytest.approx(39.0, rel=0.07)
    assert gray.std((1, 2)).mean() == pytest.approx(21.9, rel=0.05)
    steps = abs(np.diff(gray, axis=1)).mean(), abs(np.diff(gray, axis=2)).mean()
    assert np.mean(steps) == pytest.approx(18.78, rel=0.05)
    blue = (texture[..., 2] - texture[..., 0]).mean((1, 2))
    assert blue.mean() == pytest.approx(33, rel=0.08)
    assert blue.std() == pytest.approx(28.5, rel=0.05)


@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("severity", [4, 5])
def test_mud_covers_with_its_colour_what_is_wet(severity: int, constants: Constants) -> None:
    def slow(x: Values, constants: Any, stream: np.random.Generator) -> Values:
        mean, deviation, sigma, threshold, blur, _ = constants
        wet = mean + deviation * stream.standard_normal(x.shape[:2], np.float32).astype(float)
        wet = ndimage.gaussian_filter(wet, sigma, mode="nearest") >= threshold
        cover = ndimage.gaussian_filter(wet.astype(float), blur, mode="nearest")[..., None]
        cover[cover < 0.8] = 0
        return x * (1 - cover) + np.array([63, 42, 20]) / 255 * cover

    before = pictures(5, (33, 40, 3))
    after = corrupted(before, "spatter", severity, constants)
    for image, found, stream in zip(before, after, streams(before, "spatter"), strict=True):
        expected = slow(image / 255, RECIPES["spatter"]._asdict()[constants][severity - 1], stream) * 255
        assert np.mean(abs(found - expected) > 0.51) < 0.001  # where the liquid is at its threshold


@pytest.mark.parametrize("constants", CONSTANTS)
@pytest.mark.parametrize("severity", [1, 2, 3])
def test_water_is_pale_turquoise_where_it_is_wet_and_brightest_by_its_strength(
    severity: int, constants: Constants
) -> None:
    mean, deviation, sigma, threshold, strength, _ = RECIPES["spatter"]._asdict()[constants][severity - 1]
    before = level(0, (8, 40, 48, 3))
    after = corrupted(before, "spatter", severity, constants) / 255
    for light, stream in zip(after, streams(before, "spatter"), strict=True):
        noise = mean + deviation * stream.standard_normal((40, 48), np.float32).astype(float)
        dry = ndimage.gaussian_filter(noise, sigma, mode="nearest") < threshold - 1e-6
        assert (light[dry] == 0).all()
        if not dry.all():
            assert light.max() == pytest.approx(strength * 238 / 255, abs=0.5 / 255)
            assert abs(light[..., 0] * 238 - light[..., 1] * 175).max() < 238 / 255
            assert np.array_equal(light[..., 1], light[..., 2])


def test_outlines_run_around_a_drop_and_know_weak_ones_by_strong_ones() -> None:
    drop = np.zeros((16, 16, 2), np.float32)
    drop[4:12, 5:11, 0] = 200
    drop[4:12, 5:11, 1] = 20  # too weak
    lines = _outlines(drop)
    assert not lines[..., 1].any()
    around = np.zeros((16, 16), bool)
    around[3:13, 4:12] = True
    around[5:11, 6:10] = False
    assert lines[..., 0].sum() >= 2 * (8 + 6) - 4
    assert not lines[~around, 0].any()


@given(st.integers(0, 1000))
def test_distances_are_euclidean_up_to_twenty(seed: int) -> None:
    random = np.random.default_rng(seed)
    lines = random.random((40, 31, 2)) < random.choice([0, 0.002, 0.05, 1])
    found = _distances(lines)
    for place in range(2):
        every: Any = ndimage.distance_transform_edt(~lines[..., place])
        near = np.minimum(every, 20) if lines[..., place].any() else np.full((40, 31), 20)
        assert found[..., place] == pytest.approx(near)


def test_levels_are_spread_so_that_they_are_even() -> None:
    levels = np.random.default_rng(0).integers(0, 12, (30, 20, 3)).astype(np.float32)
    levels[..., 2] = 7
    found = _equalized(levels)
    assert found.min() == 0
    for place in range(2):
        counts = np.bincount(levels[..., place].astype(int).ravel())
        below = (np.cumsum(counts) - counts[0]) / (600 - counts[0])
        assert np.array_equal(found[..., place], np.rint(255 * below)[levels[..., place].astype(int)])


# colours and places


def in_hsv(change: Callable[[float, float, float], tuple[float, float, float]]) -> Callable[[Values], Values]:
    def changed(pixel: Values) -> Values:
        return np.array(colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))))

    return lambda x: np.apply_along_axis(changed, 2, x)


def test_brightness_adds_to_the_value() -> None:
    def slow(x: Values, more: float, stream: np.random.Generator) -> Values:
        return in_hsv(lambda hue, saturation, value: (hue, saturation, min(value + more, 1)))(x)

    assert_equal_to(slow, "brightness", (7, 9, 3))


def test_saturate_changes_the_saturation() -> None:
    def slow(x: Values, constants: tuple[float, float], stream: np.random.Generator) -> Values:
        times, more = constants
        return in_hsv(lambda hue, saturation, value: (hue, min(saturation * times + more, 1), value))(x)

    assert_equal_to(slow, "saturate", (7, 9, 3))


def test_a_gray_pixel_has_hue_red() -> None:
    assert (corrupted(level(100, (1, 2, 2, 3)), "saturate", 5) == [100, 80, 80]).all()


def test_contrast_is_about_the_mean_of_the_channel() -> None:
    def slow(x: Values, share: float, stream: np.random.Generator) -> Values:
        mean = x.mean((0, 1))
        return (x - mean) * share + mean

    assert_equal_to(slow, "contrast")


@pytest.mark.parametrize("side", [21, 32])
def test_elastic_transform_moves_corners_and_then_pixels(side: int) -> None:
    def slow(x: Values, constants: tuple[float, float, float], stream: np.random.Generator) -> Values:
        strength, sigma, far = (side * each for each in constants)
        height, width = x.shape[:2]
        moves = stream.uniform(-far, far, (3, 2))
        square = side // 3
        corners = np.array([[1, 1], [1, -1], [-1, -1]]) * square + [width // 2, height // 2]
        there = np.column_stack([corners + moves, np.ones(3)])
        y, z = np.mgrid[:height, :width].astype(float)
        back = np.stack([z, y, np.ones_like(y)], 2) @ np.linalg.solve(there, corners)
        places = [back[..., 1], back[..., 0]]
        x = np.stack([ndimage.map_coordinates(c, places, order=1, mode="mirror") for c in np.moveaxis(x, 2, 0)], 2)
        shifts = 2 * stream.random((height, width, 2), np.float32) - 1
        if strength:
            blurred: Any = ndimage.gaussian_filter(shifts.astype(float), (sigma, sigma, 0), truncate=3)
            places = [y + strength * blurred[..., 0], z + strength * blurred[..., 1]]
            x = np.stack([ndimage.map_coordinates(c, places, order=1, mode="reflect") for c in np.moveaxis(x, 2, 0)], 2)
        return x

    assert_equal_to(slow, "elastic-transform", (side, side + 5, 3), off=0.5)


def by_pillow(x: Values, change: Callable[[Image.Image], Image.Image]) -> Values:
    before = np.rint(x * 255).astype(np.uint8)
    return np.asarray(change(Image.fromarray(before))) / 255


def test_pixelate_is_pillows_box() -> None:
    def slow(x: Values, scale: float, stream: np.random.Generator) -> Values:
        small = int(x.shape[1] * scale), int(x.shape[0] * scale)
        box = Image.Resampling.BOX
        return by_pillow(x, lambda image: image.resize(small, box).resize((x.shape[1], x.shape[0]), box))

    assert_equal_to(slow, "pixelate")


def test_jpeg_compression_is_pillows() -> None:
    def slow(x: Values, quality: int, stream: np.random.Generator) -> Values:
        file = io.BytesIO()
        by_pillow(x, lambda image: image.save(file, "JPEG", quality=quality) or image)
        return np.asarray(Image.open(file)) / 255

    assert_equal_to(slow, "jpeg-compression")


@pytest.mark.shared
@pytest.mark.parametrize("kind", MONOTONE)
def test_severity_takes_real_images_farther_away(kind: Kind, shared_data: Path) -> None:
    table = open_table(str(shared_data / "cifar10-test.parquet"))
    before = next(iter(table.batches(np.arange(table.rows) < 100)))
    few = np.frombuffer(before.column("image").buffers()[1], np.uint8).reshape(-1, 32, 32, 3)[:100]
    for constants in CONSTANTS:
        far = [np.mean((corrupted(few, kind, each, constants) - few.astype(float)) ** 2) for each in range(1, 6)]
        assert all(far[i] < far[i + 1] for i in range(4)), (constants, far)


# the kind


def test_every_kind_has_constants_for_five_severities() -> None:
    assert set(RECIPES) == set(KINDS)
    assert len(KINDS) == 19
    for recipe in RECIPES.values():
        assert len(recipe.cifar) == len(recipe.imagenet) == 5


# by severity, as make_cifar_c.py and make_imagenet_c.py write them; of elastic transform in the image's sides
AUTHORS: dict[str, tuple[Sequence[Any], Sequence[Any]]] = {
    "gaussian-noise": ([0.04, 0.06, 0.08, 0.09, 0.10], [0.08, 0.12, 0.18, 0.26, 0.38]),
    "shot-noise": ([500, 250, 100, 75, 50], [60, 25, 12, 5, 3]),
    "impulse-noise": ([0.01, 0.02, 0.03, 0.05, 0.07], [0.03, 0.06, 0.09, 0.17, 0.27]),
    "speckle-noise": ([0.06, 0.1, 0.12, 0.16, 0.2], [0.15, 0.2, 0.35, 0.45, 0.6]),
    "gaussian-blur": ([0.4, 0.6, 0.7, 0.8, 1], [1, 2, 3, 4, 6]),
    "glass-blur": (
        [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
        [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    ),
    "defocus-blur": (
        [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
        [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    ),
    "motion-blur": (
        [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
        [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    ),
    "fog": (
        [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
        [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    ),
    "frost": (
        [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)],
        [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    ),
    "snow": (
        [
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9), (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85), (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ],
        [
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8), (0.2, 0.3, 2, 0.5, 12, 4, 0.7), (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65), (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ],
    ),
    "spatter": (
        [
            (0.62, 0.1, 0.7, 0.7, 0.5, 0), (0.65, 0.1, 0.8, 0.7, 0.5, 0), (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1), (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ],
        [
            (0.65, 0.3, 4, 0.69, 0.6, 0), (0.65, 0.3, 3, 0.68, 0.6, 0), (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1), (0.67, 0.4, 1, 0.65, 1.5, 1),
        ],
    ),
    "contrast": ([0.75, 0.5, 0.4, 0.3, 0.15], [0.4, 0.3, 0.2, 0.1, 0.05]),
    "brightness": ([0.05, 0.1, 0.15, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5]),
    "saturate": (
        [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)],
        [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
    ),
    "jpeg-compression": ([80, 65, 58, 50, 40], [25, 18, 15, 10, 7]),
    "pixelate": ([0.95, 0.9, 0.85, 0.75, 0.65], [0.6, 0.5, 0.4, 0.3, 0.25]),
    "elastic-transform": (
        [(0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)],
        [
            (244 * 2 / 224, 244 * 0.7 / 224, 244 * 0.1 / 224), (244 * 2 / 224, 244 * 0.08 / 224, 244 * 0.2 / 224),
            (244 * 0.05 / 224, 244 * 0.01 / 224, 244 * 0.02 / 224),
            (244 * 0.07 / 224, 244 * 0.01 / 224, 244 * 0.02 / 224),
            (244 * 0.12 / 224, 244 * 0.01 / 224, 244 * 0.02 / 224),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"zoom-blur"}))
def test_constants_are_the_authors(kind: Kind) -> None:
    for constants, theirs in zip(CONSTANTS, AUTHORS[kind], strict=True):
        for ours, each in zip(RECIPES[kind]._asdict()[constants], theirs, strict=True):
            assert ours == pytest.approx(each)


def test_constants_are_cifars_up_to_64_pixels_a_side() -> None:
    for side, constants in zip((64, 65), CONSTANTS):
        before = pictures(2, (20, side, 3))
        done = Corrupted(table_of(before), Common("contrast", 5), 0)
        assert np.array_equal(images(done), corrupted(before, "contrast", 5, constants))
        assert f"{constants}'s constants" in done.report()[0]


def test_all_writes_every_kind_and_severity_as_each_alone(tmp_path: Path) -> None:
    table = save(table_of(pictures(4, (9, 8, 1))), tmp_path / "toy.parquet")
    every = save_corrupted(table, Common(all=True), tmp_path / "all.parquet")
    rows = read(every)
    assert rows.schema.names == ["id", "image", "label", "corruption", "severity"]
    assert rows.schema.field("corruption").type == pa.string()
    assert rows.schema.field("severity").type == pa.int64()
    assert rows.num_rows == 4 * 19 * 5
    assert rows["corruption"].to_pylist() == [kind for kind in KINDS for _ in range(20)]
    assert rows["severity"].to_pylist() == [severity for severity in range(1, 6) for _ in range(4)] * 19
    for place, (kind, severity) in enumerate(product(KINDS, range(1, 6))):
        alone = read(Corrupted(table, Common(kind, severity), 0))
        assert alone.schema.names == ["id", "image", "label"]
        assert rows.slice(4 * place, 4).select(alone.schema.names).equals(alone)
    with pytest.raises(GencliError, match="column `corruption`"):
        Corrupted(every, Common(all=True), 0)


@pytest.mark.parametrize("corruption", [Common("snow", 3), Common(all=True)])
def test_shards_are_parts_of_every_pass(corruption: Common) -> None:
    table = table_of(pictures(7, (8, 8, 3)))
    whole = read(Corrupted(table, corruption, 0)).to_pylist()
    parts = [row for shard in range(3) for row in read(Corrupted(table, corruption, 0, shard, 3)).to_pylist()]
    assert len(parts) == len(whole)
    assert all(row in whole for row in parts[::17])
    assert sorted(row["image"] for row in parts) == sorted(row["image"] for row in whole)


def test_what_was_done_is_said() -> None:
    done = Corrupted(table_of(pictures(4)), Common("fog", 3), 0)
    read(done)
    assert done.report() == ("4 images, fog, severity 3, cifar's constants", None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no --kind and no --severity"),
        ({"kind": "fog"}, "corruption. no --severity"),
        ({"severity": 3}, "corruption. no --kind"),
        ({"all": True, "kind": "fog"}, "--all"),
        ({"all": True, "severity": 3}, "--all"),
    ],
)
def test_kind_and_severity_or_all(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GencliError, match=message):
        Common(**options)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4, 3), "float32"), ((4, 4, 2), "uint8"), ((4, 4, 4), "uint8")])
def test_other_images_are_refused(shape: tuple[int, int, int], dtype: str) -> None:
    with pytest.raises(GencliError, match=f"{shape[2]} channels of {dtype}"):
        Corrupted(image_table(2, shape, dtype), Common("fog", 3), 0)


def test_outlines_are_those_of_opencv_where_strengths_are_equal_too() -> None:
    """Of few levels many strengths are equal, and Canny's rules say for each direction which of two is a ridge."""
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    for number in range(50):
        levels = (random.integers(0, 4, random.integers(3, 20, 2)) * random.integers(10, 60)).astype(np.uint8)
        levels = cv2.blur(levels, (3, 3)) if number % 2 else levels
        found = _outlines(levels[:, :, None].astype(np.float32))[:, :, 0]
        assert np.array_equal(found, cv2.Canny(levels, 50, 150) > 0)
