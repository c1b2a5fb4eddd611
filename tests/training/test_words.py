"""What is said of a run on the way and at its end, word for word."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gencli.models import Model, build
from gencli.training import words
from gencli.training.course import Course
from gencli.training.settings import Settings
from gencli.training.several import Mean
from gencli.training.states import Epoch

SETTINGS = Settings(arch="linear", lr=0.1)
LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)  # predicting 0 is right in half; three errors are 0.15


def epoch(number: int, score: float = 0.9, loss: float = 0.5, **more: Any) -> Epoch:
    return Epoch(number, 7 * number, 1.0, 1234.5, loss, loss, score, **more)


def course(*history: Epoch, **more: Any) -> Course:
    torch.manual_seed(0)
    model = Model("linear", (2, 2, 1), tuple("abc"), build("linear", (2, 2, 1), 3))
    return Course(model, SETTINGS, LABELS, False, False, list(history), **more)


def several(*courses: Course) -> Any:
    return SimpleNamespace(courses=list(courses), models=[each.model for each in courses])


def test_the_line_of_an_epoch_has_the_scores_that_there_are() -> None:
    row = epoch(3, 0.87654)
    assert words.line(row, "accuracy") == "epoch 3: loss 0.5000  train 0.8765  1,234 images/s"
    full = replace(row, validation_score=0.5, test_score=0.0)
    said = "train 0.8765  validation 0.5000  test 0.0000  1,234 images/s"
    assert words.line(full, "accuracy") == f"epoch 3: loss 0.5000  {said}"
    assert words.line(replace(row, train_score=20.128), "psnr") == "epoch 3: loss 0.5000  train 20.13  1,234 images/s"
    mean = Mean.of([row, replace(row, train_score=0.1, train_loss=1.5)], "2 of runs 0 to 2")
    assert words.line(mean, "accuracy") == "2 of runs 0 to 2: epoch 3: loss 1.0000  train 0.4883  2,469 images/s"


def test_progress_shows_a_step_and_an_epoch() -> None:
    heard: list[tuple[int, str, bool]] = []

    def advance(done: int, note: str = "", line: bool = False) -> None:
        heard.append((done, note, line))

    words.progress(advance, "accuracy", 5, None)
    words.progress(advance, "accuracy", 7, epoch(1))
    assert heard == [(5, "", False), (7, "epoch 1: loss 0.5000  train 0.9000  1,234 images/s", True)]


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([epoch(1)], "linear: 15 parameters, 1 epoch; the model is from epoch 1, train accuracy 0.9000"),
        (
            [epoch(1), epoch(2, 0.8)],
            "linear: 15 parameters, 2 epochs; the model is from epoch 2, train accuracy 0.8000",
        ),
    ],
)
def test_the_end_of_a_run_is_told(history: list[Epoch], said: str) -> None:
    assert words.end(course(*history), "accuracy") == said
    assert words.warnings(course(*history)) == []


def test_the_kept_epoch_is_the_best_one_with_early_stopping_alone() -> None:
    rows = [epoch(number) for number in (1, 2, 3)]
    made = course(*rows, best=rows[1])
    assert made.kept is rows[2]
    stopped = replace(made, settings=replace(SETTINGS, early_stop=2))
    assert stopped.kept is rows[1]
    assert replace(stopped, best=None).kept is rows[2]
    assert (made.step, course().step) == (21, 0)
    assert made.most_common == (0.5, 100)
    assert made.state()[1]["best"] == 2
    assert course(epoch(1)).state()[1] | {"history": None} == {
        "step": 7, "history": None, "best": None, "first_loss": None, "idle": [], "finished": False, "seconds": 0.0,
        "watched": None,
    }  # fmt: skip
    assert course(failed="why").state() == ({}, {"failed": "why"})


def test_what_nothing_was_learned_by_is_said_up_to_three_errors_above_one_label() -> None:
    for score, learned in ((0.5, False), (0.65, False), (0.66, True), (0.3, False)):
        told = words.unlearned(course(epoch(1, score)))
        assert (told is None) == learned
    said = "train accuracy 0.6500 is no better than predicting one label for all, 0.5000: nothing was learned; "
    made = course(epoch(1, 0.65))
    assert words.unlearned(made) == f"{said}more --epochs, or another --lr"
    assert words.end(made, "accuracy").splitlines()[1] == words.unlearned(made)
    skewed = replace(made, labels=torch.tensor([0] * 90 + [1] * 10))  # three errors are 0.09
    assert [words.unlearned(replace(skewed, history=[epoch(1, score)])) is None for score in (0.989, 0.991)] == [
        False, True
    ]  # fmt: skip


def test_a_loss_that_rose_a_thousandfold_is_told() -> None:
    for loss, told in ((0.5, False), (2000.0, False), (2000.5, True)):
        assert (words.diverged(course(epoch(1, loss=loss), first_loss=2.0)) is not None) == told
    bad = course(epoch(1, loss=123456.0), first_loss=2.0)
    said = "the loss rose from 2 to 1.235e+05: training diverged; lower --lr, or clip with --grad-clip"
    assert words.warnings(bad) == [said]
    assert words.diverged(replace(bad, first_loss=None)) is None
    assert words.diverged(replace(bad, failed="why")) is None
    assert words.warnings(several(course(epoch(1), first_loss=1.0), bad, bad)) == [
        f"2 of 3 runs, the first run 1: {said}"
    ]


def test_the_end_of_several_runs_is_told_with_their_spread() -> None:
    good = [course(epoch(1), epoch(2, score)) for score in (0.8, 0.9)]
    said = "linear: 15 parameters, 2 networks, 2 epochs; train accuracy 0.8500 ± 0.0707"
    assert words.end(several(*good), "accuracy") == said
    lone = "linear: 15 parameters, 1 network, 1 epoch; train accuracy 0.9000"
    assert words.end(several(course(epoch(1))), "accuracy") == lone
    failed = course(failed="the loss became nan")
    other = course(epoch(1, 0.1))
    assert words.end(several(failed, other, good[0]), "accuracy").splitlines() == [
        "linear: 15 parameters, 2 networks, 1 to 2 epochs; train accuracy 0.4500 ± 0.4950",
        f"1 of 3 runs, the first run 1: {words.unlearned(other)}",
    ]
    assert words.warnings(several(good[0], failed)) == [
        "1 of 2 runs, the first run 1: the loss became nan; they have no model"
    ]
    assert words.end(several(*good), "psnr").partition("; ")[2] == "train 0.85 dB ± 0.07 dB"


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ({}, ["learning_rate"]),
        ({"validated": True}, ["validation_loss", "validation_cross_entropy", "validation_accuracy"]),
        ({"corrupted": True}, ["clean_accuracy", "memorized", "recovered"]),
        ({"settings": replace(SETTINGS, track="distance")}, ["learning_rate", "distance"]),
    ],
)
def test_a_history_has_the_columns_of_what_is_measured(more: dict[str, Any], last: list[str]) -> None:
    plain = [
        "epoch", "step", "seconds", "images_per_second", "train_loss", "train_cross_entropy", "train_accuracy",
        "test_loss", "test_cross_entropy", "test_accuracy", "learning_rate",
    ]  # fmt: skip
    table = replace(course(epoch(1), epoch(2)), **more).table("history")
    assert table.column_names == plain[: -1 if last[0] == "learning_rate" else None] + last
    assert [str(table.schema.field(name).type) for name in plain[:3]] == ["int64", "int64", "double"]
    assert table["step"].to_pylist() == [7, 14]
