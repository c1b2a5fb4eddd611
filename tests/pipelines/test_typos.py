"""A mistake in the last stage of a pipe costs nothing of the stages before it."""

from __future__ import annotations

import pytest

from tests.pipelines.shell import Shell, many

_D, _M = "$D/digits.parquet", "$D/model.safetensors"


def test_named_files_devices_and_columns_are_checked_before_standard_input(sh: Shell) -> None:
    expected = {
        "eval - typo.parquet": "typo.parquet: no such file",
        f"eval - {_D} --by nope": "no column 'nope'",
        f"eval - {_D} --top 20": "--top: 20 of 10 classes",
        f"eval - {_D} --arch typo:factory": "no module 'typo'",
        f"eval - {_D} --predictions missing/p": "missing/p",
        f"eval - {_D} {_D} typo": "typo: no such file",
        "eval typo -": "typo: no such file",
        "hvp - typo.parquet -o v": "typo.parquet: no such file",
        f"hvp - {_D} --vector typo.safetensors -o v": "typo.safetensors: no such file",
        f"hvp - {_D} --loss nope -o v": "no loss 'nope'",
        f"hvp {_M} - --vector typo -o v": "typo: no such file",
        "spectrum - typo.parquet -o s": "typo.parquet: no such file",
        "spectrum typo - -o s": "typo: no such file",
        f"spectrum - {_D} --arch typo:factory -o s": "no module 'typo'",
        "jacobian - typo.parquet -o j": "typo.parquet: no such file",
        "jacobian --file - --at typo.csv -o j": "typo.csv: no such file",
        "jacobian --file - --at 1,2 --check-against typo.csv -o j": "typo.csv: no such file",
        "train - --arch nope -o m": "no network 'nope'",
        "train - --arch typo:factory -o m": "no module 'typo'",
        "train - --arch linear --eval-data typo.parquet -o m": "typo.parquet: no such file",
        "train - --arch linear --augment nope -o m": "nope",
        "train - --arch linear --schedule nope -o m": "no schedule 'nope'",
        "train - --arch linear --loss nope -o m": "no loss 'nope'",
        "corrupt matrix-labels --matrix typo.csv -o c": "typo.csv: no such file",
        "corrupt gaussian-pixels --statistics typo -o c": "typo: no such file",
        "report - typo.parquet": "typo.parquet: no such file",
        "report - --against typo.csv": "typo.csv: no such file",
        "report --contact-sheet s.png - typo.parquet": "typo.parquet: no such file",
        "data parquet - typo.parquet -o d": "typo.parquet: no such file",
        "check sgd-nonmonotone --model - --data typo.parquet -o c": "typo.parquet: no such file",
    }
    commands = [line.replace("$D", sh.extra["D"]).split() for line in expected]  # standard input is empty
    for words, done in zip(expected.values(), many(sh.folder, commands), strict=True):
        done.refused(words)


def test_a_device_that_is_not_here_is_refused_before_standard_input(sh: Shell) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("it is here")
    for line in (f"eval - {_D}", f"hvp - {_D} -o v", f"spectrum - {_D}", f"jacobian - {_D}"):
        sh(f"mkfifo never; exec 3<>never; gencli {line} --device cuda <&3; status=$?; rm never; exit $status").refused(
            "--device: cuda is not available"
        )


def test_training_stops_when_nobody_reads_its_model(sh: Shell) -> None:
    train = f"gencli train {_D} --arch mlp-1x16 --epochs 1000000 -q"
    done = sh(f'{train} | gencli eval - typo.parquet; echo "${{PIPESTATUS[*]}}"')
    assert done.text == "141 2\n"
    assert len(done.err.splitlines()) == 2
    assert "typo.parquet: no such file" in done.err


def test_a_checkpoint_is_kept_when_nobody_reads(sh: Shell) -> None:
    train = f"gencli train {_D} --arch mlp-1x16 --checkpoint saved --epochs 1000000"
    done = sh(f'{train} | sleep 0.1; echo "${{PIPESTATUS[*]}}"')
    assert done.text == "141 0\n"
    assert "saved: the output pipe was closed; stopped after step" in done.err.splitlines()[-1]
    assert sh.files() == {"saved"}
    sh(train + " -o model").refused("saved: already holds a checkpoint at step")


@pytest.mark.parametrize(
    "command",
    [
        f"hvp {_M} {_D} --dense", f"spectrum {_M} {_D} --top 100 --tolerance 1e-15 --dtype float64 --checkpoint saved",
        f"jacobian {_M} {_D} --wrt parameters", f"eval {_M} $D/digits.parquet --by id",
    ],
)  # fmt: skip
def test_other_work_stops_as_well(sh: Shell, command: str) -> None:
    done = sh(f'gencli {command} -q | true; echo "${{PIPESTATUS[*]}}"')
    assert done.text == "141 0\n"
    assert not done.err
    assert ("saved" in sh.files()) == ("saved" in command)
