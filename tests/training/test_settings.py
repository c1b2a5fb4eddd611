"""Presets, a paper's settings, before which given options go; and which settings go together."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import typer

from gencli.errors import GencliError
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.settings import Settings, _minutes


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


FITS: dict[str, Any] = {"arch": "linear", "epochs": 5}


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ([{"arch": ""}], [{}], "--arch: no network is named"),
        (
            [{"early_stop": 0}, {"early_stop": 3}],
            [{"early_stop": 0, "validation_fraction": 0.1}, {"validation_fraction": 0.1}],
            "--early-stop: there are no validation rows",
        ),
        (
            [{"stream": 9, "resample": "balanced"}],
            [{"stream": 9}, {"resample": "balanced"}],
            "--resample: draws rows from all of the data, which --stream does not hold",
        ),
        ([{"stop_epoch": 6}], [{"stop_epoch": 5}, {"stop_epoch": 1, "epochs": 1}], "--stop-epoch: 6 of 5 epochs"),
        (
            [{"deferred_reweighting": 5}],
            [{"deferred_reweighting": 4}, {"epochs": 1}],
            "--deferred-reweighting: no epoch follows epoch 5 of 5",
        ),
        (
            [{"freeze": "0*", "optimizer": "muon"}],
            [{"freeze": "0*"}, {"optimizer": "muon"}],
            "--freeze: muon knows the output layer as the last one it trains",
        ),
        (
            [{"vary": ["dropout=0,0.1"]}],
            [{"vary": ["dropout=0.1,1"]}, {"vary": ["dropout=0"]}, {"vary": ["dropout=0.1,0.2,0.3"]}],
            "--vary: a network without dropout has other layers",
        ),
        (
            [{"runs": 2, "sync_batch_norm": True}],
            [{"runs": 2}, {"sync_batch_norm": True}],
            "--sync-batch-norm and --runs: ",
        ),
        (
            [{"vary": ["lr=1,2"], "runs": 2, "sync_batch_norm": True}, {"vary": ["lr=1,2"], "sync_batch_norm": True}],
            [{"vary": ["lr=1,2"], "runs": 2}],
            "--sync-batch-norm and --vary: every network is trained by one process",
        ),
        (
            [{"subset": 0.5, "validation_fraction": 0.5}, {"subset": 1.0, "validation_fraction": 0.5}],
            [{"subset": 0.5}, {"validation_fraction": 0.5}],
            "--subset and --validation-fraction: ",
        ),
        (
            [{"full_batch": True, "augment": "flip"}],
            [{"full_batch": True}, {"augment": "flip"}],
            "--full-batch and --augment",
        ),
        (
            [{"full_batch": True, "mix": "cutmix"}],
            [{"mix": "cutmix"}],
            "--full-batch and --mix: mixing draws at random",
        ),
        ([{"full_batch": True, "resample": "balanced"}], [{"resample": "balanced"}], "--full-batch and --resample"),
        ([{"full_batch": True, "dropout": 0.1}], [{"full_batch": True, "dropout": 0.0}], "--full-batch and --dropout"),
        (
            [{"full_batch": True, "vary": ["dropout=0.1,0.2"]}],
            [{"full_batch": True, "vary": ["lr=0.1,0.2"]}, {"vary": ["dropout=0.1,0.2"]}],
            "--full-batch and --vary dropout",
        ),
        (
            [{"track_every": 2}],
            [{"track_every": 1}, {"track": "distance", "track_every": 2}],
            "--track-every: nothing is",
        ),
        ([{"track": "distance", "stream": 9}], [{"stream": 9}], "--track and --stream: images stay in their file"),
        ([{"track": "distance", "ema": 0.9}], [{"ema": 0.9}], "--track and --ema: evaluation is of the average"),
    ],
)
def test_settings_that_exclude_each_other_are_refused_and_each_alone_is_not(
    wrong: list[dict[str, Any]], right: list[dict[str, Any]], said: str
) -> None:
    for more in right:
        assert Settings(**FITS | more).resolved().arch == "linear"
    for more in wrong:
        with pytest.raises(GencliError, match=re.escape(said)):
            Settings(**FITS | more).resolved()


def test_what_is_varied_is_not_given() -> None:
    varied = Settings(**FITS, vary=["weight-decay=0,0.1"])
    assert varied.resolved({"lr"}).vary == ["weight-decay=0,0.1"]
    with pytest.raises(GencliError, match="--weight-decay: --vary gives it values"):
        varied.resolved({"weight_decay"})
    assert Settings(**FITS, vary=[]).resolved().vary is None


@pytest.mark.parametrize(
    ("until", "score", "loss", "enough"),
    [
        ((None, None), 1.0, 0.0, False),
        ((0.5, None), 0.5, 9.0, True),
        ((0.5, None), 0.49, 0.0, False),
        ((None, 0.25), 0.0, 0.25, True),
        ((None, 0.25), 1.0, 0.26, False),
        ((0.5, 0.25), 0.5, 0.3, True),
        ((0.5, 0.25), 0.4, 0.2, True),
        ((0.5, 0.25), 0.4, 0.3, False),
    ],
)
def test_a_run_is_fitted_by_its_score_or_its_loss(
    until: tuple[float | None, float | None], score: float, loss: float, enough: bool
) -> None:
    settings = Settings(**FITS, until_train_accuracy=until[0], until_train_loss=until[1])
    assert settings.is_fitted(score, loss) == enough


def test_seeds_epochs_and_steps_are_their_own_or_the_runs() -> None:
    plain = Settings(**FITS, seed=7, batch_size=16)
    assert (plain.initial_seed, plain.order_seed, plain.last_epoch, plain.step_rows(50)) == (7, 7, 5, 16)
    own = replace(plain, seed_init=0, seed_order=3, stop_epoch=2, full_batch=True)
    assert (own.initial_seed, own.order_seed, own.last_epoch, own.step_rows(50)) == (0, 3, 2, 50)


@pytest.mark.parametrize(
    ("more", "several", "count"),
    [
        ({}, False, 1),
        ({"vary": []}, False, 1),
        ({"runs": 1}, True, 1),
        ({"runs": 3}, True, 3),
        ({"vary": ["lr=0.1"]}, True, 1),
        ({"vary": ["lr=0.1,0.2", "momentum=0,0.5,0.9"]}, True, 6),
        ({"vary": ["lr=0.1,0.2"], "runs": 3}, True, 6),
    ],
)
def test_runs_are_counted(more: dict[str, Any], several: bool, count: int) -> None:
    settings = Settings(**FITS | more)
    assert (settings.several, settings.count, len(settings.each())) == (several, count, count)
    assert all(not each.several for each in settings.each())


def test_the_learning_rate_is_given_or_the_optimizers_own() -> None:
    assert Settings(**FITS, lr=0.0).learning_rate == 0
    assert Settings(**FITS, optimizer="adamw").learning_rate == OPTIMIZERS["adamw"].learning_rate != 0.3
    assert Settings(**FITS, optimizer="adamw", lr=0.3).learning_rate == 0.3
    assert (Settings(**FITS).undecayed, Settings(**FITS, no_decay="norm,bias").undecayed) == ([], ["norm", "bias"])


@pytest.mark.parametrize(("text", "minutes"), [("90s", 1.5), ("1h30min", 90), ("0", 0), ("0.5", 0.5), (2.5, 2.5)])
def test_times_without_a_unit_are_minutes(text: object, minutes: float) -> None:
    assert _minutes(text) == minutes


@pytest.mark.parametrize("text", ["-1", "-0.1", "x", "1_0", "nan", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time; give 90s, 5min, 1h30min, or minutes"):
        _minutes(text)
