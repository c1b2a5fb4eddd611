"""Standard input and output: where bytes come from, where they go, and what happens when one end dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.files import seals
from gencli.files.stream import Input
from tests.helpers import seal
from tests.pipelines.shell import Shell, explained, finish

pytestmark = pytest.mark.cold

CORRUPT = "gencli corrupt random-labels -p 0.5 -q"
COMMANDS = [
    "", "data", "data digits", "data parquet", "corrupt", "corrupt random-labels", "corrupt shuffled-pixels",
    "train", "eval", "report",
]  # fmt: skip


@pytest.mark.parametrize(
    "script",
    [
        f"{CORRUPT} $D/digits.parquet",
        f"{CORRUPT} - < $D/digits.parquet",
        f"{CORRUPT} < $D/digits.parquet",
        f"cat $D/digits.parquet | {CORRUPT}",
        f"cat $D/digits.parquet | {CORRUPT} -",
        f"{CORRUPT} <(cat $D/digits.parquet)",
        f"{CORRUPT} $D/digits.parquet -o - | cat",
        f"{CORRUPT} $D/digits.parquet -o /dev/stdout | cat",
        f"{CORRUPT} $D/digits.parquet -o >(cat > copy); wait $!; cat copy",
        f"{CORRUPT} $D/digits.parquet -o out; cat out",
        f"mkfifo pipe; cat pipe & {CORRUPT} $D/digits.parquet -o pipe; wait",
        f"{CORRUPT} $D/digits.parquet > out; cat out",
    ],
)
def test_bytes_are_the_same_by_any_way(sh: Shell, data: Path, script: str) -> None:
    done = sh(script).worked()
    assert done.out == (data / "corrupted.parquet").read_bytes()
    assert not done.err


def test_dev_null_takes_the_output_and_stays(sh: Shell) -> None:
    sh(f"{CORRUPT} $D/digits.parquet -o /dev/null").worked()
    assert Path("/dev/null").is_char_device()


def _shards(folder: Path, source: Path) -> Path:
    table = pq.read_table(source)
    folder.mkdir()
    for number, start in enumerate(range(0, len(table), 128)):
        pq.write_table(table.slice(start, 128), folder / f"shard-{number}.parquet")
    return folder


def test_a_folder_of_shards_is_one_data_set(sh: Shell, data: Path) -> None:
    _shards(sh.folder / "shards", data / "digits.parquet")
    done = sh(f"{CORRUPT} shards").worked()
    assert pq.read_table(pa.BufferReader(done.out)).equals(pq.read_table(data / "corrupted.parquet"))


def test_shards_of_another_data_set_are_refused(sh: Shell, data: Path) -> None:
    shards = _shards(sh.folder / "shards", data / "digits.parquet")
    (shards / "z.parquet").write_bytes((data / "test.parquet").read_bytes())
    sh(f"{CORRUPT} shards").refused(
        "shards: files of several splits; train: shards/shard-0.parquet", "; test: shards/z.parquet"
    )
    (shards / "z.parquet").write_bytes((data / "corrupted.parquet").read_bytes())
    sh(f"{CORRUPT} shards").refused("shards/z.parquet: other columns than shards/shard-0.parquet")


def test_messages_go_to_standard_error_and_quiet_silences_them_alone(sh: Shell) -> None:
    loud = sh("gencli corrupt random-labels -p 0.5 $D/digits.parquet").worked()
    quiet = sh("gencli corrupt random-labels -p 0.5 $D/digits.parquet --quiet").worked()
    assert "labels changed" in loud.err
    assert not quiet.err
    assert loud.out == quiet.out
    assert sh(f"{CORRUPT} missing.parquet").refused("missing.parquet: no such file")


def test_version_and_help_everywhere(sh: Shell) -> None:
    asked = " ".join(f"'{command}'" for command in COMMANDS)
    versions = sh(f"for c in {asked}; do gencli $c --version; done").worked()
    assert not versions.err
    assert len(set(versions.text.splitlines())) == 1
    assert len(versions.text.splitlines()) == len(COMMANDS)
    help = sh(f"set -e; for c in {asked}; do gencli $c --help; done").worked()
    assert help.text.count("Usage: gencli") == len(COMMANDS)
    assert not help.err
    assert "\x1b" not in help.text
    for command in ("", "data digits", "corrupt random-labels"):
        assert sh(f"gencli {command} -h").worked().text in help.text


def test_version_needs_no_more_than_itself(sh: Shell) -> None:
    sh("gencli corrupt random-labels -p nonsense --version missing.parquet").worked()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("gencli bogus", "gencli: No such command 'bogus'"),
        ("gencli corrupt bogus", "gencli corrupt: No such command 'bogus'"),
        ("gencli data digits --bogus", "gencli data digits: No such option: --bogus"),
        ("gencli corrupt random-labels $D/digits.parquet", "Missing option '-p'"),
    ],
)
def test_usage_errors_tell_how_to_get_help(sh: Shell, script: str, words: str) -> None:
    assert "--help" in sh(script).refused(words).err.splitlines()[1]


def test_a_traceback_only_for_debug(sh: Shell) -> None:
    done = sh(f"{CORRUPT} missing.parquet --debug")
    assert done.status == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-2].endswith("missing.parquet: no such file")


@pytest.mark.parametrize(
    "script",
    [
        f"{CORRUPT} $D/large.parquet | head -c 100 > /dev/null",
        "cat $D/large.parquet | gencli corrupt shuffled-pixels -q | head -c 100 > /dev/null",
        f"{CORRUPT} $D/digits.parquet | true",
        "gencli --help | true",
        "gencli --version | true",
        "gencli report $D/history.parquet | true",
    ],
)
def test_the_reader_went_away(sh: Shell, script: str) -> None:
    done = sh(script + '; echo "${PIPESTATUS[*]}" > status')
    assert "141" in (sh.folder / "status").read_text().split()
    assert not done.err


def test_a_reader_of_messages_that_went_away_is_no_traceback(sh: Shell) -> None:
    done = sh('gencli bogus 2>&1 | true; echo "${PIPESTATUS[*]}"')
    assert done.text == "141 0\n"
    assert not done.err


def test_an_upstream_that_dies_leaves_no_shorter_table(sh: Shell) -> None:
    script = f"{{ head -c 1000000 $D/large.parquet; kill -9 $BASHPID; }} | {CORRUPT} -o out"
    done = sh(f'{script}; echo "${{PIPESTATUS[*]}}"')
    assert done.text == "137 2\n"
    explained(done.err, "standard input: cut short", "the command before it in the pipe did not finish")
    assert sh.files() == set()


def test_gencli_killed_as_it_writes_leaves_no_shorter_table(sh: Shell) -> None:
    upstream = sh.start(f"exec {CORRUPT} $D/large.parquet")
    reader = sh.start(f"exec {CORRUPT} -o out", stdin=subprocess.PIPE)
    assert upstream.stdout
    assert reader.stdin
    reader.stdin.write(upstream.stdout.read(1_000_000))
    upstream.send_signal(signal.SIGKILL)
    reader.stdin.write(finish(upstream).out)
    done = finish(reader)
    assert upstream.returncode == -signal.SIGKILL
    assert done.refused("standard input: cut short")
    assert sh.files() == set()


def _wrong_in_group_30(folder: Path, data: Path) -> None:
    """A table whose label 10 in row 29,500, of 35,000, gencli can only see half-way."""
    table = pq.read_table(data / "digits.parquet")
    whole = pa.concat_tables([table] * 117).slice(0, 35_000)
    labels = whole.column("label").to_pylist()
    labels[29_500] = 10
    whole = whole.set_column(2, whole.schema.field("label"), pa.array(labels))
    whole = whole.set_column(0, whole.schema.field("id"), pa.array(range(35_000)))
    pq.write_table(whole, folder / "bad.parquet", row_group_size=1000)


def test_a_writer_that_fails_leaves_no_shorter_table(sh: Shell, data: Path) -> None:
    _wrong_in_group_30(sh.folder, data)
    done = sh("gencli corrupt shuffled-pixels -q bad.parquet")
    assert done.status == 2
    explained(done.err, "bad.parquet: row 29500: label 10 is not one of the 10 classes")
    assert len(done.out) > 1_000_000
    with pytest.raises(pa.ArrowInvalid):
        pq.ParquetFile(io.BytesIO(done.out))
    pipe = "gencli corrupt shuffled-pixels -q bad.parquet | gencli corrupt shuffled-pixels -o out"
    piped = sh(pipe + '; echo "${PIPESTATUS[*]}"')
    assert piped.text == "2 2\n"
    assert "standard input: cut short" in piped.err
    sh("gencli corrupt shuffled-pixels -q bad.parquet -o out").refused()
    assert sh.files() == {"bad.parquet"}


def test_fewer_rows_than_the_provenance_promises_are_refused(sh: Shell, data: Path) -> None:
    file = pq.ParquetFile(data / "corrupted.parquet")
    with pq.ParquetWriter(sh.folder / "fewer.parquet", file.schema_arrow) as writer:
        writer.write_table(file.read().slice(0, 200))
        facts = {"gencli.provenance": file.metadata.metadata[b"gencli.provenance"], seals.KEY: seals.BLANK}
        writer.add_key_value_metadata(facts)
    seal(sh.folder / "fewer.parquet")
    sh(f"{CORRUPT} fewer.parquet").refused("fewer.parquet: 200 rows, but its provenance records 300")


def test_an_empty_pipe_is_refused(sh: Shell) -> None:
    sh(f"true | {CORRUPT}").refused("standard input: empty", "the command before it in the pipe wrote nothing")
    sh(f"{CORRUPT} < /dev/null").refused("standard input: empty")


def test_closed_streams(sh: Shell) -> None:
    sh(f"{CORRUPT} <&-").refused("standard input is closed")
    sh(f"{CORRUPT} $D/digits.parquet >&-").refused("standard output is closed")
    sh(f"{CORRUPT} $D/digits.parquet -o out >&- 2>&- <&-").worked()
    sh("gencli fit least-squares $D/digits.parquet -o out >&-").worked()
    sh("gencli --help >&-; gencli --version >&-").worked()


@pytest.mark.parametrize("change", [bytes.upper, lambda content: content * 2, lambda content: content[:50]])
def test_an_input_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a" * 100)
    os.utime(path, (1, 1))  # clocks of file systems stand still for milliseconds
    source = Input(str(path))
    assert source.sha256
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(GencliError, match="f: changed while it was read"):
        _ = source.sha256


def test_one_standard_input_is_not_read_twice(sh: Shell) -> None:
    sh("cat $D/model.safetensors | gencli eval - -").refused("standard input")
    sh("cat $D/model.safetensors | gencli eval -").refused("standard input")


def test_a_result_is_parquet_in_a_pipe_and_takes_its_format_by_option(sh: Shell) -> None:
    parquet, as_json = (
        sh.start(f"cat $D/model.safetensors | gencli eval - $D/test.parquet {form}") for form in ("", "--format json")
    )
    rows = pq.read_table(pa.BufferReader(finish(parquet).worked().out)).to_pylist()
    assert sum(row["n"] for row in rows if row["label"] is not None) == 100
    assert json.loads(finish(as_json).worked().out) == rows
