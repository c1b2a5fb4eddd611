"""What a refused checkpoint says to do works when it is done."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gencli.cli.app import main
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
