"""Command lines of provenance: what is refused, and that no word of a stranger's escapes its quotes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gencli.cli.app import command_tree
from gencli.errors import GencliError
from gencli.files.provenance import Source, Step
from gencli.replay import crate, make, shell
from gencli.replay import words as shell_words
from gencli.replay.graph import Graph
from gencli.replay.plan import Plan, plan
from gencli.replay.words import Commands

TREE = command_tree()
HASHES = [f"{number:064x}" for number in range(9)]
DIGITS = Step("data digits", {"split": "test"}, {"gencli": "0.1.0"})


def source(step: Step, number: int = 1, role: str = "data") -> Source:
    return Source(role, HASHES[number], step)


def planned(step: Step, name: str = "made.parquet", form: str = "parquet", trust: bool = False) -> Plan:
    return plan(Graph(step, HASHES[0]), name, form, Commands(TREE, trust))


def step(command: str, arguments: dict[str, Any] | None = None, *inputs: Source, output: str = "") -> Step:
    return Step(command, arguments or {}, {"gencli": "0.1.0"}, inputs, output=output)


TRAIN = {"arch": "package.module:factory", "device": "cpu"}
REFUSED = {
    "an unknown command": (step("rm -rf"), "no command"),
    "a command's folder": (step("data"), "no command"),
    "a command with another's words": (step("data digits; ls"), "no command"),
    "an option of no command": (step("data digits", {"exec": "ls"}), "no option"),
    "an option that names an output": (step("data digits", {"output": "x"}), "no option"),
    "an option that names a checkpoint": (step("train", {"arch": "linear", "checkpoint": "x"}), "no option"),
    "an option that names a folder": (step("data cifar10", {"root": "x"}), "no option"),
    "another option's output": (step("train", {"arch": "linear", "history": "x"}), "no option"),
    "a value of another type": (step("data digits", {"limit": "many"}), "no value"),
    "a value that is no choice": (step("data digits", {"split": "$(ls)"}), "no value"),
    "a list where one is taken": (step("data digits", {"split": ["test", "test"]}), "no value"),
    "a list of one": (step("train", {"arch": ["package.module:factory"]}, source(DIGITS)), "no value"),
    "no number of processes": (step("train", {"arch": "linear", "processes": True}, source(DIGITS)), "no value"),
    "too many processes": (step("train", {"arch": "linear", "processes": 10**9}, source(DIGITS)), "no value"),
    "a dictionary": (step("data digits", {"classes": {}}), "no value"),
    "a flag that is a word": (step("corrupt random-labels", {"p": 0.5, "exact": "yes"}), "no value"),
    "NUL": (step("data digits", {"classes": "a\0b"}), "no value"),
    "a path": (step("corrupt gaussian-pixels", {"statistics": "/etc/passwd"}), "a path"),
    "a way out": (step("corrupt gaussian-pixels", {"statistics": "../x"}), "a path"),
    "an input where none is taken": (step("data digits", {}, source(DIGITS, role="model")), "does not take"),
    "an input that leads out": (step("data repeat", {}, Source("data", HASHES[1], name="../x")), "leads out"),
    "an input from the root": (step("data repeat", {}, Source("data", HASHES[1], name="/etc/passwd")), "leads out"),
    "an input without a hash": (step("data repeat", {}, Source("data", "$(ls)", name="x")), "no SHA-256"),
    "an output that is none": (step("data digits", output="history"), "does not write"),
    "code without trust": (step("train", TRAIN, source(DIGITS)), "which is code"),
    "a newer version": (Step("data digits", {}, {"gencli": "99.1"}), "newer than this one"),
    "a circle": (step("data repeat", {}, Source("data", HASHES[0], DIGITS)), "in a circle"),
}


@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_what_no_gencli_wrote_is_refused(wrong: Step, message: str) -> None:
    with pytest.raises(GencliError, match=message):
        planned(wrong)


def test_networks_of_ones_own_are_allowed_by_trust() -> None:
    trained = step("train", TRAIN, source(DIGITS))
    whole = planned(step("eval", {}, source(trained, 2, "model"), source(DIGITS, 1)), trust=True)
    script = shell.script(whole)
    assert script.count("--arch package.module:factory") == 2
    assert 'PYTHONPATH=$(cd "$INPUTS" && pwd)' in script


def test_what_the_clock_decides_is_said_before_the_commands() -> None:
    for made, said in [
        (step("train", {"arch": "linear", "max_time": 0.5}, source(DIGITS)), "how far train --max-time gets"),
        (step("train", {"arch": "linear"}, source(DIGITS), output="history"), "a history holds times: seconds"),
        (step("train", {"arch": "linear"}, source(DIGITS)), ""),
    ]:
        whole = planned(made)
        for text in (shell.script(whole), make.makefile(whole), make.snakefile(whole)):
            assert text.count("# Its bytes may differ: ") == text.count(f"# Its bytes may differ: {said}") == bool(said)


HOSTILE = "'\"`$(){}[]<>|&;#!~*?\\ \n\r\t%=-@\x1b\x7f\x9b\u202e\u2066\u200f\u2028é漢"
texts = st.text(st.one_of(st.sampled_from(HOSTILE), st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


@settings(max_examples=40)
@given(st.lists(texts, min_size=1, max_size=20))
def test_no_word_escapes_its_quotes(words: list[str]) -> None:
    """Real shells print the words as they are; nothing in a script steers a terminal or turns text around."""
    quoted = " ".join(map(shell.quoted, words))
    assert quoted.isprintable()
    script = f"NEWLINE='\n'\nprintf '%s\\0' {quoted}"
    for program in ("sh", "bash"):
        done = subprocess.run([program, "-c", script], capture_output=True, check=True)
        assert done.stdout.decode().split("\0") == [*words, ""]


@settings(max_examples=40)
@given(texts, texts)
def test_names_and_values_stay_in_their_place_in_every_format(value: str, name: str) -> None:
    """A script that only prints its commands prints the words of provenance, and nothing else runs."""
    if name.strip("./ \n\r\t-") == "" or "/" in name:
        name = "name"
    if value.startswith(("/", "~")) or "../" in value:
        value = f"x{value.replace('../', '')}"
    made = step("data parquet", {"name": value, "label": value}, Source("data", HASHES[1], name=name))
    whole = planned(made)
    lines = shell.script(whole).splitlines()
    assert all(line.isprintable() for line in lines)
    line = "\n".join(lines).rpartition("\n\n")[2].removesuffix("\n)")
    printed = "gencli() { printf '%s\\0' \"$@\"; }\nINPUT1=in\nNEWLINE='\n'\n" + line
    done = subprocess.run(["sh", "-c", printed], capture_output=True, check=True)
    words = done.stdout.decode().split("\0")
    given_value = [f"--name={value}"] if value.startswith("-") else ["--name", value]
    assert words[:3] == ["data", "parquet", "in"]
    assert words[3 : 3 + len(given_value)] == given_value
    compile(make.snakefile(whole).partition("\nrule ")[0], "Snakefile", "exec")
    assert '"@graph"' in crate.crate(whole, HASHES[0], "2026-01-01")


def test_a_plug_in_may_lie_in_the_folder_of_the_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lying_elsewhere.py").write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path])
    run = Graph(Step("corrupt it", {"plugin": ["lying_elsewhere"]}, {}), HASHES[0]).runs
    with pytest.raises(GencliError, match="no module 'lying_elsewhere'"):
        Commands(TREE, True, run)
    with pytest.raises(GencliError, match="plug-in lying_elsewhere: no corruption, network"):  # found, but empty
        Commands(TREE, True, run, str(tmp_path))


@pytest.mark.parametrize(
    ("command", "role", "made", "several", "part"),
    [
        ("eval", "data", (True, True), True, True), ("eval", "data", (True, False), True, False),
        ("eval", "data", (False, True), True, False), ("show", "file", (True, True), True, True),
        ("score", "data", (True, True), True, True), ("score", "model", (True, True), True, False),
        ("train", "data", (True, True), True, False), ("train", "data", (True, False), False, True),
    ],
)  # fmt: skip
def test_files_are_parts_of_one_data_set(
    command: str, role: str, made: tuple[bool, bool], several: bool, part: bool
) -> None:
    first, second = (Source(role, HASHES[place], DIGITS if each else None, "x") for place, each in enumerate(made))
    same, other = Source(role, HASHES[0], second.step, "x"), Source(role, HASHES[1], second.step, "y")
    assert shell_words._is_part(step(command), first, second, several, None) == part
    assert [shell_words._is_part(step(command), first, each, several, None) for each in (same, other)] == [
        not several, not several
    ]  # fmt: skip
    assert not shell_words._is_part(step(command), Source("z", HASHES[0], DIGITS, "x"), second, several, None)
