"""The commands themselves: on the device against the CPU, and twice on the device byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import safetensors.numpy

from tests.gpu.parts import Row, Setting

_CLOSE = 2e-4  # relative to the largest of a column or tensor, in float32; of models trained on the CPU
_EXACT = 1e-9  # in float64


def _gencli(words: str, folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gencli", *words.split(), "-q"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]


def _must(words: str, folder: Path) -> None:
    made = _gencli(words, folder)
    if made.returncode:
        raise RuntimeError(f"gencli {words}: {made.stderr.strip()[-300:]}")


def same_bytes(setting: Setting) -> Iterator[Row]:
    folder, device = setting.scratch, setting.device
    _must("data digits -o digits.parquet", folder)
    _must("data synthetic gaussian-clusters --rows 1024 --size 32x32x3 --classes 10 -o large.parquet", folder)
    cases = {
        "mlp-1x512": "train digits.parquet --arch mlp-1x512 --epochs 3",
        "resnet32, bf16": "train large.parquet --arch resnet32 --epochs 2 --precision bf16",
        "--preset fast": "train large.parquet --preset fast --epochs 2",
        "inception-small": "train large.parquet --arch inception-small --epochs 1 --augment crop,flip",
        "alexnet-small, adam, mixup": "train large.parquet --arch alexnet-small --optimizer adam --mix mixup --epochs 2",
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
    yield _killed(setting, "train large.parquet --arch resnet32 --epochs 3 --augment crop,flip --ema 0.9 --batch-size 16"
                  if not setting.tiny else "train digits.parquet --arch mlp-1x64 --epochs 8 --batch-size 8")  # fmt: skip


def _start(words: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gencli", *words.split(), "-q"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _killed(setting: Setting, words: str) -> Row:
    """A run that is killed as soon as it has saved something, and resumed, against one that was not."""
    folder, name = setting.scratch, "killed and resumed, resnet32"
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
    folder = setting.scratch
    for words in (
        "data digits -o digits.parquet",
        "data digits --split test -o test.parquet",
        "data synthetic gaussian-clusters --rows 64 --size 16x16x3 --classes 4 -o large.parquet",
        "train digits.parquet --arch mlp-2x16-tanh --epochs 3 --device cpu -o m.safetensors",
        "train large.parquet --arch resnet32 --epochs 1 --device cpu -o r.safetensors",
        "train digits.parquet --arch mlp-1x16 --batch-size 32 --lr 0.1 --epochs 8 --runs 6 --subset 0.7 --device cpu "
        "-o runs.safetensors",
        "fit kernel digits.parquet -o kernel.safetensors",
    ):
        _must(words, folder)
    cases: list[tuple[str, str, float]] = [
        ("eval", "eval m.safetensors test.parquet -o {}.parquet", _CLOSE),
        ("eval, convolutions", "eval r.safetensors large.parquet -o {}.parquet", _CLOSE),
        ("eval, several runs", "eval runs.safetensors test.parquet -o {}.parquet", _CLOSE),
        ("eval, of a kernel", "eval kernel.safetensors test.parquet -o {}.parquet", _CLOSE),
        ("score, memorization", "score runs.safetensors digits.parquet --fitted-at 0 -o {}.parquet", _CLOSE),
        ("spectrum", "spectrum m.safetensors digits.parquet --limit 256 --top 3 --dtype float64 -o {}.parquet", 1e-5),
        ("jacobian", "jacobian m.safetensors digits.parquet --limit 8 --dtype float64 -o {}.safetensors", _EXACT),
        (
            "jacobian, float32",
            "jacobian m.safetensors digits.parquet --limit 8 --dtype float32 -o {}.safetensors",
            1e-3,
        ),
    ]
    methods = ("double-backward", "forward-over-reverse", "reverse-over-forward", "finite-difference")
    for operator in ("hessian", "ggn", "fisher", "empirical-fisher"):
        for method in methods:
            words = f"hvp m.safetensors digits.parquet --limit 128 --vector random:1 --operator {operator}"
            bar = 1e-6 if method == "finite-difference" else _EXACT
            cases.append((f"hvp, {operator}, {method}, float64",
                          f"{words} --method {method} --dtype float64 --no-verify -o {{}}.safetensors", bar))  # fmt: skip
    cases += [
        ("hvp, float32, verified", "hvp m.safetensors digits.parquet --limit 128 --verify -o {}.safetensors", 1e-3),
        ("hvp, resnet32, float32", "hvp r.safetensors large.parquet --vector random:1 -o {}.safetensors", 1e-2),
        ("train", "train digits.parquet --arch mlp-2x16-tanh --epochs 1 -o {}.safetensors", _CLOSE),
        ("train, several runs", "train digits.parquet --arch mlp-1x16 --epochs 1 --runs 4 -o {}.safetensors", _CLOSE),
        ("bound holdout", "bound holdout m.safetensors test.parquet --train digits.parquet -o {}.json", _CLOSE),
    ]
    for batch in _batches(cases if not setting.tiny else cases[:2], max(1, (os.cpu_count() or 2) // 4)):
        running = [(name, words, bar, [(folder / f"{number}-{place}", _start(
            f"{words.format(f'{number}-{place}')} --device {device}", folder))
            for place, device in enumerate((setting.device, "cpu"))])
            for number, (name, words, bar) in batch]  # fmt: skip
        for name, words, bar, calls in running:
            said = [call.communicate()[1] for _, call in calls]
            if any(call.returncode for _, call in calls):
                yield Row(name, "fails", met=False, note=" ".join(said).strip()[-300:])
                continue
            ending = words.rpartition("{}")[2]
            yield _compared(name, [Path(f"{path}{ending}") for path, _ in calls], bar)


def _batches(cases: Sequence[tuple[str, str, float]], size: int) -> Iterator[list[tuple[int, tuple[str, str, float]]]]:
    numbered = [*enumerate(cases)]
    for start in range(0, len(numbered), size):
        yield numbered[start : start + size]


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
    if path.suffix == ".json":
        import json

        held = json.loads(path.read_text())
        rows = held if isinstance(held, list) else [held]
        return {f"{number}/{key}": np.array([float(value)]) for number, row in enumerate(rows)
                for key, value in row.items() if isinstance(value, int | float)}  # fmt: skip
    table = pq.read_table(path)
    skipped = {"apart", "seconds", "residual", "products"}  # how it went, not what came out
    found = {}
    for name in table.column_names:
        column = table.column(name)
        if name not in skipped and str(column.type) in ("double", "float", "int64"):
            found[name] = np.array([np.nan if each is None else each for each in column.to_pylist()], np.float64)
    return found
