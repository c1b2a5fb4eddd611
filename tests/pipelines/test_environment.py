"""Every option from the environment; the environment never in a result."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipelines.shell import Shell

CORRUPT = "gencli corrupt random-labels"


def test_an_option_of_a_kind(sh: Shell, data: Path) -> None:
    by_option = sh(f"{CORRUPT} $D/digits.parquet -p 0.5").worked()
    by_name = sh(f"{CORRUPT} $D/digits.parquet", GENCLI_CORRUPT_RANDOM_LABELS_P="0.5").worked()
    assert by_name.out == by_option.out == (data / "corrupted.parquet").read_bytes()
    over = sh(f"{CORRUPT} $D/digits.parquet -p 0.5", GENCLI_CORRUPT_RANDOM_LABELS_P="1").worked()
    assert over.out == by_option.out


def test_quiet_and_threads(sh: Shell) -> None:
    loud = sh(f"{CORRUPT} $D/digits.parquet -p 0.5").worked()
    quiet = sh(f"{CORRUPT} $D/digits.parquet -p 0.5", GENCLI_QUIET="1", GENCLI_THREADS="1").worked()
    assert loud.err
    assert not quiet.err
    assert loud.out == quiet.out


def test_the_output_and_the_debugging(sh: Shell, data: Path) -> None:
    sh(f"{CORRUPT} $D/digits.parquet -p 0.5", GENCLI_CORRUPT_RANDOM_LABELS_OUTPUT="out").worked()
    assert (sh.folder / "out").read_bytes() == (data / "corrupted.parquet").read_bytes()
    assert "Traceback" in sh(f"{CORRUPT} missing -p 1", GENCLI_DEBUG="1").err


def test_threads_alone_decides_how_many_there_are(sh: Shell) -> None:
    """Others' variables, which Snakemake and joblib set, would change the order of sums behind the number recorded.

    A process with them starts anew, without them it is a fork.
    """
    script = "gencli train $D/digits.parquet --arch mlp-1x512 --epochs 1 --threads 2 -q"
    others = {"MKL_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true", "OMP_MAX_ACTIVE_LEVELS": "0"}
    assert sh(script, **others).worked().out == sh(script).worked().out


@pytest.mark.parametrize(
    ("name", "value"),
    [("GENCLI_CORRUPT_RANDOM_LABELS_P", "many"), ("GENCLI_THREADS", "0"), ("GENCLI_QUIET", "perhaps")],
)
def test_a_wrong_value_is_refused(sh: Shell, name: str, value: str) -> None:
    sh(f"{CORRUPT} $D/digits.parquet", **{"GENCLI_CORRUPT_RANDOM_LABELS_P": "1", name: value}).refused("Invalid value")


def test_the_number_of_epochs(sh: Shell) -> None:
    script = "gencli train $D/digits.parquet --arch mlp-1x2 --history history.parquet -o model.safetensors"
    done = sh(script, GENCLI_TRAIN_EPOCHS="2", GENCLI_TRAIN_LR="0.01", GENCLI_VERSION="9.9").worked()
    history = pq.read_table(sh.folder / "history.parquet")
    assert history.column("epoch").to_pylist() == [1, 2]
    assert history.column("learning_rate").to_pylist() == [0.01, 0.01]
    assert "2 epochs" in done.err


def test_a_locale_without_utf_8(sh: Shell) -> None:
    done = sh(f"{CORRUPT} $D/digits.parquet -p 0.5", LC_ALL="C", PYTHONIOENCODING="ascii").worked()
    assert pq.read_table(pa.BufferReader(done.out)).num_rows == 300
    assert sh.on_terminal(f"{CORRUPT} $D/digits.parquet -p 0.5", LC_ALL="C", PYTHONIOENCODING="ascii").worked().out


HOSTILE = {"settings": b"text.usetex: True\nfont.size: 30\nsavefig.dpi: 7\naxes.facecolor: red\n", "bytes": b"\xff\xfe"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_figures_obey_no_settings_that_lie_about(sh: Shell, kind: str) -> None:
    draws = [("svg", "jacobian -f 'sin(x*y)' --at 1,2 --graph"), ("png", "check hvp-limit --plot")]
    del draws[1 if kind == "bytes" else 2 :]
    sh("\n".join(f"gencli {draw} plain.{form} > /dev/null" for form, draw in draws)).worked()
    (sh.folder / "matplotlibrc").write_bytes(HOSTILE[kind])
    lying = {"MPLBACKEND": "none-such", "MATPLOTLIBRC": str(sh.folder), "HOME": "/nowhere"}
    sh("\n".join(f"gencli {draw} beside.{form} > /dev/null" for form, draw in draws), **lying).worked()
    for form, _ in draws:
        assert (sh.folder / f"beside.{form}").read_bytes() == (sh.folder / f"plain.{form}").read_bytes()
