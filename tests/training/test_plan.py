"""A dry run refuses what the run refuses, in the same words, and writes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from gencli.cli.app import main
from gencli.models import FAMILIES
from gencli.models.base import Shape
from gencli.training.plan import _count, networks, plan
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.helpers import image_table


class Single(nn.Module):
    """A network without arithmetic in bfloat16."""

    def __init__(self, shape: Shape, classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made = self.dense(images.flatten(1))
        if made.dtype == torch.bfloat16:
            raise RuntimeError("float32 alone")
        return made


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plan")
    assert main(["data", "digits", "--limit", "41", "-q", "-o", str(place / "digits.parquet")]) == 0
    assert main(["data", "synthetic", "two-moons", "-q", "-o", str(place / "moons.parquet")]) == 0
    trained = ["train", str(place / "digits.parquet"), "--arch", "linear", "--epochs", "1", "-q"]
    assert main([*trained, "--checkpoint", str(place / "c.ck"), "-o", str(place / "m.safetensors")]) == 0
    return place


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--arch tests.training.test_plan:Single --precision bf16", "fails in bf16"),
        ("--arch linear --device cuda", "cuda is not available"),
        ("--arch linear --sync-batch-norm", "no batch norm"),
        ("--arch linear --optimizer muon", "no hidden weights"),
        ("--arch linear --ema 1.5", "decay 1.5 is out of range"),
        ("--arch linear --validation-fraction 0.001", "leaves no validation rows"),
        ("--arch mlp-1x8 --batch-norm --batch-size 10", "has only 1 row, too few"),
        ("--arch linear --eval-data moons.parquet", "but the model takes"),
        ("--arch linear --eval-data none.parquet", "no such file"),
        ("--arch linear -o digits.parquet", "cannot be written as .parquet"),
        ("--arch linear --history m.csv -o m.csv", "cannot be written as .csv"),
        ("--arch linear --history h.csv --checkpoint h.csv", ""),
        ("--arch linear -o none/m.safetensors", "cannot be written"),
        ("--arch linear --checkpoint c.ck", "already holds a checkpoint at step 1"),
        ("--arch linear --epochs 1_0", "'1_0' is not a valid int range"),
        ("--arch linear --epochs １", "is not a valid int range"),
        ("--arch linear --lr 1_0", "'1_0' is not a valid float range"),
        ("--arch linear --vary lr=1_0,2", "is not NAME=NUMBER"),
        ("--arch linear --mix mixup:1_0", "no such alpha"),
        ("--arch linear --epochs 1 --seed 1 --checkpoint c.ck --resume", "--seed was 0, is 1"),
    ],
)
def test_what_a_run_refuses_its_dry_run_refuses(
    options: str, why: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.chdir(place)
    before, said = sorted(place.iterdir()), list[str]()
    words = ["train", "digits.parquet", *options.split(), "-q"]
    for more in ([], ["--dry-run"]):
        given = [] if "-o" in words else ["-o", "out.safetensors"]
        assert main([*words, *given, *more]) == 2
        said.append(capfd.readouterr().err)
    assert said[0] == said[1]
    assert why in said[0]
    assert sorted(place.iterdir()) == before


def test_a_dry_run_that_is_fine_writes_its_plan_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    words = ["train", "digits.parquet", "--arch", "mlp-1x8", "--batch-norm", "--whiten", "dataset", "--loss", "cb-ce"]
    more = ["--eval-data", "digits.parquet", "--validation-fraction", "0.2", "--resample", "balanced", "--dry-run"]
    assert main([*words, *more, "--history", "h.csv", "-o", "n.safetensors"]) == 0
    out = capfd.readouterr().out
    assert "41 images 8 x 8 x 1 of 10 classes" in out
    assert not re.search(" (-|None)$", out, re.MULTILINE)  # what is not set
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("zero", ["0", "-0", "-0.0", "-0e9"])
def test_minus_zero_is_zero(
    zero: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["train", "digits.parquet", "--arch", "linear", "--epochs", "1", "--lr", zero, "--dry-run"]) == 0
    assert re.search(r"^ lr +0\.0$", capfd.readouterr().out, re.MULTILINE)


def test_networks_are_listed_with_their_costs() -> None:
    rows = {row["network"]: row for row in networks().to_pylist()}
    weights = 32 * 32 * 3 * 10
    assert rows["linear"] == {
        "network": "linear", "parameters": weights + 10, "MFLOP": 2 * weights / 1e6, "learning_rate": 0.05,
        "what": rows["linear"]["what"],
    }  # fmt: skip
    assert rows["convnet-vanilla"]["learning_rate"] == 0.01
    assert set(rows) == {name for family in FAMILIES for name in family.samples}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"), (7, "7 B"), (999, "999 B"), (1000, "1 kB"), (1234, "1.23 kB"), (999_499, "999 kB"),
        (999_500, "1 MB"),
        (2_500_000_000, "2.5 GB"), (10**18, "1 EB"),
    ],
)  # fmt: skip
def test_counts_have_three_digits(number: int, text: str) -> None:
    assert _count(number, "B") == text


TABLE = image_table(41, (4, 4, 1))
OF = (
    "parameters", "steps, at most", "operations per image, forward", "operations per step", "operations per epoch",
    "memory per step", "memory of the images",
)  # fmt: skip


def totals(rows: int = 41, columns: tuple[str, ...] = ("id", "image", "label"), **more: object) -> dict[str, str]:
    given: dict[str, object] = {"arch": "mlp-1x8", "batch_size": 10, "device": "cpu", "epochs": 3}
    settings = Settings(**given | more)  # type: ignore[arg-type]
    table = plan(prepare(settings, TABLE.description, columns, ""), rows).totals
    return dict(zip(table["of"].to_pylist(), table["value"].to_pylist(), strict=True))


def test_the_totals_are_those_counted_by_hand() -> None:
    """16 numbers, 8 units, 3 classes: 163 parameters, 2 (128 + 24) FLOP forward, 3 times that without 2 · 128 a step.

    In a step of 10 there are weights, gradients and momentum, and 16 + 8 numbers an image.
    """
    expected = dict(zip(OF, ("163", "15", "304 FLOP", "6.56 kFLOP", "26.9 kFLOP", "2.92 kB", "656 B"), strict=True))
    assert list(totals().items()) == list(expected.items())
    assert totals(full_batch=True) == expected | {"steps, at most": "3", "operations per step": "26.9 kFLOP"}
    for most, said in ((7, "7"), (15, "15"), (16, "15")):
        assert totals(max_steps=most) == expected | {"steps, at most": said}
    assert totals(runs=3) == expected | {"networks, each as follows": "3"}
    assert totals(optimizer="sam", rho=0.1, ema=0.9) == expected | {
        "gradients per step": "2", "operations per step": "13.1 kFLOP", "operations per epoch": "53.8 kFLOP",
        "memory per step": "4.22 kB",
    }  # fmt: skip
    # 41 - 8 of validation, half of the 33
    assert totals(validation_fraction=0.2, subset=0.5) == expected | {
        "steps, at most": "6", "operations per epoch": "10.5 kFLOP"
    }  # fmt: skip
    small = "67", "3", "112 FLOP", "11.2 kFLOP", "11.2 kFLOP", "2.77 kB", "656 B"
    assert totals(crop=2, batch_size=64) == dict(zip(OF, small, strict=True))


@pytest.mark.parametrize(
    ("rows", "stream", "said"),
    [(5000, None, "80 kB"), (5000, 10, "32 kB"), (5000, 1500, "48 kB"), (1800, 1500, "28.8 kB"), (2000, 1, "32 kB")],
)
def test_of_streamed_images_two_windows_or_row_groups_are_in_memory(rows: int, stream: int | None, said: str) -> None:
    assert totals(rows, stream=stream)["memory of the images"] == said


def test_of_pairs_of_images_both_are_in_memory() -> None:
    columns = ("id", "image", "label", "target")
    assert totals(columns=columns, arch="unet-small", runs=None)["memory of the images"] == "1.31 kB"


def test_a_plan_lists_the_settings_that_are_set_and_the_layers_of_one_image() -> None:
    settings = Settings(arch="mlp-1x8", device="cpu", runs=2, subset=20)
    made = plan(prepare(settings, TABLE.description, TABLE.schema.names, ""), 41)
    assert made.layers.to_pylist() == [
        {"layer": "0", "kind": "Pixels", "output": "16", "parameters": 0},
        {"layer": "1", "kind": "Linear", "output": "8", "parameters": 136},
        {"layer": "2", "kind": "ReLU", "output": "8", "parameters": 0},
        {"layer": "3", "kind": "Linear", "output": "3", "parameters": 27},
    ]
    shown = dict(zip(made.settings["setting"].to_pylist(), made.settings["value"].to_pylist(), strict=True))
    assert shown.items() >= {"arch": "mlp-1x8", "runs": "2", "subset": "20", "lr": "0.05", "loss": "ce"}.items()
    assert not {"stream", "max_steps", "ema", "resample"} & shown.keys()
