"""What a refused checkpoint says to do works when it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gencli.cli.app import main
from gencli.cli.options import Saving
from gencli.errors import GencliError
from gencli.files import checkpoints, provenance


def train(place: Path, *options: str) -> int:
    words = ["train", str(place / "digits.parquet"), "--arch", "linear", "-q", "-o", str(place / "m.safetensors")]
    return main([*words, "--checkpoint", str(place / "c.ck"), *options])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    assert main(["data", "digits", "--limit", "40", "-q", "-o", str(tmp_path / "digits.parquet")]) == 0
    return tmp_path


def test_another_run_is_started_anew_by_overwrite(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert train(place, "--epochs", "1") == 0
    assert train(place, "--epochs", "1", "--seed", "1", "--resume") == 2
    said = capfd.readouterr().err
    assert "--seed was 0, is 1" in said
    assert "run it as before, or give --overwrite instead of --resume" in said
    assert train(place, "--epochs", "1", "--resume") == train(place, "--epochs", "2", "--overwrite") == 0


def test_an_empty_file_is_started_anew_by_overwrite(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "c.ck").touch()
    for options, hint in (([], "--overwrite replaces it"), (["--resume"], "--overwrite instead of --resume")):
        assert train(place, "--epochs", "1", *options) == 2
        assert hint in capfd.readouterr().err
    assert train(place, "--epochs", "1", "--overwrite") == 0


def test_a_spectrums_checkpoint_stays(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kept = {"vector": torch.zeros(1)}
    checkpoints.write(str(place / "c.ck"), checkpoints.SPECTRUM, kept, provenance.step("spectrum", {}), "1 product", {})
    before = (place / "c.ck").read_bytes()
    for option, overwritten in (("--resume", False), ("--overwrite", True)):
        assert train(place, "--epochs", "1", option) == 2
        said = capfd.readouterr().err
        assert "no checkpoint of training" in said
        assert "name another checkpoint" in said
        assert ("is not overwritten" in said) == overwritten
    assert (place / "c.ck").read_bytes() == before


FIRST = provenance.Step("train", {"lr": 0.1, "p": 1}, {"gencli": "1"}, (provenance.Source("data", "0a"),))


@pytest.mark.parametrize(
    ("changed", "free", "said"),
    [
        ({}, (), []), ({"arguments": {"lr": 0.2, "p": 1}}, (), ["--lr was 0.1, is 0.2"]),
        ({"arguments": {"lr": 0.2, "p": 2}}, ("lr",), ["-p was 1, is 2"]),
        ({"arguments": {"lr": 0.1, "p": 1, "processes": 2}}, (), ["the number of processes was not set, is 2"]),
        ({"arguments": {"lr": 0.1}}, (), ["-p was 1, is not set"]), ({"versions": {"gencli": "2"}}, ("gencli",),
        ["gencli was 1, is 2"]),
        ({"machine": {"cpu": "A"}}, (), ["cpu was not set, is A"]),
        ({"inputs": (provenance.Source("data", "0b"),)}, (), ["data: another file"]),
        ({"inputs": ()}, (), ["data: another file"]), ({"inputs": (provenance.Source("file", "0a"),)}, (),
        ["data: another file", "file: another file"]),
    ],
)  # fmt: skip
def test_runs_differ_in_settings_versions_and_files(changed: Any, free: tuple[str, ...], said: list[str]) -> None:
    assert checkpoints.differences(FIRST, replace(FIRST, **changed), free) == said


def test_files_in_another_order_are_others() -> None:
    two = (provenance.Source("data", "0a"), provenance.Source("data", "0b"))
    one, other = replace(FIRST, inputs=two), replace(FIRST, inputs=two[::-1])
    assert checkpoints.differences(one, other) == ["its files are in another order"]
    assert checkpoints.differences(one, one) == []


def written(place: Path, kind: str = checkpoints.TRAINING, **arguments: Any) -> str:
    made = replace(FIRST, arguments=FIRST.arguments | arguments)
    checkpoints.write(str(place / "c"), kind, {"a": torch.ones(2)}, made, "epoch 3", {"x": 1})
    return str(place / "c")


@pytest.mark.parametrize(
    ("was", "now", "before"),
    [(3, 3, None), (3, 5, 3), (3, 2, "--epochs was 3, is 2"), (None, 5, "--epochs was not set, is 5")],
)
def test_more_may_be_asked_for_than_before(was: int | None, now: int, before: Any, tmp_path: Path) -> None:
    path = written(tmp_path, epochs=was)
    made = replace(FIRST, arguments=FIRST.arguments | {"epochs": now})

    def read() -> Any:
        return checkpoints.read(path, checkpoints.TRAINING, made, grows="epochs")

    if isinstance(before, str):
        with pytest.raises(GencliError) as refused:
            read()
        assert refused.value.message == f"{path}: a checkpoint of another run: {before}"
    else:
        held = read()
        assert held.before == before
        assert held.tensor("a", (2,), torch.float32).tolist() == [1, 1]
        assert held.facts.whole("x", 1, 1) == 1
        held.close("epoch 3")


@dataclass
class Some(Saving):
    checkpoint: str | None = None
    resume: bool = False
    overwrite: bool = False


def test_where_there_is_a_checkpoint_it_is_said_what_to_do(tmp_path: Path) -> None:
    def said(kind: str = checkpoints.TRAINING, **how: bool) -> str:
        try:
            checkpoints.require(Some(str(tmp_path / "c"), **how), kind)
        except GencliError as refused:
            return f"{refused.message}; {refused.hint}".replace(f"{tmp_path}/", "")
        return ""

    checkpoints.require(Some(), checkpoints.TRAINING)
    assert said() == said(resume=True) == ""
    (tmp_path / "c").touch()
    assert said() == "c: empty, not a checkpoint; --overwrite replaces it"
    assert said(resume=True) == "c: empty, not a checkpoint; give --overwrite instead of --resume to start over"
    assert said(overwrite=True) == ""
    written(tmp_path)
    assert said() == "c: already holds a checkpoint at epoch 3; --resume continues from it, --overwrite starts over"
    assert said(resume=True) == said(overwrite=True) == ""
    other = "c: tensors, but no checkpoint of a spectrum; name another checkpoint"
    assert said(checkpoints.SPECTRUM, resume=True) == other
    assert said(checkpoints.SPECTRUM) == f"{other}; a file that is not a checkpoint is not overwritten"
    for place in ("-", "/dev/null", "s3://b/c", "/dev/fd/1"):
        with pytest.raises(GencliError, match=f"^--checkpoint: {place} is not a regular file"):
            checkpoints.require(Some(place), checkpoints.TRAINING)
