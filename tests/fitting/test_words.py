"""What fits say where they cannot be made, the memory that they ask for, and how options are read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from gencli import kernels, machine
from gencli.errors import GencliError
from gencli.files.provenance import step
from gencli.files.tables import Description
from gencli.fitting import cholesky, iterative, kernel, kinds
from gencli.fitting.kinds import FiniteSampleLearner, Kernel, LeastSquares
from gencli.fitting.rows import first_places, require_points
from gencli.models.inputs import Rows
from gencli.ranks import ALONE
from tests.fitting.test_kinds import some

MANY = Description("toy", "train", ("a", "b", "c"), (4, 5, 2))


@pytest.mark.parametrize(
    ("words", "dtype", "products", "message", "hint"),
    [
        (
            "gaussian:2", "float32", None,
            "relative residual 1.5e-02, above --tolerance 0.001: K is too near to singular for float32",
            "use --ridge 0.001, or a narrower kernel, a larger number, or --dtype float64",
        ),
        (
            "ntk:2", "float64", None,
            "relative residual 1.5e-02, above --tolerance 0.001: K is too near to singular for float64",
            "use --ridge 0.001",
        ),
        (
            "laplace:2", "float64", 1999,
            "relative residual 1.5e-02 after 1,999 products, above --tolerance 0.001: K is too near to singular for "
            "float64",
            "use --solver cholesky, or use --ridge 0.001, or a narrower kernel, a larger number",
        ),
        (
            "linear", "float32", 2000, "relative residual 1.5e-02 after 2,000 products, above --tolerance 0.001",
            "raise --max-products, or use --solver cholesky, or use --ridge 0.001, or --dtype float64",
        ),
    ],
)  # fmt: skip
def test_a_residual_that_is_too_large_is_told_with_what_helps(
    words: str, dtype: Any, products: int | None, message: str, hint: str
) -> None:
    own: Any = SimpleNamespace(_settings=Kernel([words], dtype=dtype, max_products=2000))
    own._hint = lambda chosen: kernel._Fitting._hint(own, chosen)
    facts = {} if products is None else {"products": products}
    missed = kernel._Fitting._missed(own, kernels.parse(words), 12_345, 0.015, facts)
    assert str(missed).startswith(f"--kernel {words}: 12,345 rows: {message}")
    assert missed.hint == hint


@pytest.mark.parametrize(
    ("solver", "n", "classes", "direct"),
    [
        ("cholesky", 10**6, 1000, True), ("cg", 1, 1, False), ("auto", 10_000, 1, True), ("auto", 10_001, 1, False),
        ("auto", 10_001, 256, False), ("auto", 10_001, 257, True),
    ],
)  # fmt: skip
def test_few_rows_and_many_classes_are_solved_directly(solver: Any, n: int, classes: int, direct: bool) -> None:
    own: Any = SimpleNamespace(_settings=SimpleNamespace(solver=solver))
    assert kernel._Fitting.direct(own, n, classes) == direct


@pytest.mark.parametrize(
    ("word", "size"),
    [
        ("8G", 8 << 30), ("1.5K", 1536), ("2M", 2 << 20), ("3t", 3 << 40), ("4GB", 4 << 30), ("4gib", 4 << 30),
        ("0.5M", 1 << 19),
    ],
)  # fmt: skip
def test_sizes_are_powers_of_1024(word: str, size: int) -> None:
    assert Kernel(["linear"], memory=word).room == size
    assert Kernel(["linear"]).room is None


@pytest.mark.parametrize("word", ["8", "0G", "0.0K", "G", "-1G", "8P", "8Gx", "1e3M"])
def test_words_that_are_no_size_are_refused(word: str) -> None:
    with pytest.raises(GencliError, match=r"--memory: .* is not a size"):
        _ = Kernel(["linear"], memory=word).room


def needed(monkeypatch: pytest.MonkeyPatch, learner: Any, rows: int) -> int:
    asked: list[int] = []
    monkeypatch.setattr(kinds, "require_memory", lambda need, what, hint: asked.append(need))
    learner.require(rows, MANY)
    return asked[0]


def test_each_learner_asks_for_the_memory_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 values a row, each a byte in memory; 3 classes."""
    assert MANY.row_bytes == 40
    assert needed(monkeypatch, FiniteSampleLearner(), 1000) == 1000 * (2 * 40 + 4 * 40 + 100)
    for dtype, size in (("float32", 4), ("float64", 8)):
        gaussian = Kernel(["gaussian:1"], dtype=dtype)  # type: ignore[arg-type]
        targets, points = 4 * 10_000 * 3 * size, 10_000 * (2 * 40 + 4 * 40 + size * 40)
        direct = size * (10_000**2 + 3 * 10_000 * 1024) + targets + points
        assert needed(monkeypatch, gaussian, 10_000) == direct
        assert needed(monkeypatch, gaussian, 10_001) == iterative.needed(10_001, 40, 3, size, 40)
        assert needed(monkeypatch, replace(gaussian, solver="cg"), 10_000) == iterative.needed(10_000, 40, 3, size, 40)
    several = Kernel(["linear", "random-conv:50"], validation_fraction=0.2)  # of 100 features a cell, and no more cells
    most = kernels.parse("random-conv:50").dimension(MANY.shape)
    plain = needed(monkeypatch, Kernel(["linear"]), 1000)
    assert needed(monkeypatch, several, 1000) - plain == 4 * 1000 * (most - 40)
    room = replace(Kernel(["linear"]), memory=f"{plain / 1024:.6f}K")
    assert needed(monkeypatch, room, 1000) == plain
    with pytest.raises(GencliError, match=r"^--memory .*K: 1,000 rows take .* at least"):
        replace(room, memory=f"{(plain - 1) / 1024:.6f}K").require(1000, MANY)


