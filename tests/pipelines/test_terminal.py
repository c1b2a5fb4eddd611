"""What a person at a terminal sees: tables, short help, refusals, colour; never bytes, never a silent wait."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.pipelines.shell import Shell, explained

CORRUPT = "gencli corrupt random-labels -p 0.5"
PREVIEW = f"{CORRUPT} $D/test.parquet -q"


@pytest.mark.parametrize(
    ("script", "usage"),
    [
        (CORRUPT, "Usage: gencli corrupt random-labels"),
        (f"{CORRUPT} -", "Usage: gencli corrupt random-labels"),
        (f"{CORRUPT} /dev/stdin", "Usage: gencli corrupt random-labels"),
        (f"{CORRUPT} -o out", "Usage: gencli corrupt random-labels"),
        ("gencli data parquet", "Usage: gencli data parquet"),
        ("gencli report", "Usage: gencli report"),
        ("gencli train --arch mlp-1x16 -o out", "Usage: gencli train"),
    ],
)
def test_no_input_shows_the_short_help(sh: Shell, script: str, usage: str) -> None:
    done = sh.on_terminal(script, keyboard=True)
    assert done.status == 2
    assert done.err.startswith(usage)
    assert done.err.rstrip().endswith("--help.")
    assert not done.out
    assert sh.files() == set()


def test_a_command_of_commands_shows_its_help(sh: Shell) -> None:
    for command, heading in {"gencli": "Commands:", "gencli data": "Commands:", "gencli corrupt": "Labels:"}.items():
        done = sh.on_terminal(command, keyboard=True)
        assert done.status == 2
        assert heading in done.err
        assert not done.out


@pytest.mark.parametrize("place", ["", "-o -", "-o /dev/stdout"])
def test_an_image_table_shows_as_a_table(sh: Shell, place: str) -> None:
    done = sh.on_terminal(f"{PREVIEW} --color never {place}").worked()
    assert done.text.count("uint8 8×8×1") == 10
    assert "100 rows of digits test" in done.text
    assert "PAR1" not in done.text
    assert not done.err


def test_a_result_shows_as_a_table(sh: Shell) -> None:
    done = sh.on_terminal("gencli eval $D/model.safetensors $D/test.parquet").worked()
    assert "mlp-1x16 on digits test" in done.text
    assert "accuracy" in done.text
    assert "PAR1" not in done.text
    assert "\x1b[" in done.text


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 100000",
            "the model would be written to the terminal",
        ),
        (
            "gencli eval $D/model.safetensors $D/test.parquet --format parquet",
            "binary data would be written to the terminal",
        ),
        ("gencli report $D/history.parquet --format parquet", "binary data would be written to the terminal"),
    ],
)
def test_binary_is_refused(sh: Shell, script: str, words: str) -> None:
    done = sh.on_terminal(script)
    assert done.status == 2
    assert not done.out
    explained(done.err, words)


def test_a_file_that_the_terminal_asked_for_has_no_colour(sh: Shell) -> None:
    sh.on_terminal("gencli report $D/history.parquet -o out.txt").worked()
    assert "\x1b" not in (sh.folder / "out.txt").read_text()
    sh.on_terminal("gencli report $D/history.parquet -o out.parquet").worked()
    assert pq.read_table(sh.folder / "out.parquet").num_rows == 1


@pytest.mark.parametrize(
    ("option", "env", "terminal", "colored"),
    [
        ("", {}, True, True),
        ("", {}, False, False),
        ("", {"NO_COLOR": "1"}, True, False),
        ("", {"NO_COLOR": ""}, True, True),
        ("", {"FORCE_COLOR": "1"}, False, True),
        ("", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ("--color always", {"NO_COLOR": "1"}, False, True),
        ("--color never", {"FORCE_COLOR": "1"}, True, False),
        ("", {"GENCLI_COLOR": "always", "NO_COLOR": "1"}, False, True),
    ],
)
def test_colour(sh: Shell, option: str, env: dict[str, str], terminal: bool, colored: bool) -> None:
    script = f"gencli report $D/history.parquet {option}"
    done = (sh.on_terminal(script, False, **env) if terminal else sh(script, **env)).worked()
    assert "mlp-1x16" in done.text
    assert ("\x1b[" in done.text) == colored


def test_names_do_not_steer_the_terminal(sh: Shell) -> None:
    sh(f"{CORRUPT} $'a\\x1b[2J\\nb'").refused("a�[2J�b: no such file")
