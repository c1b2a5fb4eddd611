"""Endings of files: every option that writes one obeys the rule, before any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gencli.cli import app
from gencli.errors import GencliError
from gencli.files import endings
from gencli.files.endings import DERIVATIVES, FIGURE, IMAGES, MODEL, REPORT, RESULT
from tests.pipelines.shell import Shell, many

# options whose FILE is read
_READ = {
    "--against", "--at", "--check-against", "--data", "--eval-data", "--file", "--hvp", "--matrix", "--model",
    "--init", "--statistics", "--vector", "--classes", "--class-names",
}  # fmt: skip
_ALSO = {("eval", "--history")}


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _commands(command.get_command(None, name), (*path, name))
    else:
        yield path, command


def test_every_option_that_writes_a_file_obeys_the_rule(capfd: pytest.CaptureFixture[str]) -> None:
    refused = set()
    for path, command in _commands(app.command_tree()):
        for option in command.params:
            name = option.opts[0]
            if (
                "FILE" in str(option.metavar)
                and option.param_type_name == "option"
                and name not in _READ
                and (*path, name) not in _ALSO
            ):
                required = [word for each in command.params if each.required for word in _given(each)]
                status = app.main([*path, *required, name, "there/x.docx"])
                said = capfd.readouterr().err
                assert (status, ": there/x.docx: " in said) == (2, True), (path, name, said)
                refused.add(name)
    assert {
        "-o",
        "--history",
        "--predictions",
        "--confusion",
        "--density",
        "--along",
        "--vectors",
        "--figure",
    } < refused
    assert {"--summary", "--sheet", "--contact-sheet", "--checkpoint", "--plot", "--graph"} < refused


def _given(parameter: Any) -> list[str]:
    """A required parameter with some value."""
    values = {"-p": "0.5", "--arch": "linear", "--sigma": "25", "--matrix": "m", "--ratio": "10", "--count": "3"}
    if parameter.param_type_name == "argument":
        return [getattr(parameter.type, "choices", ["x"])[0]]
    choices = getattr(parameter.type, "choices", None)
    return [parameter.opts[0], choices[0] if choices else values.get(parameter.opts[0], "1")]


@pytest.mark.parametrize(
    ("kind", "name", "form"),
    [
        (RESULT, "x.CSV", "csv"), (RESULT, "a.b/x.Json", "json"), (RESULT, "x.tar.md", "md"),
        (RESULT, "x.txt", "table"),
        (REPORT, "x.TEX", "latex"), (REPORT, "x.htm", "html"), (DERIVATIVES, "x.SafeTensors", "safetensors"),
        (FIGURE, "x.PDF", "pdf"), (MODEL, "x", None), (MODEL, "model.v2", None), (IMAGES, "x.out", None),
        (IMAGES, "folder.csv/x", None), (RESULT, ".hidden", None), (MODEL, "/dev/stdout", None), (MODEL, "-", None),
        (RESULT, ".csv", "csv"),
    ],
)  # fmt: skip
def test_what_a_name_names(kind: endings.Writes, name: str, form: str | None) -> None:
    kind.require("-o", name)
    assert endings.named(name) == form


@pytest.mark.parametrize(
    ("kind", "name", "form", "words"),
    [
        (MODEL, "model.pt", None, "-o: model.pt: a model cannot be written as .pt"),
        (MODEL, "model.parquet", None, "a model cannot be written as .parquet"),
        (RESULT, "r.tex", None, "a result table cannot be written as .tex"),
        (RESULT, "h.yaml", None, "a result table cannot be written as .yaml"),
        (RESULT, "h.xlsx", None, "a result table cannot be written as .xlsx"),
        (RESULT, "h.safetensors", None, "a result table cannot be written as .safetensors"),
        (IMAGES, "d.CSV", None, "an image table cannot be written as .csv"),
        (RESULT, "h.csv.gz", None, "a result table is written without compression"),
        (FIGURE, "f", None, "not a .png, .svg or .pdf file"),
        (FIGURE, "-", None, "not a .png, .svg or .pdf file"),
        (RESULT, "r.json", "csv", "its extension contradicts --format csv"),
        (RESULT, "r.txt", "parquet", "its extension contradicts --format parquet"),
        (DERIVATIVES, "r.safetensors", "csv", "its extension contradicts --format csv"),
    ],
)
def test_what_is_not_written_is_refused(kind: endings.Writes, name: str, form: str | None, words: str) -> None:
    with pytest.raises(GencliError) as raised:
        kind.require("-o", name, form)
    assert words in raised.value.message
    assert raised.value.hint


def test_a_report_as_a_picture_names_the_option_that_draws() -> None:
    with pytest.raises(GencliError) as raised:
        endings.REPORT.require("-o", "r.pdf")
    assert raised.value.hint.endswith("; --figure FILE draws one")


def test_text_may_be_of_any_format() -> None:
    for form in ("csv", "json", "md", "table", "latex"):
        REPORT.require("-o", "x.txt", form)


def test_at_the_shell(tmp_path: Path) -> None:
    train = ["train", "missing", "--arch", "linear"]
    commands = [
        ["data", "digits", "-o", "d.csv"], [*train, "-o", "model.pt"], [*train, "-o", "m", "--history", "h.xlsx"],
        ["eval", "missing", "missing", "-o", "results.tex"], ["how", "missing", "-o", "x.csv"],
    ]  # fmt: skip
    for words, done in zip((".csv", ".pt", ".xlsx", ".tex", ".csv"), many(tmp_path, commands), strict=True):
        done.refused(f"cannot be written as {words}", "use the extension .")
    shell = Shell(tmp_path)
    shell("gencli data digits --limit 9 -q | gencli show -o shown.MD && grep -q '^| label' shown.MD").worked()


def refusal(kind: endings.Writes, name: str, form: str | None = None) -> tuple[str, str]:
    with pytest.raises(GencliError) as raised:
        kind.require("-o", name, form)
    return raised.value.message, raised.value.hint


def test_refusals_name_the_endings_that_are_written() -> None:
    assert refusal(FIGURE, "a.b/f") == (
        "-o: a.b/f: not a .png, .svg or .pdf file",
        "the extension selects the format of a figure",
    )
    assert refusal(MODEL, "m.npz") == (
        "-o: m.npz: a model cannot be written as .npz",
        "use the extension .safetensors",
    )
    assert refusal(endings.EXPORTED, "m.onnx.xz") == (
        "-o: m.onnx.xz: an exported model is written without compression",
        "use the extension .onnx or .pt2, or write to a pipe: ... | xz > FILE",
    )
    words = ".parquet, .csv, .json, .jsonl, .md, .txt"
    assert refusal(REPORT, "r.tsv")[1] == f"use the extension {words}, .tex or .html"
    assert refusal(RESULT, "r.png")[1] == "use the extension .parquet, .csv, .json, .jsonl, .md or .txt"
    assert refusal(RESULT, "r.csv", "json") == (
        "-o: r.csv: its extension contradicts --format json",
        "omit --format, or rename it",
    )
    assert refusal(DERIVATIVES, "r.txt", "safetensors")[0].endswith("contradicts --format safetensors")
    for kind, name, form in ((RESULT, "r.csv", "csv"), (RESULT, "r", "csv"), (RESULT, None, "csv")):
        kind.require("-o", name, form)
