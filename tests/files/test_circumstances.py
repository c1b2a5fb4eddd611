"""What is recorded of the machine: where it bears on the bytes, and nowhere else."""

import hashlib
import sys

import pytest
import torch

from gencli import strangers
from gencli.files import circumstances


def test_torch_says_how_it_computes() -> None:
    found = circumstances.facts("train", ["torch", "numpy"], "cpu")
    assert found["torch cpu"] == torch.backends.cpu.get_cpu_capability()
    assert torch.version.git_version is not None
    assert found["torch build"].startswith(f"commit {torch.version.git_version[:12]}")
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert len(found["source"]) == 12


def test_whole_numbers_record_no_processor() -> None:
    for command in ("data digits", "corrupt random-labels", "report"):
        assert circumstances.facts(command, ["numpy"], None).keys() == {"python", "source"}
    for command in ("corrupt common", "check circulant", "eval"):
        assert circumstances.facts(command, ["numpy"], None).keys() == {"python", "source", "numpy cpu"}


def test_limits_of_instructions_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    assert circumstances.facts("train", ["torch"], "cpu")["ONEDNN_MAX_CPU_ISA"] == "SSE41"


def test_a_network_of_ones_own_is_known_by_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "_named", f"{__name__}:factory")
    with open(__file__, "rb") as file:
        assert circumstances.facts("train", [], "cpu")["network"] == hashlib.sha256(file.read()).hexdigest()
