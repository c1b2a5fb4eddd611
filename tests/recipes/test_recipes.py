"""Recipes are listed, say what is wrong with their variables, run at every scale, and go on where they were."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gencli import recipes
from gencli.cli.app import command_tree, main
from tests.pipelines.replays import replay_all
from tests.pipelines.shell import Shell, environment

PAPERS = sorted(set(recipes.purposes()) - {"demo"})
# a dozen processes that load torch, or many steps
SLOW = {"double-descent", "edge-of-stability", "measures", "memorization", "why-random-labels"}
REPLAYED = dict.fromkeys(PAPERS, 1) | {"memorization": 9}  # files, one of each run
# scores of the smallest scale that have a published one
COMPARED = {"course": 3, "noise2noise": 2, "zhang2017": 12, "why-random-labels": 5}


def start(folder: Path, name: str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Starts make in a process group of its own; messages and output come together."""
    command = ["make", "-f", str(recipes.path(name)), *words]
    return subprocess.Popen(
        command, cwd=folder, env=environment({"OMP_NUM_THREADS": "1"} | dict(env or {}), cold=False),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def make(folder: Path, name: str, *words: str, status: int = 0, env: Mapping[str, str] | None = None) -> str:
    process = start(folder, name, *words, env=env)
    said = process.communicate()[0]
    assert process.returncode == status, said
    return said


@pytest.fixture
def cifar10(tmp_path: Path) -> str:
    """A folder that looks like CIFAR-10, and MNIST, to make."""
    folder = tmp_path / "cifar10"
    folder.mkdir()
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001", "mnist-train", "mnist-test"):
        (folder / f"{name}.parquet").touch()
    return f"DATA={folder}"


def calls(pretender: dict[str, str], command: str = "") -> list[str]:
    """What the pretender was told since the last time, its threads before it; of one command."""
    lines = Path(pretender["CALLS"]).read_text().splitlines()
    said = [line for line in lines if line.split()[1] == (command or line.split()[1])]
    Path(pretender["CALLS"]).write_text("")
    return said


def test_all_are_listed_with_a_line_each(tmp_path: Path):
    lines = Shell(tmp_path)("gencli recipe").worked().text.splitlines()
    assert [line.split()[0] for line in lines] == list(recipes.purposes())
    assert all(re.fullmatch(r"\S+ +[A-Z].{10,66}\.", line) for line in lines)


def test_a_name_gives_its_path_and_a_wrong_one_the_nearest(tmp_path: Path):
    sh = Shell(tmp_path)
    assert sh("gencli recipe zhang2017").worked().text == f"{recipes.path('zhang2017')}\n"
    sh("gencli recipe zhang2016").refused("zhang2016", *recipes.purposes())


@pytest.mark.parametrize("name", PAPERS)
def test_a_recipe_says_what_it_makes(name: str, tmp_path: Path):
    said = make(tmp_path, name, "help")
    for word in ("SCALE=full", "SCALE=cpu", "SCALE=smoke", "DATA=", "OUT=", "report.html", f"gencli recipe {name}"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SCALE=huge"], "SCALE=huge: choose full, cpu or smoke"),
        (["SCALE=cpu", "DATA=nowhere"], "DATA=nowhere: no train*.parquet there"),
        (["DATA=somewhere"], "leave DATA out"),
        (["OUT=two words"], "OUT=two words: make cannot work in folders with blanks"),
        (["OUT=a:b"], "make cannot work in folders with :"),
        (["OUT=-x"], "make cannot work in folders with - in front"),
        *(
            ([f"{name}=a{sign}ls{sign}"], f"make cannot work in folders with {sign[0]}")
            for name in ("OUT", "DATA")
            for sign in ("`", "$", "(", "|", ";", "&", "<", "'", '"', "{", "[", "*")
        ),
        (["OUT=$(shell>pwned)"], "OUT=$(shell>pwned): make cannot work"),
    ],
)
def test_what_cannot_be_is_one_clear_line(words: list[str], said: str, tmp_path: Path):
    lines = make(tmp_path, "zhang2017", *words, status=2).splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_second_data_set_that_the_folder_lacks_is_refused_not_downloaded(tmp_path: Path, cifar10: str):
    (tmp_path / "cifar10" / "mnist-test.parquet").unlink()
    at = ["-n", "SCALE=cpu", "OUT=out", cifar10]
    assert "no mnist-test*.parquet there" in make(tmp_path, "double-descent", *at, status=2)
    assert "data mnist" not in make(tmp_path, "double-descent", *at, "SETS=cifar10")


