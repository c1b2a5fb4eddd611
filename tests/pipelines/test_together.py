"""Several outputs of one command appear together or not at all; a model is never lost to its history."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.shell import Done, explained, many

# commands, with the options whose files they write
SEVERAL = {
    "train digits.parquet --arch linear --epochs 1 -q": ["-o m", "--history h.csv"],
    "report history.parquet": ["-o t.csv", "--figure f.png"],
    "check min-norm -q": ["-o t.csv", "--plot f.png"],
    "show digits.parquet": ["-o t.csv", "--sheet f.png"],
    "eval model.safetensors test.parquet -q": ["-o t.csv", "--predictions p.parquet", "--confusion c.csv"],
    "hvp model.safetensors test.parquet --limit 5 -q": ["-o v", "--plot f.svg"],
    "jacobian -f w1^2*w2 --at 1,2 -q": ["-o t.csv", "--graph f.svg"],
    "jacobian model.safetensors test.parquet --limit 2 -q": ["-o j.safetensors", "--summary s.csv"],
    "spectrum model.safetensors test.parquet --limit 5 --top 1 --tolerance 1 --density-probes 1 --density-steps 3 -q": [
        "-o t.csv", "--density d.csv", "--vectors v.safetensors",
    ],
}  # fmt: skip
PAIRS = [(command, options, one) for command, options in SEVERAL.items() for one in options]


@pytest.fixture(scope="module")
def folder(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has the shared files, and names of every ending that lead to a full device."""
    folder = tmp_path_factory.mktemp("together")
    for path in data.iterdir():
        (folder / path.name).symlink_to(path)
    for ending in ("", ".csv", ".parquet", ".png", ".svg", ".safetensors"):
        (folder / f"full{ending}").symlink_to("/dev/full")
    return folder


def _with(number: int, command: str, options: list[str], place: dict[str, str]) -> tuple[list[str], list[str]]:
    """The command line with places of its own but for those given by option, and their names."""
    words, names = command.split(), []
    for each in options:
        option, name = each.split()
        if option in place:
            name = place[option] + Path(name).suffix
        else:
            names.append(name := f"{number}-{name}")
        words += [option, name]
    return words, names


def _run(folder: Path, place: str) -> list[tuple[str, list[str], Done]]:
    """Every command once for each option, which gets this place: the option, the other files, how it ended."""
    asked = [
        (option.split()[0], *_with(number, command, options, {option.split()[0]: place}))
        for number, (command, options, option) in enumerate(PAIRS)
    ]
    lines = [words for _, words, _ in asked]
    done = [*many(folder, lines[:10]), *many(folder, lines[10:])]
    return [(option, names, each) for (option, _, names), each in zip(asked, done)]


def test_nothing_appears_where_one_output_fails(folder: Path) -> None:
    for option, names, done in _run(folder, "full"):
        assert done.status == 2, done
        explained(done.err, "full", "No space left on device", "free some space")
        there = [name for name in names if (folder / name).exists()]
        if option == "--history":
            assert there == names
            assert f"{names[0]} is complete" in done.err
        else:
            assert not there, done
            assert "no file was written" in done.err
    assert not list(folder.glob(".*"))


def test_all_places_are_tried_before_the_work(folder: Path) -> None:
    for path in folder.glob("[0-9]*"):
        path.unlink()
    for _, names, done in _run(folder, "missing/f"):
        assert done.status == 2, done
        explained(done.err, "missing/f", "cannot be written: No such file")
        assert not [name for name in names if (folder / name).exists()]
