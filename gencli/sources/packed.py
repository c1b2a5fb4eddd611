"""Images in archives, zip and tar, read without unpacking them: in folders of classes, or as samples of webdataset."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gencli import machine
from gencli.errors import GencliError, first_line
from gencli.files import arrays, tables
from gencli.files.stream import Input
from gencli.sources.classes import require_distinct
from gencli.sources.coded import in_order, of_words
from gencli.sources.decoded import SPLITS, DecodedTable, Decoding, Piece, identify
from gencli.sources.folder import is_litter, say_skipped

_AGAIN = "make the archive again, of files alone"
_MOST = 10_000_000  # members
_CHUNK = 1 << 20
_LABEL = 1000  # bytes
_PICTURES = {"jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff"}
_PACKED = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}

Read = Callable[[], bytes]


def is_archive(source: Input) -> bool:
    """Whether it is zip or tar, also compressed by gzip.

    Raises:
        GencliError: it is compressed by something else.
    """
    for start, packer in _PACKED.items():
        if source.starts(start):
            what = f"{source.name}: compressed by {packer}; of archives zip, tar and tar.gz are read"
            raise GencliError(what, f"unpack it first: {packer} -d {shlex.quote(source.name)}")
    return source.starts(b"PK\x03\x04") or source.starts(b"\x1f\x8b") or source.starts(b"ustar", 257)


def members(source: Input) -> dict[str, Read]:
    """What reads each file in an archive, by its name, in their order. Nothing is unpacked but gzip.

    Raises:
        GencliError: neither zip nor tar, corrupt, with links, devices, encryption, names that lead out of a folder or
            stand twice, or far more bytes than are packed.
    """
    found: dict[str, Read] = {}
    with _sound(source.name):
        is_archive(source)
        for name, read in _zip(source) if source.starts(b"PK\x03\x04") else _tar(source):
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
                raise GencliError(f"{source.name}: member {name!r:.80} leads out of a folder", _AGAIN)
            if str(path) in found:
                raise GencliError(f"{source.name}: member {name!r:.80} stands twice", _AGAIN)
            found[str(path)] = read
            if len(found) > _MOST:
                raise GencliError(f"{source.name}: more than {_MOST:,} members", "use several archives")
    return found


@contextmanager
def _sound(title: str) -> Iterator[None]:
    """Reading within: says that this archive is corrupt."""
    try:
        yield
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
            tarfile.TarError) as error:  # fmt: skip
        raise GencliError(f"{title}: corrupt: {first_line(error)}", _AGAIN) from None


def _zip(source: Input) -> Iterator[tuple[str, Read]]:
    archive = zipfile.ZipFile(source.file)

    def reader(member: zipfile.ZipInfo) -> Read:
        def read() -> bytes:
            with _sound(source.name):
                return arrays.unpack(archive, member, source.name)

        return read

    for member in archive.infolist():
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise GencliError(f"{source.name}: member {member.filename!r:.80} is a link or a device", _AGAIN)
        if not member.is_dir():
            yield member.filename, reader(member)


def _tar(source: Input) -> Iterator[tuple[str, Read]]:
    file = _unzipped(source) if source.starts(b"\x1f\x8b") else source.file
    file.seek(0)
    size = os.fstat(file.fileno()).st_size
    with tarfile.open(fileobj=file, mode="r:") as archive:
        end = 0
        for member in archive:
            blocks = 0 if member.isdir() else -(-member.size // tarfile.BLOCKSIZE)
            end = member.offset_data + blocks * tarfile.BLOCKSIZE
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise GencliError(f"{source.name}: member {member.name!r:.80} is a link or a device", _AGAIN)
            if member.offset_data + member.size > size:
                raise GencliError(f"{source.name}: cut short in member {member.name!r:.80}", _AGAIN)
            where = f"{source.name}: member {member.name!r:.80}"
            yield member.name, Stored(file, member.offset_data, member.size, where)
        if os.pread(file.fileno(), tarfile.BLOCKSIZE, end) != bytes(tarfile.BLOCKSIZE):  # tarfile takes all for an end
            raise GencliError(f"{source.name}: cut short or damaged after {end:,} bytes", _AGAIN)


@dataclass(frozen=True)
class Stored:
    """What reads a file that stands in an archive as it is: `size` bytes from `start`."""

    file: BinaryIO
    start: int
    size: int
    where: str

    def __call__(self) -> bytes:
        machine.require_memory(self.size, self.where, "remove it")
        return os.pread(self.file.fileno(), self.size, self.start)


class Member(Input):
    """A file in an archive as an input, which can be mapped; one of a zip is unpacked into a file without a name."""

    def __init__(self, name: str, read: Read) -> None:
        self.name, self.path = name, Path(name)
        if isinstance(read, Stored):
            self.file, self.offset, self.size = read.file, read.start, read.size
        else:
            self.file = tempfile.TemporaryFile()  # type: ignore[assignment]  # noqa: SIM115
            self.size = self.file.write(read())
            self.file.flush()

    def peek(self, start: int, count: int) -> bytes:
        return os.pread(self.file.fileno(), max(0, min(count, self.size - start)), self.offset + start)


def _unzipped(source: Input) -> BinaryIO:
    """The content of a file that gzip packed, in a file without a name."""
    file, most = tempfile.TemporaryFile(), arrays.most_unpacked(source.size)  # noqa: SIM115 - open as long as it is read
    source.file.seek(0)
    with gzip.open(source.file) as packed:
        while chunk := packed.read(_CHUNK):
            file.write(chunk)
            if file.tell() > most:
                raise GencliError(
                    f"{source.name}: more than {most:,} bytes packed in {source.size:,}", "unpack it first"
                )
    file.flush()
    return file  # type: ignore[return-value]


class ArchiveTable(DecodedTable):
    """The images in an archive's folders, each a class, as `folder.FolderTable` has those of a folder.

    A folder around all others is left out of the names.

    Raises:
        GencliError: see `members`; fewer than two classes, a class without images, or several splits.
    """

    def __init__(self, source: Input, name: str | None, split: str | None, decoding: Decoding) -> None:
        self._read = members(source)
        litter = [each for each in self._read if any(map(is_litter, PurePosixPath(each).parts))]
        paths = {each: PurePosixPath(each).parts for each in self._read if each not in {*litter}}
        say_skipped(source.name, Counter(PurePosixPath(each).name for each in litter))
        paths = _inside(paths)
        splits = sorted({parts[0] for parts in paths.values() if len(parts) > 2 and parts[0] in SPLITS})
        if splits and all(parts[0] in SPLITS for parts in paths.values() if len(parts) > 1):
            if split not in splits:
                raise GencliError(
                    f"{source.name}: holds the split{'s' * (len(splits) > 1)} {', '.join(splits)}, not classes",
                    f"--split takes one, such as --split {splits[-1]}",
                )
            paths = {each: parts[1:] for each, parts in paths.items() if parts[0] == split}
        paths = {each: parts for each, parts in paths.items() if len(parts) > 1}
        classes = in_order({parts[0] for parts in paths.values()})
        if len(classes) < 2:
            raise GencliError(
                f"{source.name}: {f'only one class, {classes[0]!r}' if classes else 'no folders, so no classes'}",
                "give an archive that holds one folder of images per class",
            )
        shown = tuple(each.encode(errors="replace").decode() for each in classes)
        require_distinct(shown, source.name, "rename one; names that are not UTF-8 are not distinguished")
        places = {each: place for place, each in enumerate(classes)}
        self._files = sorted(paths, key=lambda each: (places[paths[each][0]], paths[each]))
        labels = np.array([places[paths[each][0]] for each in self._files], np.int64)
        known = identify(stem(source))
        name, split = known[0] if name is None else name, known[1] if split is None else split
        columns = {"id": tables.identities(name, split, 0, len(labels)), "label": labels}
        super().__init__([source], None, columns, name, split, shown, decoding)

    def image_name(self, place: int) -> str:
        return f"{self.title}: {self._files[place]}"

    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        for place in np.arange(len(self._files)) if keep is None else np.flatnonzero(keep):
            yield [self._read[self._files[place]]()], np.array([place])


def stem(source: Input) -> str:
    """The name of an archive without its ending."""
    if source.path is None:
        return source.sha256[:16]
    return re.sub(r"\.(zip|tar|tgz|tar\.gz)$", "", source.path.name)


def _inside(paths: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The parts of the paths without a folder that all are in, where there are folders in it."""
    tops = {parts[0] for parts in paths.values()}
    if len(tops) == 1 and tops.isdisjoint(SPLITS) and any(len(parts) > 2 for parts in paths.values()):
        return {each: parts[1:] for each, parts in paths.items()}
    return paths


