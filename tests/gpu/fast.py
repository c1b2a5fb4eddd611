"""`--preset fast` to its accuracy, in seconds without start-up, beside airbench94's recipe in the same process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from gencli.cli import console
from gencli.evaluation.predictions import predict
from gencli.files.tables import Description, MemoryTable
from gencli.models.inputs import Rows, load
from gencli.ranks import Group
from gencli.training import presets
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.gpu import airbench94
from tests.gpu.machine import wait
from tests.gpu.parts import Row, Setting
from tests.gpu.trained import CLASSES, SHAPE, on_device, real, table

_LEAST = 0.935  # of the test rows, after 8 epochs of 50,000


def fast(setting: Setting) -> Iterator[Row]:
    console.quiet = True
    whole = [real(setting.data, split) for split in ("train", "test")]
    train, test = (load(table(512)) if each is None else each for each in whole)
    if setting.tiny:
        train, test = (each.select(torch.arange(256)) for each in (train, test))
    judged = None not in whole and not setting.tiny
    yield Row("images", "CIFAR-10" if None not in whole else "random", note=f"{len(train):,} and {len(test):,}")
    given = Settings(**presets.settings("fast", "", None) | {"device": setting.device, "epochs": setting.size(8, 1)})
    made, took, measured = on_device(given), 0.0, 0.0
    for number in range(setting.size(2, 1)):  # the first one warms up
        start = time.perf_counter()
        held = MemoryTable("train", Description("cifar10", "train", CLASSES, SHAPE), train.images.numpy(),
                           train.labels.numpy())  # fmt: skip
        setup = prepare(replace(made, seed=number), held.description, held.schema.names, "")
        run = setup.on_rows(Rows(train.images, train.labels), None, Group())
        run.run()
        wait(setting.device)
        took = time.perf_counter() - start
        measured = predict(run.model, test.to(torch.device(setting.device)), precision=made.precision).score
        when = "first, with plans and kernels" if number == 0 else "again"
        speed = sum(row.images_per_second for row in run.history) / len(run.history)
        note = f"test accuracy {measured:.4f}, {made.precision}; {speed:,.0f} images/s in steps"
        yield Row(f"--preset fast, {when}", took, "s", note=note)
    yield Row("--preset fast, test error", 1 - measured, "", 1 - _LEAST if judged else None,
              measured >= _LEAST if judged else None)  # fmt: skip
    device = torch.device(setting.device)
    torch.use_deterministic_algorithms(False)  # as its authors ran it
    torch.backends.cudnn.benchmark = True
    images, labels = train.images.to(device), train.labels.to(device)
    theirs = took
    for number in range(setting.size(2, 1)):
        torch.manual_seed(number)
        wait(setting.device)
        start = time.perf_counter()
        network = airbench94.train(images, labels, setting.size(99, 10) / 10, setting.size(1024, 64))
        wait(setting.device)
        theirs = time.perf_counter() - start
        score = airbench94.accuracy(network, test.images.to(device), test.labels.to(device))
        yield Row(f"airbench94's recipe, 9.9 epochs, {'first' if number == 0 else 'again'}", theirs, "s",
                  note=f"test accuracy {score:.4f}, six views at test")  # fmt: skip
    yield Row("--preset fast / airbench94's recipe", took / theirs, "of its time")
