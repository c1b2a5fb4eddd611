"""The default learning rates: every network learns with its own, and a run that diverged says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gencli.cli.app import main
from gencli.cli.outputs import write_images
from gencli.files import provenance
from gencli.files.tables import Description, ImageTable, MemoryTable
from gencli.ranks import Group
from gencli.sources import open_table
from gencli.sources.digits import digits
from gencli.training import setup, words
from gencli.training.loop import Training
from gencli.training.settings import Settings

_CHANCE = 2.302585  # ln 10


def trained(table: ImageTable, arch: str, epochs: int, **given: object) -> Training:
    settings = Settings(arch=arch, epochs=epochs, device="cpu", **given).resolved()  # type: ignore[arg-type]
    made = setup.prepare(settings, table.description, table.schema.names, table.title)
    run = made.training(table, None, Group())
    run.run()
    return run


@pytest.mark.parametrize(
    ("arch", "norm", "rate"),
    [
        ("linear", None, 0.05), ("mlp-1x512", False, 0.05), ("mlp-3x512", False, 0.05), ("mlp-3x512", True, 0.05),
        ("circulant-mlp-3x512", False, 0.005), ("circulant-mlp-3x512", True, 0.05),
        ("convnet-vanilla", False, 0.01), ("convnet-vanilla", True, 0.01),
    ],
)  # fmt: skip
def test_networks_learn_the_digits_at_their_defaults(arch: str, norm: bool | None, rate: float) -> None:
    run = trained(digits("train"), arch, 5, batch_norm=norm)
    assert run.history[-1].learning_rate == rate
    assert run.history[-1].train_loss < 0.25 * _CHANCE


@pytest.fixture(scope="module")
def photographs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    """The first 2,000 of CIFAR-10's training rows."""
    place, source = tmp_path_factory.mktemp("photographs") / "some.parquet", shared_data / "cifar10-train.parquet"
    assert main(["data", "parquet", str(source), "--limit", "2000", "-q", "-o", str(place)]) == 0
    return open_table(str(place))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("arch", "norm", "epochs"),
    [("convnet-vanilla", False, 4), ("convnet-vanilla", True, 4), ("circulant-mlp-3x512", False, 8)],
)
def test_networks_learn_photographs_at_their_defaults(
    photographs: ImageTable, arch: str, norm: bool, epochs: int
) -> None:
    run = trained(photographs, arch, epochs, batch_norm=norm)
    assert run.history[-1].train_loss < 0.9 * _CHANCE
    assert words.diverged(run) is None


def test_what_is_given_and_other_optimizers_go_before_a_networks_rate() -> None:
    def rate(**given: object) -> float | None:
        return setup.choose(Settings(arch="convnet-vanilla", **given).resolved(given))[0].lr  # type: ignore[arg-type]

    assert rate() == 0.01
    assert rate(lr=0.05) == 0.05
    assert rate(optimizer="adamw") == rate(optimizer="muon") == 0.001
    assert rate(preset="cui2019") == 0.1
    assert rate(preset="cui2019", optimizer="adamw") == 0.001


@pytest.mark.parametrize("arch", ["inception-small", "convnet-gelu"])
def test_networks_that_diverge_without_batch_norm_have_a_rate_for_that(arch: str) -> None:
    given = [{"batch_norm": False}, {"batch_norm": True}, {}]
    assert [setup.choose(Settings(arch=arch, **each).resolved(each))[0].lr for each in given] == [0.01, 0.05, 0.05]


def test_a_run_that_learned_nothing_says_so() -> None:
    still = trained(digits("train"), "linear", 1, lr=1e-9)
    first, *_, last = words.summary(still, "accuracy").splitlines()
    assert "parameters, 1 epoch; the model" in first
    assert "nothing was learned" in last
    assert "nothing" not in words.summary(trained(digits("train"), "linear", 1), "accuracy")


def test_a_run_that_diverged_says_so_last(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (256, 8, 8, 3), dtype=np.uint8)
    table = MemoryTable("noise", Description("noise", "", tuple("ab"), (8, 8, 3)), images, random.integers(0, 2, 256))
    run = trained(table, "linear", 3, lr=1e5)
    assert run.first_loss is not None
    assert run.first_loss == pytest.approx(np.log(2), abs=0.5)
    assert run.history[-1].train_loss > words.DIVERGED * run.first_loss
    assert "training diverged" in str(words.diverged(run))
    write_images(table, str(tmp_path / "noise"), lambda: provenance.step("data noise", {}))
    command = ["train", str(tmp_path / "noise"), "--arch", "linear", "--epochs", "3", "-o", str(tmp_path / "out")]
    assert main([*command, "--lr", "1e5"]) == 0
    assert "training diverged" in capfd.readouterr().err.splitlines()[-1]
    assert main([*command, "--lr", "1e5", "-q"]) == 0
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert main(command) == 0
    assert "diverged" not in capfd.readouterr().err