@pytest.mark.parametrize("name", ["demo", "zhang2017"])
def test_folders_from_the_environment_are_looked_at_too(name: str, tmp_path: Path):
    for value in ("$(shell touch pwned)", "a`touch pwned`"):
        assert "make cannot work in folders with" in make(tmp_path, name, status=2, env={"OUT": value})
    assert not list(tmp_path.iterdir())


def test_names_of_files_are_no_words_of_make_or_the_shell(tmp_path: Path):
    folder = tmp_path / "hub"
    folder.mkdir()
    png = io.BytesIO()
    Image.new("RGB", (32, 32)).save(png, "PNG")
    for count, name in enumerate(
        ("test", "train-$(shell touch pwned)", "train-`touch pwned`", "train '$(touch pwned)'")
    ):
        rows = pa.table({"img": [{"bytes": png.getvalue(), "path": None}] * (count + 2), "label": [*range(count + 2)]})
        pq.write_table(rows, folder / f"{name}.parquet")
    said = make(tmp_path, "zhang2017", "-n", "DATA=hub", "OUT=out", "SCALE=cpu", "out/data/train.parquet")
    assert "gencli data parquet hub --files 'train*.parquet' --name cifar10 --split train" in said
    make(tmp_path, "zhang2017", "DATA=hub", "OUT=out", "SCALE=cpu", "out/data/test.parquet", "out/data/train.parquet")
    assert {each.name for each in tmp_path.iterdir()} == {"hub", "out"}
    assert "up to date" in make(tmp_path, "zhang2017", "DATA=hub", "OUT=out", "SCALE=cpu", "out/data/test.parquet")
    (folder / "test.parquet").touch()
    assert "--split test" in make(tmp_path, "zhang2017", "DATA=hub", "OUT=out", "SCALE=cpu", "out/data/test.parquet")


def commands(plan: str) -> Iterator[list[str]]:
    """The gencli command lines that make would run, as words."""
    for line in plan.replace("\\\n", " ").splitlines():
        for part in re.split(r" \| |; | 2> >\(", re.sub(r"\$\(cat \S+\)", "0.9", line)):
            if part.strip().startswith("gencli "):
                yield shlex.split(part)[1:]


def parse(words: list[str]) -> Any:
    """A command line's context; one that is wrong raises."""
    node: Any = command_tree()
    context = node.make_context("gencli", [], resilient_parsing=True)
    while hasattr(node, "list_commands"):
        node, words = node.get_command(context, words[0]), words[1:]
        context = node.make_context(node.name, list(words), parent=context, resilient_parsing=hasattr(node, "commands"))
    return context


