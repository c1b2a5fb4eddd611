"""A checkpoint that its run cannot have written is refused in two lines, whatever was changed, whoever sealed it."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gencli.errors import GencliError
from gencli.files import checkpoints, provenance
from gencli.files.held import Held
from gencli.models.inputs import load
from gencli.ranks import Group
from gencli.training.loop import Training
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from tests.helpers import image_table
from tests.mutations import of_facts, of_tensors

TABLE = image_table(37, (3, 2, 1))
PLAIN = Settings(arch="mlp-1x4", epochs=3, batch_size=16, device="cpu", lr=0.05)
ADAM = replace(PLAIN, optimizer="adamw", ema=0.9, lr=0.001, batch_norm=True, measure_train=True, loss="gce")
STOPPED = replace(PLAIN, early_stop=2, optimizer="muon", arch="mlp-2x4", until_train_accuracy=1.0)
Tensors = dict[str, torch.Tensor]
Facts = dict[str, Any]


def training(settings: Settings) -> Training:
    chosen = prepare(settings, TABLE.description, TABLE.schema.names, "toy")
    rows = load(TABLE)
    rows.labels_true = rows.labels.roll(1)
    held = rows.select(torch.arange(9)) if settings.early_stop else None
    return Training(chosen.model(rows, Group()), rows, chosen.settings, chosen.loss, held, rows)


class Stop(Exception):  # noqa: N818
    pass


def state(settings: Settings, step: int) -> tuple[Tensors, Facts]:
    """Of a run after so many steps; at an epoch's end after it."""
    run, found = training(settings), []

    def progress(now: int, epoch: object) -> None:
        if now == step and (epoch is not None or now % 3):
            tensors, facts = run.state()
            found.append(({name: each.clone() for name, each in tensors.items()}, json.loads(json.dumps(facts))))
            raise Stop

    with pytest.raises(Stop):
        run.run(progress)
    return found[0]


def accept(run: Training, held: Held, words: str) -> None:
    run.load_state(held)
    pytest.fail(f"accepted: {words}")


# values that another run of these settings can have had
_POSSIBLE = re.compile(
    r"history: .*(images_per_second|seconds|train_loss): one more|history: .*_(loss|cross_entropy): (None|one more)"
    r"|(first_loss|seconds): one more|history: .*(clean_accuracy|memorized|recovered): None"
    r"|epoch/(losses: 1000000000|cross_entropies: (1000000000|inf)) at \d+"
)


@pytest.mark.parametrize("settings", [PLAIN, ADAM, STOPPED], ids=["sgd", "adamw", "muon"])
@pytest.mark.parametrize("step", [2, 4, 9])
def test_whatever_is_changed_is_refused(settings: Settings, step: int) -> None:
    tensors, facts = state(settings, step)
    run, at = training(settings), f"step {step:,}"
    before = {name: each.clone() for name, each in run.model.network.state_dict().items()}
    changed = itertools.chain(
        ((words, tensors, other) for words, other in of_facts(facts)),
        ((words, other, facts) for words, other in of_tensors(tensors)),
    )
    count = 0
    for words, content, told in changed:
        if _POSSIBLE.fullmatch(words):
            continue
        with pytest.raises(GencliError, match=r"^saved: .*, expected"):
            accept(run, Held("saved", content, told, at), words)
        count += 1
    assert count > 250
    assert run.step == 0
    assert all(torch.equal(each, before[name]) for name, each in run.model.network.state_dict().items())
    with pytest.raises(GencliError, match="saved: at: step 8, expected 'step"):
        run.load_state(Held("saved", tensors, facts, "step 8"))
    run.load_state(Held("saved", tensors, facts, at))
    assert run.step == step


def test_a_parameter_without_gradients_has_no_state() -> None:
    """Another network may use a parameter now and then: what it lacks is told, and nothing else may be lacking."""
    run = training(ADAM)
    run.model.network.register_parameter("unused", torch.nn.Parameter(torch.ones(2)))
    run = Training(run.model, load(TABLE), run.settings, run._loss)

    def stop(step: int, epoch: object) -> None:
        if step == 8:
            raise Stop

    with pytest.raises(Stop):
        run.run(stop)
    tensors, facts = run.state()
    assert facts["idle"] == ["unused"]
    held = {name: each.clone() for name, each in tensors.items()}
    run.load_state(Held("saved", held, facts, "step 8"))
    for idle in ([], ["unused", "1.weight"], ["1.weight"]):
        with pytest.raises(GencliError, match=r"saved: state\.idle"):
            run.load_state(Held("saved", held, facts | {"idle": idle}, "step 8"))


def test_a_run_that_its_time_ended_goes_on_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(PLAIN, max_time=10.0)
    run = training(settings)
    monkeypatch.setattr(run, "halted", lambda: run.step >= 4)
    run.run()
    tensors, facts = run.state()
    assert [row["step"] for row in facts["history"]] == [3, 4]
    resumed = training(settings)
    resumed.load_state(Held("saved", tensors, facts, "step 4"))
    assert resumed.history == run.history
    for step in (3, 5, 6, 10**9):
        rows = [facts["history"][0], facts["history"][1] | {"step": step}]
        with pytest.raises(GencliError, match="saved: state"):
            resumed.load_state(Held("saved", tensors, facts | {"history": rows}, "step 4"))


def test_a_changed_checkpoint_that_is_sealed_is_refused_by_its_file(tmp_path: Path) -> None:
    path, made = str(tmp_path / "saved"), provenance.step("train", {})
    tensors, facts = state(PLAIN, 4)
    for told in (facts | {"step": -(10**9)}, facts | {"history": [], "finished": True}, {}):
        checkpoints.write(path, checkpoints.TRAINING, tensors, made, "step 4", told)
        held = checkpoints.read(path, checkpoints.TRAINING, made)
        assert held is not None
        with pytest.raises(GencliError, match=f"{path}: state"):
            training(PLAIN).load_state(held)
