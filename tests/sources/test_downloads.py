"""Data sets that are downloaded: small ones in each source's own format, from folders and from a server."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import pickle
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from numpy.typing import NDArray
from PIL import Image
from torchvision import datasets

from gencli.cli.app import main
from gencli.cli.reference import read_tree
from gencli.commands.data.downloads import SOURCES
from gencli.files.parquet import read_provenance
from gencli.files.provenance import command_line
from gencli.files.tables import ImageTable, read_description
from gencli.sources import open_table
from tests.helpers import images
from tests.pipelines.shell import environment, explained, finish, wait_for
from tests.test_docs import example

RANDOM = np.random.default_rng(0)
SPLITS = [(name, split) for name in SOURCES for split in ("train", "test")] + [("svhn", "extra")]
each = pytest.mark.parametrize("name", SOURCES)


@dataclass
class Source:
    """A small data set: what its files must be read as, its archives by their place under a root, its class."""

    kind: Any
    classes: tuple[str, ...]
    images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    labels: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    archives: dict[str, bytes] = field(default_factory=dict)

    def draw(self, split: str, rows: int, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        self.images[split] = RANDOM.integers(0, 256, (rows, *shape), dtype=np.uint8)
        self.labels[split] = np.append(0, RANDOM.integers(0, len(self.classes), rows - 1))
        return self.images[split], self.labels[split]

    def put(self, root: Path) -> Path:
        for name, content in self.archives.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return root


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def cifar(kind: Any, classes: tuple[str, ...], key: str, patch: pytest.MonkeyPatch, url: str) -> Source:
    source = Source(kind, classes)
    files = {kind.meta["filename"]: pickle.dumps({kind.meta["key"]: list(classes)})}
    for split, listed in (("train", kind.train_list), ("test", kind.test_list)):
        pixels, labels = source.draw(split, 4 * len(listed), (32, 32, 3))
        for part, (file, _) in enumerate(listed):
            rows = slice(4 * part, 4 * part + 4)
            flat = pixels[rows].transpose(0, 3, 1, 2).reshape(4, 3072)  # all red, all green, all blue
            files[file] = pickle.dumps({"data": flat, key: labels[rows].tolist()})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        inside = {f"{kind.base_folder}/{file}": content for file, content in files.items()}
        for file, content in (inside | {"elsewhere": b"what nobody asked for"}).items():
            member = tarfile.TarInfo(file)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    source.archives[kind.filename] = packed.getvalue()
    patch.setattr(kind, "url", url + kind.filename)
    patch.setattr(kind, "tgz_md5", md5(packed.getvalue()))
    patch.setattr(kind, "meta", kind.meta | {"md5": md5(files[kind.meta["filename"]])})
    for listed in ("train_list", "test_list"):
        patch.setattr(kind, listed, [[file, md5(files[file])] for file, _ in getattr(kind, listed)])
    return source


def idx(values: NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def mnist(kind: Any, classes: tuple[str, ...], patch: pytest.MonkeyPatch, url: str) -> Source:
    source = Source(kind, classes)
    folder = f"{kind.__name__}/raw/"
    for split, start in (("train", "train"), ("test", "t10k")):
        pixels, labels = source.draw(split, 7, (28, 28, 1))
        source.archives[f"{folder}{start}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels[..., 0]))
        source.archives[f"{folder}{start}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels.astype(np.uint8)))
    patch.setattr(kind, "mirrors", [url + folder])
    patch.setattr(kind, "resources", [(file, md5(source.archives[folder + file])) for file, _ in kind.resources])
    return source


def svhn(patch: pytest.MonkeyPatch, url: str) -> Source:
    source = Source(datasets.SVHN, tuple("0123456789"))
    known = {}
    for split, rows in (("train", 6), ("test", 5), ("extra", 8)):
        pixels, labels = source.draw(split, rows, (32, 32, 3))
        file, content = f"{split}_32x32.mat", io.BytesIO()
        ten = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        scipy.io.savemat(content, {"X": pixels.transpose(1, 2, 3, 0), "y": ten})
        source.archives[file] = content.getvalue()
        known[split] = [url + file, file, md5(content.getvalue())]
    patch.setattr(datasets.SVHN, "split_list", known)
    return source


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def lay_down(name: str, patch: pytest.MonkeyPatch, url: str = "http://127.0.0.1:9/") -> Source:
    """The data set in small; torchvision's addresses and checksums are its own from here on."""
    if name == "cifar10":
        return cifar(datasets.CIFAR10, CIFAR10, "labels", patch, url)
    if name == "cifar100":
        return cifar(datasets.CIFAR100, tuple(f"fine {n}" for n in range(100)), "fine_labels", patch, url)
    if name == "svhn":
        return svhn(patch, url)
    kind, classes = (datasets.MNIST, tuple("0123456789")) if name == "mnist" else (datasets.FashionMNIST, FASHION)
    return mnist(kind, classes, patch, url)


