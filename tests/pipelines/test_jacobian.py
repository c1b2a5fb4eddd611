"""`gencli jacobian` at the shell: every form of output, the exit status, and errors before torch is loaded."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from tests.helpers import steps
from tests.pipelines.shell import PATIENCE, Done, Shell, environment, many

FORMULAS = '-f "cos(w1)*cos(w2) + sigmoid(w2)" -f "ln(w1+w2) + w1^2*w2"'
COURSE = f"gencli jacobian {FORMULAS} --at 1,2"
BY_HAND = [[0.351, -0.386], [4.353, 1.333]], [[0.350, -0.386], [4.333, 1.333]]

REPLAYED = [
    *("-f", "cos(w1)*cos(w2) + sigmoid(w2); ln(w1+w2) + w1^2*w2", "--at", "1,2", "--step", "0.01"),
    *("--difference", "forward", "--dtype", "float64", "--tolerance", "1e-10"),
]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("jacobian"))


@pytest.fixture(scope="module")
def ends(shell: Shell) -> dict[str, Done]:
    """One process, torch loaded once: each file's command and how it ended."""
    formulas = ["-f", "cos(w1)*cos(w2) + sigmoid(w2)", "-f", "ln(w1+w2) + w1^2*w2"]
    (shell.folder / "right.txt").write_text("0.350 -0.386\n4.333 1.333\n")
    (shell.folder / "wrong.txt").write_text("0.350 -0.386\n4.333 1.433\n")
    (shell.folder / "points.csv").write_text("w1,w2\n1,2\n3,4\n")
    (shell.folder / "formulas.txt").write_text("cos(w1)*cos(w2) + sigmoid(w2)\nln(w1+w2) + w1^2*w2\n")
    at = ["--at", "1,2"]
    commands = {
        "J.json": [*formulas, *at, "--step", "0.01"],
        "J.csv": [*formulas, *at, "--step", "0.01"],
        "J.parquet": [*formulas, *at, "--step", "0.01"],
        "J.safetensors": [*formulas, *at, "--step", "0.01"],
        "J.txt": [*formulas, *at, "--step", "0.01"],
        "J.md": [*formulas, "--at", "1,2;3,4"],
        "same.parquet": ["-f", "; ".join(formulas[1::2]), *at, "--step", "0.01"],
        "replayed.parquet": REPLAYED,
        "file.parquet": ["--file", "formulas.txt", *at, "--step", "0.01"],
        "points.json": [*formulas, "--at", "points.csv"],
        "points.safetensors": [*formulas, "--at", "points.csv"],
        "points.txt": [*formulas, "--at", "points.csv"],
        "hessian.safetensors": [*formulas, *at, "--hessian"],
        "hessian.json": [*formulas, *at, "--hessian"],
        "hvp.json": [*formulas, *at, "--hvp", "1,0.5"],
        "trace.json": [*formulas, *at, "--trace", "reverse", "--graph", "graph.svg"],
        "again.json": [*formulas, *at, "--trace", "reverse", "--graph", "again.svg"],
        "trace.txt": [*formulas, "--at", "1,2;3,4", "--trace", "forward"],
        "picture.json": [*formulas, *at, "--graph", "graph.png"],
        "right.json": [*formulas, *at, "--check-against", "right.txt"],
        "wrong.json": [*formulas, *at, "--check-against", "wrong.txt"],
        "strict.json": [*formulas, *at, "--check-against", "right.txt", "--check-tolerance", "1e-9"],
        "tolerance.json": [*formulas, *at, "--tolerance", "0"],
        "period.json": ["-f", "sin(200*pi*x)", "--at", "0", "--step", "0.01"],
        "period.txt": ["-f", "sin(200*pi*x)", "--at", "0", "--step", "0.01", "-q"],
        "single.json": [*formulas, *at, "--dtype", "float32"],
        "cancels.json": ["-f", "(1-cos(x))/x^2", "--at", "1e-4"],
        "cancels.txt": ["-f", "(1-cos(x))/x^2", "--at", "1e-4", "--tolerance", "1e-3"],
        "few.csv": ["-f", "x-sin(x)", "--at", "1e-6"],
        "few.json": ["-f", "x-sin(x)", "--at", "1e-6", "--trace", "reverse", "-q"],
        "jump.json": ["-f", "floor(x)", "--at", "1", "--step", "0.01"],
        "tiny.csv": ["-f", "ln(x)", "-f", "sqrt(x)", "--at", "1e-300", "--trace", "reverse"],
    }
    done = many(shell.folder, [["jacobian", *command, "-o", name] for name, command in commands.items()])
    return dict(zip(commands, done, strict=True))


def rows(shell: Shell, name: str) -> list[dict[str, float | str]]:
    return json.loads((shell.folder / name).read_text())


