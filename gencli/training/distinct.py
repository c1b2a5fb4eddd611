"""Whether several runs of one training are several networks: by their settings before they start, then by what came."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from gencli.errors import GencliError
from gencli.files.tensors import double
from gencli.models import Model
from gencli.runs import varied
from gencli.training.setup import Setup

_CLOSE = 1e-6  # of the largest number: what the order of sums may change


def require_different(setup: Setup, rows: int) -> None:
    """Refuses runs that start alike, draw nothing else, and differ in no setting that changes a network.

    Args:
        rows: how many there are to train on.

    Raises:
        GencliError: such runs.
    """
    settings, start = setup.settings, setup.start
    network = setup.unfilled().network
    kinds = [type(layer).__name__.lower() for layer in network.modules()]
    drops = any(word in kind for kind in kinds for word in ("drop", "stochastic"))
    kept = any(True for _ in network.buffers())
    left = None if start is None else start.random(network, len(setup.description.classes), settings.arch)
    own_rows = settings.subset not in (None, 1) or settings.validation_fraction
    sampled = settings.resample is not None or settings.step_rows(rows) < rows
    ordered = sampled and settings.seed_order is None
    drawn = own_rows or (settings.seed_init is None and left != [])
    each_drawn = settings.augment or settings.mix or drops or ordered
    alike: dict[tuple[object, ...], list[int]] = {}
    each = settings.each()
    for number, run in enumerate(each):
        still = run.lr == 0  # and then only statistics that a batch norm keeps come from the rows
        changing = [name for name in varied(settings.vary) if not still or (kept and name == "dropout")]
        numbers = tuple(getattr(run, name) for name in changing)
        seed = run.seed if drawn or (each_drawn and (kept or not still)) else None
        beginning = None if start is None else number % len(start.networks)
        alike.setdefault((still, seed, beginning, numbers), []).append(number)
    (still, *_), same = max(alike.items(), key=lambda pair: len(pair[1]))
    if len(same) == 1:
        return
    why = ["--lr 0"] if still else []
    if len({each[number].seed for number in same}) > 1:
        order = [] if still else ["--seed-order" if sampled else "one step takes all rows"]
        why = ["--init" if left == [] else "--seed-init", *order, *why]
    several = "--vary" if settings.vary else "--runs"
    raise GencliError(f"{several}: {len(same)} networks would be one and the same: {', '.join(why)}",
                      f"omit one of them, or {several}")  # fmt: skip


def alike(models: Sequence[Model]) -> list[tuple[int, int]]:
    """The runs whose networks have the same numbers, but for what the order of sums changes, in pairs.

    Pairs are looked for among neighbours by a weighted sum of the numbers, so that of three alike two are found.
    """
    going = [(number, model) for number, model in enumerate(models) if not model.failed]
    found = sorted((_sum(model), number) for number, model in going)
    pairs = ((one, other) for (_, one), (_, other) in pairwise(found))
    return sorted((min(pair), max(pair)) for pair in pairs if _same(models[pair[0]], models[pair[1]]))


def _tensors(model: Model) -> list[Tensor]:
    return [each for each in model.network.state_dict().values() if each.is_floating_point()]


def _sum(model: Model) -> float:
    random = torch.Generator().manual_seed(0)
    return sum(
        (double(each.cpu()).flatten() @ torch.rand(each.numel(), generator=random, dtype=torch.float64)).item()
        for each in _tensors(model)
    )


def _same(one: Model, other: Model) -> bool:
    pairs = list(zip(_tensors(one), _tensors(other), strict=True))
    return all(float((a - b).abs().amax()) <= _CLOSE * float(a.abs().amax()) for a, b in pairs if a.numel())
