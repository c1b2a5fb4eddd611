"""Which options go with a kernel, of which kind, and which without one."""

from __future__ import annotations

from typing import Any

import pytest

from gencli.alignment.settings import KernelSettings
from gencli.errors import GencliError


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        ({}, {"normalize"}, "--normalize: applies to a kernel"),
        ({}, {"targets", "fitted_at"}, "--fitted-at: applies to a kernel"),
        ({"kernel": "ntk:2"}, {"kernel", "trace"}, "--trace: applies to the curvature, not to --kernel"),
        ({"kernel": "empirical"}, {"batch_size"}, "--batch-size: applies to the curvature, not to --kernel"),
        ({"kernel": "empirical"}, {"normalize"}, "--normalize: applies only to a kernel without a model"),
        ({"kernel": "ntk:2"}, {"outputs"}, "--outputs: applies only to --kernel empirical"),
        ({"kernel": "ntk:2"}, {"dtype", "parameters"}, "--dtype: applies only to --kernel empirical"),
        ({"kernel": "linear", "step_size": 0.0}, set(), "--step-size: 0 is out of range"),
        ({"kernel": "linear", "step_size": -1.0}, set(), "--step-size: -1 is out of range"),
        ({"kernel": "linear", "step_size": float("inf")}, set(), "--step-size: inf is out of range"),
        ({"kernel": "linear", "step_size": float("nan")}, set(), "--step-size: nan is out of range"),
    ],
)
def test_options_that_do_not_go_with_the_kernel_are_refused(
    asked: dict[str, Any], given: set[str], message: str
) -> None:
    with pytest.raises(GencliError) as refused:
        KernelSettings(**asked).resolved(given)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, {"trace", "batch_size", "dtype", "parameters"}), ({"kernel": "ntk:2"}, {"kernel", "normalize", "targets"}),
        ({"kernel": "ntk:2"}, {"data", "top", "bottom", "limit", "figure", "energy", "descent"}),
        ({"kernel": "empirical"}, {"model", "outputs", "dtype", "parameters", "run", "arch", "device"}),
        ({"kernel": "linear", "step_size": 0.5}, {"step_size"}),
    ],
)  # fmt: skip
def test_options_that_go_with_the_kernel_are_taken(asked: dict[str, Any], given: set[str]) -> None:
    settings = KernelSettings(**asked)
    assert settings.resolved(given) is settings


def test_what_bears_on_the_result_is_recorded() -> None:
    kernel = KernelSettings(kernel="ntk:2", energy="e.csv", descent="d.csv")
    assert kernel.arguments() == {
        "kernel": "ntk:2", "normalize": "unit", "targets": "centered", "step_size": None, "fitted_at": 0.99,
    }  # fmt: skip
    assert kernel.files == ("e.csv", "d.csv")
    empirical = KernelSettings(kernel="empirical").arguments()
    assert ("normalize" in empirical, empirical["outputs"]) == (False, "all")