def matrix(shell: Shell, name: str, method: str) -> list[list[float]]:
    values = [float(row["value"]) for row in rows(shell, name) if row["method"] == method]
    return np.array(values).reshape(2, -1).round(3).tolist()


def test_what_worked_and_what_did_not(ends: dict[str, Done]) -> None:
    failed = {"wrong.json", "strict.json", "tolerance.json", "period.json", "period.txt", "cancels.json"}
    for name, end in ends.items():
        assert end.status == (1 if name in failed else 0), (name, end)
        assert bool(end.err) == (name in (failed | {"few.csv", "cancels.txt"}) - {"period.txt"}), (name, end)
    assert "; reverse is 4.4108e-05 instead of -8.33333e-06" in ends["cancels.json"].err
    assert "forward keeps less than half of its digits in 1 of 1 numbers" in ends["few.csv"].err
    assert "wrong.txt: 1 of 2 rows differ from the derivatives" in ends["wrong.json"].err
    assert "forward and reverse disagree in 1 of 4 numbers: f1 by w2, at w1 = 1, w2 = 2" in ends["tolerance.json"].err
    assert "numeric and reverse disagree in 1 of 1 numbers" in ends["period.json"].err


def test_rows(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    assert matrix(shell, "J.json", "numeric") == BY_HAND[0]
    assert matrix(shell, "J.json", "forward") == matrix(shell, "J.json", "reverse") == BY_HAND[1]
    columns = ["method", "output", "input", "value", "output_value", "difference", "allowed", "error"]
    assert all(list(row) == columns for row in rows(shell, "J.json"))
    assert pq.read_table(shell.folder / "J.parquet").to_pylist() == rows(shell, "J.json")
    with open(shell.folder / "J.csv") as file:
        read = list(csv.DictReader(file))
    assert [[row["output"], row["input"]] for row in read[:4]] == [
        ["f1", "w1"],
        ["f1", "w2"],
        ["f2", "w1"],
        ["f2", "w2"],
    ]
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows(shell, "J.json")]


