"""Transition matrices: read from every form of file, refused where they are none, and followed."""

import tracemalloc
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chisquare

from gencli.corruptions import Corrupted
from gencli.corruptions.labels import MatrixLabels
from gencli.files.provenance import Source, dumps
from gencli.files.tables import ImageTable
from gencli.sources import open_table
from tests.helpers import chi_square, image_table, read, save
from tests.pipelines.shell import Shell, many

TABLE = image_table(30_000, (1, 1, 1), classes=4)
LABELS = TABLE.column("label")
NAMES = list(TABLE.description.classes)
MATRIX = np.array([[0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4], [0, 0, 1, 0], [0.25, 0.25, 0.5, 0]])


def replaced(path: Path, table: ImageTable = TABLE, exact: bool = False) -> NDArray[np.int64]:
    return read(Corrupted(table, MatrixLabels(str(path), exact), 0))["label"].to_numpy()


def csv(path: Path, matrix: NDArray[np.float64] = MATRIX) -> Path:
    path.write_text("".join(",".join(map(repr, row)) + "\n" for row in matrix.tolist()))
    return path


def parquet(path: Path, names: list[str], matrix: NDArray[np.generic] = MATRIX) -> Path:
    pq.write_table(pa.table(list(matrix.T.copy()), names), path)
    return path


