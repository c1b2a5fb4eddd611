"""Each of several networks is what it would be by itself: trained at once or in turns, resumed, written and read."""

from __future__ import annotations

import json
import operator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gencli import models, runs
from gencli.errors import GencliError
from gencli.evaluation.predictions import predict
from gencli.files import provenance
from gencli.files.held import Held
from gencli.files.stream import Output
from gencli.models import stacking
from gencli.models.inputs import load
from gencli.ranks import Group
from gencli.training import several
from gencli.training.course import Course
from gencli.training.settings import Settings
from gencli.training.setup import Setup, prepare
from gencli.training.several import Several, begin
from gencli.training.states import Epoch
from tests.helpers import image_table

TABLE = image_table(61, (4, 4, 1))
PLAIN = Settings(arch="mlp-1x6", epochs=3, batch_size=16, device="cpu", lr=0.05, runs=3, seed=5)


def setup(settings: Settings) -> Setup:
    return prepare(
        settings.resolved({"lr"} - set(runs.varied(settings.vary))), TABLE.description, TABLE.schema.names, ""
    )


def together(settings: Settings) -> Several:
    made = begin(setup(settings), TABLE, None, Group())
    assert isinstance(made, Several)
    made.run()
    return made


def alone(settings: Settings) -> list[Course]:
    found = []
    for each in settings.each():
        run = setup(each).training(TABLE, None, Group())
        run.run()
        found.append(run)
    return found


def require_equal(ones: list[Course], others: list[Course]) -> None:
    for one, other in zip(ones, others, strict=True):
        state = other.model.network.state_dict()
        for name, tensor in one.model.network.state_dict().items():
            torch.testing.assert_close(tensor, state[name], rtol=1e-5, atol=1e-5)
        assert [each.step for each in one.history] == [each.step for each in other.history]
        for mine, theirs in zip(one.history, other.history):
            assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
            assert mine.train_cross_entropy == (
                theirs.train_cross_entropy and pytest.approx(theirs.train_cross_entropy)
            )
            assert mine.learning_rate == theirs.learning_rate
            assert mine.sharpness == (theirs.sharpness and pytest.approx(theirs.sharpness, rel=1e-3))
            assert mine.distance == (theirs.distance and pytest.approx(theirs.distance, rel=1e-4))
        assert one.model.class_rows == other.model.class_rows
        assert (one.model.epoch, one.model.subset_below) == (other.model.epoch, other.model.subset_below)


AT_ONCE: dict[str, dict[str, Any]] = {
    "plain": {},
    "linear": {"arch": "linear"},
    "batch norm": {"batch_norm": True, "arch": "mlp-2x6"},
    "dropout": {"dropout": 0.3, "arch": "mlp-2x6"},
    "augmentation": {"augment": "crop:1,flip"},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "weight_decay": 0.1, "no_decay": "norm,bias"},
    "clipped": {"grad_clip": 0.1, "nesterov": True},
    "average": {"ema": 0.9, "batch_norm": True},
    "subset": {"subset": 0.7},
    "subset, balanced": {"subset": 0.7, "loss": "cb-ce"},
    "subset, margins": {"subset": 0.7, "loss": "ldam", "deferred_reweighting": 1, "lr": 0.005},
    "sigmoid": {"loss": "focal", "weight_decay": 0.01},
    "resampled": {"resample": "balanced"},
    "held out": {"validation_fraction": 0.2, "early_stop": 1, "epochs": 6, "lr": 0.5},
    "until": {"until_train_accuracy": 0.6, "epochs": 40, "lr": 0.3},
    "varied": {"vary": ["lr=0.01,0.1", "weight-decay=0,0.01"], "runs": 2},
    "momentum": {"vary": ["momentum=0,0.9"], "runs": None},
    "smoothed": {"vary": ["label-smoothing=0,0.2"]},
    "dropout varied": {"vary": ["dropout=0.1,0.5"]},
    "full batch": {"full_batch": True, "loss": "square", "epochs": 5},
    "full batch, weighted": {"full_batch": True, "loss": "ldam", "deferred_reweighting": 1, "lr": 0.005},
    "sam": {"optimizer": "sam", "rho": 0.1, "batch_norm": True, "weight_decay": 0.01},
    "radii": {"optimizer": "sam", "vary": ["rho=0,0.3"], "runs": 2, "grad_clip": 0.5},
    "adam": {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.1},
    "mixup": {"mix": "mixup:0.5", "loss": "gce", "augment": "flip"},
    "cutmix": {"mix": "cutmix", "loss": "sce", "optimizer": "sam"},
    "tracked": {"full_batch": True, "track": "sharpness,distance", "arch": "mlp-1x6-tanh", "subset": 0.8},
    "schedule": {"schedule": "cosine", "warmup": 1.0, "max_steps": 10},
    "frozen": {"freeze": "1*,2*", "batch_norm": True, "weight_decay": 0.1, "ema": 0.9},
    "one start": {"seed_init": 7, "augment": "flip"},
    "one order": {"seed_order": 7, "subset": 0.8},
}
IN_TURNS: dict[str, dict[str, Any]] = {
    "muon": {"optimizer": "muon", "arch": "mlp-2x6", "lr": 0.01},
    "whitened": {"whiten": "dataset", "subset": 0.8},
    "circulant": {"arch": "circulant-mlp-1x8"},
    "convolutions": {"arch": "convnet-vanilla", "epochs": 1},
}


