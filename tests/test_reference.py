"""The committed man pages and completions are those of the commands, and shells can run them."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gencli.app import command_tree
from gencli.reference import Page, files, read_tree

ROOT = Path(__file__).parent.parent


def test_committed_files_are_those_of_the_commands():
    made = files()
    paths = [*(ROOT / "man").iterdir(), *(ROOT / "completions").iterdir()]
    committed = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    assert made == committed, "make docs writes them"


def test_every_command_has_purpose_example_and_says_what_it_reads_and_writes():
    for page in read_tree().walk():
        assert 0 < len(page.purpose) <= 66, page.name
        if not page.children:
            assert "Example:\n  gencli " in page.help, page.name
            assert "Reads " in page.help, page.name
            assert "writes " in page.help, page.name


def test_lists_of_commands_say_what_the_commands_say():
    def check(group: Any, page: Page) -> None:
        if page.children:
            assert group.purposes() == {child.words[-1]: child.purpose + "." for child in page.children}
        for child in page.children:
            check(group.get_command(context, child.words[-1]), child)

    tree = command_tree()
    context = tree.make_context("gencli", [], resilient_parsing=True)
    check(tree, read_tree())


def test_every_option_has_a_help():
    for page in read_tree().walk():
        assert all(option.help for option in page.options), page.name
        assert all(help for _, help in page.arguments), page.name


def shell(name: str, *arguments: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} here")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "MANWIDTH": "80", "LANG": "C.UTF-8"}
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    return done.stdout


def complete_in_bash(*words: str) -> set[str]:
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""
    source {ROOT}/completions/gencli.bash
    COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _gencli; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(shell("bash", "-c", script).split())


def test_bash_completes_commands_options_and_choices():
    assert complete_in_bash("gencli", "") == {"data", "corrupt", "train", "eval", "report"}
    assert complete_in_bash("gencli", "corrupt", "r") == {"random-labels"}
    assert complete_in_bash("gencli", "train", "--until") == {"--until-train-accuracy"}
    assert complete_in_bash("gencli", "corrupt", "shuffled-pixels", "--channels", "") == {"together", "apart"}
    assert complete_in_bash("gencli", "train", "--lr", "") == set()


def complete_in_fish(line: str) -> set[str]:
    script = f"source {ROOT}/completions/gencli.fish; complete -C '{line}'"
    return {each.split("\t")[0] for each in shell("fish", "--no-config", "-c", script).splitlines()}


def test_fish_completes_commands_options_and_choices():
    assert complete_in_fish("gencli ") == {"data", "corrupt", "train", "eval", "report"}
    assert complete_in_fish("gencli corrupt r") >= {"random-labels"}
    assert complete_in_fish("gencli train --until") == {"--until-train-accuracy"}
    assert complete_in_fish("gencli corrupt shuffled-pixels --channels ") == {"together", "apart"}


def test_zsh_reads_its_completion():
    assert shell("zsh", "-f", "-n", f"{ROOT}/completions/_gencli") == ""


@pytest.mark.parametrize("page", [page.name for page in read_tree().walk()])
def test_man_shows_every_page_without_warning(page: str):
    text = shell("man", "--warnings=w", "-l", f"{ROOT}/man/{page}.1")
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
        assert f"\n{section}\n" in text
