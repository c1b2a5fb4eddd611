"""Noise: its distribution, on images and on targets by draws of their own, and what becomes of the table."""

import json
import string
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.stats import kstest

from gencli.corruptions import Corrupted
from gencli.corruptions.noise import GaussianNoise, ImpulseNoise, NoiseCorruption, PoissonNoise, TextOverlay
from gencli.errors import GencliError
from gencli.files import arrow
from gencli.files.tables import Batches, Description, MemoryTable
from gencli.randomness import Draws
from tests.helpers import chi_square, image_table, images, read, save_corrupted
from tests.pipelines.shell import Shell, many

Kind = Callable[..., NoiseCorruption]
MILD: dict[str, tuple[Kind, str]] = {
    "gaussian-noise": (GaussianNoise, "0:50"),
    "poisson-noise": (PoissonNoise, "0:50"),
    "impulse-noise": (ImpulseNoise, "0:0.95"),
    "text-overlay": (TextOverlay, "0:0.5"),
}
each_kind = pytest.mark.parametrize("name", MILD)


def made(name: str, **options: Any) -> NoiseCorruption:
    kind, strength = MILD[name]
    return kind(strength, **options)


def targets(table: Batches) -> NDArray[Any]:
    return np.concatenate([arrow.unpack(batch, table.description, "target") for batch in table.batches()])


def gray(level: float, rows: int, shape: tuple[int, int, int] = (8, 8, 3), dtype: str = "uint8") -> MemoryTable:
    """Images of one level."""
    pixels = np.full((rows, *shape), level, dtype)
    return MemoryTable("gray", Description("gray", "train", ("a",), shape, dtype), pixels, np.zeros(rows, np.int64))


def residuals(kind: NoiseCorruption, level: float, rows: int, seed: int = 0, **size: Any) -> NDArray[np.float64]:
    """[rows, values] what was added to images of one level."""
    noisy = images(Corrupted(gray(level, rows, **size), kind, seed))
    return noisy.reshape(rows, -1).astype(np.float64) - level


def close(values: NDArray[Any], mean: float, variance: float) -> bool:
    """Whether their mean is that of independent draws, within five standard deviations."""
    return bool(abs(values.mean() - mean) < 5 * np.sqrt(variance / values.size))


def correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Of two samples, in standard deviations of that of independent ones."""
    return abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) * np.sqrt(one.size)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_gaussian_noise_is_normal_with_mean_zero_everywhere(level: int) -> None:
    noise = residuals(GaussianNoise("25", dtype="float32"), level, 1000)
    assert close(noise, 0, 625)
    assert close(noise**2, 625, 2 * 625**2)
    assert kstest(noise[:100].ravel() / 25, "norm").pvalue > 1e-5


def test_each_image_has_a_sigma_of_its_own_uniform_between_the_two() -> None:
    noise = residuals(GaussianNoise("10:50", dtype="float32"), 128, 2000, shape=(16, 16, 3))
    assert kstest(noise.std(1), "uniform", (10, 40)).pvalue > 1e-4
    assert correlation(noise.std(1)[1:], noise.std(1)[:-1]) < 5


@pytest.mark.parametrize(("kind", "strength"), [(GaussianNoise, "40"), (PoissonNoise, "5:20"), (TextOverlay, "0.5")])
def test_gray_levels_are_the_unclipped_values_rounded_and_clipped(kind: Kind, strength: str) -> None:
    table = image_table(50, (6, 5, 3))
    exact = images(Corrupted(table, kind(strength, dtype="float32"), 0))
    assert (exact.max() > 255) == (kind is not TextOverlay)
    assert np.array_equal(images(Corrupted(table, kind(strength), 0)), np.rint(np.clip(exact, 0, 255)))


def test_images_that_grow_are_made_a_row_group_at_a_time() -> None:
    noisy = Corrupted(image_table(600, (32, 32, 3)), GaussianNoise("25", dtype="float32"), 0)
    assert [batch.num_rows for batch in noisy.batches()] == [256, 256, 88]


@pytest.mark.parametrize(("peak", "level"), [(30, 255), (30, 51), (0.5, 100), (1000, 40)])
def test_poisson_noise_keeps_the_mean_and_varies_with_the_light(peak: float, level: int) -> None:
    noise = residuals(PoissonNoise(str(peak), dtype="float32"), level, 1000)
    variance = 255 * level / peak
    assert close(noise, 0, variance)
    assert close(noise**2, variance, variance * (255 / peak) ** 2 + 2 * variance**2)
    counts = (noise + level) * peak / 255
    assert abs(counts - np.rint(counts)).max() < 1e-3


def test_the_number_of_photons_is_uniform_between_the_two_and_black_stays_black() -> None:
    noise = residuals(PoissonNoise("10:50", dtype="float32"), 250, 2000, shape=(32, 32, 3))
    assert kstest(255 * 250 / noise.var(1), "uniform", (10, 40)).pvalue > 1e-4
    assert not residuals(PoissonNoise("0:50"), 0, 20).any()


@pytest.mark.parametrize("p", [0.01, 0.3, 0.95])
def test_impulses_replace_whole_pixels_at_the_rate_by_uniform_colors(p: float) -> None:
    noisy = images(Corrupted(gray(-1, 1000, dtype="float32"), ImpulseNoise(str(p)), 0))
    replaced = noisy[..., 0] >= 0
    assert ((noisy >= 0) == replaced[..., None]).all()
    assert close(replaced, p, p * (1 - p))
    colors = noisy[replaced].astype(int)
    for channel in range(3):
        assert abs(chi_square(np.bincount(colors[:, channel], minlength=256))) < 5
    assert correlation(colors[:, 0], colors[:, 1]) < 5
    assert correlation(replaced[:, 0, 0], replaced[:, 0, 1]) < 5


def test_each_image_has_a_rate_of_its_own_uniform_between_the_two() -> None:
    noisy = images(Corrupted(gray(-1, 1500, (40, 40, 1), "float32"), ImpulseNoise("0.1:0.7"), 0))
    assert kstest((noisy >= 0).mean((1, 2, 3)), "uniform", (0.1, 0.6)).pvalue > 1e-4
    noisy = images(Corrupted(gray(-1, 500, (40, 40, 1), "float32"), TextOverlay("0.1:0.5"), 0))
    assert kstest((noisy >= 0).mean((1, 2, 3)), "uniform", (0.1, 0.4)).pvalue > 1e-4


@pytest.mark.parametrize("kind", [ImpulseNoise, TextOverlay])
def test_what_p_covers_a_larger_p_covers_by_the_same_color(kind: Kind) -> None:
    table = gray(-1, 60, (16, 20, 3), "float32")
    none, few, many, all_ = (images(Corrupted(table, kind(p), 0)) for p in ("0", "0.2", "0.5", "1"))
    assert (none == -1).all()
    for less, more in ((few, many), (many, all_)):
        assert np.array_equal(less[less >= 0], more[less >= 0])
        assert (more >= 0).sum() > (less >= 0).sum() > 0
    assert (all_ >= 0).all()


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5])
def test_text_covers_the_fraction_and_a_letter_more_at_most_alike_everywhere(p: float) -> None:
    noisy = images(Corrupted(gray(-1, 1000, (32, 32, 3), "float32"), TextOverlay(str(p)), 0))
    covered = (noisy >= 0).all(3)
    assert np.array_equal(covered, (noisy >= 0).any(3))
    share = covered.mean((1, 2))
    assert (share >= round(p * 1024) / 1024).all()
    assert (share < p + 80 / 1024).all()
    assert abs(share.mean() - p) < 0.02
    assert abs(covered.mean(0) - share.mean()).max() < 6 * np.sqrt(p * (1 - p) / 1000)


def test_strings_have_colors_uniform_over_all() -> None:
    noisy = images(Corrupted(gray(-1, 600, (32, 32, 3), "float32"), TextOverlay("0.25"), 0)).astype(int)
    colors = np.concatenate([np.unique(image[image[..., 0] >= 0], axis=0) for image in noisy])
    for channel in range(3):
        assert abs(chi_square(np.bincount(colors[:, channel], minlength=256))) < 5
    assert correlation(colors[:, 0], colors[:, 1]) < 5


def test_text_is_written_in_letters_of_the_font() -> None:
    def trimmed(mask: NDArray[np.bool_]) -> bytes:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return bytes(inner.shape) + np.packbits(inner).tobytes()

    sizes: dict[bytes, int] = {}
    for size in range(7, 16):
        font: Any = ImageFont.load_default(size)
        font = font.font_variant(layout_engine=ImageFont.Layout.BASIC)
        for letter in string.ascii_letters + string.digits:
            page = Image.new("1", (30, 30))
            ImageDraw.Draw(page).text((5, 5), letter, 1, font)
            sizes[trimmed(np.asarray(page))] = size
    noisy = images(Corrupted(gray(-1, 400, (60, 60, 1), "float32"), TextOverlay("0.0003"), 0))[..., 0] >= 0  # one pixel
    inside = [mask for mask in noisy if mask.sum() == mask[15:-15, 15:-15].sum()]
    assert len(inside) > 20
    assert all(trimmed(mask) in sizes for mask in inside)
    assert len({sizes[trimmed(mask)] for mask in inside}) > 5
    assert len({trimmed(mask) for mask in inside}) > 20


FIXED = {"gaussian-noise": "25", "poisson-noise": "30", "impulse-noise": "0.3", "text-overlay": "0.2"}


def sample(name: str, seed: int = 0) -> NDArray[np.float64]:
    """[500, values] of one distribution: what was added, or where something was replaced."""
    noise = residuals(MILD[name][0](FIXED[name], dtype="float32"), 128, 500, seed)
    return noise if name in ("gaussian-noise", "poisson-noise") else (noise != 0).astype(np.float64)


def bound(name: str) -> float:
    return 15 if name == "text-overlay" else 5  # neighbours are covered together


@each_kind
def test_images_and_seeds_are_independent(name: str) -> None:
    noise, other = sample(name), sample(name, 1)
    assert correlation(noise[1:], noise[:-1]) < bound(name)
    assert correlation(noise, other) < bound(name)


def test_kinds_are_independent() -> None:
    noise = {name: sample(name) for name in MILD}
    pairs = [(one, other) for one in MILD for other in MILD if one < other]
    assert len(pairs) == 6
    for one, other in pairs:
        assert correlation(noise[one], noise[other]) < bound(other), (one, other)


@each_kind
def test_image_and_target_are_drawn_independently_and_whatever_else_is(name: str) -> None:
    table = gray(128, 500)
    both = Corrupted(table, made(name, on="both", dtype="float32"), 0)
    image, target = (each.reshape(500, -1).astype(np.float64) - 128 for each in (images(both), targets(both)))
    assert image.any()
    assert target.any()
    assert correlation(image.std(1), target.std(1)) < 5  # how much noise there is
    alone = Corrupted(table, made(name, on="image", dtype="float32"), 0)
    assert np.array_equal(images(alone), images(both))
    assert alone.schema.names == ["id", "image", "label"]
    alone = Corrupted(table, made(name, on="target", dtype="float32"), 0)
    assert np.array_equal(targets(alone), targets(both))
    assert (images(alone) == 128).all()


@each_kind
def test_the_noise_of_image_and_target_is_independent(name: str) -> None:
    both = Corrupted(gray(128, 500), MILD[name][0](FIXED[name], on="both", dtype="float32"), 0)
    image, target = (each.reshape(500, -1) - 128.0 for each in (images(both), targets(both)))
    assert correlation(image, target) < bound(name)
    assert correlation(abs(image), abs(target)) < bound(name)


@each_kind
def test_everything_else_stays(name: str) -> None:
    table = image_table(30)
    after = Corrupted(table, made(name), 0)
    assert after.schema.equals(table.schema, check_metadata=True)
    assert read(after).select(["id", "label"]).equals(read(table).select(["id", "label"]))


def test_a_table_says_its_new_column_and_dtype(tmp_path: Path) -> None:
    again = save_corrupted(image_table(30), GaussianNoise("25", on="both", dtype="float32"), tmp_path / "pairs.parquet")
    assert again.description.dtype == "float32"
    assert again.schema.names == ["id", "image", "label", "target"]
    for name in ("image", "target"):
        field = again.schema.field(name)
        assert field.type == pa.binary(16)
        assert field.metadata == {b"shape": b"2,2,1", b"dtype": b"float32"}
    assert images(again).dtype == targets(again).dtype == np.float32
    back = Corrupted(again, GaussianNoise("0", dtype="uint8"), 0)
    for one, other in ((images(back), images(again)), (targets(back), targets(again))):
        assert np.array_equal(one, np.rint(np.clip(other, 0, 255)).astype(np.uint8))


def test_the_target_can_be_the_clean_image(tmp_path: Path) -> None:
    table = image_table(30, (5, 4, 3))
    clean = save_corrupted(table, GaussianNoise("25", clean_target=True), tmp_path / "clean.parquet")
    assert np.array_equal(targets(clean), images(table))
    assert np.array_equal(images(clean), images(Corrupted(table, GaussianNoise("25"), 0)))
    again = Corrupted(clean, GaussianNoise("25", dtype="float32"), 0)
    assert np.array_equal(targets(again), images(table))
    both = Corrupted(clean, ImpulseNoise("0.5", on="both"), 0)
    assert not np.array_equal(targets(both), images(table))
    with pytest.raises(GencliError, match=r"clean\.parquet: already has a target"):
        Corrupted(clean, GaussianNoise("25", clean_target=True), 0)


def test_noise_of_strength_zero_changes_nothing() -> None:
    table = image_table(30)
    for kind in (GaussianNoise("0"), ImpulseNoise("0"), TextOverlay("0"), GaussianNoise("0:0", dtype="float32")):
        assert np.array_equal(images(Corrupted(table, kind, 0)), images(table))


@each_kind
def test_identities_of_other_tools_may_be_negative(name: str) -> None:
    table = image_table(2)
    [batch] = table.batches()
    batch = batch.set_column(0, "id", pa.array([-1, -(2**63)]))
    after = made(name).start(table, Draws(0, name, 0))(batch)
    assert after.column("id").equals(batch.column("id"))


PINNED = {
    "gaussian-noise": "28ce62527bde31a9",
    "poisson-noise": "edf20ff81088ab61",
    "impulse-noise": "5da6450d97870458",
    "text-overlay": "276a803e9efcd973",
}


@each_kind
def test_draws_stay_what_they_were(name: str) -> None:
    after = Corrupted(image_table(20, (9, 10, 3)), made(name, on="both"), 0)
    assert sha256(images(after).tobytes() + targets(after).tobytes()).hexdigest()[:16] == PINNED[name]


BAD = [
    ("gaussian-noise --sigma -1", "--sigma: '-1' is neither a number from 0 to 1,000,000"),
    ("gaussian-noise --sigma 50:0", "--sigma: '50:0'"),
    ("gaussian-noise --sigma 1:2:3", "--sigma: '1:2:3'"),
    ("gaussian-noise --sigma nan", "--sigma: 'nan'"),
    ("gaussian-noise --sigma much", "--sigma: 'much'"),
    ("gaussian-noise --sigma 5: ", "--sigma: '5:'"),
    ("poisson-noise --peak 0", "--peak: '0': too few photons"),
    ("poisson-noise --peak inf", "--peak: 'inf'"),
    ("impulse-noise -p 1.5", "-p: '1.5' is neither a number from 0 to 1"),
    ("text-overlay -p 0.5:1.5", "-p: '0.5:1.5'"),
    ("impulse-noise -p 0.1 --on both --clean-target", "--clean-target: --on both corrupts the target"),
    ("poisson-noise --peak 5 negative.parquet", "negative.parquet: id 1: a value of -1"),
    ("poisson-noise --peak 5 infinite.parquet", "infinite.parquet: id 1: a value of inf"),
    ("gaussian-noise --sigma 5 missing.parquet", "missing.parquet: id 1: a value of nan"),
    ("impulse-noise -p 0.5 --dtype uint8 missing.parquet", "missing.parquet: id 1: a value of nan"),
]


def test_bad_options_and_values_are_refused(tmp_path: Path) -> None:
    for name, value in (("toy", 1.0), ("negative", -1.0), ("infinite", np.inf), ("missing", np.nan)):
        pixels = np.ones((3, 2, 2, 1), np.float32)
        pixels[1, 1, 0] = value
        facts = Description("", "", ("a",), (2, 2, 1), "float32")
        rows = read(MemoryTable("toy", facts, pixels, np.zeros(3, np.int64)))
        ids = pa.array(range(3), pa.int64())
        pq.write_table(rows.set_column(0, rows.schema.field(0), ids), tmp_path / f"{name}.parquet")
    asked = [f"{words} {'' if 'parquet' in words else 'toy.parquet'} -o out.parquet" for words, _ in BAD]
    done = many(tmp_path, [["corrupt", *words.split(), "-q"] for words in asked])
    for one, (_, words) in zip(done, BAD, strict=True):
        one.refused(words)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("kind", "strength", "said"),
    [
        (GaussianNoise, "1e6", ""),
        (GaussianNoise, "1000001", "--sigma: '1000001' is neither a number from 0 to 1,000,000"),
        (ImpulseNoise, "0:1", ""), (ImpulseNoise, "1.01", "-p: '1.01' is neither a number from 0 to 1"),
        (ImpulseNoise, "-0.01:1", "-p: '-0.01:1' is neither a number from 0 to 1"),
        (GaussianNoise, "0:1:1", "--sigma: '0:1:1'"),
        (PoissonNoise, "0.001", ""), (PoissonNoise, "0.0009", "--peak: '0.0009': too few photons"),
        (PoissonNoise, "0:0.001", ""),
    ],
)  # fmt: skip
def test_strengths_lie_within_their_bounds(kind: Kind, strength: str, said: str) -> None:
    if not said:
        low, _, high = strength.partition(":")
        assert kind(strength).strength == (float(low), float(high or low))
        return
    with pytest.raises(GencliError) as refused:
        kind(strength)
    assert refused.value.message.startswith(said)
    assert refused.value.message.endswith((" nor a range", "too few photons"))


def test_values_beyond_what_a_kind_takes_are_named_by_id() -> None:
    table = gray(1, 3, (2, 2, 1), "float32")
    for kind, value, said in (
        (PoissonNoise("5"), 1e9, ""), (PoissonNoise("5"), 1.1e9, "a value of 1.1e+09"), (PoissonNoise("5"), 0, ""),
        (PoissonNoise("5"), -0.5, "a value of -0.5"), (GaussianNoise("5"), -1e30, ""),
        (ImpulseNoise("0.5"), np.nan, "a value of nan"),
    ):  # fmt: skip
        pixels = np.ones((3, 2, 2, 1), np.float32)
        pixels[2, 0, 1] = value
        ids = np.array([5, 6, 7])
        if said:
            with pytest.raises(GencliError, match="gray: id 7: ") as refused:
                kind._check(table, pixels, ids)
            assert refused.value.message == f"gray: id 7: {said}"
            assert refused.value.hint.startswith(f"{kind.name} takes numbers from ")
        else:
            kind._check(table, pixels, ids)


@pytest.mark.parametrize(
    ("on", "what"), [("image", "images"), ("target", "targets"), ("both", "images and their targets")]
)
def test_the_report_says_what_is_noisy(on: Any, what: str) -> None:
    corrupted = Corrupted(image_table(1200), GaussianNoise("5", on=on), 0)
    read(corrupted)
    assert corrupted.report() == (f"1,200 {what}", None)
    assert ("target" in corrupted.schema.names) == (on != "image")


def test_unclipped_noise_goes_through_training_evaluation_and_show(tmp_path: Path) -> None:
    script = """
        set -e
        noise="gencli corrupt gaussian-noise --sigma 25 --on both --dtype float32 -q"
        gencli data digits | $noise | tee noisy.parquet | gencli train --arch mlp-1x16 --epochs 20 -q -o model
        gencli data digits --split test | $noise | gencli eval model - --format json -q > accuracy.json
        gencli show noisy.parquet --format table --sheet noisy.png
        """
    shown = Shell(tmp_path)(script).worked().text
    assert "float32 8×8×1" in shown
    assert "pixels -" in shown
    classes = json.loads((tmp_path / "accuracy.json").read_text())
    assert np.mean([row["accuracy"] for row in classes if row["accuracy"] is not None]) > 0.8
