"""What is asked for must be computed, and sizes be above 0."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gencli.curvature.settings import (
    MethodSettings,
    OperatorSettings,
    ProductSettings,
    QuantitySettings,
    SavingSettings,
)
from gencli.errors import GencliError


@pytest.mark.parametrize("name", ["density_width", "along_radius", "tolerance"])
def test_sizes_lie_above_0(name: str) -> None:
    for value in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(GencliError, match=f"--{name.replace('_', '-')}: {value:g} is out of range"):
            replace(MethodSettings(), **{name: value}).resolved([])
    for value in (1e-3, 1.0, 1e300):
        assert getattr(replace(MethodSettings(), **{name: value}).resolved([]), name) == value


def test_a_density_is_no_finer_than_eigenvalues_are_known() -> None:
    for width in (1e-300, 0.9e-12):
        with pytest.raises(GencliError, match=f"--density-width: {width:g} is finer than eigenvalues are known"):
            MethodSettings(density_width=width).resolved([])
    MethodSettings(density_width=1.1e-12).resolved([])
    MethodSettings(density_width=1e-12).resolved([])


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        ({"trace": True}, "vectors", "--vectors: no eigenvectors are computed"),
        ({"trace": True}, "along", "--along: no eigenvectors are computed"),
        ({"density": "d.csv"}, "tolerance", "--tolerance: no eigenvalues are computed"),
        ({"trace": True, "density": "d.csv"}, "max_products", "--max-products: no eigenvalues are computed"),
        ({"trace": True}, "basis", "--basis: no eigenvalues are computed"),
        ({}, "trace_products", "--trace-products: no trace is computed"),
        ({"trace": True}, "density_width", "--density-width: no density is computed"),
        ({"density": "d.csv"}, "trace_products", "--trace-products: no trace is computed"),
        ({}, "along_points", "--along-points: no along is computed"),
        ({"figure": "f.png"}, "figure", "--figure: nothing to draw"),
    ],
)
def test_options_of_what_is_not_computed_are_refused(asked: dict[str, Any], given: str, message: str) -> None:
    with pytest.raises(GencliError, match=f"^{message}$"):
        QuantitySettings(**asked).resolved([given])


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({}, ["vectors", "along", "tolerance", "max_products", "basis"]),
        ({"top": 2, "trace": True}, ["tolerance"]),
        ({"bottom": 1, "trace": True}, ["tolerance"]),
        ({"condition": True, "density": "d.csv"}, ["basis"]),
        ({"trace": True}, ["trace_products"]),
        ({"density": "d.csv"}, ["density_probes", "density"]),
        ({"along": "a.csv"}, ["along_points", "along_radius"]),
        ({"figure": "f.png", "density": "d.csv"}, []),
        ({"figure": "f.png", "along": "a.csv"}, []),
        ({"figure": "f.png"}, ["kernel"]),
        ({"trace": True}, []),
    ],
)
def test_options_of_what_is_computed_are_taken(asked: dict[str, Any], given: list[str]) -> None:
    settings = QuantitySettings(**asked)
    assert settings.resolved(given) is settings


@pytest.mark.parametrize(
    ("asked", "given", "message"),
    [
        ({"dense": True, "vector": ["ones"]}, [], "--dense: cannot be combined"),
        ({"dense": True, "method": "all"}, [], "--dense: cannot be combined"),
        ({"vector": ["ones,,gradient"]}, [], "--vector: an empty name"),
        ({"verify": False}, ["tolerance"], "--tolerance: nothing is compared"),
        ({"verify": False, "plot": "v.png"}, [], "--plot: draws what verification finds"),
    ],
)
def test_options_of_products_that_do_not_go_together_are_refused(
    asked: dict[str, Any], given: list[str], message: str
) -> None:
    with pytest.raises(GencliError, match=message):
        ProductSettings(**asked).resolved(given)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"dense": True}, []), ({"vector": ["ones"]}, []), ({"method": "all", "vector": ["ones"]}, []),
        ({}, ["tolerance"]), ({"verify": True}, ["tolerance"]), ({"verify": False}, []),
        ({"verify": False, "dense": True}, ["tolerance"]), ({"verify": False, "method": "all"}, ["tolerance"]),
        ({"plot": "v.png"}, []), ({"plot": "v.png", "verify": True}, []),
    ],
)  # fmt: skip
def test_options_of_products_that_go_together_are_taken(asked: dict[str, Any], given: list[str]) -> None:
    settings = ProductSettings(**asked)
    assert settings.resolved(given) is settings


def test_vectors_are_names_between_commas_files_or_addresses(tmp_path: Path) -> None:
    file = tmp_path / "a,b.safetensors"
    file.touch()
    asked = ProductSettings(vector=["ones,gradient", str(file), "s3://bucket/c,d.safetensors"])
    assert asked.words == ["ones", "gradient", str(file), "s3://bucket/c,d.safetensors"]
    assert asked.arguments({str(file)}) == {
        "vector": ["ones", "gradient", "FILE", "s3://bucket/c,d.safetensors"], "method": "auto", "dense": False,
    }  # fmt: skip
    assert ProductSettings().arguments(()) == {"vector": ["random:0"], "method": "auto", "dense": False}
    assert ProductSettings(dense=True).arguments(()) == {"vector": None, "method": None, "dense": True}


def test_what_affects_files_alone_is_told_apart() -> None:
    method = MethodSettings(density_probes=3, along_points=7)
    density = {"density_probes": 3, "density_steps": 50, "density_width": 0.01}
    along = {"along_radius": 0.5, "along_points": 7}
    assert method.of_files(QuantitySettings(density="d.csv", along="a.csv")) == density | along
    assert method.of_files(QuantitySettings(density="d.csv")) == density
    assert method.of_files(QuantitySettings(along="a.csv")) == along
    assert method.of_files(QuantitySettings(trace=True)) == {}
    assert QuantitySettings(density="d", vectors="v", along="a", figure="f").files == ("d", "v", "a", "f")


def test_defaults_are_those_that_the_help_tells() -> None:
    method, saving = MethodSettings(), SavingSettings()
    assert (method.tolerance, method.max_products, method.basis, method.trace_products) == (None, 1000, None, 98)
    assert (method.density_probes, method.density_steps, method.along_points, method.seed) == (5, 50, 21, 0)
    assert (saving.checkpoint, saving.checkpoint_every, saving.resume, saving.overwrite) == (None, 10, False, False)
    assert OperatorSettings().batch_size == 512
