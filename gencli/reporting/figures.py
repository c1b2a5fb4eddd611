"""The figures of a report: curves, what follows from corruption levels and regularizers, classes, predictions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gencli.errors import GencliError, nearest
from gencli.files.provenance import Step
from gencli.reporting import alignments, descent, edge, examples, ranking
from gencli.reporting.against import Published
from gencli.reporting.classes import require
from gencli.reporting.documents import Document, corruptions, data_name
from gencli.reporting.forms import Kind
from gencli.reporting.groups import PLAIN, Setup, Table, chains, grouped, names, setups, spread, titles, word
from gencli.reporting.panels import Bars, Curve, Lines, Matrix, Panel, limits
from gencli.reporting.predictions import confusion, density, reliability
from gencli.reporting.removal import PRUNE, removal
from gencli.reporting.runs import best_row, diverged_at, runs_table

_DEFAULT = (
    "train_loss", "train_accuracy", "test_accuracy", "clean_accuracy", "memorized", "recovered", "train_psnr",
    "test_psnr",
)  # fmt: skip
_REGULARIZERS = {"augment", "weight_decay", "dropout", "batch_norm", "label_smoothing", "ema", "early_stop"}


@dataclass(frozen=True)
class Options:
    """The options of a table or a figure: see the command's options of the same names; `published` is of --against."""

    metric: Sequence[str] = ()
    fitted_at: float = 0.99
    best_on_test: bool = False
    published: Published | None = None


def curves(documents: Sequence[Document], options: Options) -> list[Panel]:
    """One panel per metric, one curve per setup; Figure 1a of Zhang et al. 2017 (arXiv:1611.03530) is train_loss.

    Over several seeds a curve is the mean of the runs that came so far, with its standard deviation.

    Raises:
        GencliError: no history has a metric that was asked for.
    """
    known = list(dict.fromkeys(name for each in documents for name in each.rows.column_names if name != "epoch"))
    for metric in options.metric:
        if metric not in known:
            raise GencliError(f"--metric: no history has {metric!r}", nearest(metric, known))
    groups = setups(documents)
    made: list[Panel] = []
    for metric in options.metric or [name for name in _DEFAULT if name in known]:
        found = [_curve(name, group, metric) for name, group in zip(_state(groups), groups)]
        drawn = [curve for curve in found if any(value is not None for value in curve.y)]
        if drawn:
            made.append(Lines(metric.replace("_", " "), "epoch", drawn, limits(metric)))
    return made


def _curve(name: str, group: Setup, metric: str, marks: Sequence[tuple[float, float]] = ()) -> Curve:
    values: dict[int, list[float]] = {}
    for document in group.last:
        if metric in document.rows.column_names:
            for epoch, value in zip(document.rows["epoch"].to_pylist(), document.rows[metric].to_pylist()):
                values.setdefault(epoch, []).extend([] if value is None else [value])
    epochs = sorted(values)
    pairs = [spread(values[epoch]) for epoch in epochs]
    return Curve(name, epochs, [mean for mean, _ in pairs], [deviation for _, deviation in pairs], marks)


def _state(groups: Sequence[Setup]) -> list[str]:
    """The setups' names, and which of them diverged."""
    diverged = [any(diverged_at(each) is not None for each in group.last) for group in groups]
    return [f"{name} (diverged)" if bad else name for name, bad in zip(names(groups), diverged)]


def overfit_time(documents: Sequence[Document], options: Options) -> list[Panel]:
    """Epochs to fit against corruption level, relative to those of the lowest level; Figure 1b of Zhang et al. 2017."""
    return _over_levels(documents, options, "epochs_to_fit")


def test_error(documents: Sequence[Document], options: Options) -> list[Panel]:
    """1 - test accuracy against corruption level; Figure 1c of Zhang et al. 2017."""
    return _over_levels(documents, options, "test_accuracy")