def counts(after: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(LABELS * 4 + after, minlength=16).reshape(4, 4)


def test_labels_move_with_the_matrix_s_probabilities(tmp_path: Path) -> None:
    found = counts(replaced(csv(tmp_path / "t.csv")))
    rows = found.sum(1, keepdims=True)
    assert (abs(found - rows * MATRIX) <= 5 * np.sqrt(rows * MATRIX * (1 - MATRIX))).all()
    for of_class, chances in zip(found, MATRIX, strict=True):
        if chances.max() < 1:
            assert chisquare(of_class[chances > 0], of_class.sum() * chances[chances > 0]).pvalue > 1e-6


@pytest.mark.parametrize("identity", [True, False])
def test_certainty_is_certain(identity: bool, tmp_path: Path) -> None:
    order = np.arange(4) if identity else np.array([1, 2, 3, 0])
    assert np.array_equal(replaced(csv(tmp_path / "t.csv", np.eye(4)[order])), order[LABELS])


def test_exact_moves_the_share_that_the_diagonal_leaves(tmp_path: Path) -> None:
    found = counts(replaced(csv(tmp_path / "t.csv"), exact=True))
    rows = found.sum(1)
    assert (rows - found.diagonal()).tolist() == [round((1 - MATRIX[c, c]) * int(rows[c])) for c in range(4)]


def test_a_matrix_that_moves_more_moves_the_same_rows_too(tmp_path: Path) -> None:
    for exact in (False, True):
        few, many = (
            replaced(csv(tmp_path / f"{share}-{exact}.csv", share * MATRIX + (1 - share) * np.eye(4)), exact=exact)
            for share in (0.3, 0.6)
        )
        moved = few != LABELS
        assert moved.any()
        assert np.array_equal(few[moved], many[moved])


@given(
    weights=st.lists(st.sampled_from([0, 0, 1, 3, 1e-12, 1e-300]), min_size=25, max_size=25),
    spots=st.lists(st.one_of(st.sampled_from([0, 1 - 2.0**-32]), st.floats(0, 1 - 2.0**-32)), min_size=1, max_size=20),
)
def test_the_class_is_the_first_whose_cumulative_probability_is_above_the_spot(
    tmp_path_factory: pytest.TempPathFactory, weights: list[float], spots: list[float]
) -> None:
    matrix = np.array(weights).reshape(5, 5) + 1e-9 * np.eye(5)
    matrix /= matrix.sum(1, keepdims=True)
    path = csv(tmp_path_factory.mktemp("matrix") / "t.csv", matrix)
    rates, replace = MatrixLabels(str(path)).rule(image_table(classes=5))
    for label in range(5):
        others = [0.0 if other == label else chance for other, chance in enumerate(matrix[label].tolist())]
        assert rates[label] == pytest.approx(sum(others) / matrix[label].sum(), abs=1e-12)
        if sum(others) == 0:
            continue
        for spot, new in zip(spots, replace(np.full(len(spots), label), np.array(spots)), strict=True):
            below, upto = sum(others[:new]) / sum(others), sum(others[: new + 1]) / sum(others)
            assert others[new] > 0
            assert below - 1e-12 <= spot <= upto + 1e-12


def test_every_form_of_file_says_the_same(tmp_path: Path) -> None:
    plain = csv(tmp_path / "plain.csv")
    lines = plain.read_text()
    numbers = "0,1,2,3\n"
    files = {
        "header": ",".join(NAMES) + "\n" + lines,
        "numbers": numbers + lines,
        "quoted": ",".join(f'"{name}"' for name in NAMES) + "\n" + lines,
        "mark": "\ufeff" + lines,
        "windows": (numbers + lines).replace("\n", "\r\n"),
        "blank lines": "\n" + lines.replace("\n", "\n\n"),
        "no end": lines.rstrip("\n"),
        "semicolons": lines.replace(",", ";"),
        "index": "," + numbers + "".join(f"{row},{line}\n" for row, line in enumerate(lines.splitlines())),
        "index of names": "x,"
        + ",".join(NAMES)
        + "\n"
        + "".join(f"{name},{line}\n" for name, line in zip(NAMES, lines.splitlines(), strict=True)),
        "index alone": "".join(f"{row} {line}\n" for row, line in enumerate(lines.replace(",", " ").splitlines())),
        "as of R": " ".join(f'"{name}"' for name in NAMES)
        + "\n"
        + "".join(f'"{name}" {line}\n' for name, line in zip(NAMES, lines.replace(",", " ").splitlines(), strict=True)),
    }
    paths = [tmp_path / f"{name}.csv" for name in files]
    for path, text in zip(paths, files.values(), strict=True):
        path.write_bytes(text.encode())
    paths += [parquet(tmp_path / "names.parquet", NAMES), parquet(tmp_path / "numbers.parquet", list("0123"))]
    for name, form in (
        ("savetxt", {}),
        ("scientific", {"delimiter": ",", "header": "T"}),
        ("tabs", {"delimiter": "\t"}),
    ):
        np.savetxt(tmp_path / name, MATRIX, **form)  # pyright: ignore
        paths.append(tmp_path / name)
    indexed = np.column_stack([np.arange(4), MATRIX])
    np.savetxt(tmp_path / "with index", indexed)
    for name, index in (("pandas", None), ("named", NAMES)):
        frame = pd.DataFrame(MATRIX, index=index, columns=NAMES)  # pyright: ignore
        frame.to_csv(tmp_path / f"{name}.csv")
        frame.to_parquet(tmp_path / f"{name}.parquet")
        frame.reset_index().to_parquet(tmp_path / f"{name} as column.parquet")
        paths += [tmp_path / f"{name}{form}" for form in (".csv", ".parquet", " as column.parquet")]
    paths.append(tmp_path / "with index")
    expected = replaced(plain)
    for path in paths:
        assert np.array_equal(replaced(path), expected), path


def test_numbers_of_any_kind_and_rounded_ones_are_taken(tmp_path: Path) -> None:
    shift = np.eye(4, dtype=np.int8)[[1, 2, 3, 0]]
    assert np.array_equal(replaced(parquet(tmp_path / "whole.parquet", NAMES, shift)), (LABELS + 1) % 4)
    thirds = np.full((4, 4), 1 / 3, np.float32) * (1 - np.eye(4, dtype=np.float32))
    assert (replaced(parquet(tmp_path / "thirds.parquet", NAMES, thirds)) != LABELS).all()
    assert (replaced(csv(tmp_path / "rounded.csv", thirds.astype(float).round(7))) != LABELS).all()


def test_classes_named_like_numbers_are_no_header_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "swap.csv").write_text("0,1\n1,0\n")
    shell = Shell(tmp_path)
    shell(
        """
        gencli data synthetic noise --classes 2 --rows 50 | gencli corrupt matrix-labels --matrix swap.csv -o out
        """
    ).worked()
    after = open_table(str(tmp_path / "out"))
    assert np.array_equal(after.column("label"), 1 - after.column("label_true"))


