"""What is written of a run besides its model: how often, after which epochs, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.training.records import Checkpoints, Records, Starting, parse_cadence
from gencli.training.settings import Settings

SETTINGS = Settings(arch="linear", epochs=8)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1ep", (1, "epochs")),
        ("12ep", (12, "epochs")),
        ("500", (500, "steps")),
        ("1", (1, "steps")),
        ("5min", (300, "seconds")),
        ("0.5s", (0.5, "seconds")),
        ("1h30min", (5400, "seconds")),
    ],
)
def test_a_cadence_is_of_epochs_steps_or_time(text: str, found: tuple[float, str]) -> None:
    assert parse_cadence(text) == found


@pytest.mark.parametrize("text", ["", "0", "0ep", "0s", "-1", "ep", "1 ep", "1e3", "1234567890", "x", "٣"])
def test_what_is_no_cadence_is_refused(text: str) -> None:
    with pytest.raises(GencliError) as refused:
        Checkpoints(checkpoint_every=text).resolved(set())
    assert refused.value.message == f"--checkpoint-every: {text!r}"
    assert refused.value.hint == "give epochs, steps or a time: 1ep, 500, 90s, 5min, 1h30min"


def test_models_are_saved_after_every_so_many_epochs_up_to_the_last() -> None:
    assert Records().saved(SETTINGS, None) == {}
    each = Records(save_every=1).saved(replace(SETTINGS, epochs=3), "a.b/m.safetensors")
    assert each == {epoch: f"a.b/m.epoch000{epoch}.safetensors" for epoch in (1, 2, 3)}
    for every, epochs in ((3, [3, 6]), (4, [4, 8]), (7, [7]), (8, [8])):
        assert list(Records(save_every=every).saved(SETTINGS, "m")) == epochs
    stopped = replace(SETTINGS, stop_epoch=5)
    assert list(Records(save_every=2).saved(stopped, "m")) == [2, 4]
    with pytest.raises(GencliError, match="--save-every: 6 of 5 epochs"):
        Records(save_every=6).saved(stopped, "m")


@pytest.mark.parametrize("output", [None, "-", "/dev/stdout", "folder"])
def test_models_of_epochs_are_saved_beside_a_file_alone(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert Records(save_every=8).saved(SETTINGS, "file") == {8: "file.epoch0008"}
    with pytest.raises(GencliError) as refused:
        Records(save_every=8).saved(SETTINGS, output)
    assert (refused.value.message, refused.value.hint) == (
        "--save-every: models are saved beside a file", "name one with -o"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"runs": 2}, "--save-every and --runs and --vary: networks are not all at one epoch"),
        ({"early_stop": 2}, "--save-every and --early-stop: the model is of the best epoch so far"),
    ],
)
def test_where_there_is_no_model_of_an_epoch_none_is_saved(more: dict[str, int], said: str) -> None:
    settings = replace(SETTINGS, **more)  # type: ignore[arg-type]
    with pytest.raises(GencliError, match=re.escape(said)):
        Records(save_every=2).saved(settings, "m")
    assert Records().saved(settings, "m") == {}


def test_the_epoch_of_el2n_is_the_tenth_the_last_or_the_one_that_is_given() -> None:
    assert Records(history="h").watched(SETTINGS) is None
    written = Records(dynamics="d", el2n_epoch=3).resolved({"el2n_epoch"})
    assert written.watched(SETTINGS) == 3
    assert replace(written, el2n_epoch=8).watched(SETTINGS) == 8
    for epochs, epoch in ((1, 1), (9, 9), (10, 10), (11, 10)):
        assert Records(dynamics="d").watched(replace(SETTINGS, epochs=epochs)) == epoch
    with pytest.raises(GencliError, match="--el2n-epoch: 9 of 8 epochs"):
        replace(written, el2n_epoch=9).watched(SETTINGS)
    assert Records().resolved(set()) == Records()


def test_what_is_tracked_needs_a_history_unless_nothing_is_written() -> None:
    tracked = replace(SETTINGS, track="sharpness")
    with pytest.raises(GencliError, match="--track: there is no history"):
        Records().watched(tracked)
    assert Records().watched(tracked, rehearsed=True) is None
    assert Records(history="h").watched(tracked) is None
    assert Records().watched(SETTINGS) is None


@pytest.mark.parametrize(("name", "value"), [("init_except", "0"), ("init_run", 0)])
def test_options_of_a_start_need_one(name: str, value: object) -> None:
    settings = replace(SETTINGS, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: there is no file to start from"):
        Starting().require(settings)
    Starting("m.safetensors").require(settings)
    Starting().require(SETTINGS)
