"""Values of options that are refused before any work, and what is set before libraries are loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from gencli import machine
from gencli.cli import console
from gencli.cli import options as options_of
from gencli.cli.common import early, early_threads, require_64_bits
from gencli.cli.options import Saving, dashed
from gencli.errors import GencliError
from gencli.files import endings


def test_fields_are_options_with_dashes() -> None:
    assert [dashed(name) for name in ("p", "lr", "batch_size")] == ["-p", "--lr", "--batch-size"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": ""}, "--name: empty"), ({"p": ""}, "-p: empty"), ({"output": ""}, "-o: empty"),
        ({"data": ""}, "DATA: empty"),
        ({"model": ""}, "MODEL: empty"), ({"file": ["a", ""]}, "--file: empty"),
        ({"lr": float("inf")}, "--lr: inf is not finite"),
        ({"top": (1, 2**63)}, "--top: 9223372036854775808 takes more than 64 bits"),
        ({"lr": [0.1, float("nan")]}, "--lr: nan is not finite"), ({"output": "x.csv"}, None),
        ({"history": "x.csv"}, None),
    ],
)  # fmt: skip
def test_values_that_no_command_takes_are_refused(given: dict[str, Any], said: str | None) -> None:
    places = {"output": endings.RESULT, "history": endings.RESULT}
    if said is None:
        options_of._require(given, places, None)
        options_of._require(given, {}, "json")
    else:
        with pytest.raises(GencliError) as refused:
            options_of._require(given, places, None)
        assert refused.value.message == said


def test_values_that_commands_take_pass() -> None:
    given = {"split": "", "seed": 2**70, "n": 2**63 - 1, "lr": -1e308, "flag": True, "file": [], "none": None}
    options_of._require(given, {}, None)
    require_64_bits("-n", 2**63 - 1)
    with pytest.raises(GencliError, match=r"^-n: 9223372036854775808 takes more than 64 bits$"):
        require_64_bits("-n", 2**63)


def test_a_format_contradicts_the_name_of_the_output_alone() -> None:
    places = {"output": endings.RESULT, "history": endings.RESULT}
    options_of._require({"history": "x.csv"}, places, "json")
    with pytest.raises(GencliError, match=r"^-o: x\.csv: its extension contradicts --format json$"):
        options_of._require({"output": "x.csv"}, places, "json")


@dataclass
class Some(Saving):
    checkpoint: str | None = None
    resume: bool = False
    overwrite: bool = False


@pytest.mark.parametrize(
    ("settings", "given", "said"),
    [
        (Some(), [], None), (Some("c"), ["resume", "checkpoint_every"], None), (Some("c", resume=True),
        ["resume"], None),
        (Some(resume=True), ["resume"], "--resume needs a checkpoint"),
        (Some(overwrite=True), ["overwrite"], "--overwrite needs a checkpoint"),
        (Some(), ["checkpoint_every", "resume"], "--checkpoint-every needs a checkpoint"),
        (Some("c", True, True), ["resume", "overwrite"], "--resume and --overwrite do not go together"),
    ],
)  # fmt: skip
def test_options_of_a_checkpoint_need_one(settings: Some, given: list[str], said: str | None) -> None:
    if said is None:
        assert settings.resolved(given) is settings
    else:
        with pytest.raises(GencliError) as refused:
            settings.resolved(given)
        assert refused.value.message == said


@pytest.mark.parametrize(
    ("words", "environment", "threads"),
    [
        (["train", "--threads", "3"], "5", "3"), (["--threads=2"], "5", "2"), ([], "5", "5"), ([], "", None),
        (["--threads", "x"], "5", None), (["--threads", "\u0663"], "", None), (["--threads"], "4", "4"),
        (["--thread", "3"], "", None),
    ],
)  # fmt: skip
def test_threads_are_set_before_libraries_are_loaded(
    words: list[str], environment: str, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENCLI_THREADS", environment)
    monkeypatch.setenv("MKL_NUM_THREADS", "9")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "7")
    early_threads(words)
    assert "MKL_NUM_THREADS" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == (threads or "7")
    assert os.environ.get("OPENBLAS_NUM_THREADS") == threads


def test_tracebacks_and_determinism_are_asked_for_by_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = list[bool]()
    monkeypatch.setattr(machine, "pin", lambda: pinned.append(True))
    for words, debug, count in ((["train"], False, 0), (["--debug"], True, 0), (["x", "--deterministic"], False, 1)):
        early(words)
        assert (console.debug, len(pinned)) == (debug, count)
