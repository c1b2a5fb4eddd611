"""Recipes for make, Snakemake and Slurm: the commands of make, what is done known by content, faults confined."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gencli import recipes
from gencli.errors import GencliError
from gencli.recipes import engines, jobs
from tests.pipelines.shell import Shell, environment
from tests.recipes.test_recipes import PAPERS, calls, commands, make

SNAKEMAKE, SHELLCHECK = shutil.which("snakemake"), shutil.which("shellcheck")
SCALES = ["full", "cpu", "smoke"] if os.environ.get("GENCLI_TEST_ALL") else ["full"]
WRITE = {"make": engines.makefile, "snakemake": engines.snakefile, "slurm": engines.slurm}
START = {
    "make": ["make", "-f", "plan", "-j2"],
    "snakemake": ["snakemake", "-s", "plan", "--cores", "2", "--keep-going", "--quiet", "all"],
    "slurm": ["bash", "plan", "--partition=short"],
}
# runs what it is given at once, one task after the other; like Slurm it keeps a copy of the script
SBATCH = """#!/bin/bash
printf '%s\\n' "$*" >> "$CALLS.sbatch"
number=$(($(wc -l < "$CALLS.sbatch") + 100))
while [ $# -gt 1 ]; do case $1 in --array=*) tasks=${1#*=} ;; esac; shift; done
cp "$1" "$CALLS.spooled"
for task in ${tasks//,/ }; do
  SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=3 bash "$CALLS.spooled" < /dev/null >> "$CALLS.log" 2>&1
done
echo "$number;cluster"
"""


@pytest.fixture(
    params=[
        "make",
        pytest.param("snakemake", marks=pytest.mark.skipif(SNAKEMAKE is None, reason="no snakemake")),
        "slurm",
    ]
)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def go(folder: Path, engine: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the plan in a folder."""
    sbatch = folder / "bin" / "sbatch"
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    return subprocess.run(
        START[engine], cwd=folder, env=environment({"OMP_NUM_THREADS": "1"} | env, cold=False), check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def said(env: dict[str, str]) -> list[str]:
    """What the pretender was told, without its threads, in the order of words."""
    return sorted(line.partition(" ")[2] for line in calls(env))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PAPERS)
def test_the_jobs_are_those_of_make_in_an_order_in_which_they_can_run(
    name: str, scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    words = ["OUT=out", f"SCALE={scale}"]
    grid = jobs.read(name, words)
    made = set[str]()
    for job in grid.jobs:
        assert all(each in made or os.path.isfile(each) for each in job.needs), job.name
        assert not made & set(job.outputs), job.name
        assert all(each.outputs for each in job.after)
        made |= {*job.outputs}
    assert "out/report.html" in made
    ours = [word for job in grid.jobs for word in commands(job.command)]
    assert sorted(ours) == sorted(commands(make(tmp_path, name, "-n", *words)))


@pytest.mark.parametrize("scale", SCALES)
def test_runs_that_differ_in_the_seed_alone_are_packed(scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`train --runs` has them in one job; where there are several such jobs each has many."""
    monkeypatch.chdir(tmp_path)
    for name in PAPERS:
        alike: dict[str, list[str]] = {}
        for job in jobs.read(name, ["OUT=out", f"SCALE={scale}"]).jobs:
            if "gencli train" in job.command:
                places = re.sub(
                    r"(--(history|checkpoint|dynamics)|-o|sed|rm) \S+.*?(?= -|$)|2> >.*|--seed \d+", "", job.command
                )
                alike.setdefault(places, []).append(job.command)
        for several in alike.values():
            assert len(several) == 1 or all("--runs" in each for each in several), several


def test_each_engine_makes_what_make_makes_once_and_again_where_the_content_is_another(
    engine: str,
    tmp_path: Path,
    pretender: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan").write_text(WRITE[engine](jobs.read("noise2noise", ["OUT=out", "gaussian"])))
    ran = go(tmp_path, engine, pretender)
    assert ran.returncode == 0, ran.stdout
    found = said(pretender)
    make(tmp_path, "noise2noise", "OUT=other", "gaussian", env=pretender)
    assert found == [line.replace("other/", "out/") for line in said(pretender)]
    for path in (tmp_path / "out").rglob("*.parquet"):
        os.utime(path, (2e9, 2e9) if "train" in path.name else (1e9, 1e9))
    assert go(tmp_path, engine, pretender).returncode == 0
    assert said(pretender) == []
    (tmp_path / "out/runs/gaussian_noisy_l1.parquet").write_text("other")
    (tmp_path / "out/data/gaussian_clean.parquet").unlink()
    assert go(tmp_path, engine, pretender).returncode == 0
    again = [line.split()[0] for line in said(pretender)]
    assert again == ["corrupt", "train"]  # what the report reads is what it was
    record = (tmp_path / "out/.done/gaussian.html.sha256").read_text().splitlines()
    assert re.fullmatch("# [0-9a-f]{64}", record[0])
    assert record[-1].endswith("  out/gaussian.html")


def test_a_job_that_fails_stops_its_own_readers_and_the_same_command_goes_on(
    engine: str,
    tmp_path: Path,
    pretender: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan").write_text(WRITE[engine](jobs.read("noise2noise", ["OUT=out", "gaussian"])))
    program = tmp_path / "bin/gencli"
    working = program.read_text()
    program.write_text(working.replace("\n", '\ncase "$*" in *gaussian_clean.parquet*--loss*) exit 3 ;; esac\n', 1))
    keep_going = {"MAKEFLAGS": "k"} if engine == "make" else {}
    go(tmp_path, engine, pretender | keep_going)
    found = said(pretender)
    assert len([line for line in found if line.startswith("train ")]) == 2
    assert not [line for line in found if line.startswith("report ")]
    assert not (tmp_path / "out/gaussian.html").exists()
    program.write_text(working)
    ran = go(tmp_path, engine, pretender)
    assert ran.returncode == 0, ran.stdout
    assert [line.split()[0] for line in said(pretender)] == ["report", "train", "train"]


def test_slurm_gets_an_array_a_stage_with_options_and_threads(
    tmp_path: Path,
    pretender: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    grid = jobs.read("zhang2017", ["OUT=out"])
    (tmp_path / "plan").write_text(engines.slurm(grid))
    ran = go(tmp_path, "slurm", pretender)
    assert ran.returncode == 0, ran.stdout
    arrays = Path(pretender["CALLS"] + ".sbatch").read_text().splitlines()
    assert len(arrays) == len({job.stage for job in grid.jobs})
    assert all("--partition=short" in line and line.endswith(" plan") for line in arrays)
    assert "--dependency" not in arrays[0]
    assert [re.findall(r"--dependency=afterany:(\d+) ", line) for line in arrays[1:]] == [
        [str(number + 101)] for number in range(len(arrays) - 1)
    ]
    assert {line.split()[0] for line in calls(pretender)} == {"3"}
    tasks = re.findall(r"\d+", " ".join(re.findall(r"--array=(\S+)", "\n".join(arrays))))
    assert len(tasks) == len(set(tasks)) < len(grid.jobs)  # what takes seconds is one task of its stage
    assert go(tmp_path, "slurm", pretender).stdout == "all is done\n"


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_slurm_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "cui2019", "curvature", "memorization"):
        Path(f"{name}.sh").write_text(engines.slurm(jobs.read(name, ["OUT=out"])))
    checked = subprocess.run(
        ["shellcheck", *map(str, sorted(Path().glob("*.sh")))], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_data_that_changes_is_read_again(tmp_path: Path, pretender: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar").mkdir()
    for name in ("train", "test"):
        (tmp_path / f"cifar/{name}.parquet").write_text(name)
    words = ["DATA=cifar", "SCALE=cpu", "OUT=out", "out/data/train.parquet", "out/data/test.parquet"]
    (tmp_path / "plan").write_text(engines.makefile(jobs.read("zhang2017", words)))
    assert go(tmp_path, "make", pretender).returncode == 0
    assert len(said(pretender)) == 2
    (tmp_path / "cifar/train.parquet").touch()
    assert go(tmp_path, "make", pretender).returncode == 0
    assert said(pretender) == []
    (tmp_path / "cifar/train.parquet").write_text("other")
    assert go(tmp_path, "make", pretender).returncode == 0
    assert len(said(pretender)) == 2


def test_the_demo_shows_its_table_on_every_engine(
    tmp_path: Path, pretender: dict[str, str], monkeypatch: pytest.MonkeyPatch, engine: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan").write_text(WRITE[engine](jobs.read("demo", ["OUT=out"])))
    for _ in range(2):
        ran = go(tmp_path, engine, pretender)
        assert ran.returncode == 0, ran.stdout
        assert any(line.startswith("report out/true.parquet") for line in said(pretender)) or engine == "slurm"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--engine make", "--engine make: of no recipe"),
        ("zhang2017 SCALE=cpu", "SCALE=cpu: a path takes no variables"),
        ("zhang2017 SCALE=huge --engine slurm", "SCALE=huge: choose full, cpu or smoke"),
        ("zhang2017 nothing --engine slurm", "No rule to make target 'nothing'"),
        ("zhang2017 OUT='a b' --engine make", "OUT=a b: make cannot work in folders with blanks"),
        ("zhang2017 -o x.csv --engine make", "cannot be written as .csv"),
    ],
)
def test_what_cannot_be_is_one_clear_line(words: str, line: str, tmp_path: Path):
    Shell(tmp_path)(f"gencli recipe {words}").refused(line)
    assert not list(tmp_path.iterdir())


def test_a_snakefile_and_a_script_are_written(tmp_path: Path):
    Shell(tmp_path)(
        "gencli recipe course derivatives OUT=o --engine snakemake -o Snakefile; gencli recipe demo --engine slurm > s"
    ).worked()
    assert "rule all:" in (tmp_path / "Snakefile").read_text()
    assert (tmp_path / "s").read_text().startswith("#!/bin/bash\n")


@pytest.mark.skipif(SNAKEMAKE is None or not os.environ.get("GENCLI_TEST_ALL"), reason="no snakemake, or not all tests")
def test_snakemake_runs_a_whole_recipe_to_the_bytes_of_make(tmp_path: Path):
    """But for the seconds in histories, and the report that shows them."""
    sh = Shell(tmp_path)
    sh("gencli recipe noise2noise OUT=out --engine snakemake -o Snakefile && snakemake --cores 2 --quiet all").worked()
    sh(f"mv out one && make -f {recipes.path('noise2noise')} OUT=out -j2").worked()
    for path in [*(tmp_path / "one/data").iterdir(), *(tmp_path / "one/runs").glob("*.safetensors")]:
        assert path.read_bytes() == (tmp_path / "out" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("x\nmake: *** [out/a] Error 2.  Stop.\n", "Error 2."),
        ("make: *** no rule.  Stop.\ny\n", "no rule."),
        ("sh: not found\n", "sh: not found"),
        ("", "make failed"),
    ],
)
def test_what_make_says_when_it_fails_is_passed_on(told: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 2, "", told)
    monkeypatch.setattr(jobs.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(GencliError) as refused:
        jobs._made("demo", [])
    assert refused.value.message == said
    assert refused.value.hint == 'make -f "$(gencli recipe demo)" help tells variables and targets'
