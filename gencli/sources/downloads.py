"""CIFAR-10, CIFAR-100, MNIST, Fashion-MNIST and SVHN from torchvision's files, downloaded where they are missing.

Addresses, checksums, readers and the folders' layout are torchvision's. The way to the disk is not: a file has its name
once it is complete and its MD5 is right.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009 (CIFAR). Y. LeCun, L. Bottou, Y. Bengio and
P. Haffner, Gradient-Based Learning Applied to Document Recognition, 1998 (MNIST). H. Xiao, K. Rasul and R. Vollgraf,
Fashion-MNIST, 2017. Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011 (SVHN).
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

import gencli
from gencli.cli.console import Advance
from gencli.errors import GencliError
from gencli.files import tables
from gencli.files.stores import require_folder
from gencli.files.stream import Input, Output
from gencli.files.tables import Description, MemoryTable

Progress = Callable[[str, int], AbstractContextManager[Advance]]

_PATIENCE, _CHUNK = 30.0, 1 << 18  # seconds without a byte; bytes
_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class _Archive:
    """A file to download from one of `urls`, and the files that are in it, or itself where it is not packed."""

    path: Path
    md5: str
    urls: Sequence[str]
    files: Sequence[Path]


class _Rows(NamedTuple):
    """Classes, images [rows, height, width, channels] uint8, labels [rows] int64, and the files that hold them."""

    classes: Sequence[str]
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: Sequence[Path]


def load(name: str, split: str, root: str | None, progress: Progress) -> MemoryTable:
    """A split of `cifar10`, `cifar100`, `mnist`, `fashion-mnist` or `svhn`, in the source's order.

    Args:
        split: `train`, `test`, and for svhn `extra`.
        root: the folder that has or gets the files; by default `gencli` in $XDG_CACHE_HOME or ~/.cache.
        progress: shows a download's.

    Raises:
        GencliError: a file cannot be downloaded or written, or is corrupt; the root is an address.
    """
    import torchvision.datasets

    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    require_folder(root or "", "--root")
    folder = Path(os.path.expanduser(root or f"{cache}/gencli"))
    read, kind = _SOURCES[name]
    rows = read(getattr(torchvision.datasets, kind), split, _Store(folder, progress))
    inputs = tuple(Input(str(file)) for file in rows.files)
    if len(rows.images) != len(rows.labels):
        names = " and ".join(source.name for source in inputs)
        raise GencliError(f"{names}: {len(rows.images)} images and {len(rows.labels)} labels", _AGAIN)
    tables.check_labels(rows.labels, len(rows.classes), inputs[-1].name)
    height, width, channels = rows.images.shape[1:]
    description = Description(name, split, tuple(rows.classes), (height, width, channels))
    table = MemoryTable(f"{name} {split}", description, rows.images, rows.labels)
    table.inputs = inputs
    return table


@dataclass(frozen=True)
class _Store:
    """The folder of a data set's files, filled from the network."""

    root: Path
    progress: Progress

    def provide(self, archives: Sequence[_Archive]) -> None:
        """Downloads and unpacks what is missing of the files in these archives."""
        lacking = [archive for archive in archives if not all(file.exists() for file in archive.files)]
        absent = [archive for archive in lacking if not archive.path.exists()]
        names = ", ".join(str(archive.path.relative_to(self.root)) for archive in absent)
        for archive in lacking:
            if archive in absent:
                self._fetch(archive, f"without a network connection, use --root with a folder that holds {names}")
            else:
                _check(archive.path, archive.md5)
            _unpack(archive)

    def _fetch(self, archive: _Archive, hint: str) -> None:
        failures, made = [], [folder for folder in archive.path.parents if not folder.exists()]
        try:
            for url in archive.urls:
                try:
                    with _create(archive.path) as output:
                        self._download(url, archive, output)
                    return
                except (OSError, HTTPException) as error:
                    failures.append(f"from {urlsplit(url).hostname}: {_reason(error)}")
            raise GencliError(f"{archive.path.name}: cannot be downloaded {'; '.join(failures)}", hint)
        finally:
            with suppress(OSError):  # the file is in them
                for folder in made:
                    folder.rmdir()

    def _download(self, url: str, archive: _Archive, output: Output) -> None:
        digest, done = hashlib.md5(usedforsecurity=False), 0
        request = Request(url, headers={"User-Agent": f"gencli/{gencli.__version__}"})  # noqa: S310 - an address that torchvision publishes
        with (
            urlopen(request, timeout=_PATIENCE) as response,  # noqa: S310 - likewise
            self.progress(archive.path.name, response.length or 0) as advance,
        ):
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                output.write(chunk)
                done += len(chunk)
                advance(done, "bytes")
        if digest.hexdigest() != archive.md5:
            raise URLError(f"{done:,} bytes whose MD5 is {digest.hexdigest()}, not {archive.md5}")


