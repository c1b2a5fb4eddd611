"""Documents from strangers: whatever stands in them, `report` makes a report or refuses it in two lines."""

from __future__ import annotations

import contextlib
import copy
import csv
import io
import json
import math
import os
import re
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gencli.cli import app, outputs
from gencli.errors import GencliError
from gencli.files import parquet, provenance
from gencli.files.stream import Input
from gencli.reporting import curves, documents, groups, patterns
from gencli.reporting.panels import Bars, Curve, Lines
from gencli.reporting.readers import OTHERS, from_text
from gencli.showing import kinds as shown
from tests.reporting.made import measured, read, training

Columns = dict[str, list[Any]]

VALID: dict[str, Columns] = {
    "history": {
        "epoch": [1, 2, 3], "step": [4, 8, 12], "train_loss": [2.0, 1.0, math.nan], "train_accuracy": [0.5, 1.0, 0.5],
        "validation_accuracy": [0.5, 0.75, None], "test_accuracy": [None, 0.5, 0.25],
    },
    "result": {
        "label": [0, 1, None], "name": ["a", "b", "all"], "n": [5, 5, 10], "accuracy": [0.5, 1.0, 0.75],
        "loss": [1.0, None, 2.0], "corrupted": [1, 0, 1], "memorized": [0.5, None, 0.5],
    },
    "grouped": {
        "label": [0, 1, None], "name": ["fog 1", "fog 2", "all"], "n": [5, 5, 10], "accuracy": [0.5, 1.0, 0.75],
        "loss": [1.0, 1.0, 2.0], "corruption_error": [0.5, 0.0, 0.25],
    },
    "several": {
        "model": ["m", "m", "o", "o"], "label": [0, None, 0, None], "name": ["a", "all", "a", "all"], "n": [1] * 4,
        "loss": [1.0] * 4, "accuracy": [0.5] * 4,
    },
    "benchmark": {
        "item": ["copy", "epoch"], "ours": [1.0, 2.0], "peer": [None, 2.0], "unit": ["s", "s"], "ratio": [None, 1.0],
        "bar": [None, 1.5], "met": [None, "yes"],
    },
    "predictions": {
        "id": [7, 8, 1 << 60], "label": [0, 1, 1], "prediction": [0, 1, 0], "loss": [0.5, 1.0, 2.0],
        "probabilities": [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]],
    },
    "density": {"eigenvalue": [-1.0, 0.0, 2.0], "density": [0.0, 0.5, 0.25], "standard_error": [None, 0.1, 0.2]},
    "confusion": {"label": [0, 1], "name": ["a", "b"], "a": [3, 1], "b": [0, 4]},
    "images": {"id": [0, 1], "image": ["x", "y"], "label": [0, 1]},
    "against": {"network": ["mlp-1x8", ""], "test_accuracy": ["0.5", "0.25"]},
}  # fmt: skip
TWISTED = "\x1b[2J\x9b\u202e|<script>`\\u001b\n\r,\"'"
HOSTILE = [
    None, math.nan, math.inf, -math.inf, -1, 0, 2, 1 << 53, (1 << 53) + 1, 1 << 63, -(1 << 63) - 1, 1 << 64, 10**400,
    1.8e19, 1e308, -1e308, 5e-324, 1.5, "", "text", "NaN", "1_000", "1e999", "=1+1", TWISTED, "n" * 100_000, "\ud800",
    True, {}, {"a": 1}, [], [None], [0.5, "a"], [[1]], [2.0],
]  # fmt: skip
TYPES = [
    pa.uint64(), pa.int8(), pa.float16(), pa.float32(), pa.decimal128(30, 3), pa.bool_(), pa.binary(), pa.date32(),
    pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.list_(pa.float32()),
    pa.large_list(pa.float64()), pa.struct({"a": pa.int64()}), pa.null(), pa.timestamp("ns"), pa.string(), pa.float64(),
]  # fmt: skip
FORMATS = [[], *(["--format", form] for form in ("csv", "json", "md", "latex", "parquet"))]
OPTIONS: dict[str, list[list[str]]] = {
    "history": [*(["--plot", each] for each in ("curves", "overfit-time", "test-error", "regularizers")),
                ["--best-on-test"], ["--plot", "regularizers", "--best-on-test"]],
    "result": [*(["--table", each] for each in ("runs", "classes", "long-tail")), ["--plot", "classes"],
               ["--metric", "loss", "--plot", "classes"], ["--metric", "loss", "--table", "long-tail"]],
    "grouped": [["--table", "corruptions"], ["--table", "runs"]],
    "several": [["--table", "runs"], ["--table", "long-tail"], ["--plot", "classes"]],
}  # fmt: skip


