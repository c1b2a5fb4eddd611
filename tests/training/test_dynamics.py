"""Dynamics are what a plain loop over rows and epochs counts, whatever the run is interrupted or batched by."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from gencli.errors import GencliError
from gencli.evaluation.predictions import Predictions
from gencli.files.held import Held
from gencli.models.inputs import Preprocessing, load
from gencli.ranks import Group
from gencli.training.dynamics import Dynamics, reduced, require
from gencli.training.records import Records
from gencli.training.settings import Settings
from gencli.training.setup import prepare
from gencli.training.several import begin
from tests.helpers import image_table

TABLE = image_table(61, (4, 4, 1))
SETTINGS = Settings(arch="mlp-1x6", epochs=8, batch_size=16, device="cpu", lr=0.5, measure_train=True)


def start(settings: Settings, watched: int | None = 3) -> Any:
    setup = prepare(settings, TABLE.description, TABLE.schema.names, "")
    return begin(setup, TABLE, None, Group(), watched=watched)


def dynamics(settings: Settings, watched: int = 3) -> pa.Table:
    run = start(settings, watched)
    run.run()
    return run.table("dynamics")


def plain(settings: Settings, watched: int = 3) -> list[dict[str, Any]]:
    """The same by softmax, loops and lists, from weights that hooks see at every step."""
    run = start(settings)
    rows, seen = load(TABLE), []
    images = Preprocessing()(rows.images)
    run.model.network.register_forward_hook(
        lambda module, inputs, outputs: (
            seen.append((inputs[0].detach().clone(), outputs.detach().double())) if module.training else None
        )
    )
    run.run()
    every: dict[int, list[list[float]]] = {number: [] for number in range(len(rows))}
    for batch, outputs in seen:
        for image, logits in zip(batch, outputs.tolist(), strict=True):
            number = int((images - image).flatten(1).norm(dim=1).argmin())
            every[number].append(logits)
    found = []
    for number, presented in every.items():
        label = int(rows.labels[number])
        right, chances, margins, losses, errors = [], [], [], [], []
        for logits in presented:
            top = max(logits)
            powers = [math.exp(each - top) for each in logits]
            chance = [each / sum(powers) for each in powers]
            others = [each for place, each in enumerate(logits) if place != label]
            margins.append(logits[label] - max(others))
            right.append(logits.index(max(logits)) == label)
            chances.append(chance[label])
            losses.append(-math.log(chance[label]))
            errors.append(math.sqrt(sum((each - (place == label)) ** 2 for place, each in enumerate(chance))))
        learned = next((e + 1 for e in range(len(right)) if all(right[e:])), None)
        found.append(
            {
                "id": int(TABLE.column("id")[number]),
                "label": label,
                "first_learned": right.index(True) + 1 if any(right) else None,
                "learned": learned,
                "forgotten": sum(a and not b for a, b in pairwise(right)) if any(right) else None,
                "aum": float(np.mean(margins)),
                "confidence": float(np.mean(chances)),
                "variability": float(np.std(chances)),
                "correctness": float(np.mean(right)),
                "el2n": errors[watched - 1],
                "loss_mean": float(np.mean(losses)),
                "loss_last": losses[-1],
            }
        )
    return found


def test_dynamics_are_those_of_a_plain_loop() -> None:
    rows, wanted = dynamics(SETTINGS).to_pylist(), plain(SETTINGS)
    forgotten = [row["forgotten"] for row in wanted]
    assert any(forgotten)  # the table tells something
    assert None in [row["learned"] for row in wanted]
    for row, other in zip(rows, wanted, strict=True):
        assert row.keys() == other.keys()
        for name, value in other.items():
            assert row[name] == (pytest.approx(value, rel=2e-5, abs=2e-6) if isinstance(value, float) else value), name


def test_rows_that_the_last_epoch_did_not_visit_count_their_own_visits() -> None:
    rows = dynamics(replace(SETTINGS, max_steps=6), 2)  # four steps an epoch
    shares = rows["correctness"].to_numpy()
    assert set(np.round(shares * 2)) | set(np.round(shares)) <= {0, 1, 2}
    first = dynamics(replace(SETTINGS, max_steps=2), 1)
    assert first["aum"].null_count == 61 - 32
    assert first["loss_last"].null_count == 61 - 32


@pytest.mark.parametrize("more", [{}, {"runs": 3, "subset": 0.7}, {"runs": 2, "optimizer": "muon", "arch": "mlp-2x6"}])
@pytest.mark.parametrize("step", [3, 10, 11])
def test_resumed_runs_give_the_same(more: dict[str, Any], step: int) -> None:
    settings, found = replace(SETTINGS, **more, epochs=4), []
    whole = dynamics(settings)

    def stop(now: int, epoch: object) -> None:
        if now == step:
            tensors, facts = run.state()
            found.append(({name: each.clone() for name, each in tensors.items()}, json.loads(json.dumps(facts))))
            raise InterruptedError

    run = start(settings)
    with pytest.raises(InterruptedError):
        run.run(stop)
    again = start(settings)
    again.load_state(Held("saved", found[0][0], found[0][1], f"step {step}"))
    again.run()
    assert again.table("dynamics") == whole
    for watched in (None, 2):
        with pytest.raises(GencliError, match="saved: "):
            start(settings, watched).load_state(Held("saved", found[0][0], found[0][1], f"step {step}"))


@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_row_has_the_same_bits_whichever_rows_are_beside_it(sigmoid: bool) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(3001, 10) * 4, torch.randint(10, (3001,))

    def figures(rows: slice) -> Predictions:
        given = Predictions(torch.zeros(3001)[rows], labels[rows] == 0, logits=logits[rows])
        return reduced(given, labels[rows], sigmoid, True)

    whole = figures(slice(None)).tensors()
    for start, stop in ((0, 3000), (7, 1500), (16, 2048), (1003, 3001), (5, 6)):
        part = figures(slice(start, stop)).tensors()
        assert {"margins", "chances", "errors"} <= part.keys()
        for name, values in part.items():
            assert torch.equal(values, whole[name][start:stop]), name


def test_several_runs_have_the_dynamics_of_each() -> None:
    settings = replace(SETTINGS, runs=3, subset=0.7, epochs=4, lr=0.05)
    rows = dynamics(settings)
    assert rows.num_rows == 3 * 43
    for number, each in enumerate(settings.each()):
        alone, mine = dynamics(each), rows.filter(pa.array(rows["run"].to_numpy() == number)).drop_columns("run")
        for name in alone.column_names:
            if pa.types.is_floating(alone[name].type):
                np.testing.assert_allclose(mine[name].to_numpy(), alone[name].to_numpy(), rtol=1e-4, atol=1e-5)
            else:
                assert mine[name].to_pylist() == alone[name].to_pylist()


def test_what_has_no_dynamics_is_refused() -> None:
    with pytest.raises(GencliError, match="--dynamics: --resample draws rows"):
        start(replace(SETTINGS, resample="balanced"))
    with pytest.raises(GencliError, match="--el2n-epoch: there are no dynamics"):
        Records(el2n_epoch=3).resolved({"el2n_epoch"})
    with pytest.raises(GencliError, match="--el2n-epoch: 9 of 8 epochs"):
        Records(dynamics="d.parquet", el2n_epoch=9).watched(SETTINGS)
    assert Records(dynamics="d.parquet").watched(SETTINGS) == 8
    assert Records(dynamics="d.parquet").watched(replace(SETTINGS, epochs=50)) == 10


def test_every_changed_figure_of_a_checkpoint_is_in_its_range() -> None:
    run = start(SETTINGS)
    run.run()
    tensors, facts = run.state()
    for name, value in (("visits", 7), ("right", 99), ("forgotten", -1), ("chance", 1.5), ("loss", -1.0)):
        changed = tensors | {
            f"dynamics/{name}": tensors[f"dynamics/{name}"].clone().index_fill_(0, torch.tensor([4]), value)
        }
        with pytest.raises(GencliError, match=f"saved: dynamics/{name}"):
            start(SETTINGS).load_state(Held("saved", changed, facts, "step 32"))


def test_figures_of_three_epochs_are_those_counted_by_hand() -> None:
    """Rows: always right; right, wrong, right; wrong, right, wrong; never right; the last one is never visited."""
    data = load(image_table(5, (2, 2, 1)))
    made = Dynamics(data, 2)
    right = [[True, True, True], [True, False, True], [False, True, False], [False] * 3]
    chances = [[0.5, 0.7, 0.9], [0.6, 0.2, 0.7], [0.1, 0.8, 0.3], [0.0, 0.1, 0.2]]
    for number in range(3):
        order = [[3, 0, 2, 1], [0, 1, 2, 3], [1, 3, 2, 0]][number]
        values = {
            "losses": [row + number / 10 for row in order], "scores": [right[row][number] for row in order],
            "margins": [10.0 * row + number for row in order], "chances": [chances[row][number] for row in order],
        }  # fmt: skip
        errors = {"errors": [row + 0.5 for row in order]} if number == 1 else {}
        seen = Predictions(**{name: torch.tensor(each) for name, each in (values | errors).items()})
        made.update(number + 1, torch.tensor(order), seen)
    table = made.table().to_pydict()
    assert table["first_learned"] == [1, 1, 2, None, None]
    assert table["learned"] == [1, 3, None, None, None]
    assert table["forgotten"] == [0, 1, 1, None, None]
    assert table["correctness"] == [1, pytest.approx(2 / 3), pytest.approx(1 / 3), 0, None]
    approximately: dict[str, list[float]] = {
        "aum": [1.0, 11.0, 21.0, 31.0],
        "confidence": [float(np.mean(each)) for each in chances],
        "variability": [float(np.std(each)) for each in chances],
        "loss_mean": [row + 0.1 for row in range(4)],
        "loss_last": [row + 0.2 for row in range(4)],
        "el2n": [0.5, 1.5, 2.5, 3.5],
    }
    for name, wanted in approximately.items():
        assert table[name][:4] == pytest.approx(wanted, rel=1e-6), name
        assert table[name][4] is None


@pytest.mark.parametrize(("processes", "refused"), [(1, ""), (2, "each of 2 processes"), (3, "each of 3 processes")])
def test_one_process_sees_all_rows(processes: int, refused: str) -> None:
    if not refused:
        require(SETTINGS, False, processes)
        with pytest.raises(GencliError, match=f"--dynamics: {SETTINGS.arch} outputs images"):
            require(SETTINGS, True, processes)
        return
    with pytest.raises(GencliError, match=f"--dynamics: {refused} of torchrun sees a part of the rows"):
        require(SETTINGS, False, processes)
