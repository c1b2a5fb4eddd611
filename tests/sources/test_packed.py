"""Archives of images give what their folder gives; those that would write, loop or fill a disk are refused."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.sources.decoded import Decoding
from gencli.sources.folder import FolderTable
from gencli.sources.packed import ArchiveTable, Member, ShardsTable, _text, members, stem
from tests.helpers import images, read


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), value).save(buffer, "PNG")
    return buffer.getvalue()


FILES = {f"{name}/{place}.png": png(10 * place + len(name)) for name in ("2", "10", "1") for place in range(4)}
LITTER = {"__MACOSX/2/._0.png": b"x", "2/Thumbs.db": b"x", "README": b"x"}


def write(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
            for name, content in files.items():
                archive.addfile(member(name, len(content)), io.BytesIO(content))
    return path


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = size, kind, "/etc/passwd"
    return found


def opened(path: Path, name: str | None = "x", split: str | None = None) -> ArchiveTable:
    return ArchiveTable(Input(str(path)), name, split, Decoding())


@pytest.mark.parametrize("ending", ["zip", "tar", "tgz"])
def test_an_archive_gives_what_its_folder_gives(ending: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(content)
    folder = FolderTable(str(tmp_path / "d"), "x", None, Decoding())
    for top in ("", "pets/"):
        table = opened(
            write(tmp_path / f"a.{ending}", {f"{top}{name}": each for name, each in (FILES | LITTER).items()})
        )
        assert table.description == folder.description
        assert read(table).equals(read(folder))
        keep = np.arange(12) % 5 == 0
        assert np.array_equal(images(table, keep), images(folder, keep))
    both = {f"a/{split}/{name}": each for split in ("train", "test") for name, each in FILES.items()}
    path = write(tmp_path / f"b.{ending}", both)
    with pytest.raises(GencliError, match="holds the splits test, train"):
        opened(path)
    assert opened(path, None, "test").rows == 12


@pytest.mark.parametrize("name", ["../a/1.png", "/a/1.png", "a/../../1.png", "a\\..\\1.png"])
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_names_that_lead_out_are_refused(name: str, ending: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match="leads out of a folder"):
        opened(write(tmp_path / f"a.{ending}", FILES | {name: png(1)}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", FILES)
    with tarfile.open(path, "a") as archive:
        archive.addfile(member("a/1.png", kind=kind))
    with pytest.raises(GencliError, match="a link or a device"):
        opened(path)
    link = zipfile.ZipInfo("a/1.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(write(tmp_path / "a.zip", FILES), "a") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(GencliError, match="a link or a device"):
        opened(tmp_path / "a.zip")


def test_names_that_stand_twice_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", FILES)
    with tarfile.open(path, "a") as archive:
        archive.addfile(member("1/0.png", 3), io.BytesIO(b"abc"))
    with pytest.raises(GencliError, match="stands twice"):
        opened(path)


def test_bombs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(gzip.compress(bytes(65 << 20)))
    with pytest.raises(GencliError, match="bytes packed in"):
        opened(tmp_path / "a.tgz")
    path = write(tmp_path / "a.zip", FILES | {"1/9.png": bytes(65 << 20)})
    with pytest.raises(GencliError, match="bytes packed in"):
        members(Input(str(path)))["1/9.png"]()


@pytest.mark.parametrize("ending", ["zip", "tar", "tgz"])
def test_damaged_archives_are_refused_or_whole(ending: str, tmp_path: Path) -> None:
    whole = write(tmp_path / f"a.{ending}", FILES).read_bytes()
    for size in (0, 1, 100, 300, len(whole) // 3, len(whole) // 2):
        (tmp_path / "b").write_bytes(whole[:size])
        with pytest.raises(GencliError):
            opened(tmp_path / "b")


def test_a_tar_that_ends_between_two_members_is_cut_short(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.tar", FILES).read_bytes()
    (tmp_path / "b.tar").write_bytes(whole[: 1024 * 6])
    (tmp_path / "c.tar").write_bytes(whole[: 1024 * 6] + b"x" * 512 + whole[1024 * 6 + 512 :])
    for name in ("b.tar", "c.tar"):
        with pytest.raises(GencliError, match="cut short or damaged after 6,144 bytes"):
            opened(tmp_path / name)


def shards(folder: Path, **endings: bytes) -> ShardsTable:
    files = {f"{row:03d}.{name}": value for row in range(4) for name, value in ({"png": png(row)} | endings).items()}
    files |= {f"{row:03d}.cls": str(row % 3).encode() for row in range(4)}
    write(folder / "a-000.tar", files)
    write(folder / "a-001.tar", {f"s/9.{name}": value for name, value in {"PNG": png(9), "cls": b"2\n"}.items()})
    sources = [Input(str(folder / f"a-00{number}.tar")) for number in range(2)]
    return ShardsTable(sources, None, None, Decoding(), None, "cls", None, False)


def test_shards_of_webdataset_are_read_by_sample(tmp_path: Path) -> None:
    table = shards(tmp_path, txt=b"words")
    assert table.column("label").tolist() == [0, 1, 2, 0, 2]
    assert images(table)[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 9]
    with pytest.raises(GencliError, match="not one image and a cls"):
        shards(tmp_path, jpg=png(1))


def said_of(path: Path, split: str | None = None) -> tuple[str, str]:
    with pytest.raises(GencliError) as refused:
        opened(path, None, split)
    return refused.value.message, refused.value.hint


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_folders_of_splits_and_folders_of_classes_are_told_apart(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"

    def classes(*names: str, split: str | None = None) -> tuple[str, ...]:
        table = opened(write(path, {name: png(place) for place, name in enumerate(names)}), None, split)
        assert images(table)[:, 0, 0, 0].tolist() == sorted(images(table)[:, 0, 0, 0].tolist())
        return table.description.classes

    assert classes("cat/1.png", "dog/1.png") == ("cat", "dog")
    assert classes("test/1.png", "train/1.png") == ("test", "train")
    assert classes("cat/1.png", "train/a/1.png", "train/b/1.png") == ("cat", "train")
    assert classes("in/cat/1.png", "in/dog/more/1.png") == ("cat", "dog")
    assert classes("in/README", "in/cat/1.png", "in/dog/1.png") == ("cat", "dog")
    assert classes("train/a/1.png", "train/b/1.png", "README", split="train") == ("a", "b")
    say = "give an archive that holds one folder of images per class"
    write(path, {"train/a/1.png": png(1), "train/b/1.png": png(2), "README": b"x"})
    assert said_of(path) == (f"{path}: holds the split train, not classes", "--split takes one, such as --split train")
    write(path, {"test/a/1.png": png(1), "train/b/1.png": png(2)})
    takes = "--split takes one, such as --split train"
    assert said_of(path) == (f"{path}: holds the splits test, train, not classes", takes)
    assert said_of(path, "test") == (f"{path}: only one class, 'a'", say)
    write(path, {"cat/1.png": png(1), "cat/2.png": png(1)})
    assert said_of(path) == (f"{path}: only one class, 'cat'", say)
    write(path, {"1.png": png(1), "2.png": png(1)})
    assert said_of(path) == (f"{path}: no folders, so no classes", say)


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_an_archive_may_hold_its_folders_themselves(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{ending}", FILES)
    if ending == "zip":
        with zipfile.ZipFile(path, "a") as packed:
            packed.mkdir("1", 0o755)
    else:
        with tarfile.open(path, "a") as archive:
            archive.addfile(member("1", kind=tarfile.DIRTYPE))
    assert [*members(Input(str(path)))] == [*FILES]


def test_an_archive_s_name_is_the_data_set_s(tmp_path: Path) -> None:
    path = write(tmp_path / "cifar10-train.zip", FILES)
    for name, split, wanted in ((None, None, ("cifar10", "train")), ("x", None, ("x", "train"))):
        found = opened(path, name, split).description
        assert (found.name, found.split) == wanted
    assert opened(path, None, "test").description.split == "test"
    for name in ("a.b.tar.gz", "a.b.tgz", "a.b.tar", "a.b.zip"):
        (tmp_path / name).write_bytes(path.read_bytes())
        assert stem(Input(str(tmp_path / name))) == "a.b"


def test_an_archive_has_a_number_of_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.zip", FILES)
    monkeypatch.setattr("gencli.sources.packed._MOST", len(FILES))
    assert len(members(Input(str(path)))) == len(FILES)
    monkeypatch.setattr("gencli.sources.packed._MOST", len(FILES) - 1)
    with pytest.raises(GencliError, match=f"^{path}: more than 11 members$"):
        members(Input(str(path)))


def test_what_gzip_packed_is_unpacked_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tgz", FILES)
    size, packed = len(gzip.decompress(path.read_bytes())), path.stat().st_size
    monkeypatch.setattr("gencli.files.arrays.most_unpacked", lambda _: size)
    assert opened(path).rows == 12
    monkeypatch.setattr("gencli.files.arrays.most_unpacked", lambda _: size - 1)
    assert said_of(path) == (f"{path}: more than {size - 1:,} bytes packed in {packed:,}", "unpack it first")


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_a_member_is_an_input_of_its_own(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{ending}", {"1": b"before", "2": b"abcdef", "3": b"after"})
    inside = Member("2", members(Input(str(path)))["2"])
    assert inside.size == 6
    assert [inside.peek(*each) for each in ((0, 3), (0, 9), (4, 9), (6, 1), (9, 2), (2, 0))] == [
        b"abc", b"abcdef", b"ef", b"", b"", b"",
    ]  # fmt: skip


def sample(folder: Path, files: dict[str, bytes], image: str | None = None, number: int = 1) -> ShardsTable:
    source = Input(str(write(folder / "toy-test.tar", files)))
    return ShardsTable([source] * number, None, None, Decoding(), image, "cls", None, False)


def test_a_sample_has_one_image_and_one_label(tmp_path: Path) -> None:
    pair = {"0.png": png(1), "0.cls": b"0", "1.png": png(2), "1.cls": b"1", "d/.DS_Store": b"x"}
    table = sample(tmp_path, pair)
    path = tmp_path / "toy-test.tar"
    assert (table.rows, table.image_name(1)) == (2, f"{path}: sample '1': png")
    keep = np.array([False, True])
    assert images(table, keep)[:, 0, 0, 0].tolist() == [2]
    for more, image, said in (
        ({"1.jpg": png(3)}, None, "sample '1' has png, cls, jpg: not one image and a cls"),
        ({"2.png": png(3)}, None, "sample '2' has png: not one image and a cls"),
        ({"2.cls": b"1"}, None, "sample '2' has cls: not one image and a cls"),
        ({}, "seg.png", "sample '0' has png, cls: not one image and a cls"),
    ):
        with pytest.raises(GencliError) as refused:
            sample(tmp_path, pair | more, image)
        assert refused.value.message == f"{path}: {said}"
    two = {f"{row}.{name}": each for row in (0, 1) for name, each in (("a", png(row)), ("b", png(9)))}
    table = sample(tmp_path, two | {"0.cls": b"0", "1.cls": b"1"}, "a")
    assert images(table)[:, 0, 0, 0].tolist() == [0, 1]
    for number, files, said in ((2, pair, "sample '0' stands twice"), (1, {".DS_Store": b"x"}, "no samples")):
        with pytest.raises(GencliError) as refused:
            sample(tmp_path, files, number=number)
        assert refused.value.message == f"{path}: {said}"


def test_a_label_of_more_than_a_thousand_bytes_is_none() -> None:
    assert _text(b" 7\n", "x") == "7"
    assert _text(b"7".ljust(1000), "x") == "7"
    assert _text(b"7".ljust(1001), "x") == ""
    with pytest.raises(GencliError, match="its label is no text"):
        _text(b"\xff", "x")


@pytest.mark.parametrize(("form", "packer"), [("xztar", "xz"), ("bztar", "bzip2")])
def test_other_compression_is_named(form: str, packer: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, "a")
    with pytest.raises(GencliError, match=f"compressed by {packer}; of archives zip, tar and tar.gz are read") as error:
        members(Input(path))
    assert error.value.hint == f"unpack it first: {packer} -d {path}"
