"""Tables in pipes and files: what is said of Parquet, which format is chosen, how long lines are, what CSV keeps."""

from __future__ import annotations

import json

import pytest

from tests.pipelines.shell import Shell

EVAL = "gencli eval $D/model.safetensors $D/test.parquet"
WRITTEN = "the table is written as Parquet"
TRAIN = "gencli train $D/digits.parquet --arch mlp-1x16 --epochs 2 -q -o m"


@pytest.mark.parametrize(
    ("script", "start", "said"),
    [
        (f"{EVAL} | tail -c 4", "PAR1", True),
        (f"{EVAL} --format parquet | tail -c 4", "PAR1", False),
        (f"GENCLI_FORMAT=parquet {EVAL} | tail -c 4", "PAR1", False),
        (f"{EVAL} -q | tail -c 4", "PAR1", False),
        (f"{EVAL} > x.parquet; head -c 4 x.parquet", "PAR1", False),
        (f"{EVAL} | (exec -a gencli cat) | tail -c 4", "PAR1", False),  # as if gencli read it
        (f"GENCLI_FORMAT=table {EVAL}", "mlp-1x16 on digits test", False),
        (f"GENCLI_FORMAT=csv {EVAL}", "label,name,n,accuracy", False),
        (f"GENCLI_FORMAT=csv {EVAL} --format jsonl", '{"label": 0', False),
        (f"GENCLI_FORMAT=csv {EVAL} -o x.json; head -c 2 x.json", "[\n", False),
        ("GENCLI_FORMAT=md gencli report $D/history.parquet", "| network |", False),
        ("GENCLI_FORMAT=csv gencli show $D/history.parquet", "epoch,step", False),
    ],
)
def test_a_table_has_the_format_that_is_asked_for(sh: Shell, script: str, start: str, said: bool) -> None:
    done = sh(script).worked()
    assert done.text.startswith(start)
    assert (WRITTEN in done.err) == said
    assert len(done.err.splitlines()) == said


def test_an_environment_without_such_a_format_is_refused(sh: Shell) -> None:
    sh(f"GENCLI_FORMAT=xlsx {EVAL}").refused("GENCLI_FORMAT: no format 'xlsx'", "known: table, parquet")
    sh("echo words | GENCLI_FORMAT=table gencli report").refused("not Parquet", "GENCLI_FORMAT=table writes no Parquet")


def test_messages_that_are_tables_are_a_line_in_a_log(sh: Shell) -> None:
    corrupt = "corrupt random-labels -p 0.5 $D/test.parquet -o x"
    assert len(sh(f"gencli {corrupt}").worked().err.splitlines()) == 1
    for script in (f"gencli {corrupt} -v", f"gencli -v {corrupt}", f"GENCLI_VERBOSE=1 gencli {corrupt}"):
        assert "realized" in sh(script).worked().err
    assert "realized" in sh(f"GENCLI_QUIET=1 gencli {corrupt} -v").worked().err
    assert not sh(f"gencli -q {corrupt}").worked().err


def test_a_report_in_a_file_has_a_line_a_row(sh: Shell) -> None:
    names = [f"{word} {'a rather long name of a file ' * 5}.csv" for word in ("first", "other")]
    for name in names:
        (sh.folder / name).write_text("epoch,train_loss,train_accuracy\n1,1.0,0.25\n")
    report = f"gencli report '{names[0]}' '{names[1]}'"
    for script in (f"{report} -o out.txt", f"{report} > out.txt", f"{report} | cat > out.txt"):
        sh(script).worked()
        assert sh("grep -c 'first.*rather.*rather.*rather.*0.2500' out.txt").worked().text == "1\n"
    narrow = sh(report, COLUMNS="60").worked().text
    assert max(map(len, narrow.splitlines())) <= 60
    assert max(map(len, sh.on_terminal(report, COLUMNS="60", NO_COLOR="1").worked().text.splitlines())) <= 60
    for command in ("gencli show $D/test.parquet", "gencli check circulant -q --format table"):
        widths = [max(map(len, sh(command, COLUMNS=each).worked().text.splitlines()[5:])) for each in ("", "50")]
        assert widths[0] > 50 >= widths[1]


def test_histories_of_text_keep_what_groups_runs(sh: Shell) -> None:
    endings = ("parquet", "csv", "json", "jsonl")
    sh(";".join(f"{TRAIN} --seed {seed} --history h.{ending}" for seed, ending in enumerate(endings))).worked()
    (row,) = json.loads(sh("gencli report h.* --format json").worked().text)
    assert (row["network"], row["corruption"], row["runs"]) == ("mlp-1x16", "none", 4)
    for ending in endings[1:]:
        text = sh(f"gencli show h.{ending}; gencli show h.{ending} --format csv").worked().text
        assert "gencli train" in text
        assert "\nepoch,step,seconds,images_per_second,train_loss,train_cross_entropy,train_accuracy" in text
        assert "provenance" not in text


def test_runs_of_one_training_are_grouped_in_json_lines(sh: Shell) -> None:
    sh(f"{TRAIN} --runs 3 --history h.jsonl").worked()
    lines = [json.loads(line) for line in (sh.folder / "h.jsonl").read_text().splitlines()]
    assert [(each["run"], each["epoch"]) for each in lines] == [(run, epoch) for run in range(3) for epoch in (1, 2)]
    assert [name in each for each in lines for name in ("gencli.provenance",)] == [True] + [False] * 5
    (row,) = json.loads(sh("gencli report h.jsonl --format json").worked().text)
    assert row["runs"] == 3
    sh("head -c 40 h.jsonl > cut.jsonl; gencli report cut.jsonl").refused("cut.jsonl: line 1")


def test_networks_come_in_the_order_of_their_sizes(sh: Shell) -> None:
    train = "gencli train $D/digits.parquet --epochs 1 -q -o m"
    for width in (128, 16):
        sh(f"{train} --arch mlp-1x{width} --history n{width}.parquet").worked()
    for files in ("n*.parquet", "'n*.parquet'", "n128.parquet n16.parquet"):
        rows = json.loads(sh(f"gencli report {files} --format json").worked().text)
        assert [each["network"] for each in rows] == ["mlp-1x16", "mlp-1x128"]


def test_trackers_are_asked_for_alone(sh: Shell) -> None:
    sh("gencli report $D/history.parquet --to neptune x").refused("no tracker 'neptune'", "known: tensorboard")
    sh("gencli report $D/history.parquet --to tensorboard x --plot curves").refused("--plot and --to")
    assert sh.files() == set()
