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
from gencli.sources.arrayed import Arrays, ArrayTable
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
