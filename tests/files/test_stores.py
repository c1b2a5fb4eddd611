"""Objects of stores and the web are read like files, in parts where parts are enough, and told without secrets."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli.cli.app import main
from gencli.errors import cleaned
from gencli.files import stores
from gencli.files.parquet import open_file, read_provenance
from gencli.files.remote import RemoteFile
from gencli.files.stream import Input
from tests.pipelines.shell import Shell
from tests.servers import MOTO, Handler, Relay, Web, google, moto, running

ROWS, GROUP = 6000, 500
Run = Callable[..., tuple[int, str]]


def hub_table(rows: int = ROWS) -> bytes:
    """A table of another tool's: PNG images, in row groups of 0.9 MB."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(40):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(file, "PNG")
        images.append({"bytes": file.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"img": pa.array([images[row % 40] for row in range(rows)], kind), "label": random.integers(0, 10, rows)}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, row_group_size=GROUP, use_dictionary=False, compression="none")
    return sink.getvalue()


@pytest.fixture(scope="module")
def table() -> bytes:
    """Of 11 MB."""
    return hub_table()


SMALL = hub_table(300)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in an empty folder; gives its status and what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("gencli.files.web._PAUSES", (0.0, 0.0))

    def run(*words: str) -> tuple[int, str]:
        status = main([*words])
        return status, capfd.readouterr().err

    return run


@pytest.fixture
def web(table: bytes) -> Iterator[Web]:
    with running(Web({"/cifar10-train.parquet": table})) as server:
        yield server


def first_rows(path: str, rows: int) -> bytes:
    return b"".join(pq.read_table(path).column("image").to_pylist()[:rows])


def test_a_limit_reads_little_of_a_large_object_and_the_same_rows(run: Run, web: Web, table: bytes):
    Path("cifar10-train.parquet").write_bytes(table)
    assert run("data", "parquet", "cifar10-train.parquet", "--limit", "300", "-q", "-o", "local.parquet")[0] == 0
    assert run("data", "parquet", f"{web.url}/cifar10-train.parquet", "--limit", "300", "-q", "-o", "part.parquet") == (
        0,
        "",
    )
    assert web.sent < len(table) / 5
    assert pq.read_table("part.parquet").equals(pq.read_table("local.parquet"))


def test_the_whole_is_fetched_once_and_gives_the_bytes_of_a_copy(run: Run, web: Web):
    Path("small-train.parquet").write_bytes(SMALL)
    web.files["/small-train.parquet"] = SMALL
    run("data", "parquet", "small-train.parquet", "-q", "-o", "local.parquet")
    assert run("data", "parquet", f"{web.url}/small-train.parquet", "-q", "-o", "whole.parquet") == (0, "")
    assert Path("whole.parquet").read_bytes() == Path("local.parquet").read_bytes()
    assert web.sent < len(SMALL) + (1 << 16)


def test_provenance_of_the_whole_is_its_hash_and_of_a_part_the_object_without_secrets(run: Run, web: Web):
    place = web.url.replace("//", "//user:secret@") + "/small-train.parquet?signature=secret"
    web.files["/small-train.parquet"] = SMALL
    for words, known in (([], True), (["--limit", "10"], False)):
        assert run("data", "parquet", place, *words, "-q", "-o", "made.parquet") == (0, "")
        assert b"secret" not in Path("made.parquet").read_bytes()
        made = read_provenance(open_file(Input("made.parquet")))
        assert made is not None
        [source] = made.inputs
        assert source.name == "small-train.parquet"
        assert source.sha256 == (hashlib.sha256(SMALL).hexdigest() if known else "")
        tag = hashlib.md5(SMALL).hexdigest()
        said = f'{web.url}/small-train.parquet?…, {len(SMALL)} bytes, version "{tag}"'
        assert source.object == ("" if known else said)
    assert {each["Authorization"] for _, each in web.seen} == {"Basic dXNlcjpzZWNyZXQ="}
    status, said = run("how", "made.parquet")
    assert status == 2
    assert "made from a part of" in said
    assert run("how", "made.parquet", "--tree", "-o", "tree")[0] == 0
    assert "of which a part was read" in Path("tree").read_text()