def _over_levels(documents: Sequence[Document], options: Options, score: str) -> list[Panel]:
    table = runs_table(documents, options.fitted_at)
    rows = table.rows.to_pylist() if score in table.rows.column_names else []
    known = [(row, facts["chain"]) for row, facts in zip(rows, table.facts) if row[score] is not None]
    known = [(row, chain) for row, chain in known if PRUNE not in [step.command for step in chain]]  # see removal
    drawn: list[Curve] = []
    for name, points in _series(table, known).items():
        levels = sorted(points)
        values = [points[level][score] for level in levels]
        deviations = [points[level].get(f"{score}_std") for level in levels]
        if score == "epochs_to_fit":
            first = values[0] or math.nan
            values = [value / first for value in values]
            deviations = [None if each is None else each / first for each in deviations]
        else:
            values = [1 - value for value in values]
        drawn.append(Curve(name, levels, values, deviations))
    drawn = [curve for curve in drawn if len(curve.x) > 1]
    if not drawn:
        return []
    if score == "test_accuracy":
        return [Lines("test error", "corruption level", drawn, (0, 1), dots=True)]
    lowest = {curve.x[0] for curve in drawn}
    title = "time to overfit, relative to " + ("true labels" if lowest == {0} else "the lowest level")
    return [Lines(title, "corruption level", drawn, dots=True)]


def _series(table: Table, known: Sequence[tuple[dict[str, Any], list[Step]]]) -> dict[str, dict[float, dict[str, Any]]]:
    """For each kind of corruption of a setup its rows by level; those without a corruption are level 0 of all kinds."""
    keys = [name for name in table.keys if name not in ("corruption", "diverged")]
    varied = [name for name in keys if len({str(row[name]) for row, _ in known}) > 1]
    words: dict[tuple[str, str], set[str]] = defaultdict(set)
    for step in (step for _, chain in known for step in chain):
        for name, value in step.arguments.items():
            words[step.command, name] |= {str(value)} if name != "shard" and isinstance(value, str | bool) else set()
    told = {each for each, values in words.items() if len(values) > 1}
    found: dict[str, dict[float, dict[str, Any]]] = {}
    for same in grouped(known, lambda each: tuple(str(each[0][name]) for name in keys)).values():
        named = {name: value for name in varied if (value := word(same[0][0][name]))}
        setup = ", ".join(value if name in PLAIN else f"{name}={value}" for name, value in named.items())
        corrupted = [(row, chain) for row, chain in same if chain]
        clean = [(row, chain) for row, chain in same if not chain]
        for kind, rows in grouped(corrupted, lambda each: _kind(each[1], told)).items():
            name = ", ".join(filter(None, [setup, kind]))
            found.setdefault(name, {}).update({_level(chain): row for row, chain in [*clean, *rows]})
    return found


def _kind(chain: list[Step], told: set[tuple[str, str]]) -> str:
    """The corruptions with those of their words that tell them from others: fog from snow."""
    return " + ".join(" ".join([step.command.removeprefix("corrupt "), *_words(step, told)]) for step in chain)


def _words(step: Step, told: set[tuple[str, str]]) -> list[str]:
    found = [(name, value) for name, value in step.arguments.items() if value and (step.command, name) in told]
    return [name.replace("_", "-") if value is True else str(value) for name, value in found]


def _level(chain: list[Step]) -> float:
    """Of the last corruption that has one its p, or its first number; 1 where it is all or nothing, 0 without any."""
    for step in reversed(chain):
        for entry in step.given("from"):  # labels that a file gives
            return entry.labels_differ or 0.0
        numbers = {
            name: value for name, value in step.arguments.items()
            if name != "seed" and isinstance(value, float | int)
            and not isinstance(value, bool) and math.isfinite(value)
        }  # fmt: skip
        if numbers:
            return float(numbers.get("p", next(iter(numbers.values()))))
    return float(bool(chain))