@pytest.mark.parametrize("more", AT_ONCE.values(), ids=AT_ONCE)
def test_networks_at_once_are_each_its_lone_run(more: dict[str, Any]) -> None:
    settings = replace(PLAIN, **more)
    made = together(settings)
    assert len(made.rounds) == 1
    require_equal(made.courses, alone(settings))


@pytest.mark.parametrize("more", IN_TURNS.values(), ids=IN_TURNS)
def test_networks_that_cannot_be_stacked_take_turns(more: dict[str, Any]) -> None:
    settings = replace(PLAIN, **more, runs=2)
    made = together(settings)
    assert (len(made.rounds), bool(made.why)) == (2, True)
    for one, other in zip(made.courses, alone(settings), strict=True):
        state = other.model.network.state_dict()
        assert all(torch.equal(each, state[name]) for name, each in one.model.network.state_dict().items())
        assert one.model.preprocessing == other.model.preprocessing


def test_rounds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(PLAIN, runs=5, subset=0.8)
    whole = together(settings)
    for name in ("_OF_ONE", "_OF_SEVERAL"):
        monkeypatch.setattr(several, name, 3 * whole.models[0].parameters)
    rounds = together(settings)
    assert rounds.rounds == [range(3), range(3, 5)]
    require_equal(whole.courses, rounds.courses)