def test_tables_of_gencli_are_read_whole_since_their_seal_is_checked(run: Run, web: Web):
    run("data", "digits", "-q", "-o", "digits.parquet")
    content = Path("digits.parquet").read_bytes()
    web.files["/digits.parquet"] = content
    assert run("data", "parquet", f"{web.url}/digits.parquet", "--limit", "5", "-q", "-o", "five.parquet") == (0, "")
    made = read_provenance(open_file(Input("five.parquet")))
    assert made is not None
    assert made.inputs[0].sha256 == hashlib.sha256(content).hexdigest()
    wrong = bytearray(content)
    wrong[len(content) // 2] ^= 1
    web.files["/wrong.parquet"] = bytes(wrong)
    status, said = run("data", "parquet", f"{web.url}/wrong.parquet", "--limit", "5", "-q", "-o", "wrong.parquet")
    assert status == 2
    assert "not the Parquet that gencli sealed" in said
    assert not Path("wrong.parquet").exists()


def test_every_kind_of_file_is_read_from_the_web(run: Run, web: Web, capfd: pytest.CaptureFixture[str]):
    run("data", "digits", "--limit", "60", "-q", "-o", "d.parquet")
    Path("scores.csv").write_text(
        "id,score\n" + "".join(f"{row},{row / 60}\n" for row in pq.read_table("d.parquet")["id"])
    )
    for path in Path().iterdir():
        web.files[f"/{path.name}"] = path.read_bytes()
    for words in (
        ("show", "URL/d.parquet"),
        ("corrupt", "gaussian-pixels", "--statistics", "URL/d.parquet", "URL/d.parquet"),
        ("data", "where", "score > 0.5", "URL/d.parquet", "--join", "URL/scores.csv?x=1"),
    ):
        shown = []
        for place in (f"{web.url}/", ""):
            named = [word.replace("URL/", place).removesuffix("" if place else "?x=1") for word in words]
            assert main(named) == 0
            shown.append(capfd.readouterr().out)
        assert shown[0] == shown[1] != ""


@pytest.mark.parametrize("limit", [["--limit", "10"], []])
def test_an_object_that_changes_is_refused(limit: list[str], run: Run, web: Web, table: bytes):
    def change(path: str, number: int) -> None:
        if number == 3:
            web.files[path] = table[:-200_000] + bytes(8) + table[-199_992:]

    web.before = change
    status, said = run("data", "parquet", f"{web.url}/cifar10-train.parquet", *limit, "-q", "-o", "made.parquet")
    assert status == 2
    assert "/cifar10-train.parquet: changed while it was read\n" in said
    assert said.count("\n") == 2
    assert not Path("made.parquet").exists()


def test_what_the_web_refuses_is_two_lines(run: Run, web: Web):
    place = f"{web.url}/cifar10-train.parquet"

    def told(address: str) -> str:
        status, said = run("data", "parquet", address, "--limit", "10", "-q", "-o", "made.parquet")
        assert status == 2
        assert said.count("\n") == 2
        assert not Path("made.parquet").exists()
        return said

    assert "/nothing.parquet?…: no such object (404)" in told(f"{web.url}/nothing.parquet?key=secret")
    assert "secret" not in told(f"{web.url.replace('//', '//user:se/cret@')}/x.parquet")
    assert "not an address" in told("https://")
    for code, words in ((403, "access denied (403)"), (401, "access denied (401)"), (503, "answers 503")):
        web.refused = code
        assert words in told(place)
    web.refused, web.ranges = 0, False
    assert "sends no ranges of bytes" in told(place)
    web.ranges, web.tagged = True, False
    assert "tells no version (ETag, Last-Modified)" in told(place)
    web.tagged, web.cut = True, 5000
    assert "the connection was cut after 5,000 of 16,384 bytes" in told(place)
    assert len(web.seen) < 20
    assert "Connection refused" in told("http://127.0.0.1:9/x.parquet")


def test_a_connection_that_is_cut_once_is_tried_again(run: Run, web: Web):
    def cut(path: str, number: int) -> None:
        web.cut = 1000 if number == 2 else None

    web.before = cut
    assert (
        run("data", "parquet", f"{web.url}/cifar10-train.parquet", "--limit", "10", "-q", "-o", "made.parquet")[0] == 0
    )


def test_credentials_go_to_no_other_host(run: Run, web: Web, table: bytes):
    with running(Web({"/there.parquet": table})) as other:
        web.moved = {"/here.parquet": f"{other.url}/there.parquet?signed=1"}
        place = f"{web.url.replace('//', '//user:secret@')}/here.parquet"
        assert run("data", "parquet", place, "--limit", "10", "-q", "-o", "made.parquet") == (0, "")
        assert {each["Authorization"] for _, each in web.seen} == {"Basic dXNlcjpzZWNyZXQ="}
        assert {each["Authorization"] for _, each in other.seen} == {None}
    web.moved = {"/here.parquet": "file:///etc/passwd"}
    assert run("data", "parquet", f"{web.url}/here.parquet", "-q", "-o", "made.parquet")[0] == 2


def test_user_and_password_come_from_netrc(run: Run, web: Web):
    Path("netrc").write_text("machine 127.0.0.1 login user password secret\n")
    Path("netrc").chmod(0o600)
    run("data", "parquet", f"{web.url}/cifar10-train.parquet", "--limit", "10", "-q", "-o", "made.parquet")
    assert {each["Authorization"] for _, each in web.seen} == {"Basic dXNlcjpzZWNyZXQ="}


def test_debug_tells_no_secrets(run: Run, web: Web):
    place = f"{web.url.replace('//', '//user:secret@')}/nothing.parquet?key=secret"
    status, said = run("data", "parquet", place, "-o", "made.parquet", "--debug")
    assert status == 2
    assert "Traceback" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://u:p@h:80/a?sig=1#x, then", "https://h:80/a?… then"),
        ("https://u:pa/ss@h/x", "https://…"),
        ("https://u:p?x@h/", "https://…"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("hf://datasets/a/b@rev/c", "hf://datasets/a/b@rev/c"),
        ("at s3://KEY:SE+C@bucket/x: bad", "at s3://bucket/x: bad"),
        ("no address?", "no address?"),
    ],
)
def test_addresses_are_cleaned(text: str, told: str):
    assert cleaned(text) == told


