"""`gencli fit` at the shell: models that eval reads, what they say of themselves, what is refused."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from gencli.files.stream import Output
from gencli.files.tensors import write
from tests.pipelines.shell import Shell, explained, finish, many, wait_for

LEARNERS = [
    "finite-sample", "kernel --kernel gaussian:0.1", "least-squares --ridge 1",
    "random-features --features 50 --kind relu",
]  # fmt: skip


def facts(model: Path) -> dict[str, Any]:
    with safe_open(model, "pt") as file:
        said = json.loads(file.metadata()["gencli"])
    return {name: value for name, value in said.items() if name != "seal"}


@pytest.mark.parametrize("words", LEARNERS)
def test_a_learner_is_a_model_that_eval_reads(sh: Shell, data: Path, words: str):
    name = words.split(maxsplit=1)[0]
    folder = str(data)
    done = sh(
        f"""
        gencli fit {words} $D/corrupted.parquet -o model.safetensors &&
        gencli fit {words} < $D/corrupted.parquet | gencli eval - $D/corrupted.parquet -q -o piped.parquet &&
        gencli eval model.safetensors $D/corrupted.parquet -q --predictions rows.parquet -o result.parquet
        """,
        D=folder,
    ).worked()
    said = facts(sh.folder / "model.safetensors")
    assert said["architecture"] == name
    assert said["step"]["command"] == f"fit {name}"
    assert said["step"]["inputs"][0]["step"]["command"] == "corrupt random-labels"
    assert said["training"]["relative_residual"] >= 0
    assert said["parameters"] == {
        "finite-sample": 2 * 300 + 64, "kernel": 3000, "least-squares": 650, "random-features": 500
    }[name]  # fmt: skip
    result, piped = (pq.read_table(sh.folder / f"{each}.parquet") for each in ("result", "piped"))
    assert result.equals(piped)
    assert result["loss"].null_count == len(result)
    rows = pq.read_table(sh.folder / "rows.parquet")
    assert rows["loss"].null_count == rows["probabilities"].null_count == 300
    right = sum(one == other for one, other in zip(rows["label"].to_pylist(), rows["prediction"].to_pylist()))
    overall = result.to_pylist()[-1]
    assert overall["accuracy"] == right / 300 == pytest.approx(said["training"]["train_accuracy"])
    assert f"train accuracy {right / 300:.4f}, relative residual" in done.err
    if name in ("finite-sample", "kernel"):
        assert (overall["accuracy"], overall["memorized"], overall["recovered"]) == (1, 1, 0)


def test_the_same_command_gives_the_same_bytes(sh: Shell, data: Path):
    sh(
        """
        for k in finite-sample "kernel --kernel gaussian:0.1" least-squares; do
          for out in a b; do gencli fit $k $D/digits.parquet --threads 1 -q -o $out || exit; done
          cmp a b || exit
        done
        """,
        D=str(data),
    ).worked()


def test_features_of_several_sizes_are_the_files_that_each_is_by_itself(sh: Shell, data: Path):
    done = sh(
        """
        gencli fit random-features $D/digits.parquet --features 20,40,80 -o "m-{features}.safetensors" &&
        gencli fit random-features $D/digits.parquet --features 40 -q | cmp - m-40.safetensors &&
        gencli eval m-20.safetensors m-40.safetensors m-80.safetensors $D/test.parquet --norm -q -o result.parquet
        gencli show m-20.safetensors
        """,
        D=str(data),
    ).worked()
    assert done.err.count("random-features: ") == 3
    assert "options        features 20, map fourier, scale 0.02, seed 0" in done.text
    rows = [row for row in pq.read_table(sh.folder / "result.parquet").to_pylist() if row["label"] is None]
    assert [row["norm"] for row in rows] == pytest.approx(
        [facts(sh.folder / f"m-{size}.safetensors")["training"]["norm"] for size in (20, 40, 80)]
    )
    assert facts(sh.folder / "m-80.safetensors")["step"]["arguments"]["features"] == 80
    sh("gencli fit random-features $D/digits.parquet --features 20,40 -q -o m.safetensors", D=str(data)).refused(
        "2 models, one for each of --features, but one place", "{features}"
    )


def test_kernels_are_tried_on_rows_held_out(sh: Shell, data: Path):
    done = sh(
        "gencli fit kernel --kernel gaussian:1e6 --kernel gaussian:0.1,gaussian:0.2 --validation-fraction 0.2 "
        "$D/digits.parquet -o model.safetensors",
        D=str(data),
    ).worked()
    lines = done.err.splitlines()
    assert [line.split(":")[1] for line in lines[:3]] == ["1e+06", "0.1", "0.2"]
    said = facts(sh.folder / "model.safetensors")
    assert said["training"]["chosen"] in ("gaussian:0.1", "gaussian:0.2")
    assert said["step"]["arguments"]["kernel"] == "gaussian:1e6,gaussian:0.1,gaussian:0.2"
    assert said["options"]["rows"] == 300


ITERATED = (
    "gencli fit kernel --kernel gaussian:0.002 --dtype float64 --solver cg --tolerance 1e-12 --max-products 60 --keep "
    "$D/digits.parquet "
)


def test_iterations_that_end_anywhere_are_resumed_to_the_same_bytes(sh: Shell, data: Path):
    """At kills, whose last checkpoint counts, and at signals, which save; the tolerance is out of reach."""
    whole = sh(f"{ITERATED} -o whole", D=str(data))
    assert whole.status == 2
    assert "after 60 products, above --tolerance 1e-12" in whole.err
    saved = "--checkpoint saved --checkpoint-every 1 --resume -o out"
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = sh.start(f"exec {ITERATED} {saved}".replace("$D", str(data)))
        before = (sh.folder / "saved").stat().st_mtime_ns if (sh.folder / "saved").exists() else 0
        wait_for(sh.folder, "saved", process)
        while process.poll() is None and (sh.folder / "saved").stat().st_mtime_ns == before:
            time.sleep(0.01)
        process.send_signal(number)
        ended = finish(process)
        assert ended.status == 128 + number
        assert "out" not in sh.files()
        assert ("--resume continues from there" in ended.err) == (number == signal.SIGTERM)
    other = sh(f"{ITERATED} {saved} --seed 1", D=str(data))
    assert other.status == 2
    explained(other.err, "a checkpoint of another run: --seed was 0, is 1")
    resumed = sh(f"{ITERATED} {saved} --memory 1G", D=str(data))
    assert "saved: resumed after product" in resumed.err
    assert (sh.folder / "out").read_bytes() == (sh.folder / "whole").read_bytes()


def test_more_products_continue_from_the_checkpoint_of_fewer(sh: Shell, data: Path):
    """As the error says to; and what a tolerance of 0 cannot reach is said, not a logarithm of it."""
    command = ITERATED.replace("1e-12", "0").replace("--keep ", "")
    saved = "--checkpoint saved --checkpoint-every 5"
    few = sh(f"{command} --max-products 12 {saved} -o out", D=str(data))
    assert few.status == 2
    explained(few.err, "above --tolerance 0", "raise --max-products")
    more = "--keep --max-products 20"
    resumed = sh(f"{command} {saved} --resume {more} -o out", D=str(data))
    explained(resumed.err, "saved: a checkpoint of another run: --keep was False, is True")
    sh(f"{command} --keep --max-products 12 {saved} --overwrite -o out", D=str(data))
    resumed = sh(f"{command} {saved} --resume {more} -o out", D=str(data))
    assert "saved: resumed after product 10" in resumed.err
    sh(f"{command} {more} -o whole", D=str(data))
    assert (sh.folder / "out").read_bytes() == (sh.folder / "whole").read_bytes()


def test_a_tolerance_out_of_reach_writes_nothing_unless_it_is_kept(sh: Shell, data: Path):
    for solver, words in (("cg", "after 60 products"), ("cholesky", "relative residual")):
        command = ITERATED.replace("--solver cg", f"--solver {solver}").replace("1e-12", "1e-30")
        done = sh(f"{command.replace('--keep', '')} -o model", D=str(data))
        assert done.status == 2
        explained(done.err, words)
        assert not sh.files()
        kept = sh(f"{command} -o model", D=str(data))
        assert kept.status == 2
        assert done.err.splitlines()[-2:] == kept.err.splitlines()[-2:]
        said = facts(sh.folder / "model")["training"]
        assert said["solver"] == {"cg": "conjugate gradients", "cholesky": "cholesky"}[solver]
        assert f"relative residual {said['relative_residual']:.1e}" in kept.err
        (sh.folder / "model").unlink()


def damage(folder: Path, name: str, tensors: dict[str, torch.Tensor] | None = None, **changed: Any) -> str:
    """The kernel model, what it says changed."""
    said = facts(folder / "kernel.safetensors")
    said["options"] = said["options"] | changed
    with Output(str(folder / name)) as output:
        write(output, tensors or load_file(folder / "kernel.safetensors"), said)
    return name


def test_what_cannot_be_fitted_or_read_is_refused_in_a_line(sh: Shell, data: Path):
    digits = str(data / "digits.parquet")
    sh(f"gencli fit kernel --kernel gaussian:0.1 {digits} -o kernel.safetensors").worked()
    kept = load_file(sh.folder / "kernel.safetensors")
    fit, read = ["fit", "kernel", digits, "-o", "m", "--kernel"], ["eval", "-o", "r.csv"]
    cases = {
        "no kernel 'gaus'": [*fit, "gaus:1"],
        "2 kernels, but no held-out rows to choose by": [*fit, "gaussian:1,gaussian:2"],
        "300 distinct images of 64 pixels": [*fit, "linear"],
        "too near to singular|not positive definite": [*fit, "gaussian:1e-9"],
        "leaves no validation rows": [*fit, "gaussian:1", "--validation-fraction", "0.0001"],
        "inf is not finite": [*fit, "gaussian:1", "--ridge", "inf"],
        "--memory: 'much' is not a size": [*fit, "gaussian:1", "--memory", "much"],
        "--memory 1M: 300 rows take": [*fit, "gaussian:1", "--memory", "1M"],
        "300 rows are solved by Cholesky's method, which has no state to save": [
            *fit,
            "gaussian:1",
            "--checkpoint",
            "saved",
        ],
        "--resume needs a checkpoint": [*fit, "gaussian:1", "--resume"],
        "tensors, but no checkpoint of a fit": [
            *fit,
            "gaussian:1",
            "--checkpoint",
            "kernel.safetensors",
            "--overwrite",
        ],
        "no network 'kernel'": ["train", digits, "--arch", "kernel", "-o", "m"],
        "alpha is missing": [*read, damage(sh.folder, "a", {"images": kept["images"]}), digits],
        "alpha is float64": [*read, damage(sh.folder, "b", kept | {"alpha": kept["alpha"].double()}), digits],
        "alpha is float32 300×10, not float32 301×10": [*read, damage(sh.folder, "c", rows=301), digits],
    }
    wrong: list[dict[str, Any]] = [
        {"kernel": "cubic"}, {"scale": None}, {"rows": "3"}, {"rows": 1 << 40}, {"images": "object"}, {"more": 1},
    ]  # fmt: skip
    for number, changed in enumerate(wrong):
        model = damage(sh.folder, f"d{number}", None, **changed)
        cases[f"{model}: its learner's options are unknown to this version"] = [*read, model, digits]
    for words, done in zip(cases, many(sh.folder, list(cases.values())), strict=True):
        assert done.status == 2, (words, done)
        explained(done.err)
        assert any(word in done.err for word in words.split("|")), done.err
    assert not sh.files() & {"m", "r.csv", "saved"}


def test_a_learner_is_not_shown_on_a_terminal(sh: Shell, data: Path):
    done = sh.on_terminal("gencli fit least-squares $D/digits.parquet", D=str(data))
    assert done.status == 2
    explained(done.err, "the model would be written to the terminal")


def test_the_number_of_threads_is_heeded_whatever_the_environment_says(sh: Shell) -> None:
    fit = "gencli fit kernel --kernel gaussian:0.02 d.parquet --threads 1 -q -o"
    sh(f"""
      gencli data digits --limit 300 -q -o d.parquet
      env -u OMP_NUM_THREADS {fit} a
      env OMP_NUM_THREADS=1 {fit} b
      cmp a b
    """).worked()
