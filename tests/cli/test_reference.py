"""The committed man pages and completions are those of the commands, and shells can run them."""

import os
import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from gencli.cli.app import command_tree
from gencli.cli.completions import bash, fish, zsh
from gencli.cli.reference import Option, Page, files, read_tree
from gencli.models import FAMILIES

ROOT = Path(__file__).parents[2]


def test_committed_files_are_those_of_the_commands():
    made = files()
    paths = [*(ROOT / "man").iterdir(), *(ROOT / "completions").iterdir()]
    committed = {str(path.relative_to(ROOT)): path.read_text() for path in paths}
    assert made == committed, "make docs writes them"


def test_every_command_has_purpose_example_and_says_what_it_reads_and_writes():
    for page in read_tree().walk():
        assert 0 < len(page.purpose) <= 66, page.name
        if not page.children:
            assert re.search(r"^Example:\n(  .*\n)*  gencli ", page.help, re.MULTILINE), page.name
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
        assert all(argument.help for argument in page.arguments), page.name


# Each shell gets lines with TAB behind them, as from a keyboard, and writes what it proposes to $ANSWERS, a word a
# line, and behind the words the line as TAB left it.
BASH = r"""
source "$COMPLETIONS/gencli.bash"
eval "real$(declare -f _gencli)"
_gencli() { real_gencli "$@"; printf 'word %s\n' "${COMPREPLY[@]}" >>"$ANSWERS"; }
answer() { echo "line $READLINE_LINE" >>"$ANSWERS"; READLINE_LINE=; }
bind -x '"\C-g": answer'
HISTFILE=
"""
ZSH = r"""
PS1='ready>'
unsetopt auto_list beep
fpath=($COMPLETIONS $fpath)
autoload -Uz compinit
compinit -D -u
compadd() {
  if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
    local -a hits
    builtin compadd -A hits "$@"
    print -rl -- 'word '$^hits >>$ANSWERS
  fi
  builtin compadd "$@"
}
answer() { print -r -- "line $BUFFER" >>$ANSWERS; BUFFER=; print -n '<answered>' }
zle -N answer
bindkey '^G' answer
bindkey '^I' complete-word
"""
ZSH_TERMINAL = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'source $SETUP'
zpty -r shell seen '*ready>*'
for line in "$@"; do
  zpty -w -n shell "$line"$'\t\a'
  zpty -r shell seen '*<answered>*'
done
"""
FISH = r"""
source $COMPLETIONS/gencli.fish
for line in $argv
    printf 'word %s\n' (complete -C $line | string split -f1 \t) >>$ANSWERS
    echo "line $line" >>$ANSWERS