def regularizers(documents: Sequence[Document], options: Options) -> list[Panel]:
    """Test curves, the best epoch marked, and test accuracy of the last and the best; Figure 2 of Zhang et al. 2017.

    The best epoch is chosen by validation; with `best_on_test` by the test, and so named.
    """
    groups = [
        group for group in setups(documents) if any("test_accuracy" in each.rows.column_names for each in group.last)
    ]
    chosen = "test_accuracy" if options.best_on_test else "validation_accuracy"
    drawn, last, best = [], [], []
    for name, group in zip(_state(groups), groups):
        points = [point for each in group.last if (point := _best(each, chosen))]
        x, y = (spread(values)[0] for values in zip(*points, strict=True)) if points else (None, None)
        curve = _curve(name, group, "test_accuracy", [] if x is None or y is None else [(x, y)])
        drawn.append(curve)
        last.append(spread(_last(each) for each in group.last))
        best.append(spread(value for _, value in points))
    if not any(value is not None for curve in drawn for value in curve.y):
        return []
    mark = "best on test" if options.best_on_test else "best on validation"
    series = [("last epoch", last)] + ([(mark, best)] if any(mean is not None for mean, _ in best) else [])
    bars = [(name, [mean for mean, _ in pairs], [deviation for _, deviation in pairs]) for name, pairs in series]
    return [
        Lines("test accuracy", "epoch", drawn, (0, 1), mark=mark),
        Bars("test accuracy", [curve.name for curve in drawn], bars, (0, 1)),
    ]


def regularized(histories: Sequence[Document]) -> bool:
    """Whether setups differ in a regularizer, or the best epoch on validation is known."""
    validated = any("validation_accuracy" in each.rows.column_names for each in histories)
    return validated or any(_REGULARIZERS & group.facts.keys() for group in setups(histories))


def _best(document: Document, chosen: str) -> tuple[float, float] | None:
    columns = document.rows.column_names
    row = best_row(document.rows[chosen].to_pylist()) if {chosen, "test_accuracy"} <= set(columns) else None
    if row is None or document.rows["test_accuracy"][row].as_py() is None:
        return None
    return document.rows["epoch"][row].as_py(), document.rows["test_accuracy"][row].as_py()


def _last(document: Document) -> float | None:
    return document.rows["test_accuracy"][-1].as_py() if "test_accuracy" in document.rows.column_names else None


def classes(documents: Sequence[Document], options: Options) -> list[Panel]:
    """One bar per class and setup of each metric, accuracy by default, or PSNR.

    Raises:
        GencliError: no result has a metric that was asked for.
    """
    for metric in options.metric:
        require(documents, metric)
    known = {name for each in documents for name in each.rows.column_names}
    made: list[Panel] = []
    for metric in options.metric or [name for name in ("accuracy", "psnr") if name in known]:
        having = [each for each in documents if metric in each.rows.column_names]
        groups = setups(having, measured=True)
        labels = list(dict.fromkeys(label for each in having for label in _labels(each)))
        series = []
        for name, group in zip(names(groups), groups):
            runs = [dict(zip(_labels(each), each.rows[metric].to_pylist())) for each in group.last]
            pairs = [spread(run.get(label) for run in runs) for label in labels]
            series.append((name, [mean for mean, _ in pairs], [deviation for _, deviation in pairs]))
        made.append(Bars(metric.replace("_", " "), [name for _, name in labels], series, limits(metric)))
    return made


def _labels(document: Document) -> list[tuple[int, str]]:
    return list(zip(document.rows["label"].to_pylist(), document.rows["name"].to_pylist(), strict=True))


def _confusion(documents: Sequence[Document], options: Options) -> list[Panel]:
    return [
        Matrix(name if len(documents) > 1 else "confusion matrix", *confusion(group.last))
        for name, group in _named(documents)
    ]


def _reliability(documents: Sequence[Document], options: Options) -> list[Panel]:
    found = [(name, reliability(group.last)) for name, group in _named(documents)]
    drawn = [
        Curve(f"{name}: calibration error {each.error:.4f}", each.confidence, each.accuracy)
        for name, each in found if each is not None
    ]  # fmt: skip
    perfect = Curve("perfect calibration", (0, 1), (0, 1))
    return [Lines("accuracy in 15 bins of confidence", "confidence", [*drawn, perfect], (0, 1), True)] if drawn else []


def _density(documents: Sequence[Document], options: Options) -> list[Panel]:
    drawn = [Curve(name, *density(document)) for name, group in _named(documents) for document in group.last]
    return [Lines("spectral density", "eigenvalue", drawn, log=True)]


def _energy(documents: Sequence[Document], options: Options) -> list[Panel]:
    return [alignments.energies(_whole(documents))]


def _descent(documents: Sequence[Document], options: Options) -> list[Panel]:
    named = _whole(documents)
    return [alignments.descents(named), alignments.accuracies(named)]