class Counted:
    """An object in memory that counts what is read."""

    version = ""

    def __init__(self, content: bytes) -> None:
        self.content, self.size, self.reads = content, len(content), list[tuple[int, int]]()

    def read(self, start: int, count: int) -> bytes:
        assert 0 <= start < start + count <= self.size
        self.reads.append((start, count))
        return self.content[start : start + count]

    def require_unchanged(self) -> None:
        """It is."""


def test_any_reads_give_the_bytes_and_fetch_each_block_once_or_next_to_it():
    random = np.random.default_rng(1)
    found = Counted(random.bytes(3_000_001))
    file = RemoteFile(found, "x")
    for _ in range(200):
        start, count = int(random.integers(0, found.size + 100)), int(random.integers(0, 70_000))
        assert file.pread(count, start) == found.content[start : start + count]
        if random.random() < 0.1:
            file.prefetch([(start, start + count), (int(random.integers(0, found.size)), found.size)])
    assert sum(count for _, count in found.reads) < 2 * found.size
    assert file.whole().read() == found.content
    before = len(found.reads)
    assert file.pread(10, 5) == found.content[5:15]
    assert len(found.reads) == before


def test_reading_on_asks_for_more_at_a_time():
    found = Counted(bytes(20_000_000))
    file = RemoteFile(found, "x")
    while file.read(1 << 16):
        pass
    assert len(found.reads) < 20
    assert sum(count for _, count in found.reads) == found.size


