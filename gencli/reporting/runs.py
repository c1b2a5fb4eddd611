"""The table of runs: one row per setup, in the form of Table 1 of Zhang et al. 2017."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gencli.reporting.documents import Document, corruptions, data_name
from gencli.reporting.groups import (
    Setup,
    Table,
    arguments,
    assemble,
    content,
    grouped,
    on_part,
    setups,
    spread,
    tested_on,
    told_tables,
)  # fmt: skip

_MEASURED = ("train_accuracy", "validation_accuracy", "test_accuracy", "train_psnr", "validation_psnr", "test_psnr")
_SCORES = (
    *_MEASURED, "gap", "epochs", "epochs_to_fit", "kept_epoch", "best_epoch", "best_test_accuracy", "best_test_psnr",
    "best_epoch_on_test", "best_test_accuracy_on_test", "best_test_psnr_on_test", "norm",
)  # fmt: skip
_TRAINED = [name for name in _MEASURED if not name.startswith("test")]


def runs_table(documents: Sequence[Document], fitted_at: float, best_on_test: bool = False) -> Table:
    """One row per setup and data set it was tested on; runs that differ only in seeds share one row, with their means.

    Columns: network, data (its split where that is not train), corruption, each training setting in which the setups
    differ, `tested_on` where that differs, `diverged` where a loss became NaN or infinite (at which epoch, or in how
    many of the runs), `runs` where there are several of a setup; then scores, with sample standard deviations as
    `NAME_std`: train_accuracy, validation_accuracy where rows were held out, test_accuracy, the same with psnr where
    there are image-to-image networks, gap (train less test), epochs, epochs_to_fit (the first with a train accuracy of
    at least `fitted_at`; null where a run has none), kept_epoch where a run kept another model than its last,
    best_epoch (by validation) and best_test_accuracy (of that epoch), and with `best_on_test`, where the test chose
    the epoch, the same ending in on_test; norm where results have it. Scores come from a run's history, of the epoch
    whose model it kept, and from results: on the table it was trained on, or on another.
    """
    groups = setups(documents)
    tested = [(each, each.tested) for each in documents if each.tested is not None]
    tables = told_tables(tested, data_name, tested_on)  # a run and its test may be corrupted alike
    rows: list[dict[str, Any]] = []
    parts: list[tuple[Setup, list[dict[str, Any]]]] = []
    for group in groups:
        found = [each for run in group.runs for each in figures(run, fitted_at, best_on_test, tables)]
        known = any(each["tested_on"] for each in found)
        parts += [(group, several) for several in _by_test(found, known)]
    for group, several in parts:
        row = group.facts | {"tested_on": several[0]["tested_on"], "runs": len(several)}
        row["diverged"] = _diverged([each["diverged"] for each in several])
        for name in _SCORES:
            values = [each.get(name) for each in several]
            whole = name != "epochs_to_fit" or None not in values
            row[name] = spread(values) if whole and any(value is not None for value in values) else None
        rows.append(row)
    settings = [name for name in groups[0].facts if name not in ("network", "data", "corruption")]
    keys = [*groups[0].facts]
    keys += ["tested_on"] if len({row["tested_on"] for row in rows if row["tested_on"]}) > 1 else []
    keys += ["diverged"] if any(row["diverged"] for row in rows) else []
    psnr = any(row["test_psnr"] or row["train_psnr"] for row in rows)
    always = {"epochs", "epochs_to_fit"} | (set() if psnr else {"train_accuracy", "test_accuracy", "gap"})
    scores = [name for name in _SCORES if name in always or any(row[name] is not None for row in rows)]
    facts = tuple(
        arguments(group.documents[0]) | group.facts | {"chain": corruptions(group.documents[0].trained_on)}
        for group, _ in parts
    )
    notes = [
        f"{name}: {len(known)} of {len(several)} runs of {row['network']}, {row['corruption']}"
        for row, (_, several) in zip(rows, parts)
        for name in scores
        if name != "epochs_to_fit"
        and 0 < len(known := [each for each in several if each.get(name) is not None]) < len(several)
    ]
    notes += on_part(documents)
    unknown = [each for each in documents if each.kind == "result" and each.training is None]
    if any({"accuracy", "psnr"} & set(each.rows.column_names) for each in unknown):
        notes.append("results that do not say how they were made, such as those in CSV and JSON, are taken for tests")
    table = assemble(rows, keys, scores, any(row["runs"] > 1 for row in rows))
    behind = tuple(group.documents for group, _ in parts)
    return Table("runs", table, tuple(settings), tuple(scores), behind, facts, tuple(notes))


def _by_test(figures: list[dict[str, Any]], tested: bool) -> list[list[dict[str, Any]]]:
    """The runs' figures by the data set they were tested on; those of runs without a test go with the first."""
    found = grouped(figures, lambda each: each["tested_on"])
    if tested and "" in found:
        untested = found.pop("")
        next(iter(found.values())).extend(untested)
    return list(found.values())