@pytest.mark.parametrize("scale", ["full", "cpu"])
@pytest.mark.parametrize("name", PAPERS)
def test_every_command_of_the_larger_scales_is_right(
    name: str,
    scale: str,
    tmp_path: Path,
    cifar10: str,
    capfd: pytest.CaptureFixture[str],
):
    planned = list(commands(make(tmp_path, name, "-n", "-j2", "OUT=out", f"SCALE={scale}", cifar10)))
    assert [words for words in planned if words[0] == "report"]
    runs: dict[tuple[str, ...], list[str]] = {}  # of those that differ in numbers alone the first
    for words in planned:
        context = parse(words)
        if words[0] == "train":
            places = {
                context.params[each] for each in ("data", "eval_data", "history", "dynamics", "output", "checkpoint")
            }
            dropped = {"--eval-data", "--history", "--dynamics", "-o", "--checkpoint", "--checkpoint-every"}
            dropped |= {"--resume", "1min"}
            seed = words.index("--seed") if "--seed" in words else len(words)
            kept = words[:seed] + words[seed + 2 :]
            kept = [word for word in kept if word not in places | dropped]
            runs.setdefault(tuple(word for word in kept if not re.fullmatch(r"[\d.,]+(e-?\d+)?", word)), kept)
    for words in runs.values():
        assert main([*words, "--dry-run"]) == 0, capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_paper_has_all_cells_of_its_table(tmp_path: Path, cifar10: str):
    plan = list(commands(make(tmp_path, "zhang2017", "-n", "table1", "SCALE=full", "OUT=out", cifar10)))
    assert len([words for words in plan if words[0] == "train"]) == 19
    published = recipes.path("zhang2017").with_suffix(".csv").read_text().splitlines()
    assert len([line for line in published if line.startswith((",inception", ",alexnet", ",mlp"))]) == 19


def test_a_part_is_compared_with_its_own_published_rows(tmp_path: Path, cifar10: str, pretender: dict[str, str]):
    parts = {"table1": 19, "mlp": 6, "alexnet": 5, "inception": 8, "kernel": 1}
    make(tmp_path, "zhang2017", *parts, "SCALE=full", "OUT=out", cifar10, env=pretender)
    for part, count in parts.items():
        source, header, *rows = (tmp_path / "out" / f"{part}.csv").read_text().splitlines()
        assert source.startswith("# Zhang")
        assert len(rows) == count
        assert {row.count(",") for row in rows} == {header.count(",")}
        assert all(row.startswith("kernel,") == (part == "kernel") for row in rows)


@pytest.mark.parametrize(("jobs", "threads"), [([], 8), (["-j2"], 4), (["-j3"], 2), (["-j", "16"], 1), (["-j"], 1)])
def test_jobs_share_the_cores(jobs: list[str], threads: int, tmp_path: Path, pretender: dict[str, str]):
    (tmp_path / "bin" / "nproc").write_text("#!/bin/sh\necho 8\n")
    (tmp_path / "bin" / "nproc").chmod(0o755)
    make(tmp_path, "course", "derivatives", "OUT=out", *jobs, env=pretender)
    assert {call.split()[0] for call in calls(pretender)} == {str(threads)}


def test_a_target_builds_its_part_and_the_rest_is_added(tmp_path: Path, cifar10: str, pretender: dict[str, str]):
    at = ["SCALE=cpu", "OUT=out", cifar10]
    make(tmp_path, "cui2019", "ratio-100", *at, env=pretender)
    assert len(calls(pretender, "train")) == 14
    make(tmp_path, "cui2019", "ratio-100", "ratio-10", *at, env=pretender)
    (corrupted, _, _) = calls(pretender, "corrupt")
    assert "long-tail --ratio 10 " in corrupted
    make(tmp_path, "cui2019", "ratio-100", "ratio-10", *at, env=pretender)
    assert not calls(pretender)


def test_beta_is_the_one_of_the_best_balanced_accuracy(tmp_path: Path, pretender: dict[str, str]):
    make(tmp_path, "cui2019", "ratio-10", "OUT=out", env=pretender)
    for beta, recall in (("0", 0.5), ("0.99", 0.625)):
        (tmp_path / f"out/tuning/10_cb-focal_{beta}.csv").write_text(f"label,n\n,,9,0.9,0.9,{recall},0.1\n")
    calls(pretender)
    make(tmp_path, "cui2019", "ratio-10", "OUT=out", env=pretender)
    (final,) = calls(pretender, "train")
    assert "--loss cb-focal --beta 0.99 " in final


