"""`gencli check` at the shell: exit statuses, what is shown and written, what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli import theory
from gencli.cli.app import main
from gencli.files.provenance import KEY, command_line, decode
from gencli.machine import cores
from gencli.theory import CLAIMS, statement
from tests.pipelines.shell import Shell, explained, many


def test_the_exit_status_says_whether_the_claim_holds(sh: Shell) -> None:
    assert "6 rows, all hold" in sh("gencli check prox-step -o rows.parquet").worked().err
    broken = sh("gencli check prox-step --break -o rows.parquet")
    assert broken.status == 1
    assert "6 of 6 rows do not hold: prox-step; broken on purpose" in broken.err
    assert pq.read_table(sh.folder / "rows.parquet")["holds"].to_pylist() == [False] * 6
    quiet = sh("gencli check prox-step --break -q -o rows.csv")
    assert (quiet.status, quiet.err) == (1, "")


def test_rows_are_the_same_in_every_format_and_every_run(sh: Shell) -> None:
    claim = ["check", "circulant", "--instances", "2"]
    ends = many(sh.folder, [[*claim, "-o", f"rows.{form}"] for form in ("parquet", "csv", "json", "md")])
    assert [done.status for done in ends] == [0] * 4
    sh(f"gencli {' '.join(claim)} > again").worked()
    table = pq.read_table(sh.folder / "rows.parquet")
    assert (sh.folder / "again").read_bytes() == (sh.folder / "rows.parquet").read_bytes()
    assert table.column_names == ["claim", "instance", "quantity", "left", "relation", "right", "slack", "holds"]
    assert json.loads((sh.folder / "rows.json").read_text()) == table.to_pylist()
    rows = list(csv.DictReader((sh.folder / "rows.csv").open()))
    assert [float(row["slack"]) for row in rows] == table["slack"].to_pylist()
    assert {row["holds"] for row in rows} == {"True"}
    assert (sh.folder / "rows.md").read_text().count("| yes |") == len(rows)
    made = json.loads(pq.ParquetFile(sh.folder / "rows.parquet").metadata.metadata[KEY.encode()])["step"]
    expected = {"instances": 2, "dtype": "float64", "size": 64, "seed": 0, "break": False, "threads": cores()}
    assert (made["command"], made["arguments"]) == ("check circulant", expected)
    assert set(made["versions"]) == {"gencli", "numpy", "pyarrow", "scipy"}


def test_the_list_names_every_claim_with_what_it_says(sh: Shell) -> None:
    lines = sh("gencli check --list").worked().text.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[name, statement(claim)] for name, claim in CLAIMS.items()]


def test_a_terminal_shows_the_rows_and_what_the_claim_says(sh: Shell) -> None:
    lines = sh.on_terminal("gencli check newton-step --instances 1 --color never").worked().text.splitlines()
    assert lines[0] == f"newton-step: {statement(CLAIMS['newton-step'])}"
    assert lines[2].split() == ["instance", "quantity", "left", "is", "right", "slack", "holds"]
    assert sum(line.endswith("yes") for line in lines) == 10
    assert max(map(len, lines)) <= 100


def test_a_claim_about_where_passes_lead_is_not_false_before_they_are_there(sh: Shell) -> None:
    sh("gencli check min-norm --instances 1 --passes 1").refused("--passes: after 1 |Xw - y| / |y| is 0.28")
    sh("gencli check rademacher --steps 1").refused("--steps: after 1 the linear function is at 0.847 of its supremum")
    sh("gencli check noise-targets --iterations 19").refused("19 is not in the range 20<=x<=10000")


def test_all_are_a_line_each_and_what_fails_first(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Of three quick claims; the example of the help checks all of them."""
    few = {name: CLAIMS[name] for name in ("prox-step", "newton-step", "circulant")}
    monkeypatch.setattr(theory, "CLAIMS", few)
    assert main(["check", "all", "--format", "table"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[:3:2] for line in lines if line.strip()][2:] == [[name, "0"] for name in few]
    assert main(["check", "all", "--format", "table", "--break"]) == 1
    shown = capfd.readouterr()
    assert shown.out.startswith("\n".join(lines[:3]))
    summary, first = shown.out.split("The first false row of each:")
    assert [line.split()[0] for line in summary.splitlines() if line.strip()][2:] == list(few)
    assert [line.split()[0] for line in first.splitlines() if line.strip()][2:] == list(few)
    assert "do not hold: prox-step, newton-step, circulant; broken on purpose" in shown.err


def test_a_claim_is_drawn_the_same_every_time(sh: Shell) -> None:
    claim = ["check", "min-norm", "--instances", "1", "-o", "rows.csv", "--plot"]
    ends = many(sh.folder, [[*claim, name] for name in ("a.png", "b.png", "a.svg", "a.pdf")])
    assert [done.status for done in ends] == [0] * 4
    assert (sh.folder / "a.png").read_bytes() == (sh.folder / "b.png").read_bytes()
    picture = Image.open(sh.folder / "a.png")
    assert min(picture.size) >= 500
    assert json.loads(picture.text["Description"])["step"]["command"] == "check min-norm"  # pyright: ignore[reportAttributeAccessIssue]
    assert (sh.folder / "a.svg").read_text().startswith("<?xml")
    assert (sh.folder / "a.pdf").read_bytes().startswith(b"%PDF")


def test_a_claim_is_checked_on_data_from_a_file_or_a_pipe(sh: Shell, data: Path) -> None:
    claim = ["check", "weight-decay-convexity", "--arch", "mlp-1x2", "--examples", "40", "-q"]
    wanted = {"digits.csv": ["--data", f"{data}/digits.parquet"], "built-in.csv": []}
    wanted["test.parquet"] = ["--data", f"{data}/test.parquet"]
    ends = many(sh.folder, [[*claim, *given, "-o", name] for name, given in wanted.items()])
    assert [(done.status, done.err) for done in ends] == [(0, "")] * 3
    piped = sh(f"cat $D/digits.parquet | gencli {' '.join(claim)} --data - --format csv").worked()
    digits, built_in = ((sh.folder / name).read_text() for name in ("digits.csv", "built-in.csv"))
    assert piped.text == digits == built_in  # the file's digits are the first of the built-in ones
    other = pq.ParquetFile(sh.folder / "test.parquet")
    assert [str(value) for value in other.read().column("left").to_pylist()] != _column(digits, "left")
    made = json.loads(other.metadata.metadata[KEY.encode()])["step"]
    assert [(source["role"], source["step"]["command"]) for source in made["inputs"]] == [("data", "data digits")]
    assert {"torch", "sklearn"} <= set(made["versions"])


def test_a_model_and_a_table_from_elsewhere_are_inputs_of_a_check(sh: Shell, data: Path) -> None:
    """The table has no provenance, so that the command line names it, by its option."""
    plain = pq.read_table(data / "digits.parquet").select(["image", "label"]).replace_schema_metadata()
    images = [{"bytes": _png(pixels), "path": None} for pixels in plain["image"].to_pylist()]
    pq.write_table(pa.table({"image": images, "label": plain["label"]}), sh.folder / "foreign.parquet")
    check = ["check", "sgd-nonmonotone", "--data", "foreign.parquet", "--instances", "1", "-q"]
    train = ["train", "foreign.parquet", "--arch", "mlp-1x8", "--loss", "focal", "--epochs", "1", "-q"]
    rows = [*check, "--model", "net.safetensors", "-o", "rows.parquet"]
    ends = many(sh.folder, [[*train, "-o", "net.safetensors"], rows])
    assert [done.status for done in ends] == [0, 0], ends
    sh(f"cat net.safetensors | gencli {' '.join(check)} --model - -o piped.parquet").worked()
    assert (sh.folder / "rows.parquet").read_bytes() == (sh.folder / "piped.parquet").read_bytes()
    file = pq.ParquetFile(sh.folder / "rows.parquet")
    made = json.loads(file.metadata.metadata[KEY.encode()])["step"]
    assert [(source["role"], source.get("step", {}).get("command")) for source in made["inputs"]] == [
        ("data", None),
        ("model", "train"),
    ]
    row = file.read().to_pylist()[-1]
    assert row["instance"] == "mlp-1x8, focal, eta=0.1"
    assert row["quantity"] == "rises of the loss in 38 steps"
    line = command_line(decode(json.dumps({"step": made}))["step"])
    assert line.startswith("gencli check sgd-nonmonotone --data foreign.parquet --model FILE --instances 1 ")


def _png(pixels: bytes) -> bytes:
    file = io.BytesIO()
    Image.frombytes("L", (8, 8), pixels).save(file, "png")
    return file.getvalue()


def _column(text: str, name: str) -> list[str]:
    return [row[name] for row in csv.DictReader(io.StringIO(text))]


def test_options_come_from_the_environment_but_not_what_breaks_a_check(sh: Shell) -> None:
    prefix = "GENCLI_CHECK_PROX_STEP"
    given = {f"{prefix}_INSTANCES": "1", f"{prefix}_BREAK": "1", f"{prefix}_BROKEN": "1"}
    assert len(sh("gencli check prox-step --format csv -q", **given).worked().text.splitlines()) == 3


REFUSED = {
    "prox-stp": "Did you mean 'prox-step'?",
    "prox-step --penalty 0": "'--penalty': 0.0 is not in the range",
    "prox-step --penalty -1": "'--penalty': -1.0 is not in the range",
    "sgd-regret --rate 0": "'--rate': 0.0 is not in the range",
    "sgd-regret --rate nan": "--rate: nan is not finite",
    "sgd-rate --runs 1": "'--runs': 1 is not in the range",
    "newton-step --instances 0": "'--instances': 0 is not in the range",
    "newton-step --dtype float16": "'--dtype': 'float16' is not one of",
    "weight-decay-convexity --decay 0": "'--decay': 0.0 is not in the range",
    "hessian-size --layers 50,50": "--layers: '50,50' are not layers",
    "hessian-size --layers 999999999-999999999": "needs 2^123 bytes of memory, but",
    "min-norm --examples 30 --dimension 20": "--examples 30: not fewer than the --dimension 20",
    "finite-sample --points 10000000 --dimension 10000000": "GiB of memory, but",
    "min-norm --plot picture.jpg": "--plot: picture.jpg: not a .png, .svg or .pdf file",
    "min-norm --plot nowhere/picture.png": "nowhere/picture.png: cannot be written",
    "min-norm --plot rows.csv.png -o rows.csv.png": "a result table cannot be written as .png",
    "prox-step --plot picture.png": "No such option: --plot",
    "prox-step --data {data}/digits.parquet": "No such option: --data",
    "weight-decay-convexity --data {data}/history.parquet": "no column `image`",
    "weight-decay-convexity --data {data}/model.safetensors": "not Parquet",
    "weight-decay-convexity --data missing.parquet": "missing.parquet: no such file",
    "weight-decay-convexity --data {data}/digits.parquet -o {data}/digits.parquet": "the output is the input",
    "weight-decay-convexity --arch mpl-1x8": "--arch: no network 'mpl-1x8'",
    "weight-decay-convexity --data {data}/large.parquet --arch mlp-1x512": "the Hessian of 1,578,506 parameters",
    "sgd-nonmonotone --model missing.safetensors": "missing.safetensors: no such file",
    "sgd-nonmonotone --model {data}/digits.parquet": "not safetensors",
    "sgd-nonmonotone --model {data}/model.safetensors --arch mlp-1x8": "its network is mlp-1x16, not mlp-1x8",
    "sgd-nonmonotone --model {data}/model.safetensors --data {data}/large.parquet": "images of 32×32×3",
    "sgd-nonmonotone --model - --data -": "two inputs would come from standard input",
    "rademacher --arch unet-small": "--arch unet-small: is not a classifier",
    "uniform-stability --examples 30 --removals 8": "--removals 8: more than a quarter of the 30 --examples",
    "uniform-stability --data {data}/test.parquet --examples 95": "test.parquet has 100 rows, and 10 are held out",
    "all --data {data}/history.parquet": "no column `image`",
}


def test_what_cannot_be_checked_is_refused(sh: Shell, data: Path) -> None:
    commands = [["check", *command.format(data=data).split()] for command in REFUSED]
    written = [command if "-o" in command else [*command, "-o", "out.csv"] for command in commands]
    for command, words, done in zip(REFUSED, REFUSED.values(), many(sh.folder, written), strict=True):
        assert done.status == 2, (command, done)
        explained(done.err, words)
    assert sh.files() == {"commands.json", "results.json"}


def test_parquet_does_not_go_to_a_terminal(sh: Shell) -> None:
    done = sh.on_terminal("gencli check all --format parquet")
    assert done.status == 2
    assert "binary data would be written to the terminal" in done.err
