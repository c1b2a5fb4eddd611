"""Arrays as image tables: every layout and scale gives the same images, and what could be two things is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.sources.arrayed import Arrays, ArrayTable, _classes, _columns, _equal, _repeats, _scaled
from tests.helpers import images, read
from tests.pipelines.shell import Shell

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (40, 5, 4, 3), dtype=np.uint8)
LABELS = RANDOM.integers(0, 7, 40)
LABELS[0] = 6


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)


def table(folder: Path, pixels: Any, labels: Any = LABELS, **how: Any) -> ArrayTable:
    np.save(folder / "a.npy", pixels)
    np.save(folder / "labels.npy", labels)
    return ArrayTable(Input(str(folder / "a.npy")), Input(str(folder / "labels.npy")), Arrays(**how))


def test_labels_in_words_are_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=r"labels\.npy: it holds <U1, not numbers"):
        table(tmp_path, IMAGES, np.array(["a"] * 40))
    (tmp_path / "labels.csv").write_text("file,label\n" + "a.png,cat\n" * 40)
    with pytest.raises(GencliError, match=r"no column of whole numbers; its columns are 'file', 'label'"):
        ArrayTable(Input(str(tmp_path / "a.npy")), Input(str(tmp_path / "labels.csv")), Arrays())


@pytest.mark.parametrize(
    "pixels",
    [
        IMAGES, IMAGES.transpose(0, 3, 1, 2), np.asfortranarray(IMAGES), IMAGES.astype(np.int64), IMAGES / 255,
        (IMAGES / 255).astype(np.float32), IMAGES.astype(np.float32), IMAGES.astype(">f8").transpose(0, 3, 1, 2),
    ],
)  # fmt: skip
def test_every_layout_and_scale_gives_the_same_images(pixels: Any, tmp_path: Path) -> None:
    made = table(tmp_path, pixels)
    assert made.description.dtype == "uint8"
    assert np.array_equal(images(made), IMAGES)
    assert np.array_equal(read(made)["label"].to_numpy(), LABELS)
    keep = LABELS == 3
    assert np.array_equal(images(made, keep), IMAGES[keep])


def test_fractions_of_gray_levels_stay_floats(tmp_path: Path) -> None:
    pixels = RANDOM.random((40, 5, 4, 3)).astype(np.float32)
    made = table(tmp_path, pixels)
    assert made.description.dtype == "float32"
    assert np.array_equal(images(made), (pixels.astype(np.float64) * 255).astype(np.float32))
    levels = pixels * 255
    assert np.array_equal(images(table(tmp_path, levels)), levels)
    gray = table(tmp_path, IMAGES[..., 0])
    assert gray.description.shape == (5, 4, 1)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (IMAGES[:, :3, :, :].transpose(0, 1, 2, 3), "images of 3×4×3: it is unclear which axis"),
        (np.zeros((40, 5, 4, 7), np.uint8), "images of 5×4×7: it is unclear which axis"),
        (IMAGES.astype(float) - 1, "a.npy: float64 values of -1 to 254$"),
        (IMAGES.astype(float) + 1, "float64 values of 1 to 256$"),
        ((IMAGES > 9).astype(float), "unclear whether 1 or 255"),
        ((IMAGES > 9).astype(np.int32), "unclear whether 1 or 255"),
        (IMAGES / 255 * 1.5, "unclear whether 1 or 255"),
        (np.where(np.arange(40)[:, None, None, None] == 7, np.nan, 1.0 * IMAGES), "a.npy: row 7: .* not finite"),
        (IMAGES[:-1], "39 images, but"),
        (IMAGES.reshape(40, -1), "no arrays of images"),
        (IMAGES[:0], "0 images, but"),
    ],
)
def test_what_is_unclear_is_refused(pixels: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=said):
        table(tmp_path, pixels)


@pytest.mark.parametrize("labels", [LABELS - 1, LABELS + 0.5, np.eye(7)[LABELS], np.full(40, np.nan), LABELS[None]])
def test_labels_that_are_none_are_refused(labels: Any, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=r"label|no arrays"):
        table(tmp_path, IMAGES, labels)


def test_said_options_decide(tmp_path: Path) -> None:
    assert table(tmp_path, IMAGES[:, :3], layout="NCHW").description.shape == (4, 3, 3)
    binary = (IMAGES > 9).astype(float)
    assert np.array_equal(images(table(tmp_path, binary, white="1")), binary * 255)
    assert np.array_equal(images(table(tmp_path, binary, white="255")), binary)


def test_archives_choose_arrays_by_name_split_and_shape(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:9], y_test=LABELS[:9])
    with pytest.raises(GencliError, match=r"2 arrays of images.*x_train 40×5×4×3"):
        ArrayTable(Input(str(path)), None, Arrays())
    made = ArrayTable(Input(str(path)), None, Arrays(split="test", classes=tuple("abcdefg")))
    assert (made.rows, made.description.split, made.description.classes[6]) == (9, "test", "g")
    torch.save({"images": torch.tensor(IMAGES), "labels": torch.tensor(LABELS)[:, None]}, tmp_path / "a.pt")
    assert np.array_equal(images(ArrayTable(Input(str(tmp_path / "a.pt")), None, Arrays())), IMAGES)


def test_repeated_labels_are_severities_as_in_cifar10_c(tmp_path: Path) -> None:
    block, pixels = RANDOM.integers(0, 7, 40), np.concatenate([IMAGES] * 5)
    made = table(tmp_path, pixels, np.tile(block, 5))
    rows = read(made)
    assert rows["severity"].to_pylist() == np.repeat(range(1, 6), 40).tolist()
    assert np.array_equal(rows["id"].to_numpy(), np.tile(rows["id"].to_numpy()[:40], 5))
    assert set(rows["corruption"].to_pylist()) == {"a"}
    for labels, how in ((np.arange(200) % 10, {}), (np.tile(block, 5), {"severities": 1})):
        other = table(tmp_path, pixels, labels, **how)
        assert "severity" not in other.schema.names
        assert len(np.unique(other.column("id"))) == 200


def refusal(folder: Path, pixels: Any, labels: Any = LABELS, **how: Any) -> str:
    """What is said of arrays that are refused, without their folder."""
    with pytest.raises(GencliError) as refused:
        table(folder, pixels, labels, **how)
    return f"{refused.value.message}: {refused.value.hint}".replace(f"{folder}/", "")


def test_what_is_wrong_is_said_in_full(tmp_path: Path) -> None:
    chooses = "--image NAME chooses an array; --split train or test does so by their names"
    for pixels, labels, how, said in (
        (IMAGES[:, :3], LABELS, {}, "a.npy: images of 3×4×3: it is unclear which axis holds the channels: "
         "--layout NHWC or NCHW says so"),
        (IMAGES[:-1], LABELS, {}, "a.npy: 39 images, but labels.npy has 40 labels: give one label for each image"),
        (IMAGES[:0], LABELS[:0], {}, "a.npy: no rows: an image table needs at least one row"),
        (IMAGES[:, :0], LABELS, {}, "a.npy: no rows: an image table needs at least one row"),
        (IMAGES[0, 0], LABELS, {}, f"a.npy: no arrays of images, of 3 or 4 axes: it holds the array 4×3: {chooses}"),
        (IMAGES, LABELS, {"image": "b"}, "a.npy: no array 'b'; it holds the array 40×5×4×3: --image names one of them"),
        (IMAGES, LABELS, {"severities": 3}, "a.npy: 40 rows are not 3 versions of as many: correct it"),
        (IMAGES, LABELS, {"severities": 2}, "labels.npy: labels do not repeat 2 times: correct --severities"),
        (IMAGES, LABELS, {"renumber": True, "classes": ("a", "b")},
         f"labels.npy: {len(set(LABELS))} different labels, but --class-names has 2: name as many classes"),
        (IMAGES, LABELS - 1.0, {}, f"labels.npy: row {np.argmin(LABELS)}: label -1.0: labels are class numbers from 0"),
    ):  # fmt: skip
        assert refusal(tmp_path, pixels, labels, **how) == said


@pytest.mark.parametrize(
    ("label", "fits"),
    [
        (np.uint64(2**63 - 1), True), (np.uint64(2**63), False), (2.0**53, False), (2.0**53 - 1, True),
        (np.int64(2**53), False), (np.int64(2**53 - 1), True), (np.int64(-1), False), (0.5, False), (np.int8(0), True),
        (True, True), (np.nan, False),
    ],
)  # fmt: skip
def test_class_numbers_are_whole_and_those_that_no_float_rounds(label: Any, fits: bool) -> None:
    labels = np.array([0, label], np.asarray(label).dtype)
    if fits:
        found = _classes(labels, "x")
        assert (found.dtype, found.tolist()) == (np.int64, [0, int(label)])
    else:
        with pytest.raises(GencliError, match=f"^x: row 1: label {labels[1]}$"):
            _classes(labels, "x")


@pytest.mark.parametrize(
    ("values", "white", "scaled"),
    [
        (np.array([0, 255], np.uint8), None, (1, "uint8")), (np.array([0, 1], np.uint8), "1", (255, "uint8")),
        (np.array([0, 1], np.uint8), "255", (1, "uint8")), ([0, 0.2, 1], None, (255, "uint8")),
        ([0, 0.3], None, (255, "float32")),
        ([0.0, 2], None, (1, "uint8")), ([0.5, 128], None, (1, "float32")), ([0.0, 255], None, (1, "uint8")),
        ([0, 0.3], "255", (1, "float32")), ([0.0, 1], "1", (255, "uint8")),
        ([0, (100 + 9e-4) / 255], None, (255, "uint8")), ([0, (100 + 11e-4) / 255], None, (255, "float32")),
    ],
)  # fmt: skip
def test_white_is_1_or_255(values: Any, white: str | None, scaled: tuple[int, str]) -> None:
    pixels, notes = np.asarray(values)[:, None, None, None], list[str]()
    assert _scaled(pixels, white, "x", notes) == scaled
    said = f"{pixels.dtype} values of {pixels.min():g} to {pixels.max():g} are multiplied by 255"
    whole = ", and are whole then" if scaled[1] == "uint8" else ""
    assert notes == ([said + whole] if scaled[0] == 255 else [])


@pytest.mark.parametrize(
    ("values", "white", "unclear"),
    [
        ([0.0, 1], None, True), ([0.0, 0], None, True), ([0.5, 127.75], None, True), ([0.5, 1.25], None, True),
        ([-0.25, 1], None, False), ([0, 255.25], None, False), ([0, 1.25], "1", False), ([-0.25, 9], "255", False),
    ],
)  # fmt: skip
def test_other_values_are_no_gray_levels_or_of_unclear_ones(
    values: list[float], white: str | None, unclear: bool
) -> None:
    with pytest.raises(GencliError) as refused:
        _scaled(np.array(values)[:, None, None, None], white, "x", [])
    here = f"x: float64 values of {values[0]:g} to {values[1]:g}"
    assert refused.value.message == here + (": it is unclear whether 1 or 255 is white" if unclear else "")


def test_all_values_are_looked_at_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.sources.arrayed._ROWS", 3 * 8)  # three rows of one value
    values = np.zeros((8, 1, 1, 1))
    for place in range(8):
        other = values.copy()
        other[place] = np.inf
        with pytest.raises(GencliError, match=f"^x: row {place}: a value that is not finite$"):
            _scaled(other, None, "x", [])
        other[place] = 0.3
        assert _scaled(other, None, "x", []) == (255, "float32")
        other[place] = 200
        assert _scaled(other, None, "x", []) == (1, "uint8")


def test_severities_are_told_by_labels_that_repeat_and_were_not_dealt_out(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    block = random.integers(0, 9, 20)
    assert _repeats(np.tile(block, 5))
    assert not _repeats(np.tile(block[:19], 5))
    assert not _repeats(np.tile(block, 4))
    assert not _repeats(np.full(5 * 23, 3)), "of a prime number of rows"
    assert not _repeats(np.append(np.tile(block, 5), block[0]))
    for period in (1, 2, 4, 5, 10):
        assert not _repeats(np.tile(block[:period], 100 // period)), period
    assert _repeats(np.tile(np.append(np.tile(block[:3], 6), block[:2]), 5)), "a period that does not fit"
    for labels, count, equal in (
        ([1, 2, 1, 2], 2, True),
        ([1, 2, 1, 3], 2, False),
        ([1, 2, 1], 2, False),
        ([1, 2], 1, True),
    ):
        assert _equal(np.array(labels), count) == equal
    pixels = np.concatenate([IMAGES] * 5)
    labels = np.tile(LABELS, 5)
    why = "since the labels repeat 5 times; --severities 1 if not"
    assert table(tmp_path, pixels, labels).notes == [
        "200×5×4×3 is read as NHWC", f"severities 1 to 5 of a, 40 rows each, {why}"
    ]  # fmt: skip
    assert table(tmp_path, pixels, labels, severities=5).notes == ["200×5×4×3 is read as NHWC"]
    one = ArrayTable(Input(str(tmp_path / "a.npy")), Input(str(tmp_path / "labels.npy")), Arrays(), "fog")
    assert one.notes[1:] == [f"severities 1 to 5, {why}"]
    assert set(read(one)["corruption"].to_pylist()) == {"fog"}


def test_columns_of_a_csv_that_hold_whole_numbers_are_labels(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"a,b,c,d\n1,x,{'9' * 18},1.0\n-2,3,4,5\n")
    found = _columns(Input(str(tmp_path / "a.csv")))
    assert {name: values.tolist() for name, values in found.items()} == {"a": [1, -2], "c": [10**18 - 1, 4]}


def test_classes_are_those_that_there_are_where_they_are_numbered_anew(tmp_path: Path) -> None:
    labels = np.array([7, 3, 7, 9] * 10)
    made = table(tmp_path, IMAGES, labels, renumber=True)
    assert made.description.classes == ("3", "7", "9")
    assert read(made)["label"].to_pylist() == [1, 0, 1, 2] * 10
    named = table(tmp_path, IMAGES, labels, renumber=True, classes=("x", "y", "z"), name="n", split="test")
    assert (named.description.classes, named.description.name, named.description.split) == (
        ("x", "y", "z"),
        "n",
        "test",
    )


def test_errors_by_severity_in_one_pipeline(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        """gencli data digits -q -o d.parquet; gencli data digits --split test --limit 100 -q -o t.parquet
        python -c "
import numpy as np, pyarrow.parquet as pq
t = pq.read_table('t.parquet')
pixels = np.array([np.frombuffer(value.as_py(), 'u1') for value in t['image']]).reshape(-1, 8, 8)
np.save('fog.npy', np.concatenate([pixels] * 5)); np.save('labels.npy', np.tile(t['label'].to_numpy(), 5))"
        gencli train d.parquet --arch linear --epochs 1 -q -o m
        """
    ).worked()
    said = shell("gencli data arrays fog.npy labels.npy --class-names 10 -o fog.parquet").worked().err
    assert "severities 1 to 5 of fog, 100 rows each" in said
    shown = shell("gencli eval m fog.parquet -q --format csv; gencli eval m t.parquet -q --format csv").worked().text
    assert "fog" in shown
