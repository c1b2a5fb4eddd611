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
from gencli.sources.packed import ArchiveTable, ShardsTable, members
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


@pytest.mark.parametrize(("form", "packer"), [("xztar", "xz"), ("bztar", "bzip2")])
def test_other_compression_is_named(form: str, packer: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, "a")
    with pytest.raises(GencliError, match=f"compressed by {packer}; of archives zip, tar and tar.gz are read") as error:
        members(Input(path))
    assert error.value.hint == f"unpack it first: {packer} -d {path}"
