"""Folders of arrays as CIFAR-10-C's and MNIST-C's are one table that says each row's version; others are refused."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.sources.arrayed import Arrays
from gencli.sources.corrupted import CorruptedTable, _named, is_packed
from tests.helpers import images, read
from tests.pipelines.shell import Shell

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(np.arange(20) % 4)
PIXELS = {name: RANDOM.integers(0, 256, (100, 5, 4, 3), dtype=np.uint8) for name in ("fog", "glass_blur", "spatter")}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)


def flat(folder: Path) -> Path:
    """CIFAR-10-C's layout."""
    (top := folder / "CIFAR-10-C").mkdir()
    np.save(top / "labels.npy", np.tile(LABELS, 5))
    for name, pixels in PIXELS.items():
        np.save(top / f"{name}.npy", pixels)
    (top / "README.txt").touch()
    return top


def nested(folder: Path) -> Path:
    """MNIST-C's layout."""
    for name, pixels in {**PIXELS, "identity": PIXELS["fog"]}.items():
        (folder / "mnist_c" / name).mkdir(parents=True)
        for split, part in (("train", slice(20, 40)), ("test", slice(20))):
            np.save(folder / "mnist_c" / name / f"{split}_images.npy", pixels[part])
            np.save(folder / "mnist_c" / name / f"{split}_labels.npy", LABELS)
    return folder / "mnist_c"


def test_a_folder_of_corruptions_is_one_table_by_severity(tmp_path: Path) -> None:
    table = CorruptedTable(str(flat(tmp_path)), Arrays())
    rows = read(table)
    assert np.array_equal(images(table), np.concatenate([*PIXELS.values()]))
    assert rows["corruption"].to_pylist() == np.repeat(["fog", "glass-blur", "spatter"], 100).tolist()
    assert rows["severity"].to_pylist() == np.tile(np.repeat(range(1, 6), 20), 3).tolist()
    assert np.array_equal(rows["id"].to_numpy().reshape(15, 20), np.tile(rows["id"].to_numpy()[:20], (15, 1)))
    assert np.array_equal(rows["label"].to_numpy(), np.tile(LABELS, 15))
    keep = np.arange(300) % 7 == 0
    assert np.array_equal(images(table, keep), images(table)[keep])
    assert (table.description.name, table.description.split) == ("CIFAR-10-C", "test")


@pytest.mark.parametrize("form", ["tar", "gztar", "zip"])
@pytest.mark.parametrize(("layout", "split"), [(flat, None), (nested, "test")])
def test_an_archive_of_a_folder_is_read_as_the_folder(
    layout: Callable[[Path], Path], split: str | None, form: str, tmp_path: Path
) -> None:
    folder = layout(tmp_path)
    source = Input(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, folder.name))
    assert is_packed(source)
    table, unpacked = (CorruptedTable(place, Arrays(split=split)) for place in (source, str(folder)))
    assert read(table).equals(read(unpacked))
    assert table.description == unpacked.description
    assert table.inputs == [source]


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_of_an_archive_what_of_the_folder_is_read_is_read_under_the_same_names(form: str, tmp_path: Path) -> None:
    """One folder of images and labels is a corruption; folders beside the arrays are left out."""
    (one := tmp_path / "one" / "fog").mkdir(parents=True)
    (below := (beside := flat(tmp_path)) / "old").mkdir()
    np.save(one / "images.npy", PIXELS["fog"])
    np.save(one / "labels.npy", np.tile(LABELS, 5))
    np.save(below / "fog.npy", PIXELS["spatter"])
    for folder, names in ((one.parent, {"fog"}), (beside, {"fog", "glass-blur", "spatter"})):
        source = Input(shutil.make_archive(str(tmp_path / f"packed-{folder.name}"), form, folder))
        table, unpacked = CorruptedTable(source, Arrays(name="x")), CorruptedTable(str(folder), Arrays(name="x"))
        assert {*read(unpacked)["corruption"].to_pylist()} == names
        assert read(table).equals(read(unpacked))