def _cifar(kind: Any, split: str, store: _Store) -> _Rows:
    folder = store.root / kind.base_folder
    wanted = [name for name, _ in (kind.train_list if split == "train" else kind.test_list)]
    listed = [(kind.meta["filename"], kind.meta["md5"]), *kind.train_list, *kind.test_list]
    files = {folder / name: md5 for name, md5 in listed}
    store.provide([_Archive(store.root / kind.filename, kind.tgz_md5, [kind.url], list(files))])
    with _checked(files):
        data = kind(store.root, train=split == "train")
    used = [folder / name for name in (kind.meta["filename"], *wanted)]
    return _Rows(data.classes, data.data, np.array(data.targets, np.int64), used)


def _mnist(kind: Any, split: str, store: _Store) -> _Rows:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    folder = store.root / kind.__name__ / "raw"
    archives = [
        _Archive(folder / name, md5, [mirror + name for mirror in kind.mirrors], [folder / name.removesuffix(".gz")])
        for name, md5 in kind.resources
        if name.startswith("train" if split == "train" else "t10k")
    ]
    store.provide(archives)
    images, labels = files = [archive.files[0] for archive in archives]
    classes = _DIGITS if kind.__name__ == "MNIST" else kind.classes
    return _Rows(classes, _idx(read_image_file, images)[..., None], _idx(read_label_file, labels), files)


def _idx(read: Callable[[str], Any], path: Path) -> NDArray[Any]:
    try:
        return read(str(path)).numpy()
    except (AssertionError, KeyError, RuntimeError, TypeError, ValueError):  # what torchvision has for a bad header
        raise GencliError(f"{path}: corrupt, not a complete idx file", _AGAIN) from None


def _svhn(kind: Any, split: str, store: _Store) -> _Rows:
    url, name, md5 = kind.split_list[split]
    path = store.root / name
    store.provide([_Archive(path, md5, [url], [path])])
    with _checked({path: md5}):
        data = kind(store.root, split)
    return _Rows(_DIGITS, data.data.transpose(0, 2, 3, 1), data.labels, [path])


_SOURCES: dict[str, tuple[Callable[[Any, str, _Store], _Rows], str]] = {
    "cifar10": (_cifar, "CIFAR10"),
    "cifar100": (_cifar, "CIFAR100"),
    "mnist": (_mnist, "MNIST"),
    "fashion-mnist": (_mnist, "FashionMNIST"),
    "svhn": (_svhn, "SVHN"),
}
_AGAIN = "delete it, and the next run downloads it again"


@contextmanager
def _checked(files: Mapping[Path, str]) -> Iterator[None]:
    """Reading within by torchvision, which refuses files with another MD5, but does not say which."""
    try:
        yield
    except RuntimeError:
        for path, md5 in files.items():
            _check(path, md5)
        raise


def _check(path: Path, md5: str) -> None:
    from torchvision.datasets.utils import calculate_md5

    found = calculate_md5(path)
    if found != md5:
        raise GencliError(f"{path}: corrupt, its MD5 is {found}, not {md5}", _AGAIN)


def _reason(error: Exception) -> str:
    cause = error.reason if type(error) is URLError else error  # an HTTPError's says less than itself
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _unpack(archive: _Archive) -> None:
    missing = {str(file.relative_to(archive.path.parent)): file for file in archive.files if not file.exists()}
    if archive.path.name.endswith(".tar.gz"):
        with tarfile.open(archive.path) as packed:
            for member in packed:
                if member.isfile() and member.name in missing:  # nothing else is written, wherever it would go
                    _write(cast(BinaryIO, packed.extractfile(member)), missing[member.name])
    elif missing:
        with gzip.open(archive.path) as source:
            _write(cast(BinaryIO, source), archive.files[0])


def _write(source: BinaryIO, path: Path) -> None:
    with _create(path) as output:
        shutil.copyfileobj(source, output, _CHUNK)


def _create(path: Path) -> Output:
    """Opens a file that appears complete or not at all, in a folder that is made where there is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        where = f"{path.parent}: cannot be written: {error.strerror}"
        raise GencliError(where, "use --root with another folder") from None
    return Output(str(path))
