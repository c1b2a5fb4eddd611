"""What a run would do: its network layer by layer, the operations and the memory of its steps."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import torch

from gencli import models
from gencli.counts import by, share
from gencli.models import summary
from gencli.models.inputs import Preprocessing
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.settings import Settings
from gencli.training.setup import Setup, choose

_CIFAR10 = (32, 32, 3), 10


@dataclass(frozen=True)
class Plan:
    """Attributes:
    settings: columns `setting` and `value`, all of them, resolved.
    layers: columns `layer`, `kind`, `output` (the shape of one image's), `parameters`.
    totals: columns `of` and `value`: parameters, steps, operations and bytes.
    """

    settings: pa.Table
    layers: pa.Table
    totals: pa.Table


def plan(setup: Setup, rows: int) -> Plan:
    """The plan of a run on this many rows; nothing is computed, and the network has no values in memory."""
    settings, description = setup.settings, setup.description
    held = rows if settings.stream is None else min(rows, 2 * max(settings.stream, description.group_rows))
    rows -= share(settings.validation_fraction, rows)
    rows = rows if settings.subset is None else share(settings.subset, rows)
    shape = Preprocessing(crop=settings.crop).input_shape(description.shape)
    batch = min(settings.batch_size, rows)
    with torch.device("meta"):
        network = setup.build(shape)
    layers = summary.layers(network, shape)
    parameters = models.trained(network)
    states = OPTIMIZERS[settings.optimizer].states + (settings.ema is not None)
    a_step = min(settings.step_rows(rows), rows)
    steps = settings.last_epoch * -(-rows // a_step)
    gradients = OPTIMIZERS[settings.optimizer].gradients
    flops = gradients * summary.step_flops(network, shape, batch) * a_step // batch
    totals = {
        **({"networks, each as follows": f"{settings.count:,}"} if settings.several else {}),
        "parameters": f"{parameters:,}",
        "steps, at most": f"{min(steps, settings.max_steps or steps):,}",
        **({"gradients per step": str(gradients)} if gradients > 1 else {}),
        "operations per image, forward": _count(summary.flops(network, shape, 1), "FLOP"),
        "operations per step": _count(flops, "FLOP"),
        "operations per epoch": _count(flops * rows // a_step, "FLOP"),
        "memory per step": _count(summary.step_memory(network, shape, batch, states), "B"),
        "memory of the images": _count(held * description.row_bytes * (2 if setup.score == "psnr" else 1), "B"),
    }
    return Plan(
        _pairs("setting", {name: str(value) for name, value in vars(settings).items() if value is not None}),
        pa.table(
            {
                "layer": [layer.name for layer in layers],
                "kind": [layer.kind for layer in layers],
                "output": [by(layer.shape[1:]) for layer in layers],
                "parameters": [layer.parameters for layer in layers],
            }
        ),
        _pairs("of", totals),
    )


def networks() -> pa.Table:
    """The networks, the smallest first, for 32×32×3 images of 10 classes.

    Parameters, operations an image, sgd's default learning rate, and what they are.
    """
    rows = []
    for family in models.FAMILIES:
        for name in family.samples:
            with torch.device("meta"):
                network = models.build(name, *_CIFAR10)
            rows.append(
                {
                    "network": name,
                    "parameters": models.trained(network),
                    "MFLOP": summary.flops(network, _CIFAR10[0], 1) / 1e6,
                    "learning_rate": choose(Settings(arch=name))[0].lr,
                    "what": family.purpose,
                }
            )
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["parameters"]))


def _pairs(name: str, values: dict[str, str]) -> pa.Table:
    return pa.table({name: list(values), "value": list(values.values())})


def _count(number: int, unit: str) -> str:
    """With a prefix, three digits."""
    value, prefix = float(number), 0
    while value >= 999.5:
        value, prefix = value / 1000, prefix + 1
    return f"{value:.3g} {' kMGTPE'[prefix].strip()}{unit}"
