"""The commands themselves: on the device against the CPU, and twice on the device byte for byte."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import safetensors.numpy

from gencli.cli import app
from tests.gpu.parts import Row, Setting

_CLOSE = 2e-4  # relative to the largest of a column or tensor, in float32; of models trained on the CPU
_EXACT = 1e-9  # in float64
_MADE = (
    "data digits -o digits.parquet",
    "data digits --split test -o test.parquet",
    "data synthetic gaussian-clusters --rows 64 --size 16x16x3 --classes 4 -o large.parquet",
    "train digits.parquet --arch mlp-2x16-tanh --epochs 3 --device cpu -o m.safetensors",
    "train large.parquet --arch resnet32 --epochs 1 --device cpu -o r.safetensors",
    "train digits.parquet --arch mlp-1x16 --batch-size 32 --lr 0.1 --epochs 8 --runs 6 --subset 0.7 --device cpu "
    "-o runs.safetensors",
    "fit kernel digits.parquet --kernel laplace:0.1 -o kernel.safetensors",  # has no device: eval of it has
)
_CASES: dict[str, tuple[str, float]] = {
    "train": ("train digits.parquet --arch mlp-2x16-tanh --epochs 1 -o {}.safetensors", _CLOSE),
    "train, many runs": ("train digits.parquet --arch mlp-1x16 --epochs 1 --runs 4 -o {}.safetensors", _CLOSE),
    "eval": ("eval m.safetensors test.parquet -o {}.parquet", _CLOSE),
    "eval, convolutions": ("eval r.safetensors large.parquet -o {}.parquet", _CLOSE),
    "eval, many runs": ("eval runs.safetensors test.parquet -o {}.parquet", _CLOSE),
    "eval, a kernel's": ("eval kernel.safetensors test.parquet -o {}.parquet", _CLOSE),
    "score": ("score runs.safetensors digits.parquet --fitted-at 0 -o {}.parquet", _CLOSE),
    "spectrum": ("spectrum m.safetensors digits.parquet --limit 256 --top 3 --dtype float64 -o {}.parquet", 1e-5),
    "spectrum, trace": ("spectrum m.safetensors digits.parquet --limit 256 --trace --dtype float64 "
                        "-o {}.parquet", 1e-9),
    "jacobian": ("jacobian m.safetensors digits.parquet --limit 8 --dtype float64 -o {}.safetensors", _EXACT),
    "jacobian, float32": ("jacobian m.safetensors digits.parquet --limit 8 --dtype float32 -o {}.safetensors", 1e-3),
    "hvp, float32, verified": ("hvp m.safetensors digits.parquet --limit 128 --verify -o {}.safetensors", 1e-3),
    "hvp, resnet32, float32": ("hvp r.safetensors large.parquet --limit 16 --vector random:1 --no-verify "
                               "-o {}.safetensors", 1e-2),
    "bound holdout": ("bound holdout m.safetensors test.parquet --train digits.parquet -o {}.parquet", _CLOSE),
}  # fmt: skip


def same_bytes(setting: Setting) -> Iterator[Row]:
    folder, device = setting.scratch, setting.device
    _run(f"data digits -o {folder}/digits.parquet")
    _run(f"data synthetic gaussian-clusters --rows 1024 --size 32x32x3 --classes 10 -o {folder}/large.parquet")
    cases = {
        "mlp-1x512": "train digits.parquet --arch mlp-1x512 --epochs 3",
        "resnet32, bf16": "train large.parquet --arch resnet32 --epochs 2 --precision bf16",
        "--preset fast": "train large.parquet --preset fast --epochs 2",
        "inception-small": "train large.parquet --arch inception-small --epochs 1 --augment crop,flip",
        "alexnet-small, mixup": "train large.parquet --arch alexnet-small --optimizer adam --mix mixup --epochs 2",
        "16 mlp-1x64, dropout": "train digits.parquet --arch mlp-1x64 --runs 16 --dropout 0.2 --epochs 3",
        "resnet18, --compile": "train large.parquet --arch resnet18 --epochs 1 --compile",
    }
    for name, words in [*cases.items()][: setting.size(len(cases), 1)]:
        calls = [_start(f"{words} --device {device} -o {number}.safetensors", folder) for number in range(2)]
        said = [call.communicate()[1] for call in calls]
        if any(call.returncode for call in calls):
            yield Row(name, "fails", met=False, note=said[0].strip()[-200:])
            continue
        one, other = ((folder / f"{number}.safetensors").read_bytes() for number in range(2))
        yield Row(name, "the same bytes" if one == other else "other bytes", met=one == other)
    small = "train digits.parquet --arch mlp-1x64 --epochs 8 --batch-size 8"
    large = "train large.parquet --arch resnet32 --epochs 3 --augment crop,flip --ema 0.9 --batch-size 16"
    yield _killed(setting, small if setting.tiny else large)


def _start(words: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gencli", *words.split(), "-q"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _killed(setting: Setting, words: str) -> Row:
    """A run that is killed as soon as it has saved something, and resumed, against one that was not."""
    folder, name = setting.scratch, "killed and resumed"
    words += f" --device {setting.device}"
    whole = _start(f"{words} -o whole.safetensors", folder)
    saving = f"{words} --checkpoint c --checkpoint-every 8 --resume -o resumed.safetensors"
    call = _start(saving, folder)
    while not (folder / "c").exists() and call.poll() is None:
        time.sleep(0.002)
    finished = call.poll() is not None
    call.send_signal(signal.SIGKILL)
    call.wait()
    again = _start(saving, folder)
    said = [each.communicate()[1] for each in (whole, again)]
    if whole.returncode or again.returncode:
        return Row(name, "fails", met=False, note=" ".join(said).strip()[-200:])
    same = (folder / "whole.safetensors").read_bytes() == (folder / "resumed.safetensors").read_bytes()
    note = "it had finished before it could be killed" if finished else ""
    return Row(name, "the same bytes" if same else "other bytes", met=same, note=note)


def commands(setting: Setting) -> Iterator[Row]:
    """In this process, which saves 70 starts."""
    os.chdir(setting.scratch)
    for words in _MADE:
        if said := _run(words):
            yield Row(words, "fails", met=False, note=said)
    methods = ("double-backward", "forward-over-reverse", "reverse-over-forward", "finite-difference")
    cases = dict(_CASES)
    for operator in ("hessian", "ggn", "fisher", "empirical-fisher"):
        words = f"hvp m.safetensors digits.parquet --limit 128 --vector random:1 --operator {operator} --dtype float64"
        for method in methods:
            bar = 1e-6 if method == "finite-difference" else _EXACT
            name = f"hvp, {operator}, {method}, float64"
            cases[name] = f"{words} --method {method} --no-verify -o {{}}.safetensors", bar
    for name, (words, bar) in [*cases.items()][:: setting.size(1, 4)]:
        said = [_run(f"{words.format(place)} --device {device}") for place, device in
                (("here", setting.device), ("there", "cpu"))]  # fmt: skip
        if any(said):
            yield Row(name, "fails", met=False, note="; ".join(said))
            continue
        ending = words.rpartition("{}")[2]
        yield _compared(name, [Path(f"{place}{ending}") for place in ("here", "there")], bar)


def _run(words: str) -> str:
    """What a command said that failed; nothing of one that did not."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        status = app.main([*words.split(), "-q"])
    return f"status {status}: {said.getvalue().strip()[-300:]}" if status else ""


def _compared(name: str, paths: list[Path], bar: float) -> Row:
    one, other = map(_numbers, paths)
    if one.keys() != other.keys():
        return Row(name, "other columns", met=False, note=f"{sorted(one.keys() ^ other.keys())}")
    worst, where = 0.0, ""
    for key, values in one.items():
        theirs = other[key]
        if values.shape != theirs.shape or not np.array_equal(np.isnan(values), np.isnan(theirs)):
            return Row(name, "other shapes", met=False, note=key)
        apart = np.nanmax(np.abs(values - theirs), initial=0.0) / max(
            float(np.nanmax(np.abs(theirs), initial=0.0)), 1e-12
        )
        if apart > worst:
            worst, where = float(apart), key
    return Row.below(name, worst, bar, "", where)


def _numbers(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        return {name: each.astype(np.float64) for name, each in safetensors.numpy.load_file(path).items()}
    table = pq.read_table(path)
    skipped = {"apart", "seconds", "residual", "products"}  # how it went, not what came out
    found = {}
    for name in table.column_names:
        column = table.column(name)
        if name not in skipped and str(column.type) in ("double", "float", "int64"):
            found[name] = np.array([np.nan if each is None else each for each in column.to_pylist()], np.float64)
    return found
