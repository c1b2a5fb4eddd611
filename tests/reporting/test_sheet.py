"""Contact sheets, read back as pictures."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gencli.errors import GencliError
from gencli.reporting import sheet
from gencli.reporting.sheet import MOST_CLASSES, Sheet
from gencli.sources import open_table
from gencli.sources.statistics import measure
from tests.helpers import images
from tests.pipelines.shell import Shell
from tests.sources.test_statistics import Toy

RANDOM = np.random.default_rng(0)
RED = 220, 0, 0


def draw(toy: Toy, columns: int = 10) -> bytes:
    sheet = Sheet(columns)
    return sheet.png(measure(toy, sheet.see), "how it was made")


def read(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)))


def places(page: NDArray[np.uint8], tile: NDArray[Any]) -> list[tuple[int, int]]:
    """Where the tile [height, width, 1 or 3] stands on the page."""
    colors = np.broadcast_to(tile, (*tile.shape[:2], 3))
    height, width = tile.shape[:2]
    corners = np.argwhere((page[: len(page) - height + 1, : page.shape[1] - width + 1] == colors[0, 0]).all(2))
    for y, x in np.ndindex(height, width):  # most go at the first few pixels
        if len(corners) <= 1:
            break
        corners = corners[(page[corners[:, 0] + y, corners[:, 1] + x] == colors[y, x]).all(1)]
    return [(int(y), int(x)) for y, x in corners if np.array_equal(page[y : y + height, x : x + width], colors)]


def large(image: NDArray[Any], factor: int) -> NDArray[Any]:
    return np.kron(image, np.ones((factor, factor, 1), np.uint8))


def pictures(rows: int, *shape: int) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, (rows, *shape), np.uint8)


@settings(max_examples=15)
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 3]), st.integers(0, 30))
def test_tiles_are_the_first_images_of_their_class_and_changed_labels_have_a_red_frame(
    rows: int, classes: int, columns: int, channels: int, end: int
) -> None:
    random = np.random.default_rng(rows)
    labels, true = random.integers(0, classes, (2, rows))
    toy = Toy(pictures(rows, 8, 8, channels), labels, true, classes, [end] if 0 < end < rows else [])
    page = read(draw(toy, columns))
    tops, frames = [], 0
    for label in np.unique(labels):
        shown = np.flatnonzero(labels == label)[:columns]
        found = [places(page, large(toy.images[row], 8)) for row in shown]
        assert all(len(where) == 1 for where in found)
        tops.append({y for ((y, _),) in found})
        lefts = [x for ((_, x),) in found]
        assert np.diff(lefts).tolist() == [70] * (len(shown) - 1)
        for row, ((y, x),) in zip(shown, found, strict=True):
            ring = page[y - 2 : y + 66, x - 2 : x + 66].copy()
            ring[2:-2, 2:-2] = ring[0, 0]
            assert (ring == (RED if labels[row] != true[row] else 255)).all()
            frames += labels[row] != true[row]
        for row in np.flatnonzero(labels == label)[columns:]:
            assert not places(page, large(toy.images[row], 8))
    assert all(len(top) == 1 for top in tops)
    assert np.diff([top.pop() for top in tops]).tolist() == [70] * (len(tops) - 1)
    assert (page == RED).all(2).sum() == frames * (68**2 - 64**2)


@pytest.mark.parametrize(("size", "factor"), [((1, 1), 64), ((28, 28), 2), ((5, 9), 7), ((33, 20), 1), ((128, 9), 1)])
def test_small_images_are_enlarged_by_whole_factors(size: tuple[int, int], factor: int) -> None:
    image = pictures(1, *size, 3)
    assert len(places(read(draw(Toy(image, np.array([1])))), large(image[0], factor))) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_shrunk_as_pillow_does(channels: int) -> None:
    image = pictures(1, 200, 300, channels)
    expected = np.asarray(Image.fromarray(image[0].squeeze()).reduce(3)).reshape(67, 100, channels)
    assert len(places(read(draw(Toy(image, np.array([0])))), expected)) == 1


def test_floats_go_from_black_to_white_over_the_whole_table() -> None:
    images = RANDOM.normal(-5, 2, (6, 8, 8, 3)).astype(np.float32)
    page = read(draw(Toy(images, np.arange(6) % 2, ends=[2, 5])))
    whole = images.astype(np.float64)
    for image in np.rint((whole - whole.min()) / (whole.max() - whole.min()) * 255).astype(np.uint8):
        assert len(places(page, large(image, 8))) == 1
    assert places(read(draw(Toy(np.ones_like(images), np.zeros(6, int)))), np.zeros((64, 64, 1)))


def test_of_other_channels_the_first_is_shown() -> None:
    image = pictures(1, 8, 8, 2)
    assert len(places(read(draw(Toy(image, np.array([0])))), large(image[0, ..., :1], 8))) == 1


@pytest.mark.parametrize("ends", [[], [7, 100, 130]])
def test_of_many_classes_the_first_hundred_with_rows_are_shown(ends: list[int]) -> None:
    labels = RANDOM.permutation(150)
    toy = Toy(pictures(150, 64, 2, 1), labels * 2, classes=300, ends=ends)
    page = read(draw(toy, 1))
    found = [places(page, image) for image in toy.images[np.argsort(labels)]]
    assert [len(where) for where in found] == [1] * MOST_CLASSES + [0] * 50
    tops = [y for ((y, _),) in found[:MOST_CLASSES]]
    assert tops == sorted(tops)


@pytest.mark.parametrize("name", ["W" * 500, "aquarium_fish", "a\nb\x1b[2J", "鱼" * 100, ""])
def test_names_are_written_beside_their_row_and_nowhere_else(name: str) -> None:
    image = np.zeros((2, 8, 8, 1), np.uint8)
    page = read(draw(Toy(image, np.array([0, 1]), names=(name, "cat"), name=name, split="")))
    ((top, left), (below, _)) = places(page, np.zeros((64, 64, 1), np.uint8))
    margins = page[:, :10], page[:, -10:], page[:10], page[-10:], page[top:, left - 10 : left], page[top - 4 : top]
    assert all((margin == 255).all() for margin in margins)
    assert (page[below : below + 64, 10 : left - 10] < 128).any()
    assert (page[top : top + 64, 10 : left - 10] < 128).any() == bool(name)
    assert page.shape[1] < 700


def test_a_sheet_is_the_same_bytes_every_time_and_says_how_it_was_made() -> None:
    toy = Toy(pictures(9, 8, 8, 3), np.arange(9) % 3)
    png = draw(toy)
    assert png == draw(Toy(toy.images, toy.labels, ends=[4]))
    assert Image.open(io.BytesIO(png)).info == {"Description": "how it was made"}


def test_values_that_are_not_finite_are_refused() -> None:
    images = np.array([0, np.inf], np.float32).reshape(2, 1, 1, 1)
    with pytest.raises(GencliError, match=r"toy\.parquet: values that are not finite"):
        draw(Toy(images, np.array([0, 1])))


def test_tables_are_compared_row_by_row(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        """
        set -e
        gencli data digits --limit 12 -o a.parquet
        gencli corrupt gaussian-noise --sigma 25 --dtype float32 a.parquet -o b.parquet
        gencli data synthetic noise --rows 3 | gencli corrupt flip-labels -p 1 -q -o c.parquet
        gencli report --contact-sheet sheet.png a.parquet b.parquet c.parquet
        """
    ).worked()
    page = read((tmp_path / "sheet.png").read_bytes())
    tables = [open_table(str(tmp_path / f"{name}.parquet")) for name in "abc"]
    tops, rights = [], []
    for table, factor in zip(tables, (8, 8, 2), strict=True):
        shown = [large(np.rint(image.clip(0, 255)).astype(np.uint8), factor) for image in images(table)[:10]]
        corners = [place for tile in shown for place in places(page, tile)]
        assert len(corners) == len(shown) == min(table.rows, 10)
        assert len({y for y, _ in corners}) == 1
        tops.append(corners[0][0])
        rights.append(sorted(x for _, x in corners) == [x for _, x in corners])
    assert tops == sorted(tops)
    assert all(rights)
    assert (page[tops[2] - 2 : tops[2], :] == RED).all(2).any()
    assert not (page[: tops[2] - 2] == RED).all(2).any()
    shell("gencli report --contact-sheet sheet.jpg a.parquet").refused("sheet.jpg: not a .png file")
    shell("gencli report --contact-sheet sheet.png sheet.png").refused("sheet.png")


def test_a_page_is_as_large_as_its_tiles_and_words_need() -> None:
    """Frames of 2 around tiles, 2 more between them, 10 beside all; rows are as high as a line at least."""
    font = sheet._font()
    line = sum(font.getmetrics())

    def width(text: str) -> int:
        return math.ceil(font.getlength(text))

    low, high, wide = (np.full((*size, 3), 50, np.uint8) for size in ((3, 40), (64, 30), (20, 60)))
    page = sheet._draw(["one", "two"], ["name", "n"], [[(low, False)] * 3, [(high, True), (wide, False)]])
    left, top = width("name") + 20, 2 * line + 20
    assert page.size == (left + 3 * 46 + 10, top + line + 70 + 10)
    found = np.asarray(page)
    assert places(found, low)[0] == (top, left)
    assert np.argwhere((found[top] == 50).all(1)).ravel().tolist() == [
        left + 46 * tile + x for tile in range(3) for x in range(40)
    ]
    assert places(found, high) == [(top + line, left)]
    assert places(found, wide) == [(top + line, left + 66)]
    red = np.argwhere((found == RED).all(2))  # a frame is as large as the largest of its row
    assert red.min(0).tolist() == [top + line - 2, left - 2]
    assert red.max(0).tolist() == [top + line + 64 + 1, left + 60 + 1]
    words = np.argwhere((found[:, :left].min(2) < 128) & ~(found[:, :left] == RED).all(2))
    for start, end in ((10, 10 + line), (10 + line, 10 + 2 * line)):
        assert ((words[:, 0] >= start) & (words[:, 0] < end)).any()
    assert words.min(0)[1] >= 10
    second = words[words[:, 0] >= top + line][:, 0]
    assert abs((second.min() + second.max()) / 2 - (top + line + 32)) <= 4
    longer = sheet._draw(["a caption that is longer than the row below"], ["n"], [[(high, False)]])
    assert longer.size == (width("a caption that is longer than the row below") + 20, line + 20 + 70 + 10)
    assert sheet._draw([], [""], [[(low, False)]]).size == (20 + 46 + 10, 20 + line + 10)


def test_words_are_shortened_to_the_room_that_there_is() -> None:
    font = sheet._font()
    for text in ("W" * 60, "il" * 90, "a b " * 40):
        short = sheet._fitted(text, font, 220)
        assert short.endswith("…")
        assert text.startswith(kept := short[:-1])
        assert font.getlength(short) <= 220 < font.getlength(f"{text[: len(kept) + 2]}…")
    room = math.ceil(font.getlength("exactly"))
    assert sheet._fitted("exactly", font, room) == "exactly"
    assert sheet._fitted("exactly", font, room - 1) != "exactly"
    wide = draw(Toy(np.zeros((1, 8, 8, 1), np.uint8), np.array([0]), names=("W" * 99,), name="W" * 99, split=""))
    assert 630 < Image.open(io.BytesIO(wide)).width - 20 <= 640  # the caption's
    page = sheet._draw([], [sheet._fitted("W" * 99, font, 220)], [[(np.zeros((9, 9, 3), np.uint8), False)]])
    assert 20 + 210 + 15 + 10 < page.width <= 20 + 220 + 15 + 10


@pytest.mark.parametrize(
    ("side", "shrunk"), [(127, 127), (128, 128), (129, 65), (256, 128), (257, 86)]
)  # fmt: skip
def test_images_have_128_pixels_a_side_at_most(side: int, shrunk: int) -> None:
    assert sheet._shrunk(np.zeros((side, 5, 3), np.uint8)).shape[0] == shrunk
    assert sheet._shrunk(np.zeros((5, side, 1), np.uint8)).shape[1] == shrunk
    assert sheet.tile(np.zeros((31, 5, 1), np.uint8)).shape == (62, 10, 3)


def test_numbers_of_a_tile_are_between_black_and_white() -> None:
    values = np.array([-3, -1, 0, 1, 2.5, 9], np.float32).reshape(1, 6, 1)
    assert sheet._pixels(values, -1, 3)[0, ::10, 0].tolist() == [0, 0, 64, 128, 223, 255]
    assert sheet._pixels(values, 1, 1)[0, ::10, 0].tolist() == [0, 0, 0, 0, 255, 255]  # of one value it is black


def test_a_caption_says_what_is_shown() -> None:
    def said(toy: Toy) -> list[str]:
        shown = Sheet(2)
        return shown._caption(measure(toy, shown.see))

    plain = Toy(np.zeros((3, 8, 4, 1), np.uint8), np.array([0, 1, 1]))
    assert said(plain)[1:] == ["3 rows, uint8 8x4x1"]
    assert said(Toy(np.zeros((3, 8, 4, 3), np.uint8), np.array([0, 1, 1])))[1:] == ["3 rows, uint8 8x4x3"]
    many = np.zeros((101, 1, 1, 2), np.uint8)
    assert said(Toy(many, np.arange(101), classes=200))[1:] == [
        "101 rows, uint8 1x1x2", "the first 100 of 101 classes", "the first of 2 channels, as gray"
    ]  # fmt: skip
    assert len(said(Toy(many[:100], np.arange(100), classes=200))) == 3
    floats = np.array([-1.5, 2], np.float32).reshape(2, 1, 1, 1)
    assert said(Toy(floats, np.array([1, 1]), np.array([1, 0]), 2))[1:] == [
        "2 rows, float32 1x1x1", "black is -1.5, white is 2", "red frame: label differs from label_true, as in 1 rows"
    ]  # fmt: skip
