"""Points, vectors and answers are read from the command line and from files of every form."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from gencli.errors import GencliError
from gencli.formulas import requests
from gencli.formulas.matrices import read_points, read_vector
from gencli.formulas.parsing import parse, split
from gencli.formulas.reports import of_answer
from tests.curvature.helpers import COURSE, derive

TWO = parse(split("w1*w2"))


def points(*arguments: str) -> list[list[float]]:
    return read_points(arguments, TWO).coordinates.tolist()


def test_points_of_the_command_line() -> None:
    assert points("1,2") == [[1, 2]]
    assert points(" -1 , 2e-3; pi/2,-sqrt(4)", "3,4") == [[-1, 0.002], [np.pi / 2, -2], [3, 4]]
    assert not read_points(["1,2"], TWO).several
    assert read_points(["1,2; 3,4"], TWO).several
    assert read_points(["1,2", "3,4"], TWO).place(1) == "at w1 = 3, w2 = 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [("1", "1 coordinate, but the formulas have 2: w1, w2"), ("1,2,3", "3 coordinates"), ("1,x", "x is not a number"),
     ("1,", "a value is missing"), ("1,1/0", "1/0 is not defined"), ("1 2,3", "an operator is missing"),
     ("nan,1", "nan is not known")],
)  # fmt: skip
def test_points_that_are_none(text: str, message: str) -> None:
    with pytest.raises(GencliError, match=message):
        points(text)


FILES = {
    "spaces.txt": "1 2\n\n3 4  # the second\n",
    "commas.csv": "1,2\n3,4\n",
    "names.csv": "w2,w1\n2,1\n4,3\n",
    "extra.csv": "id,x2,w[1],y\n7,2,1,9\n8,4,3,9\n",
    "brackets.txt": "[[1., 2.],\n [3., 4.]]\n",
    "mark.csv": "\ufeff1,2\r\n3,4\r\n",
}


@pytest.mark.parametrize("name", FILES)
def test_points_of_text_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    read = read_points([str(tmp_path / name)], TWO)
    assert read.coordinates.tolist() == [[1, 2], [3, 4]]
    assert read.several
    assert read.place(1) == f"at w1 = 3, w2 = 4 (row 1 of {tmp_path / name})"


def test_points_of_parquet_files(tmp_path: Path) -> None:
    file = str(tmp_path / "points.parquet")
    pq.write_table(pa.table({"w2": [2, 4], "w1": [1.0, 3.0]}), file)
    assert points(file) == [[1, 2], [3, 4]]
    pq.write_table(pa.table({"a": [1, 3], "b": [2, 4]}), file)
    assert points(file) == [[1, 2], [3, 4]]


BAD = {
    "short.csv": ("1,2\n3\n", "line 2: 1 numbers, but the rows before have 2"),
    "words.csv": ("1,2\nthree,4\n", "line 2: could not convert string to float: 'three'"),
    "narrow.csv": ("1\n3\n", "1 coordinate, but the formulas have 2"),
    "unnamed.csv": ("w1,b\n1,2\n", "no column w2; its columns are w1, b"),
    "nan.csv": ("1,2\n3,nan\n", "row 1, column 1: nan"),
    "inf.csv": ("1,inf\n", "row 0, column 1: inf"),
    "empty.csv": ("", "no numbers"),
    "header.csv": ("w1,w2\n", "no numbers"),
    "broken.parquet": ("PAR1", "cut short"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_hold_no_points(name: str, tmp_path: Path) -> None:
    text, message = BAD[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(GencliError) as raised:
        points(str(tmp_path / name))
    assert message in raised.value.message
    assert name in raised.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1_0,2\n", "line 1: '1_0' is not a number"),
        ("1,2\n1_0,2\n", "line 2: '1_0' is not a number"),
        ("1.O,2\n3,4\n", "line 1: could not convert string to float: '1.O'"),  # no header
        ("1,,2\n", "line 1: a number is missing"),
        (",1,2\n", "line 1: a number is missing"),
        ("1;2;\n", "line 1: a number is missing"),
        ("[[1, , 2]]\n", "line 1: a number is missing"),
    ],
)
def test_rows_of_other_numbers_than_they_seem(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(GencliError, match=re.escape(f"points.csv: {message}")):
        read_points([str(tmp_path / "points.csv")], parse(split("x*y")))


def test_rows_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "points.txt").write_text("[[1, 2],\n [3, 4]]\n")
    points = read_points([str(tmp_path / "points.txt")], parse(split("x*y")))
    assert points.coordinates.tolist() == [[1, 2], [3, 4]]


def test_parquet_of_words_and_of_holes_is_refused(tmp_path: Path) -> None:
    file = str(tmp_path / "points.parquet")
    pq.write_table(pa.table({"w1": [1.0], "w2": ["a"]}), file)
    with pytest.raises(GencliError, match="column `w2` is string"):
        points(file)
    pq.write_table(pa.table({"w1": [1, 2], "w2": [3, None]}), file)
    with pytest.raises(GencliError, match="row 1, column 1: nan"):
        points(file)


def test_two_files_and_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GencliError, match="neither Parquet nor safetensors nor text"):
        points(str(tmp_path / "a.txt"))
    with pytest.raises(GencliError, match=r"a.txt and 1 more"):
        points(str(tmp_path / "a.txt"), "1,2")


def test_vectors(tmp_path: Path) -> None:
    assert read_vector("1,-2", TWO)[0].tolist() == [1, -2]
    for text, message in (("0,0", "a vector of zeros"), ("1,2;3,4", "2 vectors"), ("1", "1 coordinate")):
        with pytest.raises(GencliError, match=message):
            read_vector(text, TWO)
    (tmp_path / "v.csv").write_text("1,-2\n")
    assert read_vector(str(tmp_path / "v.csv"), TWO)[0].tolist() == [1, -2]


def agrees(file: Path, hessian: bool = False) -> list[str]:
    request = requests.read(COURSE, None, ["1,2"], hessian, None, str(file))
    assert request.answer is not None
    report = of_answer(derive(COURSE, ["1,2"], "forward", 0.01, hessian), request.answer, file.name, 5e-4)
    assert bool(report.wrong) == ("no" in report.rows["agrees"].to_pylist())
    return report.rows["agrees"].to_pylist()


def test_answers_row_by_row(tmp_path: Path) -> None:
    file = tmp_path / "answer.txt"
    for text, expected in (
        ("0.350 −0.386\n4.333 1.333\n", ["yes", "yes"]),
        ("0.351 -0.386\n4.353 1.333\n", ["yes", "yes"]),  # the numeric method's
        ("0.350 -0.386\n4.353 1.333\n", ["yes", "yes"]),
        ("0.350 0.386\n4.333 1.333\n", ["no", "yes"]),
        ("0.35 -0.386\n4.33 1.333\n", ["yes", "no"]),
        ("f1w1,f1w2\n0.350,-0.386\n4.333,1.34\n", ["yes", "no"]),
    ):
        file.write_text(text)
        assert agrees(file) == expected
    pq.write_table(pa.table({"w1": [0.35018, 4.3333], "w2": [-0.3863, 1.3333]}), tmp_path / "answer.parquet")
    assert agrees(tmp_path / "answer.parquet") == ["yes", "yes"]
    save_file({"J": torch.tensor([[0.35018, 0.3863], [4.3333, 1.3333]])}, tmp_path / "answer.safetensors")
    assert agrees(tmp_path / "answer.safetensors") == ["no", "yes"]


def test_the_nearest_method_is_that_of_the_whole_row(tmp_path: Path) -> None:
    (tmp_path / "mixed.txt").write_text("0.35129387 -0.38630191\n4.33 1.33\n")
    request = requests.read(COURSE, None, ["1,2"], False, None, str(tmp_path / "mixed.txt"))
    assert request.answer is not None
    rows = of_answer(derive(COURSE, ["1,2"], "forward", 0.01), request.answer, "mixed.txt", 5e-4).rows.to_pylist()
    assert [(row["method"], row["input"], row["agrees"]) for row in rows] == [
        ("numeric", "w2", "no"), ("reverse", "w2", "no")
    ]  # fmt: skip
    assert rows[0]["difference"] == pytest.approx(7.33e-4, rel=1e-3)


def test_answers_of_second_derivatives(tmp_path: Path) -> None:
    matrix = derive(COURSE, ["1,2"], hessian=True).methods["reverse"].reshape(-1, 2)
    matrix[3, 0] += 0.1
    np.savetxt(tmp_path / "hessians.txt", matrix)
    assert agrees(tmp_path / "hessians.txt", hessian=True) == ["yes", "yes", "yes", "no"]


def test_answers_that_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "answer.txt").write_text("1 2 3\n")
    with pytest.raises(GencliError, match="1 x 3 numbers, but there are 2 x 2 derivatives"):
        agrees(tmp_path / "answer.txt")
    save_file({"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}, tmp_path / "two.safetensors")
    with pytest.raises(GencliError, match="it holds a, b"):
        agrees(tmp_path / "two.safetensors")
    save_file({"a": torch.tensor(1.0)}, tmp_path / "scalar.safetensors")
    with pytest.raises(GencliError, match="no real matrix"):
        agrees(tmp_path / "scalar.safetensors")


def test_formulas_of_files(tmp_path: Path) -> None:
    (tmp_path / "formulas.txt").write_text("# the course\n" + "\n".join(COURSE))
    request = requests.read(["w1"], str(tmp_path / "formulas.txt"), ["1,2"], False, None, None)
    assert [formula.text for formula in request.program.formulas] == ["w1", *COURSE]
    assert request.arguments["f"] == "; ".join(["w1", *COURSE])
    for text, message in (("x\ny +", "line 2: y \\+: column 4: a value"), ("#", "no formulas")):
        (tmp_path / "formulas.txt").write_text(text)
        with pytest.raises(GencliError, match=message):
            requests.read([], str(tmp_path / "formulas.txt"), ["1,2"], False, None, None)
    (tmp_path / "formulas.txt").write_bytes(b"\xff")
    with pytest.raises(GencliError, match="not text"):
        requests.read([], str(tmp_path / "formulas.txt"), ["1,2"], False, None, None)
    with pytest.raises(GencliError, match="no formula"):
        requests.read([], None, ["1"], False, None, None)
    with pytest.raises(GencliError, match="no coordinate"):
        requests.read(["1+2"], None, ["1"], False, None, None)
    with pytest.raises(GencliError, match="no point"):
        requests.read(["x"], None, [], False, None, None)
