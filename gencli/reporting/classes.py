"""The tables of classes and of corruptions, of one or several results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gencli.errors import GencliError, nearest
from gencli.reporting.documents import Document, corruptions
from gencli.reporting.groups import Setup, Table, apart, arguments, assemble, grouped, on_part, setups, spread, titles

Row = dict[str, Any]

_PARTS = ("head", "middle", "tail", "all")
_COUNTS = ("label", "n", "corrupted")
_MEAN = "mean_corruption_error"


def classes_table(documents: Sequence[Document]) -> Table:
    """The rows of all results; of several, behind columns for what tells them apart, or their file.

    The setting loss is the column loss_function, as loss is what was measured.

    Rows of one class of runs that differ only in seeds are one row, with means, standard deviations and their number.
    """
    groups = setups(documents, measured=True)
    told = [
        {"loss_function" if name == "loss" else name: value for name, value in each.items()} for each in _apart(groups)
    ]
    measured = list(dict.fromkeys(name for each in documents for name in each.rows.column_names))
    scores = [name for name in measured if name not in ("label", "name", "n", "corrupted")]
    scores = [name for name in scores if any(_has(each, name) for each in documents)]
    rows: list[Row] = []
    behind: list[tuple[Document, ...]] = []
    differ = set[str]()
    for names, group in zip(told, groups):
        several = [row for each in group.last for row in each.rows.to_pylist()]
        for same in grouped(several, lambda row: (row["label"], row["name"])).values():
            found = {name: {row.get(name) for row in same} for name in _COUNTS if name in measured}
            differ |= {name for name, values in found.items() if len(values) > 1}
            counts = {name: values.pop() if len(values) == 1 else None for name, values in found.items()}
            figures = {name: spread(row.get(name) for row in same) for name in scores}
            rows.append(names | counts | {"name": same[0]["name"], "runs": len(same)} | figures)
            behind.append(group.documents)
    keys = [*(told[0] if told else {}), "label", "name", *(name for name in ("n", "corrupted") if name in measured)]
    facts = tuple(_facts(files) for files in behind)
    table = assemble(rows, keys, scores, any(row["runs"] > 1 for row in rows))
    notes = on_part(documents) + [f"{name}: runs differ in it, where none is given" for name in sorted(differ)]
    return Table("classes", table, _settings(keys), tuple(scores), tuple(behind), facts, tuple(notes))


def long_tail_table(documents: Sequence[Document], training: Sequence[Document], metric: str = "accuracy") -> Table:
    """One row per loss (setup), one column per class; then head, middle, tail (means over thirds of classes), all.

    The first row is n, the rows of each class in the training table, where it is known: from an image table that is
    given, or from a result on the table that the network was trained on. It orders the classes for the thirds, the
    head and the tail having int(C / 3) of C classes; where it is unknown, the order of the labels does if the training
    table was made by `corrupt long-tail` or `step-imbalance`, and otherwise the thirds are null.

    Args:
        documents: results.
        training: image tables.
        metric: a column of the results.

    Raises:
        GencliError: no result has it, or setups were trained on tables with different n.
    """
    require(documents, metric)
    tests = [each for each in documents if not each.on_training] or list(documents)
    groups = setups(tests, measured=True)
    told = _apart(groups, "loss")
    labels = list(dict.fromkeys(each for document in tests for each in _classes(document)))
    counted = [*training, *(each for each in documents if each.on_training)]
    n, note = _training_counts(counted, tests)
    if n is not None:
        n = {label: n[label] for label in labels if label in n}
    ordered = sorted(n, key=lambda label: -n[label]) if n else labels if all(map(is_tailed, tests)) else []
    third = len(ordered) // 3
    last = len(ordered) - third
    parts = {"head": ordered[:third], "middle": ordered[third:last], "tail": ordered[last:]}
    names = _headings(labels, {*(told[0] if told else {}), "runs", *_PARTS})
    rows: list[Row] = []
    for told_apart, group in zip(told, groups):
        each_run = [_means(document, metric, parts) for document in group.last if metric in document.rows.schema.names]
        values = {heading: spread(run[label] for run in each_run if label in run) for label, heading in names.items()}
        rows.append(
            told_apart | {"runs": len(each_run)} | values
            | {part: spread(run.get(part) for run in each_run) for part in _PARTS}
        )  # fmt: skip
    keys = [*(told[0] if told else {})]
    several = any(len(group.runs) > 1 for group in groups)
    behind = [group.documents for group in groups]
    if n:
        rows.insert(0, _counts(n, names, keys))
        behind.insert(0, tuple(counted))
    notes = [note] if note else []
    notes.append(
        f"head and tail: {third} classes each, the most and the least frequent; middle: the others"
        if ordered
        else "head, middle, tail: n of the training table is unknown; also give that table"
    )
    scores = (*names.values(), *_PARTS)
    facts = tuple(({},) if n else ()) + tuple(_facts(group.documents) for group in groups)
    table = assemble(rows, keys, scores, several)
    return Table("long-tail", table, _settings(keys), scores, tuple(behind), facts, tuple(notes), counted=bool(n))


def _counts(n: dict[tuple[int, str], int], names: dict[tuple[int, str], str], keys: list[str]) -> Row:
    """The row of the numbers of training rows."""
    counts = {heading: (float(n[label]), None) for label, heading in names.items() if label in n}
    return dict.fromkeys(keys, "") | {keys[0]: "n in training"} | counts | {"all": (float(sum(n.values())), None)}


def _has(document: Document, score: str) -> bool:
    rows = document.rows
    return score in rows.column_names and rows[score].null_count < len(rows)


def corruptions_table(documents: Sequence[Document]) -> Table:
    """One row per setup, one column per kind of corruption: its mean error over severities; first the mean over kinds.

    Columns: what tells setups apart, clean_error where a result on data without a corruption is given,
    mean_corruption_error as `gencli eval` computes it, then the kinds. Hendrycks, Dietterich 2019, arXiv:1903.12261.

    Raises:
        GencliError: no result is grouped by corruption.
    """
    measured = [each for each in documents if "corruption_error" in each.rows.column_names]
    if not measured:
        raise GencliError(
            f"{documents[0].title}: no column corruption_error", "evaluate the output of `gencli corrupt common --all`"
        )
    runs = {each.run for each in measured}
    plain = [each for each in documents if each.run in runs and each not in measured and _is_clean(each)]
    groups = setups([*measured, *plain])
    told = _apart(groups)
    errors = [[_errors(run) for run in group.runs] for group in groups]
    found = {name for runs in errors for each in runs for name in each}
    lead = [name for name in ("clean_error", _MEAN) if name in found]
    kinds = list(dict.fromkeys(name for runs in errors for each in runs for name in each if name not in lead))
    rows: list[Row] = [
        keys | {"runs": len(runs)} | {name: spread(each.get(name) for each in runs) for name in [*lead, *kinds]}
        for keys, runs in zip(told, errors)
    ]
    keys, scores = [*told[0]], (*lead, *kinds)
    behind = tuple(group.documents for group in groups)
    table = assemble(rows, keys, scores, any(len(runs) > 1 for runs in errors))
    return Table("corruptions", table, _settings(keys), scores, behind, tuple(map(_facts, behind)))


def _apart(groups: Sequence[Setup], always: str | None = None) -> list[dict[str, str]]:
    told: list[dict[str, str]] = apart(groups) if len(groups) > 1 else [{} for _ in groups]
    if always and all(always in arguments(group.documents[0]) for group in groups):
        told = [{always: str(arguments(group.documents[0])[always])} | each for group, each in zip(groups, told)]
    elif not told[0] and always:
        told = [{"result": title} for title in titles([group.documents[0] for group in groups])]
    return told


def _settings(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        name for name in keys if name not in ("network", "data", "corruption", "result", "tested_on", "name", *_COUNTS)
    )


def _facts(documents: Sequence[Document]) -> dict[str, Any]:
    return arguments(documents[0]) if documents else {}


def require(documents: Sequence[Document], metric: str) -> None:
    """Refuses a metric that no result has as numbers."""
    known = [name for each in documents for name in each.rows.column_names if name not in ("label", "name")]
    if metric not in known:
        raise GencliError(f"--metric: no result has {metric!r}", nearest(metric, dict.fromkeys(known)))


def _is_clean(document: Document) -> bool:
    return "accuracy" in document.rows.column_names and not document.on_training and not corruptions(document.data)


def is_tailed(document: Document) -> bool:
    """Whether it is of a network trained on what `corrupt long-tail` or `step-imbalance` made."""
    kinds = {step.command for step in corruptions(document.trained_on)}
    return bool(kinds & {"corrupt long-tail", "corrupt step-imbalance"})


def _classes(document: Document) -> list[tuple[int, str]]:
    rows = zip(document.rows["label"].to_pylist(), document.rows["name"].to_pylist(), strict=True)
    return [(label, name) for label, name in rows if label is not None]


def _headings(labels: Sequence[tuple[int, str]], taken: set[str]) -> dict[tuple[int, str], str]:
    names = [name for _, name in labels]
    distinct = len({*names, *taken}) == len(names) + len(taken)
    return {(label, name): name if distinct else f"{label} {name}" for label, name in labels}


def _training_counts(
    counted: Sequence[Document], tests: Sequence[Document]
) -> tuple[dict[tuple[int, str], int] | None, str]:
    """The rows of each class in the table that the networks were trained on, and a note where that is not certain."""
    wanted = {each.trained_on.sha256 for each in tests if each.trained_on}
    known = [(each, dict(zip(_classes(each), each.rows["n"].to_pylist()))) for each in counted]
    fitting = [(each, n) for each, n in known if each.data and each.data.sha256 in wanted]
    chosen = fitting or known
    if other := next((each for each, n in chosen if n != chosen[0][1]), None):
        if not fitting:
            return None, f"n: {chosen[0][0].title} and {other.title} differ, and the networks were trained on neither"
        raise GencliError(f"{other.title}: n differs from {chosen[0][0].title}", "give one training table")
    if not chosen:
        return None, ""
    return chosen[0][1], "" if fitting else f"n: of {chosen[0][0].title}, taken for the training table"


def _means(document: Document, metric: str, parts: dict[str, list[Any]]) -> dict[Any, float | None]:
    """The metric of each class, over the parts' classes that have it, and over all rows."""
    values: dict[Any, float | None] = dict(zip(_classes(document), document.rows[metric].to_pylist()))
    means = {part: spread(values.get(label) for label in labels)[0] for part, labels in parts.items()}
    return values | means | {"all": document.rows[metric][-1].as_py()}


def _errors(run: Sequence[Document]) -> dict[str, float | None]:
    """A run's clean error, its mean corruption error, and each kind's mean over severities."""
    found: dict[str, float | None] = {}
    for document in run:
        if "corruption_error" not in document.rows.column_names:
            found["clean_error"] = 1 - document.rows["accuracy"][-1].as_py()
            continue
        rows = document.rows.to_pylist()
        found[_MEAN] = rows[-1]["corruption_error"]
        for kind, same in grouped(rows[:-1], lambda row: _kind(row["name"])).items():
            found[kind] = spread(row["corruption_error"] for row in same)[0]
    return found


def _kind(name: str) -> str:
    kind, _, severity = name.rpartition(" ")
    return kind if kind and severity.isdigit() else name