def test_a_thousand_classes_take_little_memory(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", list(map(str, range(1000))), np.full((1000, 1000), 1e-3))
    table = image_table(30_000, (1, 1, 1), classes=1000)
    tracemalloc.start()
    after = replaced(path, table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # of which 8 a copy of the matrix; rows by classes would take 240
    assert abs(chi_square(np.bincount(after, minlength=1000))) < 5


BAD = {
    "missing": (None, "no such file"),
    "empty": ("", "0 numbers, but toy.parquet has 4 classes"),
    "blank": ("\n\n", "0 numbers, but toy.parquet has 4 classes"),
    "small": ("1,0\n0,1\n", "2×2 numbers, but toy.parquet has 4 classes"),
    "short": ("1,0,0,0\n" * 3, "3×4 numbers, but toy.parquet has 4 classes"),
    "long": ("1,0,0,0\n" * 6, "6×4 numbers, but toy.parquet has 4 classes"),
    "long by one": ("1,0,0,0\n" * 5, "column 0 is named '1', but class 0 is 'class 0'"),
    "ragged": ("1,0,0,0\n1,0,0\n", "line 1: 4 numbers, but the last line has 3"),
    "words": ("1,0,0,0\n0,1,0,0\n0,0,one,0\n0,0,0,1\n", "line 3: 'one' is not a number"),
    "gap": ("1,0,0,0\n0,,0,0\n", "line 2: '' is not a number"),
    "first word": ("x,0,0,0\n" + "1,0,0,0\n" * 2, "2×4 numbers, but toy.parquet has 4 classes"),
    "commas for points": ("1;0;0;0\n0;0,5;0,5;0\n0;0;1;0\n0;0;0;1\n", "line 2: '0,5' is not a number"),
    "fractions": ("1 0 0 0\n0 1/2 1/2 0\n0 0 1 0\n0 0 0 1\n", "line 2: '1/2' is not a number"),
    "another row": (
        ",0,1,2,3\n0,1,0,0,0\n2,0,1,0,0\n1,0,0,1,0\n3,0,0,0,1\n",
        "row 1 is named '2', but class 1 is 'class 1'",
    ),
    "negative": ("1,0,0,0\n1,-0.5,0.5,0\n0,0,1,0\n0,0,0,1\n", "row 1, column 1: -0.5 is not a probability"),
    "nan": ("1,0,0,0\n0,1,0,0\n0,0,nan,0\n0,0,0,1\n", "row 2, column 2: nan is not a probability"),
    "percent": ("100,0,0,0\n" * 4, "row 0, column 0: 100 is not a probability"),
    "huge": ("1e308,1e308,0,0\n" * 4, "row 0, column 0: 1e+308 is not a probability"),
    "infinite": ("inf,0,0,0\n" * 4, "row 0, column 0: inf is not a probability"),
    "sum": ("1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0.999,0\n", "row 3: it sums to 0.999, not to 1"),
    "nearly": ("1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,0.999998\n", "row 3: it sums to 0.999998, not to 1"),
    "other names": (
        "class 0,class 2,class 1,class 3\n" + "1,0,0,0\n" * 4,
        "column 1 is named 'class 2', but class 1 is 'class 1'",
    ),
    "binary": (b"\xff\xfe\x00", "neither Parquet nor CSV"),
    "encrypted": (b"PARE" * 9, "encrypted Parquet"),
    "zeros": (bytes(99), "neither Parquet nor CSV"),
    "endless": (b"1" * 200_000, "neither Parquet nor CSV"),
    "tall": (pa.table({name: [1.0] for name in NAMES}), "1×4 numbers, but"),
    "texts": (pa.table({name: ["1"] * 4 for name in NAMES}), "column `class 1` is string, not numbers"),
    "flags": (pa.table({name: [True] * 4 for name in NAMES}), "column `class 0` is bool, not numbers"),
    "null": (pa.table({name: [1, None, 0, 0] for name in NAMES}), "row 1, column 0: nan is not a probability"),
    "other columns": (pa.table({name: [0.25] * 4 for name in "abcd"}), "column 0 is named 'a'"),
    "image table": (read(TABLE), "column `image` is fixed_size_binary[1], not numbers"),
    "cut short": (b"PAR1 and no more", "cut short, no Parquet footer"),
}


def test_what_is_no_transition_matrix_is_refused(tmp_path: Path) -> None:
    save(image_table(classes=4), tmp_path / "toy.parquet")
    for name, (content, _) in BAD.items():
        if isinstance(content, pa.Table):
            pq.write_table(content, tmp_path / name)
        elif content is not None:
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    commands = [["corrupt", "matrix-labels", "--matrix", name, "toy.parquet", "-o", "out"] for name in BAD]
    for (name, (_, words)), end in zip(BAD.items(), many(tmp_path, commands), strict=True):
        end.refused(f"{name}: {words}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_file_is_recorded_by_hash_and_base_name(name: str, tmp_path: Path) -> None:
    save(TABLE, tmp_path / "toy.parquet", LABELS == 1)
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / name
    csv(path) if name == "t.csv" else parquet(path, NAMES)
    shell = Shell(tmp_path)
    for named, output in ((f"./sub//{name}", "one"), (str(path), "two")):
        shell(f"gencli corrupt matrix-labels --matrix {named} toy.parquet -o {output}").worked()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    made = open_table(str(tmp_path / "one")).made
    assert made is not None
    assert made.arguments["matrix"] is None
    assert made.inputs[1] == Source("matrix", sha256(path.read_bytes()).hexdigest(), name=name)
    assert str(tmp_path) not in dumps({"step": made})
    assert "sub" not in dumps({"step": made})
    why = "cannot be written as .csv" if name == "t.csv" else "the output is the input"
    shell(f"gencli corrupt matrix-labels --matrix {path} toy.parquet -o {path}").refused(why)
