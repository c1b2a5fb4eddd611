"""What determines a training run, given its data; each field is an option of `gencli train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer


@dataclass(frozen=True)
class Settings:
    """A training run's settings; the defaults are no paper's."""

    arch: Annotated[str, typer.Option(metavar="NAME", help="Network: mlp-KxW is K hidden layers of W units.")]
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data, at the most.")] = 30
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.")] = 128
    lr: Annotated[float, typer.Option(min=0, help="Learning rate of the first epoch.")] = 0.05
    lr_decay: Annotated[float, typer.Option(min=0, help="Factor on the learning rate after every epoch.")] = 1.0
    momentum: Annotated[float, typer.Option(min=0, max=1, help="Momentum of stochastic gradient descent.")] = 0.9
    weight_decay: Annotated[float, typer.Option(min=0, help="Coefficient of the L2 penalty on all parameters.")] = 0.0
    until_train_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            metavar="A",
            help="Stop once so much of the training rows is fitted; implies --measure-train.",
        ),
    ] = None
    measure_train: Annotated[
        bool,
        typer.Option(
            "--measure-train", help="Measure the training rows after every epoch; otherwise on the way, and at the end."
        ),
    ] = False
    seed: Annotated[
        int, typer.Option(min=0, help="Initialization and order are functions of it, by separate streams.")
    ] = 0
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")] = "auto"
