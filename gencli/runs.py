"""Several runs of one training: the settings in which each differs from the others, and the rows that each one sees."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.counts import number, share
from gencli.errors import GencliError, nearest
from gencli.randomness import Draws

NUMBERS = ("lr", "momentum", "rho", "weight_decay", "label_smoothing", "dropout")  # settings that are numbers in a step


def varied(words: list[str] | None) -> dict[str, list[float]]:
    """The values of each setting that `NAME=v1,v2,…` name, by its name with underscores.

    Raises:
        GencliError: other words, a setting that is none of `NUMBERS`, or a name or a value that comes twice.
    """
    found: dict[str, list[float]] = {}
    options = {name.replace("_", "-"): name for name in NUMBERS}
    for word in words or []:
        name, _, text = word.partition("=")
        if name not in options:
            raise GencliError(f"--vary: {name!r} is no number in a step", nearest(name, options))
        try:
            values = list(map(number, text.split(",")))
        except ValueError:
            raise GencliError(f"--vary: {word!r} is not NAME=NUMBER,NUMBER,...", "write lr=0.01,0.03,0.1") from None
        if not all(0 <= value < float("inf") for value in values):
            raise GencliError(f"--vary: {word!r} has a value below 0 or not finite", "give numbers of 0 or more")
        if options[name] in found or len(set(values)) < len(values):
            raise GencliError(f"--vary: {word!r}: {'the name' if options[name] in found else 'a value'} comes twice",
                              "give each once")  # fmt: skip
        found[options[name]] = values
    return found


def several(arguments: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What each run has for itself, `seed` last, by its number; None of a training that is not of several.

    The settings that `vary` names in all combinations, the last one's values beside each other, times `runs` seeds.

    Args:
        arguments: of the training step; `seed`, `runs` and `vary` count.

    Raises:
        GencliError: see `varied`.
    """
    runs, words = arguments.get("runs"), arguments.get("vary")
    if runs is None and not words:
        return None
    values = varied(words)
    return [
        dict(zip(values, chosen)) | {"seed": arguments["seed"] + number}
        for chosen in product(*values.values())
        for number in range(runs or 1)
    ]


def own(arguments: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The settings of one run: those of all, with what it has for itself, as if it had been alone.

    Raises:
        GencliError: they are damaged, or there is no such run.
    """
    try:
        found = several(arguments)
        return {**arguments, **(found or [])[number], "runs": None, "vary": None}
    except (TypeError, KeyError, IndexError, AttributeError):
        raise GencliError(f"damaged metadata: its settings have no run {number}", "make the file again") from None


def subset(ids: NDArray[np.int64], fraction: float, seed: int) -> float:
    """The bound of a run's subset of rows [n]: round(fraction · n) of them are `seen`, those of the least draws.

    Raises:
        GencliError: that is none, or ids occur twice.
    """
    count = share(fraction, len(ids))
    if count == 0:
        raise GencliError(f"--subset: {fraction:g} of {len(ids):,} rows leaves no rows", "give a larger share")
    if len(np.unique(ids)) < len(ids):
        raise GencliError("--subset: ids occur twice, and rows are drawn by their ids", "number the rows anew")
    return float(np.partition(_draws(ids, seed), count - 1)[count - 1])


def seen(ids: NDArray[np.int64], seed: int, below: float | None) -> NDArray[np.bool_]:
    """[n] whether a run of this seed saw the rows of these ids, all of its training table or of others.

    Args:
        below: what `subset` gave, as the run's model says; None for all rows.
    """
    return np.ones(len(ids), bool) if below is None else _draws(ids, seed) <= below


def _draws(ids: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    return Draws(seed, "subset").uniforms(ids)
