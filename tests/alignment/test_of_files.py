"""`gencli spectrum --kernel` in this process: which eigenvalues, which files, and what is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from gencli.cli.app import main
from tests.helpers import image_table, save, steps


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(image_table(12, (2, 2, 1)), tmp_path / "toy.parquet")
    return tmp_path


def places(folder: Path, words: str) -> list[int]:
    """The numbers of the eigenvalues that are written."""
    assert main(["spectrum", "toy.parquet", "-o", "k.csv", *words.split()]) == 0
    rows = [row for row in csv.DictReader((folder / "k.csv").read_text().splitlines()) if row]
    return [int(row["index"]) for row in rows if row["quantity"] == "eigenvalue"]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("", [*range(1, 11)]),
        ("--top 3", [1, 2, 3]),
        ("--bottom 2", [-2, -1]),
        ("--top 1 --bottom 2", [1, -2, -1]),
    ],
)
def test_the_largest_ten_are_written_or_those_asked_for(words: str, numbers: list[int], folder: Path) -> None:
    assert places(folder, f"--kernel ntk:1 {words}") == numbers
    assert main(["spectrum", "toy.parquet", "--kernel", "ntk:1", "-q", "-o", "k.parquet", *words.split()]) == 0
    (line,) = [step for step in steps(folder / "k.parquet") if "spectrum" in step]
    assert ("--top" in line) == (words != "--bottom 2")
    assert ("--bottom" in line) == ("--bottom" in words)


@pytest.mark.parametrize("files", [(), ("energy",), ("descent",), ("figure",), ("energy", "descent", "figure")])
def test_each_file_is_written_by_itself(files: tuple[str, ...], folder: Path) -> None:
    names = {"energy": "e.csv", "descent": "d.csv", "figure": "f.svg"}
    words = " ".join(f"--{each} {names[each]}" for each in files)
    places(folder, f"--kernel ntk:1 {words}")
    assert {each.name for each in folder.iterdir()} == {"toy.parquet", "k.csv", *(names[each] for each in files)}


def test_a_rank_below_the_rows_is_said_and_a_full_one_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places(folder, "--kernel ntk:1")
    assert capsys.readouterr().err == "eigenvalues of a matrix of 12 rows\n"
    places(folder, "--kernel linear")
    first, said = capsys.readouterr().err.splitlines()
    assert first == "eigenvalues of a matrix of 12 rows"
    assert said.startswith("K has rank 4 of 12: ")
    share = next(
        row for row in csv.DictReader((folder / "k.csv").read_text().splitlines()) if "outside" in row["quantity"]
    )
    outside = f"{float(share['value']):.2%} of the labels' energy is outside its range"
    assert said == f"K has rank 4 of 12: {outside}, so complexity is infinite"
