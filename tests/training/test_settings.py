"""Presets: a paper's settings, before which given options go."""

from __future__ import annotations

import pytest

from gencli.training.settings import Settings


def resolved(*given: str, **options: object) -> Settings:
    return Settings(**options).resolved({*options, *given})  # type: ignore[arg-type]


@pytest.mark.parametrize(("arch", "lr"), [("inception-small", 0.1), ("alexnet-small", 0.01), ("mlp-1x512", 0.01)])
def test_the_learning_rate_of_zhang2017_is_its_networks(arch: str, lr: float) -> None:
    settings = resolved(preset="zhang2017", arch=arch)
    assert (settings.lr, settings.momentum, settings.schedule, settings.crop) == (lr, 0.9, "exp:0.95", 28)
    assert (settings.whiten, settings.weight_decay, settings.augment) == ("image", 0, resolved(arch=arch).augment)


def test_given_options_go_before_a_presets() -> None:
    settings = resolved(preset="cui2019", lr=0.5, epochs=3)
    assert (settings.lr, settings.epochs, settings.arch, settings.weight_decay) == (0.5, 3, "resnet32-cui2019", 2e-4)


@pytest.mark.parametrize(("loss", "gamma"), [("focal", 1.0), ("cb-focal", 1.0), ("cb-ce", None), (None, None)])
def test_gamma_of_cui2019_is_its_authors(loss: str | None, gamma: float | None) -> None:
    assert resolved(preset="cui2019", loss=loss).gamma == gamma
    assert resolved(preset="cui2019", loss="focal", gamma=2.0).gamma == 2.0


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_another_optimizer_keeps_its_own_learning_rate_and_momentum(optimizer: str) -> None:
    own, preset = resolved(arch="convnet-gelu", optimizer=optimizer), resolved(preset="course", optimizer=optimizer)
    assert (preset.lr, preset.momentum, preset.nesterov) == (own.lr, own.momentum, own.nesterov)
    assert preset.weight_decay == 5e-4


def test_the_presets_own_optimizer_may_be_named() -> None:
    assert resolved(preset="course", optimizer="sgd") == resolved(preset="course")


def test_how_often_is_recorded_where_something_is_tracked() -> None:
    assert resolved(arch="linear").track_every is None
    assert resolved(arch="linear", track_every=1).track_every is None  # as older files have it
    assert resolved(arch="linear", track="distance").track_every == 1
    tracking = resolved(arch="linear", track="distance", track_every=3)
    assert [epoch for epoch in range(1, 8) if tracking.tracked_after(epoch)] == [3, 6]
    assert not any(resolved(arch="linear").tracked_after(epoch) for epoch in range(1, 8))