@dataclass
class Server:
    """Serves a folder; `asked` are the paths it was asked for."""

    folder: Path
    url: str
    asked: list[str]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(folder))

        def log_message(self, format: str, *given: Any) -> None:
            if self.path not in asked:
                asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield Server(folder, f"http://127.0.0.1:{running.server_port}/", asked)
        running.shutdown()
        thread.join()


Data = Callable[..., ImageTable]


@pytest.fixture
def data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Data:
    """Runs `gencli data` on a root, silently, and reads what it wrote."""

    def run(name: str, root: Path, *options: str) -> ImageTable:
        output = tmp_path / "out.parquet"
        status = main(["data", name, "--root", str(root), *options, "-o", str(output)])
        assert (status, *capfd.readouterr()) == (0, "", "")
        return open_table(str(output))

    return run


Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Runs `gencli data` on a root: status 2, these words, no output and nothing half-written."""

    def run(name: str, root: Path, *words: str) -> None:
        assert main(["data", name, "--root", str(root), "-o", str(tmp_path / "out.parquet")]) == 2
        out, err = capfd.readouterr()
        assert not out
        explained(err, *words)
        assert not (tmp_path / "out.parquet").exists()
        assert not list(tmp_path.rglob("*.partial"))

    return run


def assert_is(table: ImageTable, source: Source, name: str, split: str) -> None:
    assert (table.description.name, table.description.split) == (name, split)
    assert table.description.classes == source.classes
    assert np.array_equal(images(table), source.images[split])
    assert np.array_equal(table.column("label"), source.labels[split])


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_a_split_is_what_the_archives_hold(
    name: str, split: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data
) -> None:
    source = lay_down(name, monkeypatch)
    assert_is(data(name, source.put(tmp_path / "root"), "--split", split), source, name, split)
    assert not list(tmp_path.rglob("elsewhere"))


@each
def test_what_torchvision_unpacked_is_enough(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data
) -> None:
    source = lay_down(name, monkeypatch)
    root = source.put(tmp_path / "root")
    if name != "svhn":
        source.kind(root, download=True)
        for archive in source.archives:
            (root / archive).unlink()
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert_is(data(name, root, "--split", "test"), source, name, "test")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@each
def test_torchvision_reads_what_gencli_downloaded(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, data: Data
) -> None:
    source = lay_down(name, monkeypatch, server.url)
    source.put(server.folder)
    root = tmp_path / "new" / "root"
    for split in source.images:
        assert_is(data(name, root, "--split", split), source, name, split)
    assert sorted(server.asked) == sorted(f"/{archive}" for archive in source.archives)
    if name == "svhn":
        assert np.array_equal(source.kind(root, "test").labels, source.labels["test"])
    else:
        assert np.array_equal(source.kind(root, train=False).targets, source.labels["test"])


@each
def test_a_second_call_downloads_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, data: Data
) -> None:
    source = lay_down(name, monkeypatch, server.url)
    source.put(server.folder)
    data(name, tmp_path / "root")
    server.asked.clear()
    data(name, tmp_path / "root")
    assert not server.asked


def test_one_file_that_is_gone_is_unpacked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data) -> None:
    source = lay_down("cifar10", monkeypatch)
    root = source.put(tmp_path / "root")
    data("cifar10", root)
    files = [path for path in (root / "cifar-10-batches-py").iterdir() if path.name != "data_batch_2"]
    before = {path: path.stat().st_mtime_ns for path in files}
    (root / "cifar-10-batches-py" / "data_batch_2").unlink()
    assert_is(data("cifar10", root), source, "cifar10", "train")
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_a_download_shows_how_far_it_is_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gencli.cli.console._LINE_EVERY", 0)
    source = lay_down("svhn", monkeypatch, server.url)
    source.put(server.folder)
    size = f"{len(source.archives['test_32x32.mat']):,}"
    for quiet, shown in ([], f"test_32x32.mat: {size} of {size} bytes\n"), (["-q"], ""):
        root = str(tmp_path / f"root{len(quiet)}")
        assert main(["data", "svhn", "--split", "test", "--root", root, "-o", str(tmp_path / "out"), *quiet]) == 0
        assert capfd.readouterr().err.startswith(shown) if shown else not capfd.readouterr().err


def test_the_default_root_is_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = lay_down("svhn", monkeypatch)
    source.put(tmp_path / "home" / ".cache" / "gencli")
    source.put(tmp_path / "cache" / "gencli")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for cache in ("", str(tmp_path / "cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert main(["data", "svhn", "-o", str(tmp_path / "out.parquet")]) == 0
        shutil.rmtree(cache or tmp_path / "home")


@each
def test_the_example_runs_and_the_provenance_names_the_files(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = lay_down(name, monkeypatch)
    source.put(tmp_path / "gencli")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (page,) = [page for page in read_tree().walk() if page.name == f"gencli-data-{name}"]
    assert main(shlex.split(example(page) or "")[1:]) == 0
    with pq.ParquetFile("test.parquet") as file:
        made, description = read_provenance(file), read_description(file, name)
    assert made is not None
    assert description is not None
    assert made.command == f"data {name}"
    assert made.arguments == {"split": "test", "classes": None, "sample": None, "seed": 0, "limit": None}
    assert set(made.versions) == {"gencli", "numpy", "pyarrow", "torchvision"}
    assert str(tmp_path) not in str(made)
    assert command_line(made) == f"gencli data {name} --split test --seed 0"
    held = {path.name: path.read_bytes() for path in (tmp_path / "gencli").rglob("*") if path.is_file()}
    for entry in made.inputs:
        assert entry.sha256 == hashlib.sha256(held[entry.name]).hexdigest()
    assert len(made.inputs) == (1 if name == "svhn" else 2)


def test_rows_are_selected_like_any_source_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data) -> None:
    source = lay_down("fashion-mnist", monkeypatch)
    wanted = int(source.labels["train"][-1])
    table = data("fashion-mnist", source.put(tmp_path / "root"), "--classes", FASHION[wanted])
    assert np.array_equal(images(table), source.images["train"][source.labels["train"] == wanted])


def test_identities_are_those_of_the_parquet_that_hubs_publish(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data
) -> None:
    source = lay_down("cifar10", monkeypatch)
    rows = []
    for pixels in source.images["train"]:
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        rows.append({"bytes": png.getvalue(), "path": None})
    hub = pa.table({"img": rows, "label": source.labels["train"]})
    pq.write_table(hub, tmp_path / "cifar10-train.parquet")
    published = open_table(str(tmp_path / "cifar10-train.parquet"))
    table = data("cifar10", source.put(tmp_path / "root"))
    assert np.array_equal(table.column("id"), published.column("id"))
    assert np.array_equal(images(table), images(published))


# --- refused


def test_an_unknown_split_names_the_known_ones(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "svhn", "--split", "validation"]) == 2
    explained(capfd.readouterr().err, "--split", "'validation' is not one of 'train', 'test', 'extra'")


@each
def test_without_network_the_host_and_the_files_are_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, refused: Refused
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    source = lay_down(name, monkeypatch, url)
    first = next(iter(source.archives))
    words = (
        f"{Path(first).name}: cannot be downloaded from 127.0.0.1: Connection refused",
        f"--root with a folder that holds {first}",
    )
    refused(name, tmp_path / "root", *words)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("serve", "says"),
    [
        (None, "HTTP Error 404"),
        (b"something else", f"14 bytes whose MD5 is {md5(b'something else')}, not "),
    ],
)
def test_a_wrong_answer_is_no_file(
    serve: bytes | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, refused: Refused
) -> None:
    lay_down("svhn", monkeypatch, server.url)
    if serve is not None:
        (server.folder / "train_32x32.mat").write_bytes(serve)
    refused("svhn", tmp_path / "root", "train_32x32.mat: cannot be downloaded from 127.0.0.1: ", says)
    assert not (tmp_path / "root").exists()


def test_a_server_that_does_not_answer_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Refused
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("gencli.sources.downloads._PATIENCE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lay_down("svhn", monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        refused("svhn", tmp_path / "root", "from 127.0.0.1: timed out")


def test_mirrors_are_tried_in_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, data: Data, refused: Refused
) -> None:
    source = lay_down("mnist", monkeypatch, server.url)
    source.put(server.folder)
    for archive in source.archives:
        (server.folder / "wrong" / archive).parent.mkdir(parents=True, exist_ok=True)
        (server.folder / "wrong" / archive).write_bytes(b"something else")
    bad = [f"{server.url}missing/", f"{server.url}wrong/MNIST/raw/"]
    good = datasets.MNIST.mirrors
    monkeypatch.setattr(datasets.MNIST, "mirrors", bad)
    refused("mnist", tmp_path / "root", "from 127.0.0.1: HTTP Error 404", "; from 127.0.0.1: 14 bytes whose MD5")
    monkeypatch.setattr(datasets.MNIST, "mirrors", bad + good)
    assert_is(data("mnist", tmp_path / "root"), source, "mnist", "train")


def test_a_root_that_cannot_be_written_is_refused_before_the_network_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server, refused: Refused
) -> None:
    lay_down("cifar10", monkeypatch, server.url).put(server.folder)
    (tmp_path / "file").write_text("no folder")
    refused("cifar10", tmp_path / "file", f"{tmp_path / 'file'}: cannot be written: File exists")
    refused("cifar10", tmp_path / "file" / "below", "cannot be written: Not a directory")
    assert not server.asked


DAMAGED = {
    "cifar10": "cifar-10-batches-py/data_batch_3",
    "cifar100": "cifar-100-python/meta",
    "mnist": "MNIST/raw/train-images-idx3-ubyte",
    "fashion-mnist": "FashionMNIST/raw/train-labels-idx1-ubyte",
    "svhn": "train_32x32.mat",
}


@pytest.mark.parametrize(("name", "file"), DAMAGED.items())
@pytest.mark.parametrize("kept", [0, 3, 9, -1])
def test_a_file_cut_short_is_named(
    name: str, file: str, kept: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Data, refused: Refused
) -> None:
    root = lay_down(name, monkeypatch).put(tmp_path / "root")
    data(name, root)
    (tmp_path / "out.parquet").unlink()
    (root / file).write_bytes((root / file).read_bytes()[:kept])
    refused(name, root, f"{root / file}: corrupt", "delete it")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion-mnist"])
def test_an_archive_cut_short_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Refused
) -> None:
    source = lay_down(name, monkeypatch)
    archive = source.put(tmp_path / "root") / next(iter(source.archives))
    archive.write_bytes(archive.read_bytes()[:-1])
    refused(name, tmp_path / "root", f"{archive}: corrupt, its MD5 is ")


def test_images_and_labels_that_do_not_match_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: Refused
) -> None:
    raw = lay_down("mnist", monkeypatch).put(tmp_path / "root") / "MNIST" / "raw"
    (raw / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((3, 28, 28), np.uint8)))
    labels = raw / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.zeros(2, np.uint8)))
    refused("mnist", tmp_path / "root", str(labels), "3 images and 2 labels")
    labels.write_bytes(idx(np.array([0, 1, 10], np.uint8)))
    refused("mnist", tmp_path / "root", f"{labels}: row 2: label 10 is not one of the 10 classes")


_STALLED = """
import sys
from torchvision import datasets
datasets.SVHN.split_list = {"train": [sys.argv[1], "train_32x32.mat", "0" * 32]}
from gencli.cli.app import main
main(["data", "svhn", "--root", "root", "-o", "out.parquet"])
"""


def test_an_interrupted_download_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        process = subprocess.Popen(
            [sys.executable, "-c", _STALLED, url], cwd=tmp_path, env=environment({"no_proxy": "*"}),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        wait_for(tmp_path, "root/.train_32x32.mat.*.partial", process)
        process.send_signal(signal.SIGTERM)
        done = finish(process)
    assert (done.status, done.out, done.err) == (128 + signal.SIGTERM, b"", "")
    assert [path.name for path in tmp_path.rglob("*")] == ["root"]