end
"""
SETUPS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
FILE = "two words.parquet"

on_shells = pytest.mark.parametrize("name", list(SETUPS))


def completions(name: str, tree: Page, folder: Path, lines: Collection[str]) -> dict[str, set[str]]:
    """What a shell proposes at the end of each line, in a folder with one file; options where one was begun."""
    setup, answers, here = folder / "setup", folder / "answers", folder / "here"
    here.mkdir()
    (here / FILE).touch()
    for made, generate in (("gencli.bash", bash), ("_gencli", zsh), ("gencli.fish", fish)):
        (folder / made).write_text(generate(tree))
    setup.write_text(SETUPS[name])
    commands = {
        "bash": ["bash", "--noprofile", "--rcfile", str(setup), "-i"],
        "zsh": ["zsh", "-f", "-c", ZSH_TERMINAL, "zsh", *lines],
        "fish": ["fish", "--no-config", str(setup), *lines],
    }
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "TERM": "dumb"}
    environment |= {"INPUTRC": "/dev/null", "COMPLETIONS": str(folder), "ANSWERS": str(answers), "SETUP": str(setup)}
    typed = "".join(f"{line}\t\a" for line in lines)
    subprocess.run(
        commands[name], cwd=here, env=environment, input=typed, text=True, capture_output=True, timeout=100, check=False
    )
    proposed: list[set[str]] = [set()]
    for kind, _, text in (answer.partition(" ") for answer in answers.read_text().splitlines()):
        if kind == "word":
            proposed[-1].add(text.replace("\\ ", " "))
        elif kind == "line":
            proposed[-1] |= {FILE} if FILE.replace(" ", "\\ ") in text else set()
            proposed.append(set())
    assert len(proposed) == len(lines) + 1
    return {line: tidy(words, line.rpartition(" ")[2]) for line, words in zip(lines, proposed, strict=False)}


def tidy(words: set[str], current: str) -> set[str]:
    """Without options where none was begun, and without the `--option=` that fish repeats."""
    start = current[: current.find("=") + 1]
    return {word.removeprefix(start) for word in words if word and (word[0] != "-" or current[:1] == "-")}


def page(path: str, *inside: Page | Option) -> Page:
    """A command of the tree for tests."""
    parameters = [each for each in inside if isinstance(each, Option)]
    return Page(
        tuple(path.split()),
        "",
        "What: it's [for].",
        (*(each for each in parameters if each.names), Option(("-h", "--help"), "", "Help's help: [x].")),
        tuple(each for each in parameters if not each.names),
        tuple(each for each in inside if isinstance(each, Page)),
    )


DATA, OUTPUT = Option((), "DATA", "Input."), Option(("-o", "--output"), "FILE", "Output.")
TREE = page(
    "gencli",
    page(
        "gencli data",
        page(
            "gencli data synthetic",
            page("gencli data synthetic noise", Option(("--rows",), "N", "Rows."), OUTPUT),
            page("gencli data synthetic two-moons", Option(("--noise",), "X", "Noise."), OUTPUT),
        ),
        page("gencli data files", OUTPUT, Option((), "PATH...", "Files.")),
    ),
    page("gencli corrupt", page("gencli corrupt noise", Option(("--std",), "X", "Size."), OUTPUT, DATA)),
    page(
        "gencli report",
        Option(("--table",), "runs|data|corrupt", "Kind.", ("runs", "data", "corrupt")),
        Option(("--metric",), "COLUMN", "Column.", repeats=True),
        Option(("-q", "--quiet"), "", "Quiet."),
        OUTPUT,
        Option((), "FILE...", "Files."),
    ),
    page("gencli recipe", Option((), "NAME", "Recipe.", ("demo", "data"))),
)
PROPOSED: dict[str, set[str]] = {
    "gencli ": {"data", "corrupt", "report", "recipe", "help"},
    "gencli help ": {"data", "corrupt", "report", "recipe", "help"},
    "gencli help corrupt ": {"noise"},
    "gencli data ": {"synthetic", "files"},
    "gencli data synthetic ": {"noise", "two-moons"},
    "gencli data synthetic noise ": set(),
    "gencli data synthetic noise --": {"--rows", "--output", "--help"},
    "gencli data synthetic two-moons --noise ": set(),
    "gencli data synthetic two-moons --noise 1 --": {"--output", "--help"},
    "gencli corrupt ": {"noise"},
    "gencli corrupt noi": {"noise"},
    "gencli corrupt zz": set(),
    "gencli corrupt noise --": {"--std", "--output", "--help"},
    "gencli corrupt noise -o data ": {FILE},
    "gencli corrupt noise -o data --std ": set(),
    "gencli corrupt noise < ": {FILE},
    "gencli data synthetic noise > ": {FILE},
    "gencli data synthetic noise -o ": {FILE},
    "gencli data synthetic noise --rows ": set(),
    "gencli data synthetic noise | gencli corrupt ": {"noise"},
    "gencli report ": {FILE},
    "gencli report tw": {FILE},
    "gencli report --table ": {"runs", "data", "corrupt"},
    "gencli report --table=": {"runs", "data", "corrupt"},
    "gencli report --table=r": {"runs"},
    "gencli report --table data ": {FILE},
    "gencli report --table data --": {"--metric", "--quiet", "--output", "--help"},
    "gencli report --table=data --ta": set(),
    "gencli report data corrupt --ta": {"--table"},
    "gencli report --metric loss --m": {"--metric"},
    "gencli report -q --quie": set(),
    "gencli report -o x --outp": set(),
    "gencli report -o ": {FILE},
    "gencli report --output tw": {FILE},
    "gencli report --output=": {FILE},
    "gencli report --output=tw": {FILE},
    "gencli recipe ": {"demo", "data"},
}


@on_shells
def test_shells_propose_what_fits_and_nothing_else(name: str, tmp_path: Path):
    assert completions(name, TREE, tmp_path, PROPOSED) == PROPOSED


@on_shells
def test_shells_propose_all_commands_and_all_choices(name: str, tmp_path: Path):
    pages = list(read_tree().walk())
    expected = {f"{page.path} ": {child.words[-1] for child in page.children} for page in pages if page.children}
    expected["gencli "].add("help")
    for page in pages:
        for option in page.options:
            if option.choices:
                expected[f"{page.path} {option.names[-1]} "] = set(option.choices)
    assert completions(name, read_tree(), tmp_path, expected) == expected


def test_options_know_their_values():
    pages = list(read_tree().walk())
    options = {(page.name, name): option for page in pages for option in page.options for name in option.names}
    assert options["gencli-corrupt-shuffled-pixels", "--channels"].choices == ("together", "apart")
    assert options["gencli-train", "--output"].files
    assert options["gencli-train", "--eval-data"].files
    assert not options["gencli-train", "--lr"].files
    assert options["gencli-report", "--metric"].repeats
    for network in options["gencli-train", "--arch"].choices:
        assert any(re.fullmatch(family.pattern, network) for family in FAMILIES), network


@pytest.fixture(scope="module")
def man_pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    for path, text in files().items():
        (folder / Path(path).name).write_text(text)
    return folder


def shown(page: Path) -> str:
    """As `man` shows it on a terminal of 80 columns."""
    program = shutil.which("man")
    if program is None:
        pytest.skip("no man here")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "MANWIDTH": "80", "LANG": "C.UTF-8"}
    done = subprocess.run([program, "--warnings=w", "-l", str(page)], capture_output=True, env=environment, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize("page", [page.name for page in read_tree().walk()])
def test_man_shows_every_page_without_warning(page: str, man_pages: Path):
    text = shown(man_pages / f"{page}.1")
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
        assert f"\n{section}\n" in text


def test_man_says_what_must_be_given_what_can_be_and_what_is_in_the_files(man_pages: Path):
    text = shown(man_pages / "gencli-train.1")
    assert "gencli train [OPTIONS] [DATA]" in text
    assert "--device auto|cpu|cuda|mps" in text
    assert "[default: 30; N>=1]" in text
    assert "mlp-3x512" in text
    assert (
        "\n         gencli train --arch mlp-1x64 --batch-size 32 --runs 3" in text
    )  # the example's second line, indented
    assert "label_true int64" in text
