"""A folder of images a class, as an image table."""

import hashlib
import io
import os
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from gencli.errors import GencliError
from gencli.files.tables import identities
from gencli.sources import open_table
from gencli.sources.decoded import Decoding
from gencli.sources.folder import FolderTable, is_litter, say_skipped
from tests.helpers import images
from tests.pipelines.shell import Shell

RANDOM = np.random.default_rng(0)
FILES = ["Zebra/a.png", "cat/10.png", "cat/9.jpg", "cat/more/1.webp", "dog's day/ü 1.png", "dog's day/b\t2.bmp"]


def lay_down(folder: Path, names: list[str] = FILES, height: int = 6, width: int = 5) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / name)
    return folder


def open_folder(folder: Path, decoding: Decoding = Decoding()) -> FolderTable:  # noqa: B008
    return FolderTable(str(folder), None, None, decoding)


def test_rows_are_those_of_torchvisions_image_folder(tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets")
    table, peer = open_folder(folder), ImageFolder(str(folder))
    assert list(table.description.classes) == peer.classes
    assert table.column("label").tolist() == peer.targets
    assert np.array_equal(images(table), [np.asarray(image) for image, _ in peer])
    assert np.array_equal(table.column("id"), identities("pets", "", 0, 6))


def test_hidden_files_and_those_beside_the_classes_are_left_out(tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets")
    (folder / ".hidden").mkdir()
    for name in ("README", "cat/.DS_Store", ".hidden/x.png"):
        (folder / name).write_bytes(b"no image")
    assert open_folder(folder).rows == 6


def test_folders_of_splits_are_no_classes(tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets", ["test/cat/1.png", "test/dog/1.png", "train/cat/1.png", "train/dog/1.png"])
    with pytest.raises(GencliError, match="holds the splits test, train, not classes") as refused:
        open_folder(folder)
    assert refused.value.hint == "--split takes one, such as --split train"
    assert open_folder(folder / "train").description.classes == ("cat", "dog")
    vehicles = lay_down(tmp_path / "vehicles", ["train/1.png", "train/more/2.png", "ship/1.png"])
    assert open_folder(vehicles).description.classes == ("ship", "train")


@pytest.mark.parametrize(
    ("path", "name", "split"),
    [("pets", "pets", ""), ("pets/train", "pets", "train"), ("pets-test", "pets", "test"), ("train", "+", "train")],
)
def test_name_and_split_come_from_the_path(path: str, name: str, split: str, tmp_path: Path) -> None:
    description = open_folder(lay_down(tmp_path / path)).description
    assert (description.name, description.split) == (name.replace("+", tmp_path.name), split)


def test_images_of_any_size_are_made_alike(tmp_path: Path) -> None:
    lay_down(tmp_path, ["a/1.png", "a/2.png"], 20, 31)
    lay_down(tmp_path, ["b/1.png"], 9, 8)
    with pytest.raises(GencliError, match=r"b/1\.png: an image of 9×8×3, the first is 20×31×3"):
        images(open_folder(tmp_path))
    table = open_folder(tmp_path, Decoding("gray", (10,), (10, 8)))
    assert images(table).shape == (3, 10, 8, 1)


def test_a_mask_reads_its_files_alone(tmp_path: Path) -> None:
    folder = lay_down(tmp_path)
    table = open_folder(folder)
    whole = images(table)
    (folder / FILES[2]).unlink()
    keep = np.array([True, False, False, True, False, True])
    assert np.array_equal(images(table, keep), whole[keep])


def test_the_hash_is_that_of_the_lines_of_sha256sum(tmp_path: Path) -> None:
    lay_down(tmp_path, [name for name in FILES if "\t" not in name])
    (source,) = open_folder(tmp_path).inputs
    lines = subprocess.check_output("LC_ALL=C; sha256sum */* */*/* 2>/dev/null | sort -k 2", shell=True, cwd=tmp_path)
    assert b"cat/more/1.webp" in lines
    assert source.sha256 == hashlib.sha256(lines).hexdigest()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (9, 9), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "pets: no folders, so no classes"),
        ({"a.png": png()}, "pets: no folders, so no classes"),
        ({"a/1.png": png()}, "pets: only one class, 'a'"),
        ({"a/1.png": png(), "b/.x": b""}, "pets/b: no images"),
        ({"a/1.png": png(), "b/1.png": png(), 'b/it\'s "2".txt': b"text"}, 'pets/b/it\'s "2".txt: not an image'),
        ({"a/1.png": png(), "b/1.png": png()[:90]}, "pets/b/1.png: not an image"),
        ({"a/1.png": b"", "b/1.png": png()}, "pets/a/1.png: not an image"),
    ],
    ids=["empty", "no classes", "one class", "empty class", "text", "cut short", "empty file"],
)
def test_a_bad_folder_is_refused(files: dict[str, bytes], says: str, tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    for name, content in files.items():
        (tmp_path / "pets" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(content)
    Shell(tmp_path)("gencli data folder pets -o out.parquet").refused(f"gencli data folder: {says}")
    assert not (tmp_path / "out.parquet").exists()


def test_other_places_are_refused(tmp_path: Path) -> None:
    shell = Shell(lay_down(tmp_path))
    shell("gencli data folder nowhere").refused("nowhere: no such file or folder")
    shell("gencli data folder cat/10.png").refused("cat/10.png: not a folder")
    shell("gencli data folder . -o cat/10.png").refused("cat/10.png")
    shell("gencli data folder . --size 1e9 -o out.parquet").refused("--size: '1e9'")
    shell("gencli data folder . --crop 7 -o out.parquet").refused("Zebra/a.png", "smaller than the crop of 7×7")


def test_the_same_images_elsewhere_give_the_same_bytes(tmp_path: Path) -> None:
    lay_down(tmp_path / "here" / "pets")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shell = Shell(tmp_path)
    shell("gencli data folder here/pets -o a.parquet; cd there/pets; gencli data folder . -o ../../b.parquet").worked()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_decoding_loses_is_said_once_or_refused(tmp_path: Path) -> None:
    deep = RANDOM.integers(0, 65536, (9, 9), dtype=np.uint16)
    for name in ("a/1.png", "b/2.png", "b/3.png"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(deep).save(tmp_path / "pets" / name)
    shell = Shell(tmp_path)
    shell("gencli data folder pets -o out.parquet").refused("pets/a/1.png: a gray image of 16-bit values", "--range")
    said = shell("gencli data folder pets --mode gray -o gray.parquet").worked().err.splitlines()
    assert said == ["pets: 3 of 3 images: more than 8 bits per value: the highest 8 are kept"]
    assert shell("gencli data folder pets --mode gray -q | gencli show -q --format csv").worked().err == ""
    assert not shell("gencli data folder pets --range 0,65535 -o ranged.parquet").worked().err
    for name, expected in (("gray", deep >> 8), ("ranged", np.rint(deep / 257))):
        assert np.array_equal(
            images(open_table(str(tmp_path / f"{name}.parquet"))), np.stack([expected[..., None]] * 3)
        )
    for wrong in ("5", "5,5", "9,1", "a,b", "0,inf", "1,2,3"):
        shell(f"gencli data folder pets --range {wrong}").refused(f"--range: '{wrong}' is not a range")
    shell("gencli data folder pets --range=-5,70000 -q -o negative.parquet").worked()


@pytest.mark.parametrize("threads", [1, 2])
def test_warnings_of_pillow_are_one_line(threads: int, tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets", ["a/1.png", "b/2.png"])
    for place, cut in enumerate((30, 30, 60)):  # two kinds of warnings
        exif = Image.Exif()
        exif[0x010E] = "a long description of the image, which is then cut"
        data = exif.tobytes()
        Image.fromarray(RANDOM.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(
            folder / f"b/{place}.jpg", exif=data[: len(data) - cut]
        )
    shell = Shell(tmp_path)
    said = shell(f"gencli data folder pets -o out.parquet --threads {threads}").worked().err
    assert said.startswith("pets: 3 of 5 images: Pillow warns: ")
    assert said.count("\n") == 1
    assert shell(f"gencli data folder pets -o out.parquet -q --threads {threads}").worked().err == ""


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets", ["a/1.png", "a/in/2.png", "b/3.png"])
    lay_down(tmp_path / "elsewhere", ["4.png"])
    for link, target in (("a/p", "."), ("a/q", "."), ("a/in/up", ".."), ("b/x", "../../elsewhere"), ("b/y", "x")):
        (folder / link).symlink_to(target)
    table = open_folder(folder)
    assert [table.image_name(row) for row in range(table.rows)] == [
        f"{folder}/{name}" for name in ("a/1.png", "a/in/2.png", "b/3.png", "b/x/4.png")
    ]


@pytest.mark.parametrize(
    ("link", "target", "says"),
    [
        ("c", "a", "c: also a folder of class 'a'"),
        ("a/b", "../b", "b: also a folder of class 'a'"),
        ("a/up", "..", r"a/up: links to .*pets, which contains the classes"),
        ("a/root", "/", r"a/root: links to /, which contains the classes"),
        ("a/x.png", "/dev/zero", r"a/x\.png: a device"),
        ("a/x.png", "nowhere", r"a/x\.png: a broken link"),
        ("a/x.png", "x.png", r"a/x\.png: a broken link"),
    ],
)
def test_links_that_give_an_image_two_classes_or_lead_to_no_file(
    link: str, target: str, says: str, tmp_path: Path
) -> None:
    folder = lay_down(tmp_path / "pets", ["a/1.png", "b/2.png"])
    (folder / link).symlink_to(target)
    with pytest.raises(GencliError, match=f"pets/{says}"):
        open_folder(folder)


def test_pipes_and_sockets_are_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lay_down(tmp_path, ["a/1.png", "b/2.png"]))
    os.mkfifo("a/pipe")
    with pytest.raises(GencliError, match="a/pipe: a named pipe"):
        open_folder(Path())
    os.unlink("a/pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("b/socket")
        with pytest.raises(GencliError, match="b/socket: a socket"):
            open_folder(Path())


@pytest.mark.parametrize("closed", ["b/in", "b/2.png", "b", "."])
def test_what_cannot_be_read_is_not_left_out(closed: str, unprivileged: Path) -> None:
    lay_down(unprivileged / "pets", ["a/1.png", "b/2.png", "b/in/3.png"])
    (unprivileged / "pets" / closed).chmod(0)
    with pytest.raises(GencliError, match=rf"pets/?{closed.strip('.')}: cannot be read: Permission denied"):
        images(open_folder(unprivileged / "pets"))


@pytest.mark.parametrize("change", [lambda file: file.unlink(), lambda file: file.write_bytes(png())])
def test_files_that_change_while_they_are_read_are_refused(change: Callable[[Path], object], tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "pets", ["a/1.png", "b/2.png"])
    table = open_folder(folder)  # reads the first
    change(folder / "a/1.png")
    with pytest.raises(GencliError, match=r"a/1\.png: (no such file|changed while it was read)"):
        images(table)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    names = ["new\nline\\/1.png", "new\nline\\/x\ry.png", "ü\u202e/" + "n" * 251 + ".png"]
    table = open_folder(lay_down(tmp_path / "pets", names))
    assert table.description.classes == ("new\nline\\", "ü\u202e")
    (source,) = table.inputs
    lines = subprocess.check_output(["sha256sum", *names], cwd=tmp_path / "pets")
    assert source.sha256 == hashlib.sha256(lines).hexdigest()
    for name in (b"\xff", b"\xfe"):
        os.rename(os.fsencode(lay_down(tmp_path / "c", ["1.png"])), os.fsencode(tmp_path / "pets") + b"/" + name)
    with pytest.raises(GencliError, match="are both called"):
        open_folder(tmp_path / "pets")


def test_litter_is_skipped_and_counted_and_a_split_is_taken(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("2", "10", "1"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            Image.new("L", (4, 4)).save(folder / "a.png")
            (folder / "Thumbs.db").write_bytes(b"x")
            (folder / ".DS_Store").write_bytes(b"x")
        (tmp_path / "pets" / split / "Thumbs.db").write_bytes(b"x")
    shell = Shell(tmp_path)
    shell("gencli data folder pets -o a").refused("pets: holds the splits test, train, not classes", "--split train")
    said = shell("gencli data folder pets --split test -o a").worked().err
    assert "pets/test: 6 files are skipped: .DS_Store, Thumbs.db" in said
    table = open_table(str(tmp_path / "a"))
    assert (table.description.name, table.description.split) == ("pets", "test")
    assert table.description.classes == ("1", "2", "10")


def test_exported_numeric_classes_come_back_in_numeric_order(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        "gencli data synthetic noise --rows 60 --classes 12 --size 4x4x1 -q -o a; gencli data export a --folder f"
    ).worked()
    shell("gencli data folder f -q -o b").worked()
    assert open_table(str(tmp_path / "b")).description.classes == tuple(map(str, range(12)))


def test_skipped_files_are_told_by_five_names(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr("gencli.cli.console.message", messages.append)
    for names in ("", "edcba", "fedcba"):
        say_skipped("x", Counter([*names, *names[:1]]))
    assert messages == ["x: 6 files are skipped: a, b, c, d, e", "x: 7 files are skipped: a, b, c, d, e, ..."]


@pytest.mark.parametrize(
    ("name", "litter"),
    [("Thumbs.DB", True), (".x", True), ("__MACOSX", True), ("thumbs", False), ("a.db", False), ("x.", False)],
)
def test_what_systems_leave_is_litter(name: str, litter: bool) -> None:
    assert is_litter(name) == litter


def test_one_split_or_folders_of_classes_called_so(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/1.png"):
        (tmp_path / "one" / name).parent.mkdir(parents=True)
        (tmp_path / "one" / name).write_bytes(png())
    (tmp_path / "one" / "notes.txt").touch()
    with pytest.raises(GencliError) as refused:
        FolderTable(str(tmp_path / "one"), None, None, Decoding())
    assert refused.value.message == f"{tmp_path}/one: holds the split train, not classes"
    assert FolderTable(str(tmp_path / "one"), None, "train", Decoding()).description.classes == ("a", "b")
    for name in ("train/1.png", "test/1.png"):
        (tmp_path / "two" / name).parent.mkdir(parents=True)
        (tmp_path / "two" / name).write_bytes(png())
    assert FolderTable(str(tmp_path / "two"), None, "mine", Decoding()).description.classes == ("test", "train")
