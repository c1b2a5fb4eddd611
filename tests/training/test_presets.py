"""Presets are what their papers say."""

from __future__ import annotations

import pytest

from gencli.models import FAMILIES
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.presets import PRESETS, settings

SGD = {"optimizer": "sgd", "momentum": 0.9}
# as the papers and the code of their authors have them
WRITTEN = {
    # appendix A: momentum 0.9, learning rate 0.1 for Inception and 0.01 for the others, times 0.95 after each epoch, a
    # center crop of 28×28, whitened per image; no regularization
    "zhang2017": SGD | {
        "arch": "inception-small", "crop": 28, "whiten": "image", "lr": 0.1, "schedule": "exp:0.95", "batch_size": 128,
        "epochs": 100, "weight_decay": 0.0,
    },
    # section 5.1 and cifar_main.py: 200 epochs, 0.1 with a linear warm-up of 5 epochs, times 0.01 at 160 and 180
    "cui2019": SGD | {
        "arch": "resnet32-cui2019", "augment": "crop,flip", "whiten": "dataset", "lr": 0.1,
        "schedule": "step:160,180:0.01", "warmup": 5.0, "batch_size": 128, "epochs": 200, "weight_decay": 0.0002,
    },
    "course": SGD | {
        "arch": "convnet-gelu", "augment": "crop,flip", "whiten": "dataset", "nesterov": True, "lr": 0.1,
        "schedule": "one-cycle", "batch_size": 128, "epochs": 30, "weight_decay": 0.0005, "no_decay": "norm,bias",
    },
    # airbench94_muon.py has momentum 0.6, label smoothing 0.2, flips and translations by 2, and 8 epochs
    "fast": {
        "arch": "airbench", "augment": "flip,translate:2", "whiten": "dataset", "optimizer": "muon", "momentum": 0.6,
        "lr": 0.021, "schedule": "linear", "weight_decay": 0.5, "no_decay": "norm,bias", "label_smoothing": 0.2,
        "batch_size": 500, "epochs": 8, "precision": "auto",
    },
}  # fmt: skip


def test_presets_are_written_down() -> None:
    assert PRESETS == WRITTEN


@pytest.mark.parametrize(
    ("arch", "rate"), [("", 0.1), ("inception-small", 0.1), ("mlp-1x512", 0.01), ("alexnet-small", 0.01)]
)
def test_all_networks_of_zhang_2017_but_inception_start_at_a_hundredth(arch: str, rate: float) -> None:
    assert settings("zhang2017", arch, None) == PRESETS["zhang2017"] | {"lr": rate}
    assert settings("cui2019", arch, "ce")["lr"] == settings("course", arch, None)["lr"] == 0.1


@pytest.mark.parametrize("loss", ["focal", "cb-focal", "ce", "cb-ce", None])
def test_cui_2019_focuses_by_one(loss: str | None) -> None:
    more = {"gamma": 1.0} if loss in ("focal", "cb-focal") else {}
    assert settings("cui2019", "", loss) == PRESETS["cui2019"] | more
    assert "gamma" not in settings("zhang2017", "", loss)
    assert PRESETS == WRITTEN


# learning rates, plain and with batch norm, of families that do not learn at the optimizer's own
RATES = {
    "circulant-mlp-KxW": (0.005, 0.05), "convnet-gelu": (0.01, 0.05), "convnet-vanilla": (0.01, 0.01),
    "inception-small": (0.01, 0.05), "torchvision:NAME": (0.005, 0.005), "unet-small": (0.005, 0.005),
}  # fmt: skip


def test_networks_and_optimizers_start_at_rates_that_they_learn_at() -> None:
    assert {each.example: each.rates for each in FAMILIES if each.rates} == RATES
    assert {name: kind.learning_rate for name, kind in OPTIMIZERS.items()} == {
        "sgd": 0.05,
        "sam": 0.05,
        "adam": 0.001,
        "adamw": 0.001,
        "muon": 0.001,
    }
    assert {name: dict(kind.options) for name, kind in OPTIMIZERS.items()} == {
        "sgd": {"momentum": 0.9, "nesterov": False}, "adamw": {}, "muon": {"momentum": 0.95}, "adam": {},
        "sam": {"momentum": 0.9, "nesterov": False, "rho": 0.05},
    }  # fmt: skip
    assert [name for name, kind in OPTIMIZERS.items() if kind.network_rates] == ["sgd", "sam"]