def _diverged(epochs: list[int | None]) -> str | None:
    known = [epoch for epoch in epochs if epoch is not None]
    if not known:
        return None
    return f"epoch {known[0]}" if len(epochs) == 1 else f"{len(known)} of {len(epochs)} runs"


def figures(
    run: list[Document], fitted_at: float, best_on_test: bool, tables: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The figures of one run's documents, one dictionary per data set it was tested on, by `tables` as it is called.

    A result on all rows of a table of which the run saw a part tells no accuracy of training.
    """
    shared: dict[str, Any] = {"diverged": None}
    tests: dict[str, dict[str, Any]] = {}
    for document in run:
        score = "psnr" if {"psnr", "train_psnr"} & set(document.rows.column_names) else "accuracy"
        if document.kind == "history":
            here, there = _of_history(document, score, fitted_at, best_on_test)
            shared |= here
            if there:
                tests.setdefault(content(document.tested), {}).update(there)
        elif document.kind == "result" and score in document.rows.column_names:
            overall = document.rows[score][-1].as_py()
            if "norm" in document.rows.column_names:
                shared["norm"] = document.rows["norm"][-1].as_py()
            if not document.on_training:
                tests.setdefault(content(document.tested), {})[f"test_{score}"] = overall
            elif not document.partial:
                shared[f"train_{score}"] = overall
    found: list[dict[str, Any]] = [
        shared | scores | {"tested_on": (tables or {}).get(key, "")} for key, scores in (tests or {"": {}}).items()
    ]
    for each in found:
        for score in ("accuracy", "psnr"):
            train, test = each.get(f"train_{score}"), each.get(f"test_{score}")
            if train is not None and test is not None:
                each["gap"] = train - test
    return found


def _of_history(
    document: Document, score: str, fitted_at: float, best_on_test: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a history says of the run, and of the test."""
    columns = document.rows.to_pydict()
    epochs = columns["epoch"]
    validation, test = columns.get(f"validation_{score}"), columns.get(f"test_{score}")
    best = best_row(validation)
    stopped = arguments(document).get("early_stop") is not None
    kept = best if stopped and best is not None else len(epochs) - 1
    run = {
        "epochs": epochs[-1],
        "diverged": diverged_at(document),
    } | {name: values[kept] for name, values in columns.items() if name in _TRAINED}
    if kept != len(epochs) - 1:
        run["kept_epoch"] = epochs[kept]
    accuracies = zip(epochs, columns.get("train_accuracy") or [None] * len(epochs), strict=True)
    run["epochs_to_fit"] = next((e for e, a in accuracies if a is not None and a >= fitted_at), None)
    tested: dict[str, Any] = {}
    if test and any(value is not None for value in test):
        tested[f"test_{score}"] = test[kept]
        for suffix, row in (("", best), ("_on_test", best_row(test) if best_on_test else None)):
            if row is not None:
                tested |= {f"best_epoch{suffix}": epochs[row], f"best_test_{score}{suffix}": test[row]}
    return run, tested


def diverged_at(history: Document) -> int | None:
    """The first epoch whose training loss is NaN or infinite."""
    pairs = zip(*(history.rows[name].to_pylist() for name in ("epoch", "train_loss")), strict=True)
    return next((epoch for epoch, loss in pairs if loss is not None and not math.isfinite(loss)), None)


def best_row(values: Sequence[float | None] | None) -> int | None:
    """The place of the largest number, the first of equals; None where there is none."""
    known = [row for row, value in enumerate(values or []) if value is not None and math.isfinite(value)]
    return max(known, key=lambda row: (values or [])[row], default=None)  # pyright: ignore[reportArgumentType, reportCallIssue]
