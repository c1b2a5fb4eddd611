"""What is recorded of the machine: where it bears on the bytes, and nowhere else."""

import hashlib
import importlib
import sys
from pathlib import Path

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


def test_code_of_ones_own_is_known_by_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def known(name: str) -> str:
        circumstances._of_module.cache_clear()
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
        monkeypatch.setattr(strangers, "_network", f"{name}:factory")
        return circumstances.facts("train", [], "cpu")["network"]

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "alone_of_test.py").write_text("x = 1")
    package = tmp_path / "package_of_test"
    package.mkdir()
    for name in ("__init__", "factory", "helper"):
        (package / f"{name}.py").write_text("x = 1")
    assert known("alone_of_test") == hashlib.sha256(b"x = 1").hexdigest()
    parts = [f"{name}.py\0x = 1" for name in ("__init__", "factory", "helper")]
    before = known("package_of_test.factory")
    assert before == hashlib.sha256("".join(parts).encode()).hexdigest()
    (package / "helper.py").write_text("x = 2")
    assert known("package_of_test.factory") != before


def test_a_build_is_told_by_its_libraries() -> None:
    words = "COMMIT_SHA=0123456789abcdef, BLAS_INFO=mkl, Math Kernel Library Version 2024.2, MKL-DNN v3.7.1 (x)"
    whole = "commit 0123456789ab, blas mkl, mkl 2024.2, onednn 3.7.1"
    assert circumstances._build(words) == whole
    assert circumstances._build("BLAS_INFO=open") == "blas open"
    assert circumstances._build("") == ""


def test_a_processor_is_known_by_the_last_of_what_numpy_has_code_for(monkeypatch: pytest.MonkeyPatch) -> None:
    umath = importlib.import_module("numpy._core._multiarray_umath")
    monkeypatch.setattr(umath, "__cpu_baseline__", ["A", "B"])
    monkeypatch.setattr(umath, "__cpu_dispatch__", ["C", "D"])
    for has, known in (("ABC", "C"), ("AB", "B"), ("ABCD", "D"), ("", "")):
        monkeypatch.setattr(umath, "__cpu_features__", {name: name in has for name in "ABCDE"})
        assert circumstances._of_numpy() == known