def _json(columns: Columns) -> str:
    rows = [dict(zip(columns, row)) for row in zip(*columns.values())]
    return json.dumps(rows, default=str)


def _csv(columns: Columns) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([list(columns), *zip(*columns.values())])
    return text.getvalue()


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    for made in (lambda: pa.array(values, kind), lambda: pa.array(values).cast(kind)):
        with contextlib.suppress(pa.ArrowException, OverflowError, ValueError, TypeError):
            array = made()
            if not (pa.types.is_struct(array.type) and array.type.num_fields == 0):  # which Parquet has not
                return array
    return pa.array([str(value).encode(errors="replace").decode() for value in values])


@st.composite
def documents_of(draw: st.DrawFn, kind: str) -> tuple[str, bytes]:
    """A file's ending and bytes: a valid document of the kind, mutated."""
    columns = copy.deepcopy(VALID[kind])
    names = list(columns)
    types: dict[str, pa.DataType] = {}
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(names))
        rows = len(columns[name])
        change = draw(st.sampled_from(["cell", "cell", "cell", "column", "type", "name", "drop", "row", "gone"]))
        if change == "cell" and rows:
            columns[name][draw(st.integers(0, rows - 1))] = draw(st.sampled_from(HOSTILE))
        elif change == "column":
            columns[name] = [draw(st.sampled_from(HOSTILE))] * rows
        elif change == "type":
            types[name] = draw(st.sampled_from(TYPES))
        elif change == "name":
            new = draw(st.sampled_from(["", "model", "data", TWISTED, "n" * 5000, "loss", "not_finite"]))
            columns = {new if each == name else each: values for each, values in columns.items()}
        elif change == "drop" and len(columns) > 1:
            del columns[name]
        elif change == "row" and rows:
            columns = {each: [*values, values[0]] for each, values in columns.items()}
        elif change == "gone":
            columns = {each: values[: rows - 1] for each, values in columns.items()}
        names = list(columns)
    form = "csv" if kind == "against" else draw(st.sampled_from(["parquet", "parquet", "csv", "json"]))
    if form == "parquet":
        return form, _parquet(draw, columns, types)
    data = (_json if form == "json" else _csv)(columns).encode(errors="surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(data)))
        data = data[:place] + draw(st.binary(max_size=3)) + data[place + draw(st.integers(0, 3)) :]
    return form, data


def _parquet(draw: st.DrawFn, columns: Columns, types: dict[str, pa.DataType]) -> bytes:
    names = list(columns) + draw(st.sampled_from([[], [], [], list(columns)[:1]]))
    table = pa.Table.from_arrays([_array(columns[name], types.get(name)) for name in names], names)
    sink = io.BytesIO()
    made = draw(st.sampled_from([None, *STEPS]))
    if made is None:
        pq.write_table(table, sink)
        return sink.getvalue()
    parquet.write_rows(sink, table, made)  # pyright: ignore[reportArgumentType]
    return sink.getvalue()


def _steps() -> list[provenance.Step]:
    hostile: list[dict[str, Any]] = [
        {"arch": ["a"]}, {"arch": {"a": 1}}, {"seed": 10**400}, {"lr": TWISTED, "loss": "n" * 9000}, {"early_stop": 1},
    ]  # fmt: skip
    made = [training(), training(0.5, seed=1), *(training(None, **each) for each in hostile)]
    made += [training(each) for each in (10**400, [1], {"a": 1}, math.nan, math.inf, 1e308)]  # pyright: ignore[reportArgumentType]
    return [*made, *(measured(each, "test") for each in made)]


STEPS = _steps()


def refused_or_done(folder: Path, names: list[str], options: list[str]) -> int:
    """The status of a report, its messages checked."""
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages):
        status = app.main(["report", *names, *options, "-o", str(folder / "out")])
    said = messages.getvalue()
    assert status in (0, 2), said
    assert "unexpected" not in said
    assert "Warning" not in said
    assert said.replace("\n", "").isprintable()
    lines = said.splitlines()
    assert len(lines) == (0 if status == 0 else 2), said
    assert all(len(line) <= 1000 for line in lines)
    return status


