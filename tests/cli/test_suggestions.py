"""What is meant by words that are no command or option, and options that stand before a command."""

import pytest

from gencli.cli import suggestions
from gencli.cli.app import main

HELPS = {
    "--lr": "Learning rate. Default: the network's own.", "--arch": "Network: a name.", "--weight-decay": "L2 penalty.",
    "--batch-size": "Images per step.", "--epochs": "Maximum number of epochs.", "--optimizer": "Of the network.",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("--learning-rate", ["--lr"]),
        ("--leraning-rate", ["--lr"]),
        ("--learning_rate", ["--lr"]),
        ("--network", ["--arch"]),
        ("--wd", ["--weight-decay"]),
        ("--batch_size", ["--batch-size"]),
        ("--num-epochs", ["--epochs"]),
        ("--optim", ["--optimizer"]),
        ("--gpu", []),
        ("--number", []),  # which is not the first word of a help
        ("--", []),
    ],
)
def test_an_option_is_known_by_its_name_initials_or_help(name: str, meant: list[str]) -> None:
    assert suggestions.options(name, HELPS) == meant


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("random-labels", "No such command 'random-labels'. Did you mean 'gencli corrupt random-labels'?"),
        ("gaussian-clusters", "Did you mean 'gencli data synthetic gaussian-clusters'?"),
        ("data random-labels", "gencli data: No such command 'random-labels'. Did you mean 'gencli corrupt random-"),
        ("corrupt random-label", "Did you mean 'random-labels', 'random-pixels'?"),
        ("trian", "Did you mean 'train'?"),
        ("help corupt", "No such command 'corupt'. Did you mean 'corrupt'?"),
        ("nothing-like-it", "No such command 'nothing-like-it'.\n"),
        ("train --learning-rate 1", "gencli train: No such option: --learning-rate. Did you mean '--lr'?"),
        ("train -lr 1", "No such option: -l. Did you mean '--lr'?"),
        ("corrupt -p 0.5 random-labels", "gencli corrupt: No such option: -p; a command's options follow it"),
        ("--threads 0 train", "gencli: Invalid value for '--threads'"),
        ("-q corrupt -v random-labels -p 0.5", "gencli corrupt random-labels: -q and -v do not go together"),
        ("--quiet train --max-time 90x", "'90x' is no time; give 90s, 5min, 1h30min, or minutes"),
    ],
)
def test_a_mistake_is_answered_with_what_may_be_meant(line: str, said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(line.split()) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert len(told.err.splitlines()) == 2
    assert not told.out


@pytest.mark.parametrize("words", ["", "corrupt", "corrupt random-labels", "train"])
def test_help_is_a_command_of_its_own(words: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["help", *words.split()]) == 0
    told = capsys.readouterr().out
    assert main([*words.split(), "--help"]) == 0
    assert told == capsys.readouterr().out
    assert told.startswith(f"Usage: gencli {words}".rstrip())
