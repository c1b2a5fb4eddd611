"""One entry in one table is all that a new named thing takes: help, completion, plan, run and provenance know it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gencli.corruptions.pixels import ShuffledPixels
from gencli.files.tables import ImageTable
from gencli.losses.classes import CrossEntropy
from gencli.models.base import Family, Shape
from gencli.models.layers import Pixels
from gencli.randomness import Draws
from gencli.sources.synthetic import Noise
from gencli.theory.base import Claim, Panel, Row
from gencli.training.optimizers import Kind
from gencli.training.schedules import Constant

ROOT = Path(__file__).parents[1]


def optimizer(
    parameters: Mapping[str, nn.Parameter], groups: Any, lr: float, options: dict[str, Any]
) -> list[torch.optim.Optimizer]:
    return [torch.optim.RMSprop(groups(parameters.values()), lr)]


def network(shape: Shape, classes: int) -> nn.Module:
    return nn.Sequential(Pixels(), nn.Linear(shape[0] * shape[1] * shape[2], classes))


@dataclass(frozen=True)
class Schedule(Constant):
    name = form = example = "newschedule"


@dataclass(frozen=True)
class Loss(CrossEntropy):
    """A new loss."""

    name = "newloss"


@dataclass(frozen=True)
class Corruption(ShuffledPixels):
    """A new corruption."""

    name = "newcorruption"


@dataclass(frozen=True)
class Source(Noise):
    """A new source."""

    name = "newsource"


@dataclass(frozen=True)
class NewClaim(Claim):
    """A new claim."""

    name = "newclaim"
    family = "new"

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row | Panel]:
        yield Row("0", "one", 1.0, "=", 2.0 if broken else 1.0)


def register() -> None:
    """One entry each, as a line in the table's file would be: before the options are made of it."""
    from gencli import corruptions
    from gencli.losses import LOSSES
    from gencli.models import FAMILIES
    from gencli.sources import synthetic
    from gencli.theory import CLAIMS
    from gencli.training.optimizers import OPTIMIZERS
    from gencli.training.schedules import SCHEDULES

    assert not {"gencli.training.settings", "gencli.losses.settings"} & sys.modules.keys()
    OPTIMIZERS["newoptimizer"] = Kind("a new one", "nobody", 0.0123, {}, 1, optimizer)
    SCHEDULES["newschedule"] = Schedule
    LOSSES["newloss"] = Loss
    FAMILIES.insert(0, Family("newnetwork", "newnetwork", "a new one", "nobody", network, samples=("newnetwork",)))
    corruptions.KINDS["newcorruption"] = Corruption
    synthetic.KINDS["newsource"] = Source
    CLAIMS["newclaim"] = NewClaim


CHILD = """
import sys
from tests.test_registration import register
register()
from gencli.cli.app import main
from gencli.cli.completions import bash
from gencli.cli.reference import read_tree
for line in sys.argv[1:]:
    if line == "completion":
        print(bash(read_tree()))
    else:
        assert main(line.split()) == 0, line
    print("\\f", end="", flush=True)
"""
TRAIN = "train t --arch newnetwork --optimizer newoptimizer --schedule newschedule --loss newloss --epochs 2"


def child(folder: Path, *lines: str) -> list[str]:
    """What each command line writes in a process in which all has been registered."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *lines],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\f")


def test_help_and_completion_know_a_new_entry(tmp_path: Path) -> None:
    lines = ["train", "corrupt", "data synthetic", "check"]
    *helps, completed, _ = child(tmp_path, *[f"{line} --help" for line in lines], "check --list", "completion")
    shown = "".join(helps)
    for kind in ("optimizer", "schedule", "loss", "corruption", "source", "claim"):
        assert f"new{kind}" in shown, kind
    for kind in ("optimizer", "schedule", "loss", "network", "corruption", "source", "claim"):
        assert f"new{kind}" in completed, kind
    assert "newoptimizer 0.0123" in shown
    assert shown.count("newclaim") == 2


def test_plan_run_checkpoint_and_provenance_know_a_new_entry(tmp_path: Path) -> None:
    shown = child(
        tmp_path,
        "data synthetic newsource --rows 64 --size 4x4x1 -o s",
        "corrupt newcorruption s -o t",
        f"{TRAIN} --dry-run",
        f"{TRAIN} --checkpoint saved -o m --history h.parquet",
        f"{TRAIN} --checkpoint saved -o n --resume",
        "check newclaim --format csv -o c.csv",
        "check newclaim -o c",
        "how m --tree",
        "how h.parquet --tree",
        "how c --tree",
    )
    plan, provenance = shown[2], "".join(shown[-4:])
    for kind in ("optimizer", "schedule", "loss", "network"):
        assert f"new{kind}" in plan, kind
    for kind in ("optimizer", "schedule", "loss", "network", "corruption", "source", "claim"):
        assert f"new{kind}" in provenance, kind
    assert "0.0123" in plan
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()
    assert "newclaim" in (tmp_path / "c.csv").read_text()