@settings(max_examples=80)
@given(st.data())
def test_whatever_stands_in_a_document_it_is_reported_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "readers"
    folder.mkdir(exist_ok=True)
    kinds = data.draw(st.lists(st.sampled_from([each for each in VALID if each != "against"]), min_size=1, max_size=2))
    names = []
    for place, kind in enumerate(kinds):
        form, content = data.draw(documents_of(kind))
        names.append(str(folder / f"{place}.{form}"))
        Path(names[-1]).write_bytes(content)
    options = data.draw(st.sampled_from([*FORMATS, *OPTIONS.get(kinds[0], [])]))
    if data.draw(st.integers(0, 4)) == 0:
        (folder / "against.csv").write_bytes(data.draw(documents_of("against"))[1])
        options = [*options, "--against", str(folder / "against.csv")]
    status = refused_or_done(folder, names, options)
    out = folder / "out"
    if status == 0 and out.read_bytes()[:4] != b"PAR1":
        shown = out.read_text()
        assert shown.replace("\n", "").isprintable()
    out.unlink(missing_ok=True)


LITERAL = ["\\u001b", "\\\\u001b", "\\u005cu001b", "\\u00\x1b", "\u3000\U000e0041", "a,b"]
NAMES = st.text(max_size=12) | st.sampled_from([TWISTED, *LITERAL])
FLOATS = st.floats() | st.none()


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, FLOATS, FLOATS, st.integers(0, 1 << 53)), min_size=1, max_size=4))
def test_what_gencli_writes_as_csv_and_json_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, float, float, int]]
) -> None:
    names, losses, margins, counts = zip(*rows)
    labels = [*range(len(rows) - 1), None]
    columns = {"label": labels, "name": names, "n": counts, "loss": losses, "margin": margins}
    whole = pa.table({name: pa.array(values, KINDS[name]) for name, values in columns.items()})
    folder = tmp_path_factory.getbasetemp()
    for form in ("csv", "json"):
        text = outputs.render(whole, form)
        assert text.replace("\n", "").isprintable()
        (folder / f"back.{form}").write_text(text)
        (again,) = documents.read_all([str(folder / f"back.{form}")])
        assert repr(again.rows.to_pylist()) == repr(whole.to_pylist())
        if form == "csv":
            assert text.count("\n") == len(rows) + 1


KINDS = {"label": pa.int64(), "name": pa.string(), "n": pa.int64(), "loss": pa.float64(), "margin": pa.float64()}


