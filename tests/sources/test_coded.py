"""Labels that are names or numbers with gaps, kept columns, paths into structs: through the real command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.sources import Foreign, open_table
from gencli.sources.coded import Coding, dug, field_at, in_order, of_words
from tests.helpers import images, read
from tests.pipelines.shell import Shell
from tests.sources.test_encoded import encode, picture

PICTURES = [encode(picture("L")) for _ in range(12)]
WORDS = ["dog", "cat", "bird"] * 4


def opened(folder: Path, rows: dict[str, Any], **how: Any) -> Any:
    pq.write_table(pa.table(rows), folder / "a.parquet")
    return open_table(str(folder / "a.parquet"), Foreign(**how))


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(WORDS), pa.array(WORDS, pa.large_string()), pa.array(WORDS).dictionary_encode(),
        pa.array(WORDS, pa.string_view()),
    ],
)  # fmt: skip
def test_names_are_numbered_in_their_order_or_in_that_of_class_names(labels: pa.Array, tmp_path: Path) -> None:
    table = opened(tmp_path, {"image": PICTURES, "label": labels})
    assert table.description.classes == ("bird", "cat", "dog")
    assert read(table)["label"].to_pylist() == [2, 1, 0] * 4
    other = opened(tmp_path, {"image": PICTURES, "label": labels}, classes=("cat", "dog", "bird", "fish"))
    assert other.description.classes == ("cat", "dog", "bird", "fish")
    assert read(other)["label"].to_pylist() == [1, 0, 2] * 4
    with pytest.raises(GencliError, match="'bird' is not in --class-names"):
        opened(tmp_path, {"image": PICTURES, "label": labels}, classes=("cat", "dog"))
    raw = {"image": [bytes([row] * 4) for row in range(12)], "label": labels}
    assert read(opened(tmp_path, raw, shape=(2, 2, 1)))["label"].to_pylist() == [2, 1, 0] * 4


def test_names_that_are_numbers_go_in_the_order_of_these() -> None:
    assert in_order({"10", "9", "100", "1"}) == ["1", "9", "10", "100"]
    assert in_order({"10", "9", "a"}) == ["10", "9", "a"]


def test_numbers_with_gaps_are_said_and_renumbered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"image": PICTURES, "label": [7, 42] * 6}
    assert len(opened(tmp_path, rows).description.classes) == 43
    assert "labels are 7, 42, so 41 of 43 classes have no rows; --renumber" in capsys.readouterr().err
    table = opened(tmp_path, rows, renumber=True)
    assert table.description.classes == ("7", "42")
    assert read(table)["label"].to_pylist() == [0, 1] * 6
    assert read(opened(tmp_path, rows | {"label": [False, True] * 6}))["label"].to_pylist() == [0, 1] * 6
    assert "in the order of `label`: false is 0, true is 1" in capsys.readouterr().err
    opened(tmp_path, {"image": PICTURES, "label": [1, 2, 3] * 4})
    assert "labels are 1 to 3, so 1 of 4 classes have no rows" in capsys.readouterr().err
    named = opened(tmp_path, {"image": PICTURES, "label": [1, 2, 3] * 4}, renumber=True, classes=("a", "b", "c"))
    assert named.description.classes == ("a", "b", "c")
    capsys.readouterr()
    opened(tmp_path, {"image": PICTURES, "label": [0, 1, 2] * 4})
    assert not capsys.readouterr().err


def test_paths_lead_into_structs(tmp_path: Path) -> None:
    sample = [{"pic": {"bytes": value, "path": "x"}, "what": word} for value, word in zip(PICTURES, WORDS)]
    rows = {"sample": sample, "meta": [{"site": row % 3} for row in range(12)]}
    table = opened(tmp_path, rows, image="sample.pic", label="sample.what", keep=("meta.site",))
    found, kept = images(table), read(table)["meta.site"].to_pylist()
    assert kept == [0, 1, 2] * 4
    assert np.array_equal(found, images(opened(tmp_path, {"image": PICTURES, "label": WORDS})))
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    with pytest.raises(GencliError, match=r"no column `sample\.where`"):
        opened(tmp_path, rows, image="sample.pic", label="sample.where")
    broken = [*sample[:-1], None]
    with pytest.raises(GencliError, match="1 rows without"):
        opened(tmp_path, {"sample": broken}, image="sample.pic", label="sample.what")


def test_kept_columns_pass_through_corruptions_and_group_results(tmp_path: Path) -> None:
    rows = {"picture": PICTURES, "fine": pa.array([0, 1, 2] * 4), "coarse": ["x", "y"] * 6, "score": [0.5, None] * 6}
    pq.write_table(pa.table(rows), tmp_path / "hub.parquet")
    shell = Shell(tmp_path)
    shell(
        """gencli data parquet hub.parquet --image picture --label fine --keep coarse,score -q |
            gencli corrupt flip-labels -p 0.5 -q | gencli corrupt shuffled-pixels -q |
            gencli corrupt subsample -n 11 -q -o kept.parquet
        gencli train kept.parquet --arch linear --epochs 1 -q -o m
        """
    ).worked()
    kept = pq.read_table(tmp_path / "kept.parquet")
    assert kept["coarse"].to_pylist() == [["x", "y"][row % 2] for row in (kept["id"].to_numpy() & 0xFFFF)]
    shown = shell("gencli eval m kept.parquet --by coarse -q --format csv").worked().text
    assert [row.split(",")[:2] for row in shown.splitlines()[1:3]] == [["0", "x"], ["1", "y"]]
    with pytest.raises(GencliError, match="calls a column of its own"):
        opened(tmp_path, rows | {"label": WORDS, "image": PICTURES}, label="fine", keep=("label",))
    shell("gencli data parquet hub.parquet --image picture --label fine --keep nothing").refused(
        "--keep: hub.parquet has no column 'nothing'"
    )


def test_two_classes_make_a_real_two_class_problem(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell(
        "gencli data digits --limit 200 -q -o d; gencli corrupt subsample --classes 5,3 --renumber d -q -o t"
    ).worked()
    table = open_table(str(tmp_path / "t"))
    assert table.description.classes == ("3", "5")
    assert set(table.column("label").tolist()) == {0, 1}
    shell("gencli corrupt flip-labels -p 1 d -q -o f").worked()
    shell("gencli corrupt subsample --classes 5,3 --renumber f -o g").refused("have a label_true of another class")
    shell("gencli corrupt subsample -n 9 --renumber d -o g").refused("--renumber needs classes")


def test_a_path_leads_to_one_field_or_none() -> None:
    inner = pa.struct([("b", pa.struct([("c", pa.int64())])), ("d", pa.string())])
    schema = pa.schema([("a", inner), ("a.d", pa.int8()), ("x", pa.int64()), ("x", pa.int64())])
    found = {path: field_at(schema, path) for path in ("a", "a.d", "a.b.c", "a.b", "a.c", "a.b.c.e", "x", "x.y", "y")}
    assert {path: str(field.type) for path, field in found.items() if field is not None} == {
        "a": str(inner), "a.d": "int8", "a.b.c": "int64", "a.b": "struct<c: int64>",
    }  # fmt: skip
    rows = pa.table({"a": pa.array([{"b": {"c": 1}}, None, {"b": None}, {"b": {"c": 4}}], pa.struct([inner.field(0)]))})
    assert dug(rows, "a.b.c").to_pylist() == [1, None, None, 4]
    assert dug(rows.slice(2), "a.b.c").to_pylist() == [None, 4]


def test_names_of_whole_numbers_go_by_these_and_others_by_characters() -> None:
    assert in_order({"10", "9", "09"}) == ["09", "9", "10"]
    assert in_order({"10", "9", "x"}) == ["10", "9", "x"]
    assert in_order(["1" * 18, "2"]) == ["2", "1" * 18]
    assert in_order(["1" * 19, "2"]) == ["1" * 19, "2"]
    assert in_order({"\u0661", "0"}) == ["0", "\u0661"]
    assert in_order({10, 9}) == ["9", "10"]


def test_values_are_coded_by_their_places() -> None:
    coded = Coding(("b", "a"), ("b", "a"))
    assert coded.codes(pa.array(["a", "b", "a"])).tolist() == [1, 0, 1]
    assert Coding((3, 7), ("3", "7")).codes(pa.array([7, 3], pa.uint8())).tolist() == [1, 0]
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its arguments are looked at
        coded.codes(pa.array(["a", "c", "d"]))
    assert refused.value.args == (1, "c")


@pytest.mark.parametrize(
    ("words", "names", "renumber", "labels", "classes"),
    [
        (["1", "0"], None, False, [1, 0], ("0", "1")), (["1", "0"], ("a", "b", "c"), False, [1, 0], ("a", "b", "c")),
        (["7", "3", "10"], None, True, [1, 0, 2], ("3", "7", "10")), (["7", "3"], ("a", "b"), True, [1, 0], ("a", "b")),
        (["b", "a", "b"], None, False, [1, 0, 1], ("a", "b")),
        (["b", "a"], ("b", "a", "c"), False, [0, 1], ("b", "a", "c")),
        (["b", "7"], None, False, [1, 0], ("7", "b")), (["b", "a"], ("x", "y"), True, [1, 0], ("x", "y")),
    ],
)  # fmt: skip
def test_words_are_numbers_or_names_of_classes(
    words: list[str], names: Any, renumber: bool, labels: list[int], classes: tuple[str, ...]
) -> None:
    found, shown = of_words(words, names, renumber, "x", "label")
    assert (found.tolist(), shown) == (labels, classes)


@pytest.mark.parametrize(
    ("words", "names", "renumber", "said"),
    [
        (["a", "", "b"], None, False, "x: row 1: no label"),
        (["1", "3"], ("a", "b"), False, "x: row 1: label 3 is not one of the 2 classes"),
        (["a", "c"], ("a", "b"), False, "x: row 1: label 'c' is not in --class-names"),
        (["a", "c", "d"], ("a", "b"), True, "x: 3 different labels, but --class-names has 2"),
    ],
)  # fmt: skip
def test_words_that_are_no_classes_are_refused(words: list[str], names: Any, renumber: bool, said: str) -> None:
    with pytest.raises(GencliError) as refused:
        of_words(words, names, renumber, "x", "label")
    assert refused.value.message == said


def test_the_order_of_classes_is_said_of_the_first_five(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr("gencli.cli.console.message", messages.append)
    for count in (5, 6):
        of_words([f"c{place}" for place in range(count)], None, False, "x", "label")
    first = ", ".join(f"c{place} is {place}" for place in range(5))
    assert messages == [
        f"x: 5 classes in the order of `label`: {first}", f"x: 6 classes in the order of `label`: {first}, ..."
    ]  # fmt: skip