def test_an_archive_of_a_pair_or_cut_short_is_no_folder(tmp_path: Path) -> None:
    for name in ("a.npz", "a.zip"):
        with (tmp_path / name).open("wb") as file:
            np.savez(file, images=PIXELS["fog"], labels=np.tile(LABELS, 5))
        assert not is_packed(Input(str(tmp_path / name)))
    path = Path(shutil.make_archive(str(tmp_path / "whole"), "tar", tmp_path, flat(tmp_path).name))
    (tmp_path / "cut.tar").write_bytes(path.read_bytes()[:9000])
    with pytest.raises(GencliError, match="cut short"):
        CorruptedTable(Input(str(tmp_path / "cut.tar")), Arrays())


@pytest.mark.parametrize(
    ("images", "labels", "pair"),
    [
        ("test_images", "test_labels", True),
        ("x_train", "y_train", True),
        ("cifar10.1_v4_data", "cifar10.1_v4_labels", True),
        ("cifar10.1_v4_data", "cifar10.1_v6_labels", False),
        ("train_images", "test_labels", False),
        ("fog", "labels", False),
        ("a", "b", False),
    ],
)
def test_two_arrays_of_a_zip_are_a_pair_by_their_names(images: str, labels: str, pair: bool, tmp_path: Path) -> None:
    with (tmp_path / "two.zip").open("wb") as file:
        np.savez(file, **{images: PIXELS["fog"], labels: np.tile(LABELS, 5)})
    assert is_packed(Input(str(tmp_path / "two.zip"))) is not pair


def test_a_folder_of_folders_has_a_severity_each_and_a_split(tmp_path: Path) -> None:
    top = str(nested(tmp_path))
    with pytest.raises(GencliError, match="holds the splits test, train"):
        CorruptedTable(top, Arrays())
    table = CorruptedTable(top, Arrays(split="train"))
    assert np.array_equal(images(table)[:20], PIXELS["fog"][20:40])
    assert set(read(table)["severity"].to_pylist()) == {1}


