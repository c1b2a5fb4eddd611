"""The settings of papers, under the names of `Settings`' fields."""

from __future__ import annotations

from typing import Any

# Zhang et al. 2017, arXiv:1611.03530, appendix A. The batch size is not stated, 128 is its reproductions'. Nor is the
# number of epochs: after 100 the learning rate is 0.6 % of the first.
_ZHANG2017 = {
    "arch": "inception-small", "crop": 28, "whiten": "image", "optimizer": "sgd", "momentum": 0.9, "lr": 0.1,
    "schedule": "exp:0.95", "batch_size": 128, "epochs": 100, "weight_decay": 0.0,
}  # fmt: skip
# Cui et al. 2019, arXiv:1901.05555, section 5, and their code, which maps pixels to x/128 − 1; whitening by the data
# set's moments is another fixed map, which the first batch norm takes out. Gamma is the code's, the paper tunes it.
_CUI2019 = {
    "arch": "resnet32-cui2019", "augment": "crop,flip", "whiten": "dataset", "optimizer": "sgd", "momentum": 0.9,
    "lr": 0.1, "schedule": "step:160,180:0.01", "warmup": 5.0, "batch_size": 128, "epochs": 200, "weight_decay": 2e-4,
}  # fmt: skip
# a deep-learning course's assignment: its network; the settings are ours, the assignment leaves them open
_COURSE = {
    "arch": "convnet-gelu", "augment": "crop,flip", "whiten": "dataset", "optimizer": "sgd", "momentum": 0.9,
    "nesterov": True, "lr": 0.1, "schedule": "one-cycle", "batch_size": 128, "epochs": 30, "weight_decay": 5e-4,
    "no_decay": "norm,bias",
}  # fmt: skip

# after airbench94_muon (Jordan 2024), github.com/KellerJordan/cifar10-airbench, which keeps its filters' norms where
# here weight decay does; batches of a quarter of its size learn more in an epoch (half a point of accuracy in seven)
_FAST = {
    "arch": "airbench", "augment": "flip,translate:2", "whiten": "dataset", "optimizer": "muon", "momentum": 0.6,
    "lr": 0.021, "schedule": "linear", "weight_decay": 0.5, "no_decay": "norm,bias", "label_smoothing": 0.2,
    "batch_size": 500, "epochs": 8, "precision": "auto",
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "zhang2017": _ZHANG2017, "cui2019": _CUI2019, "course": _COURSE, "fast": _FAST,
}  # fmt: skip


def settings(preset: str, arch: str, loss: str | None) -> dict[str, Any]:
    """What a preset sets for the network `arch`, its own where that is empty, and a loss."""
    chosen = dict(PRESETS[preset])
    if preset == "zhang2017" and arch and not arch.startswith("inception"):
        chosen["lr"] = 0.01  # the paper's for all but Inception
    if preset == "cui2019" and loss in ("focal", "cb-focal"):
        chosen["gamma"] = 1.0
    return chosen