def _whole(documents: Sequence[Document]) -> list[tuple[str, Any]]:
    """The rows of all classes together, by kernel where there are several, and by data."""
    kernels = [str(each.made.arguments.get("kernel", "")) if each.made else "" for each in documents]
    chained = chains([corruptions(each.data) for each in documents], {"seed"})
    told = [f"{data_name(each.data)}, {chain}" if each.data else each.title for each, chain in zip(documents, chained)]
    if len(set(kernels)) > 1:
        told = [f"{kernel}, {name}" for kernel, name in zip(kernels, told)]
    if len(set(told)) < len(told):
        told = titles(documents)
    return [(name, alignments.whole(each.rows)) for name, each in zip(told, documents)]


def _named(documents: Sequence[Document]) -> list[tuple[str, Setup]]:
    groups = setups(documents, measured=True)
    return list(zip(names(groups), groups, strict=True))


@dataclass(frozen=True)
class Figure:
    """A kind of figure: the files it is drawn from, its heading, its panels, and what is lacking if there are none.

    Attributes:
        needs: kinds of which there is one at least.
        also: kinds that add to it.
    """

    needs: tuple[Kind, ...]
    title: str
    panels: Callable[[Sequence[Document], Options], list[Panel]]
    lacks: str
    also: tuple[Kind, ...] = ()


FIGURES: dict[str, Figure] = {
    "removal": Figure(
        ("history", "result"), "Rows removed by a score, and at random", lambda given, _: removal(given),
        "no runs tested without the rows that gencli corrupt prune removes",
    ),
    "memorization": Figure(
        ("scores",), "Memorization", lambda given, _: examples.memorization(given),
        "no memorization, which takes networks that left rows out", ("influence", "images"),
    ),
    "curves": Figure(("history",), "Learning curves", curves, "no column to draw"),
    "overfit-time": Figure(
        ("history",), "Time to overfit against corruption level", overfit_time,
        "no setup that fitted data at two corruption levels (see --fitted-at)",
    ),
    "test-error": Figure(
        ("history", "result"), "Test error against corruption level", test_error,
        "no setup tested at two corruption levels",
    ),
    "regularizers": Figure(
        ("history",), "Regularizers and early stopping", regularizers, "no history with a test accuracy"
    ),
    "classes": Figure(("result",), "Classes", classes, "no accuracy of classes"),
    "confusion": Figure(("confusion",), "Confusion matrix", _confusion, "no confusion matrix"),
    "reliability": Figure(("predictions",), "Reliability diagram", _reliability, "no probabilities"),
    "density": Figure(("density",), "Spectral density", _density, "no density"),
    "cartography": Figure(
        ("dynamics", "scores"), "Confidence against variability", lambda given, _: examples.cartography(given),
        "no confidence and variability",
    ),
    "learning-order": Figure(
        ("dynamics", "scores"), "When rows are learned", lambda given, _: examples.learning_order(given),
        "no epochs in which rows were learned",
    ),
    "double-descent": Figure(
        ("history", "result"), "Double descent", lambda given, options: descent.panels(
            descent.descents(given, options.fitted_at)
        ),
        "no learners tested at four sizes, with their threshold (results on the rows that they were fitted to)",
    ),
    "edge-of-stability": Figure(
        ("history",), "The edge of stability", lambda given, _: [*edge.panels(given)],
        "no sharpness of a full-batch run of sgd at a constant rate, without decay",
    ),
    "rank": Figure(
        ("measures", "history", "result"), "Measures against the gap", lambda given, _: [*ranking.panels(given)],
        "fewer than five runs with measures on their training rows, train and test accuracy",
    ),
    "energy": Figure(("energy",), "The labels' energy along a kernel's eigenvectors", _energy, "no energies"),
    "descent": Figure(("descent",), "Gradient descent on a kernel", _descent, "no steps"),
}  # fmt: skip


def draw(kind: str, documents: Sequence[Document], options: Options) -> list[Panel]:
    """The panels of a figure, none if no file is of a kind that it needs or none has what it shows."""
    figure = FIGURES[kind]
    if not any(document.kind in figure.needs for document in documents):
        return []
    return figure.panels([each for each in documents if each.kind in (*figure.needs, *figure.also)], options)