def test_least_squares_asks_for_its_triangle_and_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from gencli.fitting import least_squares

    assert needed(monkeypatch, LeastSquares(), 1000) == least_squares.memory(1000, 40, 3) + 1000 * (40 + 4 * 40)


@pytest.mark.parametrize(
    ("n", "itemsize", "expected"), [(10, 4, 4 * (100 + 3 * 100)), (2000, 8, 8 * (2000**2 + 3 * 2000 * 1024))]
)
def test_a_factor_takes_its_matrix_and_three_panels(n: int, itemsize: int, expected: int) -> None:
    assert cholesky.memory(n, itemsize) == expected


def test_the_bar_of_a_factor_counts_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 rows in blocks of 4: 8 · 8 · 3 / 2 for K, of which the first block has three quarters, and 512 / 6."""
    monkeypatch.setattr(cholesky, "_BLOCK", 4)
    matrix, done = np.diag(np.arange(1.0, 9)), list[float]()
    alpha, product = cholesky.solve(lambda part, others: matrix[part, others], np.ones((8, 1)), 1.0, 3, done.append)
    assert alpha.ravel() == pytest.approx(1 / np.arange(2.0, 10))
    assert product.ravel() == pytest.approx(np.arange(1.0, 9) / np.arange(2.0, 10))
    gram, whole = 96, 96 + 512 / 6
    assert done == pytest.approx([0.75 * gram / whole, gram / whole, (gram + 0.5 * 512 / 6) / whole, 1])


@pytest.mark.parametrize("ids", [None, [100, 101, 102, 103]])
def test_rows_without_a_point_and_rows_of_two_labels_are_named(ids: list[int] | None) -> None:
    images = torch.tensor([[1.0], [2.0], [1.0], [1.0]]).view(4, 1, 1, 1)
    rows = Rows(images, torch.tensor([0, 1, 0, 2]), ids=None if ids is None else torch.tensor(ids))
    numbers = (1, 0, 3) if ids is None else (101, 100, 103)
    with pytest.raises(GencliError) as refused:
        require_points(rows, torch.tensor([[1.0, 0], [0, 0], [0, 1], [0, 0]]), "t", "linear")
    said = f"t: row 1 (id {numbers[0]}): linear is 0 between this image and any; such rows: 2"
    assert str(refused.value).startswith(said)
    require_points(rows, torch.tensor([[1.0, 0], [0, 1]]), "t", "linear")
    with pytest.raises(GencliError) as refused:
        first_places(rows, "t", "hint")
    said = f"t: rows 0 and 3 (ids {numbers[1]} and {numbers[2]}) are one image with two labels, 0 and 2; such rows: 1"
    assert str(refused.value).startswith(said)
    assert refused.value.hint == "hint"
    same = replace(rows, labels=torch.tensor([0, 1, 0, 0]))
    assert first_places(same, "t", "hint").tolist() == [0, 1]


def fit(asked: Kernel, rows: Rows) -> tuple[Any, list[tuple[float, str]]]:
    told: list[tuple[float, str]] = []

    def progress(done: float, line: str = "", note: str = "", /) -> None:
        told.append((done, line))

    return asked.fit(rows, 3, "toy", step("fit", {}), progress, ALONE), told


@pytest.mark.parametrize(("accuracies", "chosen"), [([0.5, 0.5, 0.25], 0), ([0.5, 0.75, 0.75], 1), ([0, 0, 0.01], 2)])
def test_the_first_of_the_most_accurate_kernels_is_chosen(
    accuracies: list[float], chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter(accuracies)
    monkeypatch.setattr(kernel, "_accuracy", lambda fitted, rows, classes: next(given))
    words = ["gaussian:5", "gaussian:6", "gaussian:7"]
    found, told = fit(Kernel(words, validation_fraction=0.25), some(40))
    assert found.found["chosen"] == words[chosen]
    assert found.found["validation_accuracy"] == dict(zip(words, accuracies))
    lines = [line for _, line in told if line]
    assert lines == [f"{word}: validation accuracy {each:.4f}" for word, each in zip(words, accuracies)]
    assert (found.found["rows"], found.found["solver"], found.failed) == (40, "cholesky", None)


def test_a_kernel_of_too_low_a_rank_is_refused_with_its_features() -> None:
    with pytest.raises(GencliError) as refused:
        fit(Kernel(["linear"]), some(25))
    assert str(refused.value).startswith("--kernel linear: 25 distinct images of 24 pixels: K has rank at most 24")
    fit(Kernel(["linear"], tolerance=1e9), some(24))
    fit(Kernel(["linear"], ridge=1.0, tolerance=1e9), some(25))
    with pytest.raises(GencliError, match="9 distinct images of 4 features: K has rank at most 4"):
        fit(Kernel(["random-conv:2"]), some(9))


def test_a_checkpoint_of_a_single_direct_fit_has_nothing_to_save(tmp_path: Any) -> None:
    place = str(tmp_path / "c")
    with pytest.raises(GencliError, match="--checkpoint: 12 rows are solved by Cholesky's method"):
        fit(Kernel(["gaussian:1"], checkpoint=place), some(12))
    fit(Kernel(["gaussian:1", "gaussian:2"], checkpoint=place, validation_fraction=0.25), some(12))


def test_a_fit_beyond_the_tolerance_is_kept_where_that_is_asked_for() -> None:
    with pytest.raises(GencliError, match=r"^--kernel gaussian:1: 12 rows: relative residual .*, above --tolerance 0"):
        fit(Kernel(["gaussian:1"], tolerance=0.0), some(12))
    found, _ = fit(Kernel(["gaussian:1"], tolerance=0.0, keep=True), some(12))
    assert str(found.failed).startswith("--kernel gaussian:1: 12 rows: relative residual ")
    assert found.facts == {"kernel": "gaussian", "scale": 1.0, "rows": 12, "images": "uint8", "dtype": "float32"}


@pytest.mark.parametrize("memory", [None, "100M"])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("tries", [0, 1, 2])
def test_tiles_get_the_memory_that_is_left(
    memory: str | None, kept: bool, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four fifths of what is free, of two processes here; inner products that several kernels share count."""
    rooms: list[int] = []
    monkeypatch.setattr(machine, "free_memory", lambda: 1 << 40)
    monkeypatch.setattr(machine, "local", lambda: 2)
    monkeypatch.setattr(iterative, "needed", lambda n, d, m, itemsize, row: 1 << 20)
    monkeypatch.setattr(iterative, "solve", lambda gram, targets, room, *_: rooms.append(room))
    products: Any = SimpleNamespace(points=np.zeros((30, 24)), kept=kept, parts=[slice(0, 30)], keep=lambda: None)
    products.squares = torch.zeros(30)
    own: Any = SimpleNamespace(
        _settings=Kernel(["linear"], memory=memory), _tries=tries, _rows=some(30), _group=ALONE, _saved=None
    )
    kernel._Fitting._iterated(own, kernels.parse("linear"), products, np.arange(20), np.ones((20, 3)), print)  # type: ignore[arg-type]
    room = int(0.8 * (1 << 40) / 2) - iterative.memory(20, 3, 8) if memory is None else (100 << 20) - (1 << 20)
    shared = 8 * 30 * 30
    taken = shared if (kept and memory is not None) or (not kept and tries > 1) else 0
    assert rooms == [room - taken]