class ShardsTable(DecodedTable):
    """The samples of webdataset's shards: files one after the other in a tar whose names differ in their endings alone.

    Args:
        image, label: the endings; by default that of the one image in a sample, and cls.

    Raises:
        GencliError: see `members`; a sample without an image or a label, or that stands twice.
    """

    def __init__(
        self, sources: Sequence[Input], name: str | None, split: str | None, decoding: Decoding, image: str | None,
        label: str, classes: tuple[str, ...] | None, renumber: bool,
    ) -> None:  # fmt: skip
        self._images: list[tuple[str, Read]] = []
        words: list[str] = []
        known: set[str] = set()
        for source in sources:
            samples: dict[str, dict[str, Read]] = {}
            for path, read in members(source).items():
                folder, _, file = path.rpartition("/")
                if not is_litter(file):
                    key, _, ending = file.partition(".")
                    samples.setdefault(f"{folder}/{key}" if folder else key, {})[ending.lower()] = read
            for key, files in samples.items():
                where = f"{source.name}: sample {key!r:.80}"
                if key in known:
                    raise GencliError(f"{where} stands twice", "name each sample once in all shards")
                known.add(key)
                pictures = [each for each in files if each in _PICTURES] if image is None else [image]
                if len(pictures) != 1 or pictures[0] not in files or label not in files:
                    raise GencliError(
                        f"{where} has {', '.join(files)}: not one image and a {label}",
                        "--image and --label name the endings of the files that hold them",
                    )
                self._images.append((f"{where}: {pictures[0]}", files[pictures[0]]))
                words.append(_text(files[label](), where))
        if not words:
            raise GencliError(f"{sources[0].name}: no samples", "give shards with one image and one label per sample")
        identified = identify(stem(sources[0]))
        name, split = identified[0] if name is None else name, identified[1] if split is None else split
        labels, shown = of_words(words, classes, renumber, sources[0].name, label)
        columns = {"id": tables.identities(name, split, 0, len(labels)), "label": labels}
        super().__init__(sources, None, columns, name, split, shown, decoding)

    def image_name(self, place: int) -> str:
        return self._images[place][0]

    def pieces(self, count: int, keep: NDArray[np.bool_] | None) -> Iterator[Piece]:
        for place in np.arange(len(self._images)) if keep is None else np.flatnonzero(keep):
            yield [self._images[place][1]()], np.array([place])


def _text(content: bytes, where: str) -> str:
    try:
        return content[:_LABEL].decode().strip() if len(content) <= _LABEL else ""
    except UnicodeDecodeError:
        raise GencliError(f"{where}: its label is no text", "--label names the ending of the labels") from None
