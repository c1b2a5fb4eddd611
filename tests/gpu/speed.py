"""How fast networks train: images a second, the share of the device's bf16 peak, several networks in one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import nn

from gencli.cli import console
from gencli.models import build
from gencli.ranks import Group
from gencli.sources.digits import digits
from gencli.training import devices
from gencli.training.settings import Precision, Settings
from gencli.training.setup import prepare
from gencli.training.several import begin
from gencli.training.steps import Steps
from tests.gpu.machine import peak, wait
from tests.gpu.parts import Row, Setting
from tests.gpu.trained import CLASSES, SHAPE, on_device, table, training

# batch sizes at which the device is full
_NETWORKS = {"mlp-1x512": 4096, "alexnet-small": 2048, "inception-small": 1024, "resnet18": 1024, "airbench": 1024}


def _flops(arch: str) -> int:
    """Of a training step of one image: forward, and twice that backward."""
    from torch.utils.flop_counter import FlopCounterMode

    network = build(arch, SHAPE, len(CLASSES))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, SHAPE[2], *SHAPE[:2]))
    return 3 * counter.get_total_flops()


def _images_a_second(
    setting: Setting, arch: str, batch: int, precision: Precision, compiled: bool
) -> tuple[float, float]:
    """Of steps on images that lie on the device, and the seconds until the first is done."""
    settings = Settings(arch=arch, batch_size=batch, epochs=1, device=setting.device, precision=precision,
                        compile=compiled)  # fmt: skip
    run = training(table(2 * batch), on_device(settings))
    steps: Steps = run.steps
    start = time.perf_counter()
    (one, other) = steps.begin(1).split(batch)
    steps.step(one)
    wait(setting.device)
    first = time.perf_counter() - start
    for _ in range(3):
        steps.step(other)
    wait(setting.device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < setting.size(2, 0) or not count:
        for index in (one, other) * setting.size(5, 1):
            steps.step(index)
            count += 1
        wait(setting.device)
    return count * batch / (time.perf_counter() - start), first


def eager(setting: Setting) -> Iterator[Row]:
    yield from _speeds(setting, {"bf16, eager": ("bf16", False), "float32, eager": ("float32", False)})


def compiled(setting: Setting) -> Iterator[Row]:
    ours = devices.compiled
    yield from _speeds(setting, {"bf16, --compile": ("bf16", True)})

    def with_graphs(network: nn.Module, device: torch.device) -> nn.Module:
        return torch.compile(network, mode="reduce-overhead")  # type: ignore[return-value]

    devices.compiled = with_graphs
    try:
        yield from _speeds(setting, {"bf16, torch.compile with CUDA graphs": ("bf16", True)})
    finally:
        devices.compiled = ours


def _speeds(setting: Setting, ways: dict[str, tuple[Precision, bool]]) -> Iterator[Row]:
    most = peak(setting)
    for way, (precision, compiled) in ways.items():
        for arch, batch in [*_NETWORKS.items()][: setting.size(5, 1)]:
            try:
                speed, first = _images_a_second(setting, arch, setting.size(batch, 32), precision, compiled)
            except Exception as error:
                yield Row(f"{arch}, {way}", "fails", met=False, note=str(error).splitlines()[0][:200])
                continue
            share = speed * _flops(arch) / most
            yield Row(f"{arch}, {way}", speed, "images/s",
                      note=f"{share:.1%} of the measured bf16 peak; first step after {first:.1f} s")  # fmt: skip


def many(setting: Setting) -> Iterator[Row]:
    """Networks of 64 units on the digits: one run of many, against a few of them by themselves."""
    console.quiet = True
    count, alone = setting.size(1000, 4), setting.size(5, 1)
    given = digits("train")
    settings = on_device(Settings(arch="mlp-1x64", batch_size=32, epochs=2, device=setting.device))
    together = _seconds(lambda: _train(given, replace(settings, runs=count)), setting.device)
    one = _seconds(lambda: [_train(given, replace(settings, seed=seed)) for seed in range(alone)], setting.device)
    yield Row(f"{count} mlp-1x64, 2 epochs of the digits, one run", together, "s")
    yield Row(f"{count} one by one, by {alone} of them", one / alone * count, "s")
    yield Row("one run's share of that time", together / (one / alone * count), "", None if setting.tiny else 0.1,
              None if setting.tiny else together / (one / alone * count) <= 0.1)  # fmt: skip


def _train(given, settings: Settings) -> None:
    begin(prepare(settings, given.description, given.schema.names, ""), given, None, Group()).run()


def _seconds(call: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    call()
    wait(device)
    return time.perf_counter() - start
