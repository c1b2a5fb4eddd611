"""Commands on a device that is pretended, and a rehearsal of `tests/gpu/run.sh` on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.utils import backend_registration

from gencli.cli import app
from tests.gpu.parts import LIMIT, PARTS, START, Part

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# what steps do, each part of it in one of the commands
TRAINED = {
    "mix": "--arch convnet-vanilla --mix cutmix --augment crop,flip,color,rotate:10,cutout:2 --ema 0.9 --grad-clip 1 "
    "--optimizer adamw",
    "muon": "--arch convnet-vanilla --mix mixup --optimizer muon --whiten dataset --label-smoothing 0.1",
    "loss": "--arch mlp-1x8 --loss ldam --deferred-reweighting 1 --batch-norm --resample sqrt",
    "tracked": "--arch mlp-1x8 --full-batch --track sharpness --history history.parquet",
    "several": "--arch mlp-1x8 --runs 3 --dropout 0.2 --grad-clip 1 --optimizer adam --dynamics d.parquet",
}
READ = {
    "eval": "eval several.safetensors rows.parquet -o e.parquet",
    "spectrum": "spectrum tracked.safetensors rows.parquet --limit 16 --trace --trace-products 4 -o s.parquet",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpu")
    words = "data synthetic gaussian-clusters --rows 40 --size 8x8x3 --classes 4 -q -o"
    assert app.main([*words.split(), str(made / "rows.parquet")]) == 0
    return made


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"), reason="torch has no such devices yet"
)
def test_what_runs_on_a_device_mixes_no_devices_and_its_steps_wait_for_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = "train rows.parquet --epochs 2 --batch-size 16"
    lines = [f"{train} {words} -o {name}.safetensors" for name, words in TRAINED.items()]
    lines += READ.values()
    made = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.gpu.pretended"], input="\n".join(lines), text=True, check=False,
        capture_output=True, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    for found in json.loads(made.stdout):
        assert (found["status"], found["waits"]) == (0, []), (found, made.stderr)
    # the device's numbers are the CPU's own, so that nothing may have been computed otherwise
    monkeypatch.chdir(folder)
    for name in ("mix", "several"):
        words = f"{train} {TRAINED[name]} --device cpu --precision float32 -q -o cpu.safetensors"
        assert app.main(words.split()) == 0
        ours, theirs = (safetensors.torch.load_file(f"{each}.safetensors") for each in (name, "cpu"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def rehearse(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """`run.sh` on the CPU with tiny sizes: its exit status, and the report."""
    command = [str(ROOT / "tests/gpu/run.sh"), "--device", "cpu", "--tiny", "-o", str(folder / "report"), *words]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    made = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert (folder / "report/gpu.html").read_text().startswith("<!doctype html>"), made.stderr
    return made.returncode, json.loads((folder / "report/gpu.json").read_text())


def test_a_part_is_reported_with_its_rows(tmp_path: Path) -> None:
    status, report = rehearse(tmp_path, "--parts", "steps")
    assert status == 0, report
    (part,) = report["parts"]
    assert (part["name"], part["ended"]) == ("steps", "ok")
    assert len(part["rows"]) > 3
    assert any("largest difference" in row["item"] and row["met"] for row in part["rows"])


def test_one_that_fails_or_hangs_takes_nothing_from_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.gpu import __main__ as runner

    module = tmp_path / "broken.py"
    module.write_text(
        "import time\nfrom tests.gpu.parts import Row\n"
        "def crashed(setting):\n    yield Row('before', 1.0)\n    import os\n    os.abort()\n"
        "def hangs(setting):\n    yield Row('before', 1.0)\n    time.sleep(60)\n"
        "def wrong(setting):\n    yield Row.below('one', float('nan'), 1.0)\n"
    )
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.util\n"
        "class Found:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tests.gpu.broken':\n"
        f"            return importlib.util.spec_from_file_location(name, {str(module)!r})\n"
        "sys.meta_path.append(Found())\n"
        "import tests.gpu.parts as p\n"
        "for name in ('crashed', 'hangs', 'wrong'):\n    p.PARTS[name] = p.Part('broken', 5, name)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    for name in ("crashed", "hangs", "wrong"):
        monkeypatch.setitem(PARTS, name, Part("broken", 1, name))
    ended = {name: runner.run(name, "cpu", True, tmp_path, 10) for name in ("crashed", "hangs", "wrong")}
    assert [part["ended"] for part in ended.values()] == ["error, status -6", "deadline", "failed"]
    assert [len(part["rows"]) for part in ended.values()] == [1, 1, 1]
    assert runner.run("wrong", "cpu", True, tmp_path, 0.5)["ended"] == "deadline"  # no time was left


def test_all_parts_fit_in_eight_minutes() -> None:
    assert START + sum(part.seconds for part in PARTS.values()) <= LIMIT <= 480 - 10
    assert next(iter(PARTS)) == "machine"


@pytest.mark.skipif(not os.environ.get("GENCLI_TEST_ALL"), reason="two minutes: with GENCLI_TEST_ALL=1")
def test_the_whole_rehearsal(tmp_path: Path) -> None:
    status, report = rehearse(tmp_path)
    assert status == 0, [(part["name"], part["ended"], part["said"]) for part in report["parts"]]