def save(name: str, values: object) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / name, np.asarray(values))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "short": (save("fog.npy", PIXELS["fog"][:60]), "fog.npy: 60 images, but .*labels.npy has 100"),
    "stray": (save("more.npy", np.arange(100)), "more.npy: no arrays of images"),
    "shape": (save("more.npy", PIXELS["fog"][:, :4]), r"more.npy: uint8 \(4, 4, 3\), not uint8 \(5, 4, 3\) as .*fog"),
    "no labels": (lambda folder: (folder / "labels.npy").unlink(), "CIFAR-10-C: no labels.npy"),
    "no images": (lambda folder: [(folder / f"{name}.npy").unlink() for name in PIXELS], "labels.npy alone"),
    "pipe": (lambda folder: (folder / "more.npy").symlink_to("/dev/null"), "more.npy: a device"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_refused_by_name(change: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    top = flat(tmp_path)
    change(top)
    with pytest.raises(GencliError, match=said):
        CorruptedTable(str(top), Arrays())


def test_other_layouts_are_refused_with_what_to_give(tmp_path: Path) -> None:
    top = nested(tmp_path)
    for name, values, said in (
        ("test_labels.npy", LABELS[::-1], "spatter/test_labels.npy: not the labels of .*fog"),
        ("other.npy", LABELS, "spatter/other.npy: neither images nor labels"),
    ):
        np.save(top / "spatter" / name, values)
        with pytest.raises(GencliError, match=said):
            CorruptedTable(str(top), Arrays(split="test"))
    (top / "fog" / "test_labels.npy").unlink()
    with pytest.raises(GencliError, match=r"fog/test_labels\.npy: no such file"):
        CorruptedTable(str(top), Arrays(split="test"))
    (pairs := tmp_path / "v").mkdir()
    for version in ("v4", "v6"):
        np.save(pairs / f"cifar10.1_{version}_data.npy", PIXELS["fog"])
        np.save(pairs / f"cifar10.1_{version}_labels.npy", LABELS)
    with pytest.raises(GencliError) as caught:
        CorruptedTable(str(pairs), Arrays())
    assert re.search("; cifar10.1_v6_data.npy cifar10.1_v6_labels.npy$", str(caught.value.hint))
    with pytest.raises(GencliError, match="labels do not repeat 4 times"):
        CorruptedTable(str(flat(tmp_path)), Arrays(severities=4))


def refusal(place: Path, **how: Any) -> tuple[str, str]:
    with pytest.raises(GencliError) as refused:
        CorruptedTable(str(place), Arrays(**how))
    return refused.value.message.replace(str(place), "set"), refused.value.hint


def test_what_is_wrong_is_said_in_full(tmp_path: Path) -> None:
    form = "give a folder of NAME.npy and labels.npy, as CIFAR-10-C, or of folders NAME of images.npy and labels.npy"
    form += ", as MNIST-C"
    top = nested(tmp_path)
    assert refusal(top) == ("set: holds the splits test, train", "--split test takes one")
    (top / "fog" / "test_labels.npy").unlink()
    assert refusal(top, split="test") == ("set/fog/test_labels.npy: no such file", form)
    np.save(top / "fog" / "test_labels.npy", LABELS)
    np.save(top / "fog" / "val_images.npy", PIXELS["fog"])
    np.save(top / "fog" / "a.npy", LABELS)
    assert refusal(top, split="test") == ("set/fog/a.npy: neither images nor labels", "remove it")
    (top / "fog" / "a.npy").unlink()
    assert CorruptedTable(str(top), Arrays(split="test")).rows == 80
    other = flat(tmp_path)
    for name in PIXELS:
        (other / f"{name}.npy").unlink()
    assert refusal(other) == ("set: labels.npy alone, without images", form)
    (other / "labels.npy").unlink()
    said, hint = refusal(other)
    assert (said, hint) == ("set: no .npy files", f"{form}; of folders of pictures `gencli data folder` makes a table")
    assert refusal(tmp_path / "none") == ("set: no such folder", "check the name")


def test_what_is_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr(console, "message", messages.append)
    top = flat(tmp_path)
    table = CorruptedTable(str(top), Arrays())
    assert messages == [
        f"{top}: 1 files are skipped: README.txt", f"{top}: corruptions: 3, severities: 5, rows of each: 20",
        f"{top}: 100×5×4×3 is read as NHWC",
        f"{top}: severities 1 to 5, since the labels repeat 5 times; --severities 1 if not",
    ]  # fmt: skip
    assert table.rows == 300
    assert table.column("severity").tolist() == np.tile(np.repeat(range(1, 6), 20), 3).tolist()


def test_pairs_are_called_alike_but_for_what_they_are() -> None:
    files = ["v4_data.npy", "v4_labels.npy", "v6_data.npy", "v6_labels.npy", "x.npy", "y.npy", "labels.npy"]
    assert _named(files) == [("v4_data.npy", "v4_labels.npy"), ("v6_data.npy", "v6_labels.npy"), ("x.npy", "y.npy"),
                             ("x.npy", "labels.npy")]  # fmt: skip
    assert _named(["a.npy", "b.npy"]) == []


def test_errors_by_corruption_and_the_same_bytes_again(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    flat(tmp_path)
    nested(tmp_path)
    shell("gencli data arrays CIFAR-10-C -q -o c.parquet; gencli train c.parquet --arch linear --epochs 1 -q -o m")
    shown = shell("gencli eval m c.parquet --by corruption,severity -q --format csv").worked().text.splitlines()
    assert [line.split(",")[1] for line in shown[1:]][:2] == ["fog 1", "fog 2"]
    errors = [float(line.rpartition(",")[2]) for line in shown[1:]]
    assert errors[-1] == pytest.approx(np.mean(errors[:10]))  # spatter is one of the extra kinds
    shell("mkdir again; gencli how c.parquet > again.sh; cd again && INPUTS=.. sh ../again.sh").worked()
    assert (tmp_path / "again" / "c.parquet").read_bytes() == (tmp_path / "c.parquet").read_bytes()
    shell("gencli data arrays mnist_c --split test -q -o n.parquet && gencli how n.parquet --check --inputs .").worked()
    unsplit = "gencli data arrays CIFAR-10-C/fog.npy CIFAR-10-C/labels.npy -q -o f.parquet"
    shell(f"{unsplit} && gencli how f.parquet --check --inputs CIFAR-10-C").worked()
