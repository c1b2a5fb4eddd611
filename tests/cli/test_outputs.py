"""Where results go and in which format, and their text."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.cli import console, outputs, stdout
from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.together import Together

NAN, INF = float("nan"), float("inf")
ROWS = pa.table({"name": ["a|b", None, "\x1b\\u001b"], "x": [1.5, NAN, -INF], "n": [1, 2, None]})


def test_a_table_is_text_in_every_format() -> None:
    assert outputs.render(ROWS, "csv") == "name,x,n\na|b,1.5,1\n,nan,2\n\\u001b\\u005cu001b,-inf,\n"
    objects = [
        {"name": "a|b", "x": 1.5, "n": 1}, {"name": None, "x": "NaN", "n": 2},
        {"name": "\x1b\\u001b", "x": "-Infinity", "n": None},
    ]  # fmt: skip
    assert json.loads(outputs.render(ROWS, "json")) == objects
    lines = outputs.render(ROWS, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == objects
    assert lines[0] == '{"name": "a|b", "x": 1.5, "n": 1}'
    assert (
        outputs.render(ROWS[:2], "md")
        == "| name | x | n |\n| --- | ---: | ---: |\n| a\\|b | 1.5000 | 1 |\n|  | nan | 2 |\n"
    )
    assert outputs.json_text({"a": [INF, {"b": 1}]}) == '{\n "a": [\n  "Infinity",\n  {\n   "b": 1\n  }\n ]\n}\n'


def test_markdown_has_no_markup_of_a_name_s() -> None:
    assert outputs.markdown("<b>&_x_ a_b [c](d) `e` *f* ~g~ $h$ \\") == (
        "&lt;b&gt;&amp;\\_x\\_ a_b \\[c\\](d) \\`e\\` \\*f\\* \\~g\\~ \\$h\\$ \\\\"
    )


@pytest.mark.parametrize(
    ("destination", "environment", "terminal", "form"),
    [
        (None, "", False, "parquet"), (None, "", True, "table"), (None, "csv", False, "csv"),
        (None, "csv", True, "csv"),
        (None, "parquet", True, "table"), (None, "parquet", False, "parquet"), ("-", "json", False, "json"),
        ("a", "json", False, "parquet"), ("a.csv", "json", False, "csv"), ("a.json", "", False, "json"),
    ],
)  # fmt: skip
def test_the_format_is_that_of_the_name_or_of_the_environment_for_standard_output(
    destination: str | None, environment: str, terminal: bool, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENCLI_FORMAT", environment)
    monkeypatch.setattr(outputs, "is_terminal", lambda place: terminal)
    assert outputs.result_format(destination) == form
    said = environment if destination in (None, "-") and environment else None
    assert outputs.format_of_environment(destination) == said
    monkeypatch.setattr(stdout, "columns", lambda: 70)
    monkeypatch.setattr(stdout, "wanted_columns", lambda: 50)
    assert outputs.room(destination) == ((70, False) if terminal else (50, True))


def test_an_unknown_format_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLI_FORMAT", "xml")
    with pytest.raises(GencliError, match=r"^GENCLI_FORMAT: no format 'xml'$") as refused:
        outputs.result_format(None)
    assert refused.value.hint.startswith("known: table, ")
    assert outputs.result_format("a") == "parquet"


def step() -> provenance.Step:
    return provenance.Step("eval", {}, {"gencli": "0.1.0"})


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "md", "table", "parquet"])
@pytest.mark.parametrize("kept", [False, True])
def test_provenance_is_kept_in_the_first_row_where_it_is_asked_for(kept: bool, form: Any, tmp_path: Path) -> None:
    with Together() as places:
        outputs.open_result(places, str(tmp_path / "a"), form, kept=kept)(ROWS, step, "title", "below")
    content = (tmp_path / "a").read_bytes()
    if form == "parquet":
        assert pq.read_table(io.BytesIO(content)).column_names == ROWS.column_names
        return
    told = provenance.encode(step()).decode()
    added = [told, None, None] if kept and form in ("csv", "json", "jsonl") else None
    rows = ROWS if added is None else ROWS.append_column(provenance.KEY, pa.array(added, pa.string()))
    assert content.decode() == outputs.render(rows, form, "title", None, True) + "below"
    assert (provenance.KEY in content.decode()) == bool(added)
    if form in ("json", "jsonl") and kept:
        text = content.decode().removesuffix("below")
        objects = json.loads(text) if form == "json" else list(map(json.loads, text.splitlines()))
        assert [provenance.KEY in each for each in objects] == [True, False, False]


@pytest.mark.parametrize(
    ("destination", "form", "environment", "expected", "said"),
    [
        (None, None, "", False, True), (None, "parquet", "", False, False), (None, None, "parquet", False, False),
        (None, None, "", True, False), ("a", None, "", False, False),
    ],
)  # fmt: skip
def test_parquet_that_nobody_asked_for_is_said(
    destination: str | None, form: Any, environment: str, expected: bool, said: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENCLI_FORMAT", environment)
    monkeypatch.setattr(stdout, "expects_parquet", lambda: expected)
    monkeypatch.setattr(outputs, "is_terminal", lambda place: False)
    messages = list[str]()
    monkeypatch.setattr(console, "message", messages.append)
    with Together(writes=destination is not None) as places:
        outputs.open_result(places, destination, form)(ROWS, step)
    words = "the table is written as Parquet; --format table or GENCLI_FORMAT=table writes text"
    assert messages == ([words] if said else [])


def test_a_table_among_the_messages_is_shown_in_full_or_by_its_title(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr(console, "message", messages.append)
    whole = outputs.render(ROWS, "table", "title").rstrip()
    for full, always, rows, shown in (
        (False, False, ROWS, "title"), (True, False, ROWS, whole), (False, True, ROWS, whole),
        (True, True, None, "title"),
    ):  # fmt: skip
        monkeypatch.setattr(console, "in_full", lambda full=full: full)
        outputs.say(rows, "title", always)
        assert messages.pop() == shown


def test_processes_write_a_part_each_to_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outputs.own_part("1/3", "x") == ("1/3", "x")
    monkeypatch.setattr("gencli.machine.process", lambda: (1, 2))
    folder = tmp_path / "new"
    assert outputs.own_part(None, str(folder)) == ("1/2", f"{folder}/part-00001-of-00002.parquet")
    (folder / "part-00000-of-00002.parquet").touch()
    (folder / "notes.txt").touch()
    assert outputs.own_part(None, str(folder))[0] == "1/2"
    for name in ("z.parquet", "part-00000-of-00003.parquet"):
        (folder / name).touch()
    with pytest.raises(GencliError) as refused:
        outputs.own_part(None, str(folder))
    assert refused.value.message == f"{folder}: holds part-00000-of-00003.parquet, no part of 2"
    (tmp_path / "file").touch()
    for place in (None, "-", "/dev/stdout", "x.parquet", str(tmp_path / "file")):
        with pytest.raises(GencliError) as refused:
            outputs.own_part(None, place)
        assert refused.value.message == "2 processes of torchrun write a file each", place
        assert refused.value.hint == "name a folder for them: -o FOLDER"
    with pytest.raises(GencliError, match=rf"^{tmp_path}/file/x: cannot be written: Not a directory$"):
        outputs.own_part(None, f"{tmp_path}/file/x")
    with pytest.raises(GencliError):
        outputs.own_part("0/2", str(folder))
    assert os.path.isdir(folder)


def test_tensors_are_refused_by_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "is_terminal", lambda place: place is None)
    for what, hint in (
        ("model", "name a file with -o, or pipe it into gencli eval -"),
        ("products", "name a file with -o"),
    ):
        outputs.refuse_terminal("a", what)  # type: ignore[arg-type]
        with pytest.raises(GencliError, match=rf"^the {what} would be written to the terminal$") as refused:
            outputs.refuse_terminal(None, what)  # type: ignore[arg-type]
        assert refused.value.hint == hint


def test_a_folder_of_a_store_is_not_made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gencli.machine.process", lambda: (1, 2))
    held: list[str] = []
    monkeypatch.setattr("gencli.files.stores.within", lambda address: held or None)
    for folder in ("s3://b/f", "s3://b/f/"):
        assert outputs.own_part(None, folder) == ("1/2", "s3://b/f/part-00001-of-00002.parquet")
        held += ["s3://b/f/part-00001-of-00002.parquet", "s3://b/f/notes.txt"]
    held.append("s3://b/f/part-00000-of-00003.parquet")
    with pytest.raises(GencliError, match=r"^s3://b/f: holds part-00000-of-00003\.parquet, no part of 2$"):
        outputs.own_part(None, "s3://b/f")
    assert not [*tmp_path.iterdir()]