def test_an_empty_object_is_said_to_be_empty(run: Run, web: Web):
    web.files["/x.parquet"] = b""
    status, said = run("data", "parquet", f"{web.url}/x.parquet", "-q", "-o", "made.parquet")
    assert status == 2
    assert "/x.parquet: empty, not Parquet" in said


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a real S3 server."""
    if MOTO is None:
        pytest.skip("moto_server is not installed")
    with moto() as port:
        yield port


class TestS3:
    @pytest.fixture
    def relay(self, port: int, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Relay]:
        """A bucket `data` behind a relay."""
        with running(Relay(port)) as relay:
            facts = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "hidden", "ENDPOINT_URL": relay.url}
            for name, value in facts.items():
                monkeypatch.setenv(f"AWS_{name}", value)
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            self.store(port).create_dir("data")
            yield relay

    def store(self, port: int) -> Any:
        from pyarrow import fs

        where = f"127.0.0.1:{port}"
        return fs.S3FileSystem(
            endpoint_override=where, scheme="http", access_key="key", secret_key="hidden", allow_bucket_creation=True
        )

    def put(self, relay: Relay, key: str, content: bytes) -> None:
        with self.store(relay.port).open_output_stream(f"data/{key}") as stream:
            stream.write(content)

    def get(self, relay: Relay, key: str) -> bytes | None:
        try:
            return self.store(relay.port).open_input_file(f"data/{key}").read()
        except FileNotFoundError:
            return None

    def test_a_limit_reads_little_and_a_folder_is_a_data_set(self, relay: Relay, run: Run, table: bytes):
        self.put(relay, "hub/train-00000-of-00001.parquet", table)
        self.put(relay, "hub/test-00000-of-00001.parquet", b"not read")
        relay.down = 0
        words = ["--files", "train*", "--name", "cifar10", "--limit", "300", "-q", "-o", "part.parquet"]
        assert run("data", "parquet", "s3://data/hub", *words) == (0, "")
        assert relay.down < len(table) / 5
        assert pq.read_table("part.parquet").num_rows == 300

    @pytest.mark.parametrize("other", ["--split test", "--limit 90"])
    def test_a_folder_that_is_no_data_set_is_refused_by_its_footers(self, relay: Relay, run: Run, other: str):
        run("data", "digits", "-q", "-o", "digits.parquet")
        run("data", "repeat", "digits.parquet", "--times", "20", "-q", "-o", "a.parquet")
        run("data", "digits", *other.split(), "-q", "-o", "b.parquet")
        for name in ("a", "b"):
            self.put(relay, f"mixed {other}/{name}.parquet", Path(f"{name}.parquet").read_bytes())
        relay.down = 0
        for words in (
            ["show"],
            ["corrupt", "random-labels", "-p", "0.5"],
            ["data", "parquet"],
            ["fit", "least-squares"],
        ):
            status, said = run(*words, f"s3://data/mixed {other}", "-o", "x")
            assert status == 2
            assert "not a data set" in said or "files of several splits" in said
        assert relay.down / 4 < Path("a.parquet").stat().st_size / 5, (relay.down, Path("a.parquet").stat())

    def test_results_are_uploaded_with_the_bytes_of_files(self, relay: Relay, run: Run):
        for place in ("", "s3://data/out/"):
            run("data", "digits", "--limit", "50", "-q", "-o", f"{place}digits.parquet")
            words = [
                "--arch",
                "linear",
                "--epochs",
                "1",
                "-q",
                "--history",
                f"{place}h.csv",
                "-o",
                f"{place}m.safetensors",
            ]
            assert run("train", f"{place}digits.parquet", *words) == (0, "")
        for name in ("digits.parquet", "m.safetensors"):
            assert self.get(relay, f"out/{name}") == Path(name).read_bytes()
        assert self.get(relay, "out/h.csv")

    def test_an_upload_appears_whole_or_not_at_all(
        self, relay: Relay, run: Run, table: bytes, monkeypatch: pytest.MonkeyPatch
    ):
        """A part that fails is not left out of what appears, though the network is there again at the end."""
        monkeypatch.setattr(stores, "_PIECE", 10 << 20)
        before = b"what was there before"
        self.put(relay, "x", before)
        with tempfile.TemporaryFile() as file:
            file.write(table * 3)
            upload = stores.open_upload("s3://data/x")
            relay.up, relay.cut = 0, 15_000_000
            system = stores._system

            def forgiving(address: str) -> Any:
                return Forgiving(system(address), relay)

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(stores, "_system", forgiving)
                with pytest.raises(stores.GencliError, match="s3://data/x: NETWORK_CONNECTION"):
                    upload(file.fileno())
            assert self.get(relay, "x") == before
            upload(file.fileno())
        assert self.get(relay, "x") == table * 3

    @pytest.mark.parametrize("damage", [8, -5000])
    def test_an_object_that_changes_is_refused(
        self, damage: int, relay: Relay, run: Run, table: bytes, monkeypatch: pytest.MonkeyPatch
    ):
        """Also where what is read of the other version is no Parquet."""
        end = damage if damage < 0 else 4 + damage
        self.put(relay, "x.parquet", table)
        read = RemoteFile.readinto

        def changing(file: RemoteFile, buffer: Any) -> int:
            monkeypatch.setattr(RemoteFile, "readinto", read)
            self.put(relay, "x.parquet", table[:4] + bytes(len(table[4:end])) + table[end:])
            return file.readinto(buffer)

        monkeypatch.setattr(RemoteFile, "readinto", changing)
        status, said = run("data", "parquet", "s3://data/x.parquet", "--limit", "10", "-q", "-o", "made.parquet")
        assert status == 2
        assert "s3://data/x.parquet: changed while it was read" in said
        assert not Path("made.parquet").exists()

    def test_an_object_that_was_another_in_between_is_refused(self, relay: Relay):
        self.put(relay, "y", b"first")
        found = stores.open_object("s3://data/y")
        found.require_unchanged()
        time.sleep(1)  # S3 tells seconds
        for content in (b"other", b"first"):
            self.put(relay, "y", content)
        with pytest.raises(stores.GencliError, match="s3://data/y: changed while it was read"):
            found.require_unchanged()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["data", "parquet", "s3://data/nothing.parquet"], "s3://data/nothing.parquet: no such object"),
            (["data", "parquet", "s3://nothing/x.parquet"], "s3://nothing/x.parquet: no such bucket"),
            (["data", "digits", "-o", "s3://nothing/x.parquet"], "s3://nothing/x.parquet: no such bucket"),
            (["data", "digits", "-o", "s3://data/"], "s3://data/: a folder, not an object"),
            (["data", "digits", "-o", "https://host/x.parquet"], "https://host/x.parquet: cannot be written"),
            (["show", "s3://key:hidden@data/x.parquet"], "s3://data/x.parquet: an address of a bucket and"),
            (["show", "s3://"], "s3://: no bucket and key"),
            (["data", "digits", "-o", "s3://data/../x.parquet"], "s3://data/../x.parquet: a key with #, or with `.`"),
            (["data", "digits", "-o", "s3://data/a/./x.parquet"], "or with `.`, `..` or nothing between slashes"),
            (["data", "digits", "-o", "s3://data/a//x.parquet"], "or with `.`, `..` or nothing between slashes"),
            (["show", "s3://data/d.parquet#2"], "or with `.`, `..` or nothing between slashes"),
            (["show", "s3://data/d.parquet/"], "s3://data/d.parquet/: no such folder"),
            (["data", "mnist", "--root", "s3://data/mnist"], "--root: s3://data/mnist: an address"),
            (["data", "repeat", "s3://data/d.parquet", "--times", "2", "-o", "s3://data/d.parquet"], "is the input"),
            (["data", "csv", "s3://data/d.parquet"], "its images would be beside it"),
            (["data", "folder", "s3://data/d.parquet"], "neither zip nor tar"),
            (["data", "export", "s3://data/d.parquet", "--folder", "s3://data/x"], "--folder: s3://data/x: an address"),
            (["train", "s3://data/d.parquet", "--arch", "linear", "--checkpoint", "s3://data/c"], "not a regular file"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_two_lines(self, words: list[str], said: str, relay: Relay, run: Run):
        if self.get(relay, "d.parquet") is None:
            run("data", "digits", "--limit", "50", "-q", "-o", "s3://data/d.parquet")
        status, told = run(*words)
        assert status == 2
        assert said in told
        assert told.count("\n") == 2
        assert "hidden" not in told
        assert not list(Path().glob("[!n]*"))

    @pytest.mark.parametrize(("status", "said"), [("301", "is in the region eu-west-1"), ("503", "HTTP status 503")])
    def test_the_region_of_a_bucket_is_said(self, status: str, said: str):
        """As Arrow 26 tells it, which gives AWS's answers their region."""
        told = f"""When reading information for key 'k' in bucket 'b': AWS Error UNKNOWN (HTTP status {status}) during
            HeadObject operation: No response body. Looks like the configured region is 'us-east-1' while the bucket is
            located in 'eu-west-1'."""
        assert said in str(stores._explained("s3://b/k", OSError(" ".join(told.split()))))

    def test_without_credentials_or_connection(self, run: Run, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "nothing")
        with running(Web({})) as denying:
            denying.refused = 403
            monkeypatch.setenv("AWS_ENDPOINT_URL", denying.url)
            status, said = run("show", "s3://data/x.parquet")
        assert status == 2
        assert "s3://data/x.parquet: access denied" in said
        assert "AWS_ACCESS_KEY_ID" in said
        assert said.count("\n") == 2


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder of buckets, and the URL of its server."""
    folder = tmp_path_factory.mktemp("buckets")
    with google(folder) as url:
        yield folder, url


class TestGoogle:
    @pytest.fixture
    def bucket(
        self, buckets: tuple[Path, str], table: bytes, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Path]:
        """A bucket `data` with a table."""
        folder, url = buckets
        shutil.rmtree(folder / "data", ignore_errors=True)
        (folder / "data" / "hub").mkdir(parents=True)
        (folder / "data" / "hub" / "train.parquet").write_bytes(table)
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", url)
        monkeypatch.setenv("GS_NO_SIGN_REQUEST", "YES")
        monkeypatch.setattr(stores, "_RETRY", 1)
        yield folder / "data"
        (folder / "refused").unlink(missing_ok=True)

    @pytest.mark.parametrize("place", ["gs://data/hub/train.parquet", "gs://data/hub"])
    def test_a_part_and_a_folder_are_those_of_a_copy(self, place: str, bucket: Path, run: Run):
        for name, made in ((place, "part.parquet"), (str(bucket / "hub"), "same.parquet")):
            words = ["--split", "train", "--name", "x", "--limit", "300", "-q", "-o", made]
            assert run("data", "parquet", name, *words) == (0, "")
        assert pq.read_table("part.parquet").equals(pq.read_table("same.parquet"))

    def test_the_whole_gives_the_rows_of_a_copy(self, bucket: Path, run: Run):
        for place, made in (("gs://data", "a.parquet"), (bucket, "b.parquet")):
            words = ["--split", "train", "--name", "x", "-q", "-o", made]
            assert run("data", "parquet", f"{place}/hub/train.parquet", *words) == (0, "")
        assert pq.read_table("a.parquet").equals(pq.read_table("b.parquet"))

    @pytest.mark.parametrize("after", [None, b"another"])
    def test_an_object_that_changes_is_refused(self, after: bytes | None, bucket: Path, table: bytes):
        """What it is read by names its generation, which the store may have no more."""
        found = stores.open_object("gs://data/hub/train.parquet")
        found.require_unchanged()
        assert found.read(4, 100) == table[4:104]
        file = bucket / "hub" / "train.parquet"
        file.unlink() if after is None else file.write_bytes(after)
        for asked in (lambda: found.read(len(table) // 2, 1000), found.require_unchanged):
            with pytest.raises(stores.GencliError, match=r"train\.parquet: changed while it was read"):
                asked()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["show", "gs://data/nothing.parquet"], "gs://data/nothing.parquet: no such object"),
            (["show", "gs://nothing/x.parquet"], "gs://nothing/x.parquet: no such bucket"),
            (["data", "digits", "-o", "gs://data/x.parquet"], "gs://data/x.parquet: cannot be written"),
        ],
    )
    def test_what_cannot_be_is_two_lines(self, words: list[str], said: str, bucket: Path, run: Run):
        status, told = run(*words)
        assert status == 2
        assert said in told
        assert told.count("\n") == 2

    @pytest.mark.parametrize(
        ("refused", "public", "said"),
        [
            ("403", "YES", "access denied"),
            ("401", "YES", "access denied"),
            ("", "", "access denied"),
            ("503", "YES", ""),
        ],
    )
    def test_without_credentials_or_connection(
        self, refused: str, public: str, said: str, bucket: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ):
        if refused:
            (bucket.parent / "refused").write_text(refused)
        monkeypatch.setenv("GS_NO_SIGN_REQUEST", public)
        monkeypatch.setenv("GCE_METADATA_ROOT", "127.0.0.1:9")
        status, told = run("show", "gs://data/hub/train.parquet")
        assert status == 2
        assert f"gs://data/hub/train.parquet: {said}" in told
        assert ("gcloud auth" in told) == bool(said), told
        assert told.count("\n") == 2
        assert "{" not in told, told


class Forgiving:
    """A store whose network is there again once a writer has failed."""

    def __init__(self, system: Any, relay: Relay) -> None:
        self._system, self._relay = system, relay

    def open_output_stream(self, place: str) -> Any:
        stream, relay = self._system.open_output_stream(place), self._relay

        class Stream:
            def __enter__(self) -> Any:
                return stream

            def __exit__(self, *error: object) -> None:
                relay.cut = None
                stream.close()

        return Stream()

    def get_file_info(self, place: str) -> Any:
        return self._system.get_file_info(place)


class _HubHandler(Handler):
    def do_POST(self) -> None:  # noqa: N802
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        paths = json.loads(asked)["paths"] if asked.startswith("{") else urllib.parse.parse_qs(asked)["paths"]
        entries = json.loads(self.server.files["/api/datasets/org/set/tree/main"])
        self.answer(200, json.dumps([each for each in entries if each["path"] in paths]).encode())


def test_data_sets_of_the_hub(table: bytes, tmp_path: Path):
    """Against a server that answers as the hub's interface does, with a token that no result tells."""
    pytest.importorskip("huggingface_hub")
    names = ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "README.md"]
    entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "data"}]
    entries += [{"type": "file", "oid": "0" * 40, "size": len(table), "path": name} for name in names]
    files = {f"/datasets/org/set/resolve/main/{name}": table for name in names}
    facts = {"_id": "0", "id": "org/set", "sha": "0" * 40, "siblings": []}
    files["/api/datasets/org/set"] = json.dumps(facts).encode()
    files["/api/datasets/org/set/tree/main"] = json.dumps(entries).encode()
    with running(Web(files)) as web:
        web.RequestHandlerClass = _HubHandler
        ran = Shell(tmp_path)(f"""
            export HF_ENDPOINT={web.url} HF_TOKEN=hidden HF_HOME=$PWD/hub
            gencli data parquet hf://datasets/org/set --split train --limit 300 -q -o part.parquet &&
            ! gencli data parquet hf://datasets/org/set/nothing.parquet
            """)
    assert ran.status == 0, ran.err
    assert "hf://datasets/org/set/nothing.parquet: not on the hub" in ran.err
    assert pq.read_table(tmp_path / "part.parquet").num_rows == 300
    assert web.sent < len(table) / 5
    assert b"hidden" not in (tmp_path / "part.parquet").read_bytes()
    assert {each["Authorization"] for path, each in web.seen if "resolve" in path} == {"Bearer hidden"}
