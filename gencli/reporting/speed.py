"""How fast networks fit their data beside what a kernel predicts of it: rank correlations, and what they say in words.

Histories and results of `gencli spectrum --kernel` belong together where both were made of one table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.randomness import derive
from gencli.reporting.against import Published, compare
from gencli.reporting.documents import Document
from gencli.reporting.groups import Setup, Table, assemble, grouped, setups, spread, word
from gencli.reporting.runs import figures

PREDICTED = {"complexity": "complexity", "time_to_fit": "time to fit", "time_to_loss": "time to loss 0.01"}
_RESAMPLED = 2000
_FEWEST = 3  # kinds of data that have an order
_MOST = 7  # kinds of data whose orders are counted one by one
_CONFIDENCE = 95  # per cent
_ROUNDING = 1e-6  # relative: a kernel that does not see a permutation of pixels gives the same but for rounding
_SAME = 1e-12  # a difference of correlations that is one of rounding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Kind:
    """One kind of data.

    Attributes:
        epochs: [runs] to fit, infinite of a run that does not.
        predicted: by name.
    """

    row: dict[str, Any]
    name: str
    epochs: Floats
    predicted: dict[str, float]
    documents: tuple[Document, ...]


def speed_table(
    histories: Sequence[Document],
    alignments: Sequence[Document],
    fitted_at: float,
    published: Published | None = None,
) -> Table:
    """One row per setup and kernel: network, data, corruption, settings in which they differ, kernel, runs; then
    epochs_to_fit (null where a run does not fit), complexity, time_to_fit and time_to_loss as the kernel has them.

    The notes compare the orders, for each network and kernel: the measured one with the predicted ones, and both with
    the published one where the published figures have epochs to fit.

    Raises:
        GencliError: no history was trained on a table of which a kernel is given.
    """
    groups = setups(histories)
    kinds = [kind for group in groups for kind in _kinds(group, alignments, fitted_at)]
    if not kinds:
        raise GencliError(
            f"{alignments[0].title}: no history was trained on this table",
            "give histories of gencli train on the tables that gencli spectrum --kernel read",
        )
    settings = [name for name in groups[0].facts if name not in ("network", "data", "corruption")]
    keys = [*groups[0].facts, "kernel"]
    scores = ["epochs_to_fit", *PREDICTED]
    rows = assemble([kind.row for kind in kinds], keys, scores, True)
    made = Table("speed", rows, tuple(settings), tuple(scores), tuple(kind.documents for kind in kinds))
    theirs: list[float | None] = [None] * len(kinds)
    if published and "epochs_to_fit" in published.columns:
        theirs = compare(made, published).rows["published_epochs_to_fit"].to_pylist()
    notes: list[str] = []
    same = grouped(
        list(zip(kinds, theirs)), lambda each: tuple(str(each[0].row[name]) for name in keys if name != "corruption")
    )
    for pairs in same.values():
        several = [kind for kind, _ in pairs]
        title = ", ".join(word(several[0].row[name]) for name in ("network", "data", "kernel"))
        lines = _compared(several) + _published([(kind, value) for kind, value in pairs if value is not None])
        notes += [f"{title}: {line}" for line in lines]
    return replace(made, notes=tuple(notes))


def _kinds(group: Setup, alignments: Sequence[Document], fitted_at: float) -> list[_Kind]:
    trained = {document.trained_on.sha256 for document in group.documents if document.trained_on}
    epochs = [each.get("epochs_to_fit") for run in group.runs for each in figures(run, fitted_at, False)]
    found = []
    for document in alignments:
        of = document.training  # of an empirical kernel's network, which is one of these
        if document.data is None or document.data.sha256 not in trained:
            continue
        if of is not None and of.arguments.get("arch") != group.facts["network"]:
            continue
        told = document.made.arguments if document.made else {}
        columns = (document.rows[each].to_pylist() for each in ("quantity", "class", "value"))
        values = {quantity: value for quantity, of_class, value in zip(*columns) if not of_class}
        predicted = {name: values.get(quantity, math.nan) for name, quantity in PREDICTED.items()}
        row = group.facts | {"kernel": told.get("kernel") or document.title, "runs": len(epochs)}
        row["epochs_to_fit"] = None if None in epochs else spread(epochs)
        row |= {name: (value, None) for name, value in predicted.items()}
        name = str({"none": "true labels"}.get(row["corruption"], row["corruption"]))
        reached = np.array([math.inf if each is None else each for each in epochs], float)
        found.append(_Kind(row, name, reached, predicted, (*group.documents, document)))
    return found


def _compared(kinds: Sequence[_Kind]) -> list[str]:
    """Lines on how the measured order and the predicted ones agree."""
    if len(kinds) < _FEWEST:
        return [f"{len(kinds)} kinds of data, too few for an order"]
    means = np.array([kind.epochs.mean() for kind in kinds])
    lines = [f"measured {_order(kinds, means, ' epochs')}"]
    unclear = [
        f"{one.name} and {other.name}" for one, other in combinations(kinds, 2) if not _apart(one.epochs, other.epochs)
    ]
    if unclear:
        lines.append(f"measured within the spread of the runs: {', '.join(unclear)}")
    for name, quantity in PREDICTED.items():
        values = np.array([kind.predicted[name] for kind in kinds])
        if not np.isnan(values).any():
            lines.append(f"by {quantity} {_order(kinds, values, '')}: {_verdict(kinds, means, values)}")
    return lines


def _published(pairs: Sequence[tuple[_Kind, float]]) -> list[str]:
    """A line on whether the published order is the measured one, and how the predicted ones agree with it."""
    if len(pairs) < _FEWEST:
        return []
    kinds, values = [kind for kind, _ in pairs], np.array([value for _, value in pairs])
    slower, here = _signs(values), _signs(np.array([kind.epochs.mean() for kind in kinds]))
    wrong = [(kinds[j], kinds[i]) for i, j in zip(*np.nonzero((slower < 0) & (here >= 0)))]
    clear = [(first, second) for first, second in wrong if _apart(first.epochs, second.epochs)]
    if clear:
        others = ", ".join(f"{first.name} before {second.name}" for first, second in clear)
        said = f"another was measured here ({others}), so what explains the measured order need not explain this one"
    elif wrong:
        said = "the runs here do not tell whether theirs is another"
    else:
        said = "it was measured here too"
    agree = [f"{_agreeing(here, slower)} as measured here"]
    for name, quantity in PREDICTED.items():
        predicted = np.array([kind.predicted[name] for kind in kinds])
        if not np.isnan(predicted).any():
            agree.append(f"{_agreeing(_signs(predicted), slower)} as by {quantity}")
    count = math.comb(len(kinds), 2)
    return [f"published {_order(kinds, values, '')}: {said}; of its {count} pairs {', '.join(agree)}"]


def _agreeing(one: Floats, other: Floats) -> int:
    """Of how many pairs both say which is larger, and the same."""
    return int((one * other > 0).sum()) // 2


def _order(kinds: Sequence[_Kind], values: Floats, unit: str) -> str:
    places = np.argsort(values, kind="stable")
    words = [f"{kinds[place].name} ({values[place]:.4g}{unit})" for place in places]
    larger = _signs(values)
    signs = ["<" if larger[other, one] else "=" for one, other in pairwise(places)]
    return words[0] + "".join(f" {sign} {each}" for sign, each in zip(signs, words[1:]))


def _verdict(kinds: Sequence[_Kind], means: Floats, values: Floats) -> str:
    tau, rho = kendall(means, values), spearman(means, values)
    if math.isnan(tau):
        return "no order"
    words = f"Kendall's tau {tau:.2f}{_interval(kinds, values)}, Spearman's rho {rho:.2f}"
    if len(kinds) <= _MOST:
        orders = [kendall(means, values[list(order)]) for order in permutations(range(len(kinds)))]
        words += f"; of {len(orders)} orders {sum(each >= tau - _SAME for each in orders)} agree as well or better"
    slower, predicted = _signs(means), _signs(values)
    wrong = [(kinds[i], kinds[j]) for j, i in zip(*np.nonzero((slower > 0) & (predicted <= 0)))]
    if not wrong:
        return f"{words}; it explains the measured order"
    clear = [(first, second) for first, second in wrong if _apart(first.epochs, second.epochs)]
    fails = ", ".join(f"{first.name} before {second.name}" for first, second in clear or wrong)
    pairs = math.comb(len(kinds), 2)
    words += f"; {pairs - len(wrong)} of {pairs} pairs agree"
    if not clear:
        return f"{words}, and the runs do not tell the others apart clearly ({fails})"
    return f"{words}; it fails where the networks fit {fails}"


def _apart(one: Floats, other: Floats) -> bool:
    """Whether all runs of one are faster than all of the other."""
    return bool(one.max() < other.min() or other.max() < one.min())


def _interval(kinds: Sequence[_Kind], values: Floats) -> str:
    """The bootstrap's percentile interval over the runs of each kind; the predictions stay."""
    if min(len(kind.epochs) for kind in kinds) < 2:
        return " (one run each, so no interval)"
    random = np.random.default_rng(derive(0, "speed", "bootstrap"))
    drawn = [random.choice(kind.epochs, (_RESAMPLED, len(kind.epochs))).mean(1) for kind in kinds]
    found = [kendall(means, values) for means in np.array(drawn).T]
    low, high = np.percentile(found, [(100 - _CONFIDENCE) / 2, (100 + _CONFIDENCE) / 2])
    return f" ({_CONFIDENCE} % over runs: {low:.2f} to {high:.2f})"


def _signs(values: Floats) -> Floats:
    """[n, n] which of two is larger, 0 where they are equal up to rounding."""
    apart = ~np.isclose(values[:, None], values, rtol=_ROUNDING, atol=0)
    return np.where(apart, (values[:, None] > values).astype(float) - (values[:, None] < values), 0.0)


def kendall(x: Floats, y: Floats) -> float:
    """Kendall's tau-b of [n] and [n], which may be infinite; NaN where one is constant. Kendall 1945, Biometrika 33."""
    one, other = _signs(x), _signs(y)
    scale = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale else math.nan


def spearman(x: Floats, y: Floats) -> float:
    """Spearman's rho: the correlation of the ranks, equal values having their mean rank."""
    one, other = _signs(x).sum(1), _signs(y).sum(1)
    scale = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale else math.nan
