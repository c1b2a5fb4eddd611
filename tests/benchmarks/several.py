"""Several networks in one run, against as many lone trainings in one warm process, and against as many processes.

Then what watching the dynamics of rows adds to a training, and the evaluation of several networks at once.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gencli.cli import console
from gencli.evaluation.networks import evaluate, groups
from gencli.files.tables import Description, MemoryTable
from gencli.models import Model, build
from gencli.ranks import Group
from gencli.sources.digits import digits
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.several import begin
from tests.benchmarks.measure import GENCLI, THREADS, Row, environment, in_turns, of_processor, seconds, timed

_CLASSES = tuple("0123456789")


def _pictures(rows: int) -> MemoryTable:
    """As large as MNIST's."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (rows, 28, 28, 1), np.uint8)
    return MemoryTable(
        "bench", Description("bench", "train", _CLASSES, (28, 28, 1)), images, random.integers(0, 10, rows)
    )


def _train(table: MemoryTable, settings: Settings, watched: int | None = None) -> None:
    console.quiet = True
    begin(prepare(settings, table.description, table.schema.names, ""), table, None, Group(), watched=watched).run()


def _alone(table: MemoryTable, settings: Settings) -> None:
    for each in settings.each():
        _train(table, each)


def run(folder: Path) -> Iterator[Row]:
    threads = torch.get_num_threads()
    for number in (THREADS, "1"):
        torch.set_num_threads(int(number))
        yield from _at_once(f"{number} thread{'s' if number != '1' else ''}")
    torch.set_num_threads(threads)
    yield from _processes(folder)


def _at_once(threads: str) -> Iterator[Row]:
    small, large = digits("train"), _pictures(5000)
    cases: list[tuple[str, MemoryTable, int, int, float]] = [
        ("mlp-1x64", small, 32, 50, 1 / 4),
        ("mlp-1x64", large, 64, 50, 1 / 1.3),
        ("mlp-1x512", small, 128, 20, 1.05),
        ("mlp-1x512", large, 128, 10, 1.05),
        ("convnet-vanilla", small, 128, 3, 1.05),
    ]
    for arch, table, batch, networks, bar in cases:
        settings = Settings(arch=arch, batch_size=batch, epochs=2, device="cpu", runs=networks)
        ours, lone = in_turns([timed(partial(each, table, settings)) for each in (_train, _alone)], 3)
        what = f"{networks} {arch}, {table.rows:,} rows of {table.description.row_bytes}, batch {batch}"
        yield Row(f"train --runs: {what}, {threads} / as many in one process", ours, lone, bar)
    for runs in (None, 50):
        settings = Settings(arch="mlp-1x64", batch_size=32, epochs=10, device="cpu", runs=runs)
        calls = [of_processor(partial(_train, small, settings, watched)) for watched in (5, None)]
        watched, plain = in_turns(calls, 5)
        yield Row(
            f"train --dynamics: {runs or 1} mlp-1x64, digits, batch 32, {threads} / without", watched, plain, 1.03
        )

    for arch, table in (("mlp-1x64", small), ("mlp-1x64", large)):
        shape = table.description.shape
        networks = [build(arch, shape, len(_CLASSES)).eval() for _ in range(50)]
        models = [Model(arch, shape, _CLASSES, network, run=number) for number, network in enumerate(networks)]
        calls = [of_processor(partial(_evaluate, table, models, together)) for together in (True, False)]
        ours, lone = in_turns(calls, 5)
        what = f"eval 50 {arch}, {table.rows:,} rows of {table.description.row_bytes}"
        yield Row(f"{what}, {threads} / one after the other", ours, lone, 1.05)


def _evaluate(table: MemoryTable, models: list[Model], together: bool) -> None:
    for part in groups(models) if together else ([model] for model in models):
        evaluate(part, table, torch.device("cpu"), False, lambda done: None)


def _processes(folder: Path) -> Iterator[Row]:
    table = folder / "digits.parquet"
    subprocess.run([GENCLI, "data", "digits", "-q", "-o", str(table)], check=True, env=environment())
    options = f"{table} --arch mlp-1x64 --batch-size 32 --epochs 5 -q -o {os.devnull}"
    ours = seconds([GENCLI, "train", *options.split(), "--runs", "50"])
    theirs = seconds(["sh", "-c", f"seq 0 49 | xargs -P2 -I@ {GENCLI} train {options} --seed @"])
    yield Row("train --runs 50, mlp-1x64, digits, batch 32 / 50 processes by xargs -P2", ours, theirs, 1 / 10)
