"""`-o FILE` and `> FILE`: complete or not at all, never over an input, refused before the work."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.pipelines.shell import Shell, explained

CORRUPT = "gencli corrupt random-labels -p 0.5 -q"


@pytest.fixture
def own(sh: Shell, data: Path) -> Path:
    """A copy of the digits in the folder, `f`; whatever happens, it must stay as it is."""
    copy = sh.folder / "f"
    copy.write_bytes((data / "digits.parquet").read_bytes())
    return copy


@pytest.mark.parametrize(
    "script",
    [
        f"{CORRUPT} f -o f",
        f"{CORRUPT} f -o ./f",
        f"{CORRUPT} ./f -o $PWD/f",
        f"ln -s f link; {CORRUPT} link -o f",
        f"ln -s f link; {CORRUPT} f -o link",
        f"ln f hard; {CORRUPT} f -o hard",
        f"{CORRUPT} -o f < f",
        f"{CORRUPT} f >> f",
        f"mkdir d; ln f d/a.parquet; {CORRUPT} d -o f",
        "gencli eval $D/model.safetensors f -o f",
        "cp $D/model.safetensors m; gencli eval m f --predictions m",
    ],
)
def test_the_output_is_not_an_input(sh: Shell, data: Path, own: Path, script: str) -> None:
    sh(script).refused("the output is the input")
    assert own.read_bytes() == (data / "digits.parquet").read_bytes()
    assert not list(sh.folder.glob(".*"))


@pytest.mark.parametrize("script", [f"{CORRUPT} f > f", f"{CORRUPT} < f > f", f"ln -s f link; {CORRUPT} link > f"])
def test_a_shell_that_emptied_the_input_is_told(sh: Shell, own: Path, script: str) -> None:
    done = sh(script)
    assert done.status == 2
    explained(done.err, "it is also the output", "write to another file")
    assert own.stat().st_size == 0


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("missing/out", "missing/out: cannot be written: No such file or directory"),
        (".", ".: a folder, not a file"),
        ("folder", "folder: a folder, not a file"),
        ("new/", "new/: a folder, not a file"),
        ("f/out", "f/out: cannot be written: Not a directory"),
        ("$(printf '%0300d' 0)", "File name too long"),
        ("circle", "circle: cannot be written: Too many levels of symbolic links"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_input_is_read(
    sh: Shell, own: Path, place: str, words: str
) -> None:
    (sh.folder / "folder").mkdir()
    (sh.folder / "circle").symlink_to("circle")
    sh(f"mkfifo never; exec 3<>never; {CORRUPT} -o {place} <&3").refused(words)  # reading would wait for ever
    assert sh.files() == {"f", "folder", "circle", "never"}


def test_evaluation_refuses_its_places_before_it_reads(sh: Shell) -> None:
    sh("mkfifo never; exec 3<>never; gencli eval - $D/test.parquet -o missing/out <&3").refused("missing/out")
    sh("exec 3<>never; gencli eval - $D/test.parquet --predictions missing/out <&3").refused("missing/out")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_file_is_refused(sh: Shell, own: Path) -> None:
    sh(f"touch out; chmod 400 out; {CORRUPT} f -o out").refused("out: cannot be written: Permission denied")


def test_two_outputs_do_not_share_a_place(sh: Shell) -> None:
    sh("gencli eval $D/model.safetensors $D/test.parquet -o out --predictions ./out").refused("two outputs")
    assert sh.files() == set()


def test_modes(sh: Shell) -> None:
    done = sh(
        f"""
        touch kept; chmod 604 kept; umask 027
        {CORRUPT} $D/digits.parquet -o kept
        {CORRUPT} $D/digits.parquet -o new
        stat -c %a kept new
        """
    )
    assert done.worked().text == "604\n640\n"


def test_a_link_stays_a_link(sh: Shell, data: Path) -> None:
    sh(f"mkdir d; ln -s d/real link; {CORRUPT} $D/digits.parquet -o link").worked()
    assert (sh.folder / "link").is_symlink()
    assert (sh.folder / "d" / "real").read_bytes() == (data / "corrupted.parquet").read_bytes()
    sh("gencli corrupt shuffled-pixels $D/digits.parquet -q -o link").worked()
    assert (sh.folder / "link").is_symlink()
    assert (sh.folder / "d" / "real").read_bytes() != (data / "corrupted.parquet").read_bytes()


def test_a_name_may_be_as_long_as_the_file_system_takes(sh: Shell) -> None:
    name = "ü" * 127 + "x"
    sh(f"{CORRUPT} $D/digits.parquet -o {name}").worked()
    assert sh.files() == {name}


def test_a_file_larger_than_allowed(sh: Shell) -> None:
    (sh.folder / "out").write_text("old")
    sh(f"ulimit -f 1000; {CORRUPT} $D/large.parquet -o out").refused("out: File too large")
    assert (sh.folder / "out").read_text() == "old"
    assert sh.files() == {"out"}


def test_standard_output_larger_than_allowed(sh: Shell) -> None:
    done = sh(f"ulimit -f 1000; {CORRUPT} $D/large.parquet > out")
    assert done.refused("standard output: File too large")
    assert not (sh.folder / "out").read_bytes().endswith(b"PAR1")


def test_no_room_to_spool(sh: Shell) -> None:
    words = "standard input: cannot be spooled to a temporary file", "set TMPDIR to a folder on a larger disk"
    sh(f"ulimit -f 1000; cat $D/large.parquet | {CORRUPT}").refused(*words)
    assert sh.files() == set()


@pytest.mark.parametrize(
    "script", ["gencli --help", "gencli --version", f"{CORRUPT} $D/digits.parquet", "gencli report $D/history.parquet"]
)
def test_a_full_device(sh: Shell, script: str) -> None:
    sh(f"{script} > /dev/full").refused("No space left on device")


def test_a_full_device_by_name(sh: Shell) -> None:
    sh(f"{CORRUPT} $D/digits.parquet -o /dev/full").refused("/dev/full: No space left on device")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk(sh: Shell, small_disk: Path) -> None:
    (small_disk / "out").write_text("old")
    sh(f"{CORRUPT} $D/large.parquet -o disk/out").refused("disk/out: No space left on device")
    assert os.listdir(small_disk) == ["out"]
    assert (small_disk / "out").read_text() == "old"
    sh(f"cat $D/large.parquet | TMPDIR=$PWD/disk {CORRUPT}").refused("spooled", "No space left on device")
    assert os.listdir(small_disk) == ["out"]


def test_a_checkpoint_replaces_no_output(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch linear --epochs 1 -q --checkpoint out -o out").refused("out: two outputs")
    assert sh.files() == set()


def test_messages_that_cannot_be_written_cost_no_result(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch linear --epochs 1 -o model 2>/dev/full && test -s model").worked()
    assert sh("gencli eval missing $D/digits.parquet 2>/dev/full").status == 2


def test_a_pipe_that_does_not_block_gets_all(sh: Shell) -> None:
    script = """
        import os, subprocess, sys
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        child = subprocess.Popen(["gencli", "data", "digits"], stdout=writing)
        os.close(writing)
        print(len(os.fdopen(reading, "rb").read()), child.wait())
    """
    whole = int(sh("gencli data digits | wc -c").worked().text)
    assert sh(f"python - <<'END'\n{textwrap.dedent(script)}\nEND").worked().text.split() == [str(whole), "0"]


def test_more_shards_than_open_files_are_one_table(sh: Shell, data: Path) -> None:
    rows = pq.read_table(data / "digits.parquet")
    (sh.folder / "many").mkdir()
    for number in range(150):
        pq.write_table(rows.slice(2 * number, 2), sh.folder / "many" / f"{number}.parquet")
    sh("ulimit -Sn 100; gencli show many --format csv").worked()


def test_names_as_long_as_the_file_system_takes(sh: Shell) -> None:
    names = "a" * 255, "é" * 127 + "b", "c" * 251 + ".csv"
    for name in names:
        sh(f"gencli show $D/digits.parquet --format csv -o {name}").worked()
    assert sh.files() == set(names)


@pytest.mark.parametrize("place", ["-o /dev/stdout >> f", "-o link >> f", "-o /dev/fd/3 3>> f", "-o /dev/stderr 2>> f"])
def test_what_the_shell_opened_keeps_what_it_holds(sh: Shell, place: str) -> None:
    (sh.folder / "f").write_text("old\n")
    (sh.folder / "link").symlink_to("/dev/stdout")
    sh(f"gencli show $D/digits.parquet --format csv {place}")
    assert (sh.folder / "f").read_text().startswith("old\n")
    assert len((sh.folder / "f").read_text().splitlines()) > 10


def test_two_outputs_do_not_share_a_place_under_two_names(sh: Shell) -> None:
    eval_ = "gencli eval $D/model.safetensors $D/test.parquet -q --format csv"
    sh(f"{eval_} -o out --predictions - > out").refused("two outputs")
    sh(f"mkfifo pipe; cat pipe & {eval_} -o pipe --predictions pipe").refused("two outputs")
    sh(f"{eval_} -o /dev/null --predictions /dev/null").worked()


def test_a_checkpoint_is_a_file(sh: Shell) -> None:
    for place in ("-", "/dev/stdout", "/dev/null", "/dev/fd/3 3> f"):
        sh(f"gencli train $D/digits.parquet --arch linear -o out --checkpoint {place}").refused(
            "--checkpoint: ", "file"
        )
    assert "out" not in sh.files()


def test_a_sheet_needs_no_standard_output(sh: Shell) -> None:
    sh("gencli report --contact-sheet s.png $D/digits.parquet >&- && test -s s.png").worked()


def test_a_model_survives_the_reader_of_its_history(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch linear --epochs 1 -q -o m --history >(true) ; test -s m").worked()