def test_errors_of_the_values(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    numeric, forward, reverse = rows(shell, "cancels.json")
    assert numeric["value"] == pytest.approx(-8.333333327777778e-06, rel=1e-15)
    assert float(numeric["error"]) < 1e-20
    for wrong in (forward, reverse):
        assert float(wrong["error"]) == pytest.approx(float(wrong["value"]) - float(numeric["value"]), rel=1e-6)
    assert "errors of at most 5.2e-05 and 5.2e-05, over" in (shell.folder / "cancels.txt").read_text()
    assert [row["error"] for row in rows(shell, "jump.json")] == [None] * 3


def test_matrices(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    found = load_file(shell.folder / "J.safetensors")
    assert {name: each.round(3).tolist() for name, each in found.items()} == {
        "numeric": BY_HAND[0], "forward": BY_HAND[1], "reverse": BY_HAND[1]
    }  # fmt: skip
    assert load_file(shell.folder / "points.safetensors")["reverse"].shape == (2, 2, 2)
    assert load_file(shell.folder / "hessian.safetensors")["numeric"].shape == (2, 2, 2)
    with safe_open(shell.folder / "J.safetensors", "np") as file:
        said = json.loads(file.metadata()["gencli"])
    assert said["formulas"] == ["cos(w1)*cos(w2) + sigmoid(w2)", "ln(w1+w2) + w1^2*w2"]
    assert said["step"]["arguments"]["step"] == "0.01"
    assert said["step"]["arguments"]["difference"] == "forward"


def test_the_same_formulas_give_the_same_bytes(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    first = (shell.folder / "J.parquet").read_bytes()
    assert (shell.folder / "same.parquet").read_bytes() == (shell.folder / "file.parquet").read_bytes() == first
    assert (shell.folder / "graph.svg").read_bytes() == (shell.folder / "again.svg").read_bytes()


def test_tables_for_people(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    text = (shell.folder / "J.txt").read_text()
    assert text.startswith("at w1 = 1, w2 = 2\nf1 = cos(w1)*cos(w2) + sigmoid(w2) = 0.655952\n")
    assert " f2      w1      4.3528   4.3333   4.3333 " in text
    assert "forward and reverse differ by" in text
    assert max(map(len, text.splitlines())) <= 80
    assert (shell.folder / "points.txt").read_text().count("f2 = ln(w1+w2)") == 2
    markdown = (shell.folder / "J.md").read_text().splitlines()
    assert markdown[0].startswith("| point | output | input | numeric | forward | reverse |")
    assert len(markdown) == 2 + 8
    assert (shell.folder / "trace.txt").read_text().count("v3+v4") == 2


def test_second_derivatives(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    hessian = {(row["method"], row["output"], row["input"], row["second_input"]): row["value"]
               for row in rows(shell, "hessian.json")}  # fmt: skip
    assert hessian["reverse", "f2", "w1", "w2"] == pytest.approx(17 / 9, rel=1e-14)
    assert len(hessian) == 3 * 8
    assert matrix(shell, "hvp.json", "forward")[1] == [4.833, 1.833]


def test_traces_and_graphs(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    trace = rows(shell, "trace.json")
    assert trace[-1]["node"] == "w1"
    assert trace[-1]["adjoint_f2"] == pytest.approx(13 / 3, rel=1e-15)
    assert b"<svg" in (shell.folder / "graph.svg").read_bytes()
    assert (shell.folder / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_answers(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    assert [row["agrees"] for row in rows(shell, "wrong.json")] == ["yes", "no"]
    assert rows(shell, "wrong.json")[1]["input"] == "w2"
    assert rows(shell, "wrong.json")[1]["given"] == 1.433


def test_points_in_rows(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    assert [row["point"] for row in rows(shell, "points.json")] == [0, 0, 0, 0, 1, 1, 1, 1] * 3


def test_a_point_from_a_pipe_and_a_table_on_the_terminal(shell: Shell) -> None:
    shown = shell.on_terminal(f"printf '1 2' | {COURSE.replace('1,2', '-')} --step 0.01").worked()
    assert "4.3528" in shown.text
    assert "numeric and reverse differ by at most 0.019, within its estimated error" in shown.text
    shell("gencli jacobian").refused("no formula")


def test_provenance_is_a_command_that_makes_the_same(shell: Shell, ends: dict[str, Done]) -> None:
    assert ends
    (command,) = steps(shell.folder / "J.parquet")
    assert shlex.split(command) == ["gencli", "jacobian", *REPLAYED]
    assert (shell.folder / "replayed.parquet").read_bytes() == (shell.folder / "J.parquet").read_bytes()


REFUSED = {
    '-f "cos(w1" --at 1': "column 1: its parenthesis is never closed",
    '-f "sni(w1)" --at 1': "did you mean sin?",
    '-f "w1*w2" --at 1': "1 coordinate, but the formulas have 2",
    '-f "ln(w1)" --at -1': "ln(-1) is not defined, at w1 = -1",
    '-f "9**9**9*w1" --at 1': "is too large",
    '-f "w1.__class__" --at 1': "'.' is not allowed in a formula",
    '-f "x" --at nowhere.csv': "nowhere.csv: no such file",
    '-f "x" --file nowhere.txt --at 1': "nowhere.txt: no such file",
    '-f "x" --at 1 --check-against nowhere.txt': "nowhere.txt: no such file",
    '-f "x" --at 1 --step 0': "--step: '0' is not a step",
    '-f "x" --at 1 --step 0.1 --difference extended': "--difference extended chooses its own steps",
    '-f "ln(x)" --at 5e-324': "ln(4.94066e-324) has a derivative beyond float64",
    '-f "floor(x)" --at 1': "its derivative by x does not exist: the formula ends or jumps there, at x = 1",
    '-f "x" --at 1 --graph graph.txt': "--graph: graph.txt: not a .png, .svg or .pdf file",
    '-f "x" --at "1;2" --graph graph.svg': "--graph: 2 points",
    '-f "x" --at 1 --hessian --trace reverse': "--hessian and --trace do not go together",
    '-f "x" --at 1 --hessian --hvp 1': "--hessian and --hvp do not go together",
    '-f "x" --at 1 --trace forward -o J.safetensors': "--trace and safetensors do not go together",
    '-f "x" --at 1 --hvp 1,2': "2 coordinates, but the formulas have 1",
    '-f "ln(x)" --at 0.001 --step 0.01 --difference central': "--step 0.01 leaves the domain, or is lost in rounding",
    '-f "x" --file - --at -': "two inputs would come from standard input",
    '-f "x" --at 1 -o nowhere/J.csv': "nowhere/J.csv: cannot be written",
}  # fmt: skip
_REFUSED = """
import json, shlex, sys
from gencli.cli.app import main
for command in json.load(open(sys.argv[1])):
    print("status", main(["jacobian", *shlex.split(command)]), file=sys.stderr)
    assert "torch" not in sys.modules, command
"""


def test_what_is_wrong_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "commands.json").write_text(json.dumps(list(REFUSED)))
    done = subprocess.run(
        [sys.executable, "-c", _REFUSED, "commands.json"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert len(lines) == 3 * len(REFUSED)
    for number, (command, message) in enumerate(REFUSED.items()):
        said, hint, status = lines[3 * number : 3 * number + 3]
        Done(int(status.removeprefix("status ")), b"", f"{said}\n{hint}\n").refused(message)
        if ": column " in said:
            assert hint.strip().startswith("^"), command
    assert not done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"commands.json"}


def test_the_caret_stands_below_the_column(shell: Shell) -> None:
    line, hint = shell('gencli jacobian -f "w1 + foo" --at 1').refused("column 6").err.splitlines()
    assert line[hint.index("^") :].startswith("foo")
