"""What a run's settings come to: defaults of network, loss and optimizer; and which parts do not fit each other."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from gencli.errors import GencliError
from gencli.models import family
from gencli.ranks import Group
from gencli.training import devices
from gencli.training.settings import Settings
from gencli.training.setup import choose, prepare
from tests.helpers import image_table

TABLE = image_table(24, (4, 4, 1))
PLAIN: dict[str, Any] = {"arch": "mlp-1x8", "batch_size": 8, "device": "cpu", "epochs": 1}


def given(**more: Any) -> Settings:
    return Settings(**PLAIN | more)


def chosen(**more: Any) -> Settings:
    return choose(given(**more))[0]


def test_defaults_are_those_of_the_network_the_loss_and_the_optimizer() -> None:
    plain = chosen()
    assert (plain.loss, plain.whiten, plain.lr, plain.momentum, plain.nesterov) == ("ce", "image", 0.05, 0.9, False)
    assert (plain.label_smoothing, plain.batch_norm, plain.dropout, plain.gamma) == (0.0, False, 0.0, None)
    given = chosen(loss="focal", gamma=1.5, whiten="none", lr=0.5, momentum=0.0, batch_norm=True, dropout=0.25)
    assert (given.loss, given.whiten, given.lr, given.momentum) == ("focal", "none", 0.5, 0.0)
    assert (given.gamma, given.batch_norm, given.dropout, given.focal_form) == (1.5, True, 0.25, "sigmoid")
    images = chosen(arch="unet-small")
    assert (images.loss, images.whiten) == ("l2", "none")


def test_a_networks_own_rate_is_for_sgd_where_none_is_given() -> None:
    rates = family("convnet-vanilla").rates
    assert rates is not None
    assert chosen(arch="convnet-vanilla").lr == rates[0] == 0.01
    assert chosen(arch="convnet-vanilla", lr=0.3).lr == 0.3
    assert chosen(arch="convnet-vanilla", optimizer="adamw").lr == 0.001
    assert chosen(arch="convnet-vanilla", optimizer="sam").lr == rates[0]
    assert chosen(optimizer="adamw").lr == 0.001


def test_several_runs_share_what_is_not_varied() -> None:
    settings, loss = choose(Settings(**PLAIN, runs=2, vary=["lr=0.1,0.2", "momentum=0,0.9"]))
    assert (settings.lr, settings.momentum, settings.runs, settings.vary) == (
        None, None, 2, ["lr=0.1,0.2", "momentum=0,0.9"]
    )  # fmt: skip
    assert (settings.loss, settings.whiten, loss.name) == ("ce", "image", "ce")
    made = prepare(Settings(**PLAIN, vary=["dropout=0.1,0.3"]), TABLE.description, TABLE.schema.names, "")
    assert made.options.dropout == 0.1
    assert [made.member(number).options.dropout for number in (0, 1)] == [0.1, 0.3]


@pytest.mark.parametrize(
    ("more", "said", "hint"),
    [
        ({"loss": "l1"}, "--loss: l1 is for images, but mlp-1x8 outputs classes", "for image-to-image networks use l1"),
        (
            {"arch": "unet-small", "loss": "ce"},
            "--loss: ce is for classes, but unet-small outputs an image",
            "for image",
        ),
        (
            {"arch": "unet-small", "whiten": "image"},
            "--whiten: unet-small outputs an image",
            "use --whiten none or dat",
        ),
        ({"arch": "unet-small", "until_train_accuracy": 0.5}, "--until-train-accuracy: unet-small outputs", "omit it"),
        ({"arch": "unet-small", "resample": "balanced"}, "--resample: unet-small outputs an image", "omit it"),
    ],
)
def test_what_is_not_for_a_task_is_refused(more: dict[str, Any], said: str, hint: str) -> None:
    with pytest.raises(GencliError, match=re.escape(said)) as refused:
        chosen(**more)
    assert refused.value.hint.startswith(hint)
    for fits in ({"until_train_accuracy": 0.5, "resample": "balanced"}, {"whiten": "image"}):
        chosen(**fits)
    chosen(arch="unet-small", whiten="dataset", until_train_loss=0.1)


def test_a_task_of_images_needs_targets() -> None:
    settings = given(arch="unet-small")
    with pytest.raises(GencliError, match="toy: no column target"):
        prepare(settings, TABLE.description, TABLE.schema.names, "toy")
    made = prepare(settings, TABLE.description, [*TABLE.schema.names, "target"], "toy")
    assert made.score == "psnr"
    assert prepare(Settings(**PLAIN), TABLE.description, TABLE.schema.names, "toy").score == "accuracy"


@pytest.mark.parametrize(
    ("asked", "precision", "fails", "kept", "why"),
    [
        ("auto", "float32", (), "float32", "chosen for this cpu"),
        ("auto", "bf16", (), "bf16", "chosen for this cpu"),
        ("auto", "bf16", (True,), "float32", "because the network fails in bf16: broken"),
        ("auto", "bf16", (True, False), "bf16", "chosen for this cpu"),
        ("bf16", "bf16", (), "bf16", "chosen for this cpu"),
        ("bf16", "bf16", (True,), None, "--precision: mlp-1x8 fails in bf16: broken"),
        ("float32", "float32", (True, False), "float32", "chosen for this cpu"),
    ],
)
def test_bf16_is_tried_where_it_is_to_be_used(
    asked: Any, precision: Any, fails: tuple[bool, ...], kept: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "failure", lambda network, shape, bf16: "broken" if bf16 in fails else None)
    made = prepare(Settings(**PLAIN, precision=precision), TABLE.description, TABLE.schema.names, "")
    if kept is None:
        with pytest.raises(GencliError, match=why):
            made.tried(asked)
        return
    found, told = made.tried(asked)
    assert (found.settings.precision, told) == (kept, why)


def test_how_a_model_is_made_names_all_that_bears_on_it() -> None:
    made = prepare(Settings(**PLAIN), TABLE.description, TABLE.schema.names, "")
    model, history, dynamics = made.steps(TABLE, None, Group(), 4)
    assert (model.command, model.output, history.output, dynamics.output) == ("train", "", "history", "dynamics")
    assert model.arguments == history.arguments == vars(made.settings) | {"threads": torch.get_num_threads()}
    assert dynamics.arguments == model.arguments | {"el2n_epoch": 4}
    for size in (2, 3):
        assert made.steps(TABLE, None, Group(0, size))[0].arguments == model.arguments | {"processes": size}


def test_images_of_convolutions_lie_channels_last() -> None:
    made = prepare(given(arch="convnet-vanilla"), TABLE.description, TABLE.schema.names, "")
    network = made.build((4, 4, 1))
    kernels = [each for each in network.parameters() if each.ndim == 4]
    assert kernels
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)
    again = replace(made).build((4, 4, 1))
    assert all(torch.equal(one, other) for one, other in zip(network.parameters(), again.parameters(), strict=True))


def test_a_run_keeps_rows_for_validation_and_leaves_out_a_subset() -> None:
    plain = prepare(Settings(**PLAIN), TABLE.description, TABLE.schema.names, "").training(TABLE, None, Group())
    assert (len(plain.labels), plain.validated, plain.model.subset_below) == (24, False, None)
    part = prepare(Settings(**PLAIN, subset=0.5), TABLE.description, TABLE.schema.names, "")
    some = part.training(TABLE, TABLE, Group())
    assert (len(some.labels), some.validated) == (12, False)
    assert some.model.subset_below is not None
    held = prepare(Settings(**PLAIN, validation_fraction=0.25), TABLE.description, TABLE.schema.names, "")
    kept = held.training(TABLE, None, Group())
    assert (kept.validated, kept.model.subset_below) == (True, None)
    assert 16 <= len(kept.labels) <= 20
    with pytest.raises(GencliError, match="images of 2×2×1, but the model takes 4×4×1"):
        held.training(TABLE, image_table(5), Group())
