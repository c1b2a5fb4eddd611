"""Scripts: which jobs are a pipe, and how long their lines are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gencli.files.provenance import Source, Step
from gencli.replay import shell
from gencli.replay.plan import Outside, Path
from tests.replay.test_words import DIGITS, HASHES, planned, source, step


def commands(made: Step, name: str = "made.parquet") -> list[str]:
    """What a script runs, after the line that checks its folder and its inputs."""
    text = shell.script(planned(made, name)).rpartition("\n\n")[2]
    assert text.endswith("\n)\n")
    return text.removesuffix("\n)\n").split("\n")


CORRUPTED = step("corrupt random-labels", {"p": 0.5}, source(DIGITS))
MODEL = source(step("train", {"arch": "linear"}, source(DIGITS)), 2, "model")


def test_what_the_next_job_alone_reads_first_goes_through_a_pipe() -> None:
    assert commands(CORRUPTED) == [
        "gencli data digits --split test |", "  gencli corrupt random-labels - -p 0.5 -o made.parquet"
    ]  # fmt: skip
    trained = step("train", {"arch": "linear"}, source(CORRUPTED, 3))
    assert commands(trained, "m.parquet") == [
        "gencli data digits --split test |", "  gencli corrupt random-labels - -p 0.5 |",
        "  gencli train - --arch linear -o 3-train.parquet", "mv 3-train.parquet m.parquet",
    ]  # fmt: skip


def test_what_several_jobs_or_one_twice_read_is_a_file() -> None:
    assert commands(step("eval", {}, MODEL, source(DIGITS))) == [
        "gencli data digits --split test -o 1-digits.parquet",
        "gencli train 1-digits.parquet --arch linear |",
        "  gencli eval - 1-digits.parquet -o made.parquet",
    ]
    later = source(Step("data digits", {"split": "test", "seed": 1}, DIGITS.versions), 4)
    assert commands(step("eval", {}, MODEL, later)) == [
        "gencli data digits --split test |", "  gencli train - --arch linear -o 2-train.safetensors",
        "gencli data digits --split test --seed 1 -o 3-digits.parquet",
        "gencli eval 2-train.safetensors 3-digits.parquet -o made.parquet",
    ]  # fmt: skip


def test_processes_share_no_standard_streams_and_options_read_none() -> None:
    several = step("train", {"arch": "linear", "processes": 2}, source(DIGITS))
    assert commands(several)[0] == "gencli data digits --split test -o 1-digits.parquet"
    aside = step("train", {"arch": "linear"}, source(CORRUPTED, 3), replace(source(DIGITS, 5), role="eval-data"))
    assert "gencli data digits --split test -o" in "\n".join(commands(aside))
    history = step("train", {"arch": "linear"}, source(DIGITS), output="history")
    assert commands(history, "h.parquet") == [
        "gencli data digits --split test |", "  gencli train - --arch linear --history h.parquet > /dev/null"
    ]  # fmt: skip


def test_copies_and_standard_input_are_no_pipe() -> None:
    part = [Source("data", HASHES[place], DIGITS, "x") for place in (5, 6)]
    lines = commands(step("eval", {}, MODEL, *part))
    assert "mkdir -p 5-inputs/x" in lines
    assert lines[lines.index("mkdir -p 5-inputs/x") + 1 :] == [
        "cp 3-digits.parquet 5-inputs/x/00000.parquet", "cp 4-digits.parquet 5-inputs/x/00001.parquet",
        "gencli eval 2-train.safetensors 5-inputs/x -o made.parquet",
    ]  # fmt: skip
    named = Source("data", HASHES[5], DIGITS, "-")
    assert commands(step("data repeat", {"times": 3}, named)) == [
        "gencli data digits --split test -o 1-digits.parquet",
        "gencli data repeat - --times 3 < 1-digits.parquet -o made.parquet",
    ]


def test_lines_are_bearable() -> None:
    assert shell._wrapped(["a" * 50, "b" * 50]) == f"{'a' * 50} {'b' * 50}"
    assert shell._wrapped(["a" * 50, "b" * 51]) == f"{'a' * 50} \\\n    {'b' * 51}"
    assert shell._wrapped(["a" * 200, "b"]) == f"{'a' * 200} \\\n    b"
    assert shell._wrapped([]) == ""


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a b", "'a b'"), ("a", "a"), ("", "''"), ("é", "'é'"), ("é ü", "'é ü'"), ("a\nb", 'a"$NEWLINE"b'),
        ("\n", '"$NEWLINE"'),
        ("a\x1bb", "a\"$(printf '\\033')\"b"), ("é\x1b", "\"$(printf '\\303\\251\\033')\""),
    ],
)  # fmt: skip
def test_words_are_quoted(text: str, quoted: str) -> None:
    assert shell.quoted(text) == quoted


def test_names_are_no_options() -> None:
    assert [shell.word(each) for each in (Path("-x"), Path("x y"), Outside(3, "", "a"), "-x")] == [
        "./-x", "'x y'", '"$INPUT3"', "-x",
    ]  # fmt: skip


def test_a_script_says_what_it_is_made_with_and_imports() -> None:
    made = replace(CORRUPTED, machine={"cpu": "A"})
    head = shell.script(planned(made)).split("\n")
    assert head[:3] == [
        "#!/bin/sh", "# Makes made.parquet again. Run it in an empty folder.",
        "# What it was made with: gencli 0.1.0, cpu A.",
    ]  # fmt: skip
    assert "check()" not in "\n".join(head)
    own = replace(step("train", {"arch": "a.b:c"}, source(DIGITS)), machine={"network": "0a", "cpu": "A"})
    text = shell.script(planned(own, trust=True))
    assert "\n# imports a.b, which is looked for in INPUTS too; SHA-256 0a\n" in text
    outside = Source("data", HASHES[5], name="x y")
    text = shell.script(planned(step("data repeat", {"times": 2}, outside)))
    assert "INPUT1=${INPUT1:-}; [ \"$INPUT1\" ] || INPUT1=$INPUTS/'x y'\n" in text
    assert f'\ncheck "$INPUT1" {HASHES[5]} INPUT1\n' in text
