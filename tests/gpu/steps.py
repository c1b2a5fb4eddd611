"""A step of every network, loss and optimizer on the device, and what it leaves compared with the CPU's.

Compared are the loss after the step and the weights, |w - w'| / |w' - w0| where w' is the CPU's and w0 the start: how
far apart two steps are, in steps. Adam's and Muon's first steps do not depend on the gradient's size, so that a weight
whose gradient is rounding alone goes either way; of these the weights are compared as |w - w'| / |w'|.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import torch

from gencli.errors import GencliError
from gencli.losses import LOSSES
from gencli.models import FAMILIES
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.settings import Settings
from tests.gpu.parts import Row, Setting
from tests.gpu.trained import flat, on_device, table, training

_FLOAT32, _BF16 = 1e-4, 2e-2
_NETWORKS = [name for family in FAMILIES for name in family.samples if not name.startswith("torchvision:")]
# also those with layers that a GPU may have no deterministic derivative of
_THEIRS = ("torchvision:resnet18", "torchvision:vit_b_16", "torchvision:mobilenet_v3_small", "torchvision:vgg11_bn")
_ROWS = 16


def steps(setting: Setting) -> Iterator[Row]:
    networks = _NETWORKS if not setting.tiny else ["mlp-1x512", "convnet-vanilla", "unet-small"]
    theirs = () if setting.tiny or find_spec("torchvision") is None else _THEIRS
    if not theirs:
        yield Row("torchvision's networks", "not tried", note="a rehearsal" if setting.tiny else "it is not installed")
    start, count = time.perf_counter(), 0
    for arch in (*networks, *theirs):  # each by itself: where the time is over, those before are compared
        worst: dict[str, float] = {}
        for loss, optimizer, precision in _cases(setting, arch):
            name = f"{arch}, {loss}, {optimizer}, {precision}"
            count += 1
            try:
                found = _apart(setting, arch, loss, optimizer, precision)
            except (GencliError, RuntimeError, ValueError) as error:
                expected = arch == "linear" and optimizer == "muon"  # it has no hidden weights, and says so
                note = str(error).splitlines()[0][:200]
                yield Row(name, "refused" if expected else "fails", met=expected, note=note)
                continue
            bar = _BF16 if precision == "bf16" else _FLOAT32
            for what, apart in found.items():
                key = f"{precision}, {what}"
                worst[key] = max(worst.get(key, 0.0), apart)
                if not apart <= bar:
                    yield Row.below(f"{name}: {what}", apart, bar)
        for key, apart in worst.items():
            bar = _BF16 if key.startswith("bf16") else _FLOAT32
            yield Row.below(f"{arch}, the largest difference, {key}", apart, bar)
    yield Row("networks × losses × optimizers", count, "steps", note=f"{time.perf_counter() - start:.0f} s")


def _cases(setting: Setting, arch: str) -> list[tuple[str, str, str]]:
    """Loss, optimizer, and precision of a network's steps."""
    images = arch.startswith("unet")
    plain = "l2" if images else "ce"
    every = [(loss, optimizer, "float32") for loss, kind in LOSSES.items() if (kind.task == "images") == images
             for optimizer in OPTIMIZERS]  # fmt: skip
    every = [(plain, "sgd", "float32")] if arch in _THEIRS else every[:: setting.size(1, 30)]
    return [(plain, "sgd", "bf16"), *every]


def _apart(setting: Setting, arch: str, loss: str, optimizer: str, precision: str) -> dict[str, float]:
    """How far the device's step is from the CPU's in float32, by what is compared."""
    rate = 1e-3
    settings = Settings(arch=arch, loss=loss, optimizer=optimizer, lr=rate, epochs=1, max_steps=1, batch_size=_ROWS)
    given, images = table(_ROWS), arch.startswith("unet")
    if setting.tiny:
        settings = replace(settings, batch_size=4)
        given = table(4)
    runs = []
    # the CPU's comes first: what the device's is set up with holds for all that follows
    for device, kind in (("cpu", "float32"), (setting.device, precision)):
        chosen = replace(settings, device=device, precision=kind)
        run = training(given, on_device(chosen) if device != "cpu" or kind != "float32" else chosen, images)
        before = flat(run.model.network.parameters())
        run.run()
        after = flat(run.model.network.parameters())
        row = run.history[-1]
        runs.append((row.train_loss, before, after))
    (loss_here, start, here), (loss_there, other, there) = runs
    assert torch.equal(start, other), "the starts differ"
    size = (here - start).norm() if optimizer in ("sgd", "sam") and precision == "float32" else here.norm()
    return {
        "loss": abs(loss_there - loss_here) / max(abs(loss_here), 1e-6),
        "weights": float((there - here).norm() / size.clamp(min=1e-12)),
    }