class Mixing(nn.Module):
    """Its layers can be stacked, and what it does between them mixes the rows of a batch."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1)
        return self.layer(rows - rows.mean(0))


def test_a_network_that_mixes_rows_fails_its_trial() -> None:
    mixing = [Mixing((2, 2, 1), 3) for _ in range(2)]
    assert stacking.known(mixing[0])
    assert not stacking.agrees(mixing, (2, 2, 1))
    plain = [nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
             for _ in range(3)]  # fmt: skip
    assert stacking.known(plain[0])
    assert stacking.agrees(plain, (2, 2, 1))
    assert not stacking.known(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout1d()))


class Stop(Exception):  # noqa: N818
    pass


TRACKED = {"full_batch": True, "epochs": 10, "track": "sharpness,gradient-norm", "track_every": 2, "optimizer": "sam"}


@pytest.mark.parametrize(
    "more", [AT_ONCE["average"], AT_ONCE["smoothed"], AT_ONCE["held out"], IN_TURNS["muon"], TRACKED]
)
@pytest.mark.parametrize("step", [2, 7, 9])
def test_resumed_networks_are_the_same_bit_by_bit(more: dict[str, Any], step: int) -> None:
    settings, found = replace(PLAIN, **more), []
    whole = together(settings)

    def progress(now: int, epoch: object) -> None:
        if now == step:
            tensors, facts = first.state()
            found.append(({name: each.clone() for name, each in tensors.items()}, json.loads(json.dumps(facts))))
            raise Stop

    first = begin(setup(settings), TABLE, None, Group())
    with pytest.raises(Stop):
        first.run(progress)
    again = begin(setup(settings), TABLE, None, Group())
    assert isinstance(again, Several)
    again.load_state(Held("saved", found[0][0], found[0][1], f"step {step}"))
    assert again.step == step
    again.run()
    for one, other in zip(whole.courses, again.courses, strict=True):
        state = other.model.network.state_dict()
        assert all(torch.equal(each, state[name]) for name, each in one.model.network.state_dict().items())
        figures = operator.attrgetter("step", "train_loss", "train_cross_entropy", "sharpness", "gradient_norm")
        assert [*map(figures, one.history)] == [*map(figures, other.history)]
    tensors, facts = again.state()
    over = begin(setup(settings), TABLE, None, Group())
    over.load_state(Held("saved", tensors, facts, f"step {again.step}"))
    over.run()
    assert over.state()[1] == facts
    for changed in (facts["runs"][:-1], [*facts["runs"], facts["runs"][0]]):
        fresh = begin(setup(settings), TABLE, None, Group())
        with pytest.raises(GencliError, match="saved: "):
            fresh.load_state(Held("saved", tensors, {"runs": changed}, f"step {again.step}"))


@pytest.mark.parametrize(
    "more", [{}, IN_TURNS["convolutions"] | {"vary": ["lr=0.01,1e30,0.02"]}], ids=["once", "turns"]
)
def test_one_that_fails_stands_still_and_the_others_go_on(more: dict[str, Any], tmp_path: Path) -> None:
    settings = replace(PLAIN, **{"vary": ["lr=0.05,1e30,0.1"], "runs": None} | more)
    chosen, told = setup(settings), list[tuple[int, object]]()
    made = begin(chosen, TABLE, None, Group(), watched=1)
    assert isinstance(made, Several)
    made.run(lambda step, epoch: told.append((step, epoch)))
    with pytest.raises(GencliError, match="the loss became") as lone:
        alone(replace(settings, vary=None, lr=1e30))
    assert [course.failed for course in made.courses] == ["", lone.value.message, ""]
    good = alone(replace(settings, vary=[settings.vary[0].replace("1e30,", "")]))  # type: ignore[index]
    require_equal([made.courses[0], made.courses[2]], good)
    assert all(step == epoch.step for step, epoch in told if isinstance(epoch, Epoch) and len(made.rounds) == 1)
    assert set(made.table("history")["run"].to_pylist()) == {0, 2}
    assert set(made.table("dynamics")["run"].to_pylist()) == {0, 2}
    with Output(str(tmp_path / "m"), binary=True) as output:
        made.write(output, chosen.steps(TABLE, None, Group())[0])
    source, read = models.open_runs(str(tmp_path / "m"))
    assert [model.run for model in read] == [0, 2]
    with pytest.raises(GencliError, match="run 1 has no network: the loss became"):
        models.read(source, run=1)
    tensors, facts = made.state()
    again = begin(setup(settings), TABLE, None, Group(), watched=1)
    again.load_state(Held("saved", tensors, json.loads(json.dumps(facts))))
    again.run()
    with Output(str(tmp_path / "n"), binary=True) as output:
        again.write(output, chosen.steps(TABLE, None, Group())[0])
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()


def test_where_all_fail_there_is_no_model() -> None:
    with pytest.raises(GencliError, match="all of 2 runs failed, run 0: the loss became"):
        together(replace(PLAIN, lr=1e30, runs=2))


def test_one_file_holds_all_and_says_which_rows_each_saw(tmp_path: Path) -> None:
    settings = replace(PLAIN, subset=0.6, vary=["dropout=0.1,0.2"], whiten="dataset", runs=2)
    chosen = setup(settings)
    made = begin(chosen, TABLE, None, Group())
    made.run()
    with Output(str(tmp_path / "m"), binary=True) as output:
        made.write(output, chosen.steps(TABLE, None, Group())[0])
    source, read = models.open_runs(str(tmp_path / "m"))
    ids = TABLE.column("id")
    data = load(TABLE)
    for number, (model, run, own) in enumerate(zip(read, alone(settings), settings.each(), strict=True)):
        assert (model.run, model.arguments["seed"], model.options.dropout) == (number, own.seed, own.dropout)
        assert model.preprocessing == run.model.preprocessing
        assert predict(model, data).score == predict(run.model, data).score
        saw = runs.seen(ids, own.seed, model.subset_below)
        assert saw.sum() == round(0.6 * 61)
        assert model.class_rows == tuple(np.bincount(TABLE.column("label")[saw], minlength=3))
        assert models.read(source, run=number).title == f"{source.name}: mlp-1x6, run {number}"
    with pytest.raises(GencliError, match="4 networks"):
        models.read(source)
    with pytest.raises(GencliError, match=r"--run: .* has 4 networks, 0 to 3"):
        models.read(source, run=4)
    history = made.table("history")
    assert history["run"].to_pylist() == [number for number in range(4) for _ in range(3)]
    assert history["dropout"].to_pylist() == [0.1] * 6 + [0.2] * 6


def test_a_lone_model_has_no_runs(tmp_path: Path) -> None:
    run = alone(replace(PLAIN, runs=1))[0]
    with Output(str(tmp_path / "m"), binary=True) as output:
        run.write(output, provenance.step("train", {}))
    with pytest.raises(GencliError, match="has one network, and no runs"):
        models.open_file(str(tmp_path / "m"), run=0)


REFUSED = {
    "--vary: 'epochs' is no number in a step": {"vary": ["epochs=1,2"]},
    "is not NAME=NUMBER": {"vary": ["lr=fast"]},
    "a value comes twice": {"vary": ["lr=0.1,0.10"]},
    "the name comes twice": {"vary": ["lr=0.1", "lr=0.2"]},
    "below 0 or not finite": {"vary": ["lr=-1"]},
    "without dropout has other layers": {"vary": ["dropout=0,0.1"]},
    "--sync-batch-norm and --runs": {"sync_batch_norm": True},
    "--subset and --validation-fraction": {"subset": 0.5, "validation_fraction": 0.1},
    "--label-smoothing: ": {"vary": ["label-smoothing=0,0.5"], "loss": "focal"},
    "--label-smoothing: 1.5": {"vary": ["label-smoothing=1.5"]},
    "--full-batch and --vary dropout": {"full_batch": True, "vary": ["dropout=0.1,0.5"]},
    "--momentum: 1.5": {"vary": ["momentum=1.5"]},
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_go_together_is_refused(words: str) -> None:
    with pytest.raises(GencliError) as caught:
        setup(replace(PLAIN, **REFUSED[words]))  # type: ignore[arg-type]
    assert words in caught.value.message


def test_a_setting_is_varied_or_given() -> None:
    with pytest.raises(GencliError, match="--lr: --vary gives it values"):
        replace(PLAIN, vary=["lr=0.1"]).resolved({"lr"})


def test_too_many_networks_for_memory_are_refused_with_the_number_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.machine.free_memory", lambda: 100_000)
    with pytest.raises(GencliError, match=r"--runs: 5,000 networks of .* need") as caught:
        begin(setup(replace(PLAIN, runs=5000)), TABLE, None, Group())
    assert int(caught.value.hint.split()[0]) in range(20, 80)


def test_a_subset_that_leaves_a_class_empty_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """Also of a run that another process has trained."""
    settings = replace(PLAIN, subset=0.04, epochs=1)

    def told() -> list[str]:
        return [each for each in capfd.readouterr().err.splitlines() if "its rows leave a class empty: class " in each]

    whole = together(settings)
    said = told()
    assert len(said) == 3
    other = begin(setup(settings), TABLE, None, Group())
    assert isinstance(other, Several)
    other._gather = lambda own: [own, {number: course.state() for number, course in enumerate(whole.courses)}]
    other._bring()
    assert told() == said


def test_a_subset_without_rows_is_refused() -> None:
    with pytest.raises(GencliError, match=r"--subset: 0\.001 of 61 rows leaves no rows"):
        begin(setup(replace(PLAIN, subset=0.001)), TABLE, None, Group())


@pytest.mark.parametrize(
    ("more", "fixed"),
    [
        ({"seed_order": 1}, "--seed-init, --seed-order"),
        ({"full_batch": True}, "--seed-init, one step takes all rows"),
        ({"batch_size": 61}, "--seed-init, one step takes all rows"),
        ({"lr": 0.0}, "--seed-init, --lr 0"),
        ({"lr": 0.0, "batch_norm": True}, ""),
        ({"batch_size": 61, "resample": "balanced"}, ""),
        ({"seed_order": 1, "vary": ["momentum=0.1,0.2"]}, "--seed-init, --seed-order"),
        ({"seed_order": 1, "vary": ["momentum=0.1,0.2"], "runs": 1}, ""),
        ({"seed_order": 1, "subset": 0.5}, ""),
        ({"seed_order": 1, "subset": 1.0}, "--seed-init, --seed-order"),
        ({"lr": 0.0, "augment": "crop:1"}, "--seed-init, --lr 0"),
        ({"lr": 0.0, "dropout": 0.1}, "--seed-init, --lr 0"),
        ({"lr": 0.0, "subset": 0.5}, ""),
        ({"seed_order": 1, "dropout": 0.1}, ""),
        ({"seed_order": 1, "augment": "crop:1"}, ""),
        ({"lr": None, "vary": ["lr=0,0.1"]}, "--seed-init, --lr 0"),
        ({"lr": None, "vary": ["lr=0,0.1"], "batch_norm": True}, ""),
        ({"lr": 0.0, "vary": ["momentum=0.1,0.2"], "seed_init": None, "runs": 1}, "--lr 0"),
        ({"lr": 0.0, "vary": ["momentum=0.1,0.2"], "batch_norm": True, "runs": 1}, "--lr 0"),
        ({"lr": None, "vary": ["lr=0,0.1", "weight-decay=0,0.1"], "runs": None, "subset": 0.5}, "--lr 0"),
    ],
)
def test_networks_that_would_be_one_and_the_same_are_refused(more: dict[str, Any], fixed: str) -> None:
    def started() -> object:
        return begin(setup(replace(PLAIN, **{"seed_init": 1} | more)), TABLE, None, Group(), True)

    if not fixed:
        assert isinstance(started(), Several)
        return
    with pytest.raises(GencliError, match=f"[2-6] networks would be one and the same: {fixed}$"):
        started()


def test_networks_that_came_out_as_one_and_the_same_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for vary, same in (("momentum=0,0.9", "runs 0 and 2, runs 1 and 3"), ("weight-decay=0,0.1", "")):
        run = begin(setup(replace(PLAIN, runs=2, epochs=1, full_batch=True, vary=[vary])), TABLE, None, Group())
        assert isinstance(run, Several)
        run.run()
        said = [line for line in capsys.readouterr().err.splitlines() if "the same network" in line]
        assert ", ".join(line.partition(" came")[0] for line in said) == same


def test_more_processes_than_networks_are_refused() -> None:
    with pytest.raises(GencliError, match="--runs: 4 processes for 3 networks"):
        begin(setup(PLAIN), TABLE, None, Group(0, 4))


@pytest.mark.parametrize("failing", [False, True])
def test_processes_divide_the_networks(failing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(PLAIN, runs=None, vary=["lr=1e30,0.05,0.1" if failing else "lr=0.01,0.05,0.1"], subset=0.7)
    given: list[dict[int, Any]] = []
    for rank in (1, 0):  # one after the other; the second gets what the first had
        monkeypatch.setattr(Group, "gatherer", lambda group: lambda mine: given.append(mine) or given)
        made = begin(setup(settings), TABLE, None, Group(rank, 2), watched=2)
        assert isinstance(made, Several)
        assert [*chain(*made.rounds)] == ([0] if rank == 0 else [1, 2])
        made.run()
    monkeypatch.undo()
    whole = together(settings)
    assert [course.failed for course in made.courses] == [course.failed for course in whole.courses]
    start = int(failing)
    require_equal(made.courses[start:], whole.courses[start:])
    assert made.table("history")["run"].equals(whole.table("history")["run"])
    assert made.table("dynamics").num_rows == (3 - start) * round(0.7 * 61)


def test_time_is_divided_among_the_rounds() -> None:
    settings = replace(PLAIN, epochs=1_000_000, max_time=0.01)
    for more in ({}, {"arch": "convnet-vanilla"}):
        made = together(replace(settings, **more))
        assert all(course.step > 0 for course in made.courses)
        if more:
            assert sum(course.seconds for course in made.courses) < 20
        else:
            assert len({course.step for course in made.courses}) == 1


def test_networks_that_stream_take_turns() -> None:
    settings = replace(PLAIN, stream=20, runs=2, subset=0.7)
    made = together(settings)
    assert made.why.startswith("each streams")
    require_equal(made.courses, alone(settings))


@pytest.mark.parametrize(
    "more", [{}, {"subset": 0.5}, {"validation_fraction": 0.2}, {"optimizer": "muon", "arch": "mlp-2x6"}]
)
def test_a_rehearsal_reads_no_image_and_refuses_the_same(more: dict[str, Any]) -> None:
    made = begin(setup(replace(PLAIN, **more)), TABLE, None, Group(), True)
    assert isinstance(made, Several)
    assert made.total_steps == together(replace(PLAIN, **more)).total_steps
    with pytest.raises(GencliError, match="leaves no rows"):
        begin(setup(replace(PLAIN, subset=0.001)), TABLE, None, Group(), True)


def test_a_round_has_an_equal_part_of_the_time_that_is_left() -> None:
    runs: list[Any] = [SimpleNamespace(seconds=seconds, limit=None) for seconds in (10, 30, 0, 0)]
    these: Any = SimpleNamespace(
        _setup=SimpleNamespace(settings=SimpleNamespace(max_time=2)), _courses=runs, rounds=[range(2), [2], [3]]
    )
    Several._limit(these, 1, [runs[2]])
    assert [each.limit for each in runs] == [None, None, (120 - 30) / 2, None]