def test_the_papers_best_errors_are_published_of_every_ratio(tmp_path: Path, cifar10: str, pretender: dict[str, str]):
    best = {200: 31.11, 100: 25.43, 50: 20.73, 20: 15.64, 10: 12.51}
    rows = recipes.path("cui2019").with_suffix(".csv").read_text().splitlines()
    for ratio, error in best.items():
        assert f"long-tail ratio={ratio},best cb in the paper,{1 - error / 100:.4f}" in rows
    make(tmp_path, "cui2019", "ratio-20", "SCALE=cpu", "OUT=out", cifar10, env=pretender)
    (compared,) = calls(pretender, "report")
    assert "--against out/ratio-20.published.csv" in compared
    shown = (tmp_path / "out/ratio-20.published.csv").read_text().splitlines()
    assert [row for row in shown if row[0] != "#"] == [
        "corruption,loss,test_accuracy",
        "long-tail ratio=20,best cb in the paper,0.8436",
    ]


def test_figures_of_a_readme_are_not_called_the_papers():
    readme, paper, *_ = recipes.path("noise2noise").with_suffix(".csv").read_text().splitlines()
    assert "README" in readme
    assert "31.01 and 31.02" in readme
    assert "second-hand" in paper
    assert "32.50 and 32.48" in paper


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path, pretender: dict[str, str]):
    make(tmp_path, "course", "derivatives", "OUT=out", env=pretender)
    said = make(tmp_path, "course", "derivatives", "OUT=out", "OPTIONS=--seed 1", status=2, env=pretender)
    assert "out holds what was made with SCALE=smoke" in said
    make(tmp_path, "course", "derivatives", "OUT=other", "OPTIONS=--seed 1", env=pretender)
    make(tmp_path, "course", "derivatives", "OUT=other", "OPTIONS=--seed 1", env=pretender)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path):
    goal = "out/runs/mlp-1x512_none_true.parquet"
    words = [goal, "OUT=out", "OPTIONS=--epochs 150"]
    process = start(tmp_path, "zhang2017", *words)
    assert process.stdout
    for line in process.stdout:
        if "mlp-1x512_none_true: epoch 3:" in line:
            break
    os.killpg(process.pid, signal.SIGINT)
    assert "stopped after step" in process.communicate()[0]
    assert process.returncode != 0
    assert not (tmp_path / goal).exists()
    said = make(tmp_path, "zhang2017", *words)
    assert "resumed after step" in said
    assert "epoch 1:" not in said
    assert (tmp_path / goal).exists()
    assert not list(tmp_path.rglob("*.checkpoint"))


@pytest.mark.parametrize("name", PAPERS if os.environ.get("GENCLI_TEST_ALL") else sorted({*PAPERS} - SLOW))
def test_the_smallest_scale_runs_a_second_time_has_nothing_to_do_and_each_file_is_made_again_byte_for_byte(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said = make(tmp_path, name, "-j2", "OUT=out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "SCALE=smoke" in page
    assert "<svg" in page
    assert ("published" in page) == recipes.path(name).with_suffix(".csv").exists()
    assert not list(tmp_path.rglob("*.checkpoint")), said
    if name in COMPARED:
        published = recipes.path(name).with_suffix(".csv")
        files = "out/runs/*.parquet" + (" out/kernel/*.parquet" if name == "zhang2017" else "")
        shown = Shell(tmp_path)(f"gencli report {files} --against {published} --format json").worked()
        differences = [row[key] for row in json.loads(shown.text) for key in row if key.endswith("_difference")]
        assert len([each for each in differences if each is not None]) >= COMPARED[name]
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert "Nothing to be done" in make(tmp_path, name, "OUT=out")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == made
    assert len(replay_all(tmp_path / "out", tmp_path / "scratch", monkeypatch)) >= REPLAYED[name]