def written(folder: Path, kind: str, form: str) -> str:
    columns = VALID[kind]
    (folder / f"{kind}.{form}").write_text((_json if form == "json" else _csv)(columns))
    return str(folder / f"{kind}.{form}")


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("kind", [each for each in VALID if each not in ("against", "images")])
def test_valid_documents_are_read(kind: str, form: str, tmp_path: Path) -> None:
    found = documents.read_all([written(tmp_path, kind, form)])
    rows = {} if kind == "several" else found[0].rows.to_pydict()
    assert repr(rows or found[1].rows["accuracy"].to_pylist()) == repr(VALID[kind] if rows else [0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "epoch,train_loss\n1,1\n18446744073709551616,1\n",
            "line 3: column `epoch`: 18446744073709551616 is not",
        ),
        ("epoch,train_loss\n1.8e19,1\n", "line 2: column `epoch`: 1.8e+19 is not a whole number"),
        ("epoch,train_loss\n1,1e999\n", "line 2: column `train_loss`: '1e999' is not a number"),
        ("epoch,train_loss\n2,1\n1,1\n", "line 3: column `epoch`: 1 after 2"),
        (
            "epoch,train_loss,train_accuracy\n1,1,50\n",
            "line 2: column `train_accuracy`: 50 is not a number from 0 to 1",
        ),
        ("label,name,n,loss\n0,a,-1,1\n,all,1,1\n", "line 2: column `n`: -1 is not a whole number from 0 to 2^53"),
        ("label,name,n,loss\n0,a,1,1\n0,a,1,1\n,all,1,1\n", "line 3: column `label`: 0 occurs twice"),
        ("label,name,n,loss\n0,a,1,1\n1,b,1,1\n", "line 3: column `label`: only the last row, for all classes"),
        ('label,name,n,loss\n0,"a\n\nb",1,1\n,all,1,x\n', "line 5: column `loss`: 'x' is not a number"),
        ("label,name,a,b\n1,b,1,2\n0,a,3,4\n", "line 2: column `label`: 1, where 0 comes next"),
        ("label,name,b,a\n0,a,1,2\n1,b,3,4\n", "its columns are not its classes, in their order"),
        ("eigenvalue,density\nnan,1\n", "line 2: column `eigenvalue`: nan is not a finite number"),
        ('[{"epoch": 1, "train_loss": {"a": 1}}]', "row 0: column `train_loss`: {'a': 1} is not a number"),
        ('[{"epoch": 1, "train_loss": true}]', "row 0: column `train_loss`: True is not a number"),
        ('[{"epoch": 1, "epoch": 2, "train_loss": 1}]', "row 0: two columns have the same name, 'epoch'"),
        ('[{"epoch": 1, "train_loss": 1}, null]', "row 1: None is not an object"),
        ('[{"label": 0, "name": null, "n": 1, "loss": 1}]', "row 0: column `name`: no value"),
        ('[{"label": 0, "name": "\\ud800", "n": 1, "loss": 1}]', "row 0: column `name`: '\\ud800' is not text"),
        (f'[{{"epoch": 1, "train_loss": "{"x" * 70_000}"}}]', "row 0: column `train_loss`: 'xxx"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    messages = io.StringIO()
    with contextlib.redirect_stderr(messages):
        assert app.main(["report", str(path)]) == 2
    first, _ = messages.getvalue().splitlines()
    assert first.startswith(f"gencli report: {path}: {words}")
    assert len(first) < len(str(path)) + 200


def test_a_history_of_another_type_is_read_as_its_numbers(tmp_path: Path) -> None:
    columns = {"epoch": pa.array([1, 2], pa.uint8()), "train_loss": pa.array([0.5, 1.5], pa.float32())}
    pq.write_table(pa.table(columns), tmp_path / "h.parquet")
    (found,) = documents.read_all([str(tmp_path / "h.parquet")])
    assert found.rows.schema == pa.schema({"epoch": pa.int64(), "train_loss": pa.float64()})
    assert found.rows.to_pydict() == {"epoch": [1, 2], "train_loss": [0.5, 1.5]}


def test_markdown_has_no_markup_of_names() -> None:
    name = "<script>|a\\|b|`c`[d](e)_f_ $g$ &lt;\x1b[2J\n# h \u202e" + "i" * 1000
    text = outputs.render(pa.table({name: ["x_y"], "plain_name": [name]}), "md")
    lines = text.splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
    assert "<" not in text
    for line in lines:  # as GitHub splits rows: a backslash takes the next character with it
        assert re.sub(r"\\.", "", line).count("|") == 3
    assert "plain_name" in text
    assert "&amp;lt;" in text
    assert r"\[d\](e)\_f\_ \$g\$" in text


def test_patterns_over_links_end_and_take_each_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in/a/b", "in/.hidden", "in/c"):
        Path(folder).mkdir(parents=True)
    for file in ("in/x.parquet", "in/a/b/y.parquet", "in/.hidden/z.parquet", "in/a/other.csv"):
        Path(file).write_text("")
    for link in ("in/p", "in/q", "in/a/b/r", "in/c/s"):
        Path(link).symlink_to(tmp_path / "in")
    assert patterns.expand(["in/**/*.parquet"]) == ["in/a/b/y.parquet", "in/x.parquet"]
    assert patterns.expand(["**/*.parquet"]) == ["in/a/b/y.parquet", "in/x.parquet"]
    assert patterns.expand([f"{tmp_path}/**/b/*.parquet"]) == [f"{tmp_path}/in/a/b/y.parquet"]
    assert patterns.expand(["in/**"]) == ["in/a/b/y.parquet", "in/a/other.csv", "in/x.parquet"]
    os.mkfifo("in/a/pipe.parquet")
    with pytest.raises(GencliError, match=r"in/a/pipe\.parquet: a named pipe"):
        patterns.expand(["in/**/*.parquet"])


@pytest.mark.usefixtures("unprivileged")
def test_a_folder_that_cannot_be_read_is_not_left_out() -> None:
    Path("in/closed").mkdir(parents=True)
    Path("in/x.parquet").write_text("")
    Path("in/closed").chmod(0)
    for pattern in ("in/**/*.parquet", "in/*/*.parquet", "in/*/x.parquet"):
        with pytest.raises(GencliError, match=r"in/closed(/x.parquet)?: cannot be read: Permission denied"):
            patterns.expand([pattern])


def test_means_and_deviations_of_the_largest_numbers() -> None:
    assert groups.spread([1.5e308, 1.5e308]) == (1.5e308, 0)
    assert groups.spread([1.5e308, -1.5e308]) == (0, math.inf)


def test_figures_of_any_numbers_and_names_warn_of_nothing() -> None:
    bars = Bars("图\u202e", ["鱼", "b"], [("s", [1e308, -1e308], [1e300, None])])
    lines = Lines("x", "epoch", [Curve("c", [1, 2, 9e15], [1e308, math.nan, 5e-324])], log=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("svg", "png"):
            assert curves.image([bars, lines], form, "")


def test_long_errors_are_shortened(capfd: pytest.CaptureFixture[str]) -> None:
    assert app.main(["report", "x\x1b" * 5000]) == 2
    first, *_ = capfd.readouterr().err.splitlines()
    assert len(first) < 1000
    assert first.isprintable()


def test_a_confusion_matrix_has_its_classes_in_order_whatever_stands_beside(tmp_path: Path) -> None:
    rows = {"label": [0, 1], "name": ["a", "b"], "a": [1, 0], "b": [0, 1], "not_finite": [0, 0]}
    for more in ({}, {"not_finite": [0, 0]}):
        right = {name: values for name, values in rows.items() if name != "not_finite"} | more
        assert read(tmp_path / "right", right, measured(training(), "test")).kind == "confusion"
        wrong = {"label": [0, 1], "name": ["a", "b"], "b": [0, 1], "a": [1, 0]} | more
        with pytest.raises(GencliError, match="its columns are not its classes"):
            read(tmp_path / "wrong", wrong, measured(training(), "test"))


@pytest.mark.parametrize("text", ["{", '"{}"', '{"step": 1}'])
def test_what_is_no_provenance_of_a_history_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "h.jsonl").write_text(json.dumps({"epoch": 1, "train_loss": 1.0, provenance.KEY: text}) + "\n")
    with pytest.raises(GencliError, match=r"h\.jsonl: corrupt provenance"):
        documents.read_all([str(path)])


@pytest.mark.parametrize("kind", OTHERS)
def test_what_only_show_shows_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text(",".join(OTHERS[kind]) + "\n")
    with pytest.raises(GencliError, match=f"{kind}, which report has no table or figure of") as error:
        from_text(Input(str(path)))
    assert error.value.hint == f"gencli show {path} shows it"
    assert any(kind == each.name and {*each.numbers, *each.words} >= {*OTHERS[kind]} for each in shown.KINDS), kind
