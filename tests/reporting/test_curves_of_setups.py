"""Which curves, bars and matrices the setups of a report make, and what these are called."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gencli.errors import GencliError
from gencli.files import provenance
from gencli.files.provenance import Step
from gencli.reporting import figures
from gencli.reporting.documents import Document
from gencli.reporting.figures import Options, draw
from gencli.reporting.panels import Bars, Curve, Lines, Matrix
from tests.reporting.made import data_step, history, measured, read, result, training

NOTHING: Any = [None, None]
near: Any = pytest.approx


def test_curves_are_of_the_scores_and_setups_that_have_values(tmp_path: Path) -> None:
    runs = [
        history(tmp_path / "a", training(lr=0.1), test_accuracy=[0.25, 0.5], memorized=NOTHING),
        history(tmp_path / "b", training(lr=0.2), test_accuracy=NOTHING, clean_accuracy=[None, 0.5]),  # type: ignore[list-item]
        history(tmp_path / "c", training(lr=0.3), train_psnr=[9.0, 10.0]),
    ]
    found = draw("curves", runs, Options())
    assert all(isinstance(each, Lines) for each in found)
    told = {each.title: (each.across, each.limits, [curve.name for curve in each.curves]) for each in found
            if isinstance(each, Lines)}  # fmt: skip
    three = ["lr=0.1", "lr=0.2", "lr=0.3"]
    assert told == {
        "train loss": ("epoch", None, three), "train accuracy": ("epoch", (0, 1), three),
        "test accuracy": ("epoch", (0, 1), ["lr=0.1"]), "clean accuracy": ("epoch", (0, 1), ["lr=0.2"]),
        "train psnr": ("epoch", None, ["lr=0.3"]),
    }  # fmt: skip
    with pytest.raises(GencliError, match="--metric: no history has 'epoch'"):
        draw("curves", runs, Options(["epoch"]))


@pytest.mark.parametrize(
    ("losses", "name"), [((0.5, math.nan), "0 (n=2) (diverged)"), ((math.inf, math.nan), "0 (n=2) (diverged)"),
                         ((0.5, 0.25), "0 (n=2)")],
)  # fmt: skip
def test_setups_of_which_a_run_diverged_say_so(losses: tuple[float, float], name: str, tmp_path: Path) -> None:
    runs = [history(tmp_path / f"{seed}", training(seed=seed), train_loss=[1.0, loss])
            for seed, loss in enumerate(losses)]  # fmt: skip
    for panel in draw("curves", runs, Options()):
        assert isinstance(panel, Lines)
        assert [curve.name for curve in panel.curves] == [name]


def level(path: Path, p: float | None, accuracies: list[float], **arguments: Any) -> Document:
    return history(path, training(p, **arguments), train_accuracy=accuracies, test_accuracy=accuracies)


def test_times_and_errors_are_over_the_levels_that_each_kind_has(tmp_path: Path) -> None:
    runs = [level(tmp_path / str(p), p, [0.5] * n + [1.0]) for p, n in ((0.25, 1), (0.5, 2), (1.0, 5))]
    assert draw("overfit-time", runs, Options()) == [
        Lines("time to overfit, relative to the lowest level", "corruption level",
              [Curve("random-labels", [0.25, 0.5, 1.0], [1.0, 1.5, 3.0], [None] * 3)], dots=True)
    ]  # fmt: skip
    clean = level(tmp_path / "clean", None, [0.5] * 3 + [1.0])
    assert draw("overfit-time", [clean, *runs], Options()) == [
        Lines("time to overfit, relative to true labels", "corruption level",
              [Curve("random-labels", [0, 0.25, 0.5, 1.0], [1.0, 0.5, 0.75, 1.5], [None] * 4)], dots=True)
    ]  # fmt: skip
    assert draw("overfit-time", runs[:1], Options()) == []
    assert len(draw("overfit-time", runs, Options(fitted_at=0.5))) == 1
    assert draw("overfit-time", runs, Options(fitted_at=1.1)) == []
    runs = [history(tmp_path / f"t{p}", training(p), test_accuracy=[score]) for p, score in ((0.5, 0.75), (1.0, 0.25))]
    assert draw("test-error", runs, Options()) == [
        Lines("test error", "corruption level", [Curve("random-labels", [0.5, 1.0], [0.25, 0.75], [None] * 2)], (0, 1),
              dots=True)
    ]  # fmt: skip


def corrupted(path: Path, command: str, accuracy: float, **arguments: Any) -> Document:
    made = provenance.step(command, arguments, [provenance.source("data", "a", data_step("train", None), None)])
    entry = provenance.source("data", path.name, made, None)
    return history(path, provenance.step("train", {"arch": "a", "seed": 0}, [entry]), test_accuracy=[accuracy])


def test_kinds_are_told_apart_by_words_and_switches_and_not_by_shards(tmp_path: Path) -> None:
    runs = [
        corrupted(tmp_path / f"{keep}{p}", "corrupt x", p, p=p, keep_all=keep, shard="a" if keep else "b")
        for keep in (True, False) for p in (0.25, 0.5)
    ]  # fmt: skip
    (panel,) = figures.test_error(runs, Options())
    assert isinstance(panel, Lines)
    assert [(each.name, list(each.x)) for each in panel.curves] == [("x keep-all", [0.25, 0.5]), ("x", [0.25, 0.5])]
    (panel,) = figures.test_error(runs[:2], Options())
    assert isinstance(panel, Lines)
    assert [each.name for each in panel.curves] == ["x"]
    pruned = [corrupted(tmp_path / f"prune{p}", "corrupt prune", p, p=p) for p in (0.25, 0.5)]
    assert figures.test_error(pruned, Options()) == []


def of(command: str, **arguments: Any) -> Step:
    return provenance.step(f"corrupt {command}", arguments)


def labels(differ: float | None) -> Step:
    entry = replace(provenance.source("from", "f", None, Path("f")), labels_differ=differ)
    return provenance.step("corrupt labels", {"k": 3}, [entry])


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ([], 0.0), ([of("a", p=0.25, seed=5)], 0.25), ([of("a", severity=2)], 2.0), ([of("a", k=3, p=0.5)], 0.5),
        ([of("a", k=3, n=4)], 3.0), ([of("a", seed=7)], 1.0), ([of("a", all=True, kind="fog")], 1.0),
        ([of("a", sigma=math.inf, k=4)], 4.0), ([of("a", p=0.25), of("b", all=True)], 0.25),
        ([of("a", p=0.25), of("b", k=2)], 2.0), ([labels(0.125)], 0.125), ([labels(None)], 0.0),
    ],
)  # fmt: skip
def test_the_level_of_corruptions(chain: list[Step], found: float) -> None:
    assert figures._level(chain) == found


def test_a_setup_of_which_some_runs_have_a_test_is_drawn_with_its_best_and_last(tmp_path: Path) -> None:
    tested = history(tmp_path / "a", training(seed=0), test_accuracy=[0.5, 0.25], validation_accuracy=[0.75, 0.5])
    untested = history(tmp_path / "b", training(seed=1), validation_accuracy=[0.5, 0.25])
    other = history(tmp_path / "c", training(seed=2), test_accuracy=[0.75, 0.5], validation_accuracy=[0.25, 0.5])
    for runs in ([tested, untested, other], [untested, tested, other]):
        lines, bars = draw("regularizers", runs, Options())
        assert isinstance(lines, Lines)
        assert (lines.limits, lines.mark) == ((0, 1), "best on validation")
        (curve,) = lines.curves
        assert (curve.x, curve.y, curve.marks) == ([1, 2], [0.625, 0.375], [(1.5, 0.5)])
        assert bars == Bars(
            "test accuracy", ["a (n=3)" if runs[0] is tested else "b (n=3)"],
            [("last epoch", [0.375], [near(0.125 * 2**0.5)]), ("best on validation", [0.5], [0.0])], (0, 1),
        )  # fmt: skip
    assert draw("regularizers", [untested], Options()) == []
    assert draw("regularizers", [history(tmp_path / "d", training(), test_accuracy=NOTHING)], Options()) == []
    late: Any = [None, 0.5]
    unknown = history(tmp_path / "e", training(), test_accuracy=late, validation_accuracy=[0.75, 0.5])
    lines, bars = draw("regularizers", [unknown], Options())
    assert isinstance(bars, Bars)
    assert [name for name, *_ in bars.series] == ["last epoch"]


def test_a_validation_or_a_regularizer_that_varies_is_regularized(tmp_path: Path) -> None:
    plain = [history(tmp_path / f"{lr}", training(lr=lr)) for lr in (0.1, 0.2)]
    assert not figures.regularized(plain)
    assert figures.regularized([*plain, history(tmp_path / "v", training(), validation_accuracy=[0.5])])
    dropped = [history(tmp_path / f"d{dropout}", training(dropout=dropout)) for dropout in (0.0, 0.5)]
    assert figures.regularized(dropped)
    assert not figures.regularized(dropped[1:])


def test_bars_of_classes_are_of_the_scores_that_are_asked_for_or_known(tmp_path: Path) -> None:
    one = result(tmp_path / "a", training(lr=0.1), [0.5], psnr=[9.0, 10.0])
    two = result(tmp_path / "b", training(lr=0.2), [0.25], recall=[0.75, None])
    series = [("lr=0.1", [0.5, 0.5], [None] * 2), ("lr=0.2", [0.25, 0.25], [None] * 2)]
    accuracy = Bars("accuracy", ["a", "all"], series, (0, 1))
    assert draw("classes", [one, two], Options()) == [
        accuracy, Bars("psnr", ["a", "all"], [("a", [9.0, 10.0], [None] * 2)], None)
    ]  # fmt: skip
    assert draw("classes", [one, two], Options(["accuracy", "recall"])) == [
        accuracy, Bars("recall", ["a", "all"], [("b", [0.75, None], [None] * 2)], (0, 1))
    ]  # fmt: skip


def matrix(path: Path, **arguments: Any) -> Document:
    rows = {"label": [0, 1], "name": ["a", "b"], "a": [3, 1], "b": [0, 4]}
    return read(path, rows, measured(training(**arguments), "x"))


def test_matrices_and_calibrations_are_called_by_their_setups_where_these_are_several(tmp_path: Path) -> None:
    one, two = matrix(tmp_path / "a", lr=0.1), matrix(tmp_path / "b", lr=0.2)
    assert draw("confusion", [one], Options()) == [Matrix("confusion matrix", ["a", "b"], [[3, 0], [1, 4]])]
    found = draw("confusion", [one, two], Options())
    assert found == [Matrix(name, ["a", "b"], [[3, 0], [1, 4]]) for name in ("lr=0.1", "lr=0.2")]
    rows = {"id": [0, 1], "label": [0, 0], "prediction": [0, 1], "probabilities": [[0.75, 0.25], [0.25, 0.75]]}
    sure, unsure = (read(tmp_path / f"p{lr}", rows, measured(training(lr=lr), "x")) for lr in (0.1, 0.2))
    curves = [Curve(f"lr={lr}: calibration error 0.2500", [0.75], [0.5]) for lr in (0.1, 0.2)]
    assert draw("reliability", [sure, unsure], Options()) == [
        Lines("accuracy in 15 bins of confidence", "confidence",
              [*curves, Curve("perfect calibration", (0, 1), (0, 1))], (0, 1), dots=True)
    ]  # fmt: skip
    bare = read(tmp_path / "bare", {"id": [0], "label": [0], "prediction": [0]}, measured(training(), "x"))
    assert draw("reliability", [bare], Options()) == []


def test_a_spectral_density_is_on_a_logarithmic_axis(tmp_path: Path) -> None:
    rows = {"eigenvalue": [0.0, 1.0], "density": [1.0, 0.5]}
    found = read(tmp_path / "d", rows, measured(training(), "x"))
    assert draw("density", [found], Options()) == [
        Lines("spectral density", "eigenvalue", [Curve("d", [0.0, 1.0], [1.0, 0.5])], log=True)
    ]


@pytest.mark.parametrize(
    ("kernels", "levels", "told"),
    [
        (("ntk:1", "ntk:1"), (None, 1.0), ["digits train, none", "digits train, random-labels p=1"]),
        (("ntk:1", "ntk:2"), (None, None), ["ntk:1, digits train, none", "ntk:2, digits train, none"]),
        (("ntk:1", "ntk:1"), (None, None), ["0", "1"]),
    ],
)
def test_energies_are_called_by_their_kernels_and_data_or_their_files(
    kernels: tuple[str, ...], levels: tuple[float | None, ...], told: list[str], tmp_path: Path
) -> None:
    rows = {"class": pa.array([None], pa.string()), "index": [1], "eigenvalue": [3.0], "energy": [1.0],
            "cumulative": [1.0]}  # fmt: skip
    found = []
    for place, (kernel, p) in enumerate(zip(kernels, levels)):
        inputs = [provenance.source("data", str(p), data_step("train", p), None)]
        found.append(read(tmp_path / str(place), rows, provenance.step("spectrum", {"kernel": kernel}, inputs)))
    (panel,) = draw("energy", found, Options())
    assert isinstance(panel, Lines)
    assert [curve.name for curve in panel.curves] == told
    alone = read(tmp_path / "alone", rows, provenance.step("spectrum", {"kernel": kernels[0]}))
    (panel,) = draw("energy", [alone], Options())
    assert isinstance(panel, Lines)
    assert [curve.name for curve in panel.curves] == [str(tmp_path / "alone")]


def test_a_figure_is_drawn_from_files_of_its_kinds_alone(tmp_path: Path) -> None:
    run, tested = history(tmp_path / "h", training(0.5), test_accuracy=[0.5]), result(tmp_path / "r", training(), [0.5])
    assert draw("curves", [tested], Options()) == []
    assert draw("classes", [run], Options()) == []
    assert draw("curves", [run, tested], Options()) == draw("curves", [run], Options())
    assert [each.title for each in draw("test-error", [run, tested], Options())] == ["test error"]
