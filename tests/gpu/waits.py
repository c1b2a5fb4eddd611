"""Whether a step of training waits for the device: it would run no further ahead than one kernel.

On a GPU by torch's own detection; in a rehearsal on the CPU nothing can wait, and the steps are only taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch

from gencli.training.steps import Steps
from tests.gpu.parts import Row, Setting
from tests.gpu.trained import prepared

_CASES = {
    "mlp-1x512": {},
    "airbench, --preset fast": {"arch": "airbench", "optimizer": "muon", "lr": 0.02, "augment": "flip,translate:2",
                                "whiten": "dataset", "label_smoothing": 0.2},
    "resnet18, bf16": {"arch": "resnet18", "precision": "bf16"},
    "convnet-gelu, all augmentations, dropout": {"arch": "convnet-gelu", "dropout": 0.1,
                                                 "augment": "crop,flip,cutout:8,color,rotate:10"},
    "resnet32, mixup, ema, clipped": {"arch": "resnet32", "mix": "mixup", "ema": 0.99, "grad_clip": 1.0},
    "resnet32, cutmix, adamw": {"arch": "resnet32", "mix": "cutmix", "optimizer": "adamw", "lr": 0.001},
    "mlp-1x512, sam": {"optimizer": "sam"},
    "mlp-1x512, loss cb-focal": {"loss": "cb-focal"},
    "mlp-1x512, loss ldam": {"loss": "ldam"},
    "mlp-1x512, loss balanced-softmax": {"loss": "balanced-softmax"},
    "mlp-1x512, full batch of parts": {"full_batch": True, "batch_size": 32},
    "8 mlp-1x64, dropout": {"arch": "mlp-1x64", "runs": 8, "dropout": 0.1},
    "unet-small, l1": {"arch": "unet-small", "loss": "l1"},
}  # fmt: skip


def waits(setting: Setting) -> Iterator[Row]:
    rows, batch = setting.size(128, 8), setting.size(64, 4)
    for name, settings in [*_CASES.items()][:: setting.size(1, 6)]:
        run = prepared(setting, rows, **{"arch": "mlp-1x512", "batch_size": batch, **settings})
        steps = run.steps if not isinstance(run, list) else Steps([each.job for each in run], run[0].group)
        order = steps.begin(1)
        (first, *_) = run if isinstance(run, list) else [run]
        index = order.split(first.settings.step_rows(order.shape[-1]), -1)[0]
        for _ in range(setting.size(3, 1)):  # libraries are loaded and plans made
            steps.step(index)
        yield _watched(name, steps, index, setting.device)


def _watched(name: str, steps: Steps, index: torch.Tensor, device: str) -> Row:
    if device == "cpu":
        steps.step(index)
        return Row(name, "stepped", note="nothing to wait for on a CPU")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(3):
                steps.step(index)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = sorted({f"{each.filename.rpartition('gencli/')[2]}:{each.lineno}" for each in seen
                     if "called a synchronizing" in str(each.message)})  # fmt: skip  # the detector warns of itself
    return Row(name, float(len(places)), "places", 0.0, not places, ", ".join(places))
