"""What a spectrum is asked for and says, vectors by name and file, and networks that are refused."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gencli.curvature import extremes, networks, vectors
from gencli.curvature.extremes import Extremes
from gencli.curvature.settings import MethodSettings, OperatorSettings, QuantitySettings
from gencli.curvature.spectrum import Request, Spectrum, arguments
from gencli.errors import GencliError
from gencli.files.stream import Input
from gencli.losses.classes import CrossEntropy
from tests.curvature.test_products import one_thread, operator, vector

__all__ = ["one_thread"]
DOUBLE = torch.float64


@pytest.mark.parametrize(
    ("asked", "size", "expected"),
    [
        ({}, 100, {"top": 10}), ({}, 4, {"top": 4}), ({"top": 3}, 100, {"top": 3}), ({"bottom": 2}, 100, {"bottom": 2}),
        ({"condition": True}, 100, {"condition": True}), ({"trace": True}, 100, {"trace": 98}),
        ({"density": "d.csv"}, 100, {"top": 10, "probes": 5}),
        ({"top": 1, "trace": True}, 100, {"top": 1, "trace": 98}),
    ],
)  # fmt: skip
def test_ten_eigenvalues_are_asked_for_where_nothing_else_is(
    asked: dict[str, Any], size: int, expected: dict[str, Any]
) -> None:
    found = Request.of(QuantitySettings(**asked), MethodSettings(), size)
    assert found == Request(**expected, most_products=1000)


def test_what_bears_on_the_results_is_recorded() -> None:
    method, matrix, loss = MethodSettings(basis=30, seed=4), OperatorSettings(), CrossEntropy()
    found = arguments(Request(top=2, trace=50), method, matrix, loss)
    names = "top", "bottom", "condition", "trace", "trace_products", "seed", "loss"
    assert {name: found[name] for name in names} == {
        "top": 2, "bottom": None, "condition": False, "trace": True, "trace_products": 50, "seed": 4, "loss": loss.name,
    }  # fmt: skip
    assert (found["tolerance"], found["max_products"], found["basis"]) == (1e-3, 1000, 30)
    alone = arguments(Request(trace=50), method, matrix, loss)
    assert (alone["tolerance"], alone["max_products"], alone["basis"]) == (None, None, None)
    for pairs in (Request(bottom=1), Request(condition=True)):
        double = arguments(pairs, method, OperatorSettings(dtype="float64"), loss)
        assert (double["tolerance"], double["trace"], double["trace_products"]) == (1e-6, False, None)
    assert arguments(Request(top=1), MethodSettings(tolerance=0.5), matrix, loss)["tolerance"] == 0.5


def spectrum(values: list[float], **asked: Any) -> Spectrum:
    made, diagonal = Spectrum(len(values), DOUBLE, Request(**asked)), torch.tensor(values, dtype=DOUBLE)
    for _ in made.run(lambda v: diagonal * v):
        pass
    return made


def test_the_whole_table_of_a_diagonal_matrix() -> None:
    made = spectrum([5.0, 4.0, 3.0, 2.0, 1.0], top=2, bottom=1, condition=True, trace=5)
    rows = [list(row.values()) for row in made.table({"route": "r", "difference": 0.5}).to_pylist()]
    rest, trace = [None, 5, "r", 0.5], made.trace and made.trace.result()
    assert trace
    assert rows == [
        ["eigenvalue", 1, pytest.approx(5), pytest.approx(0, abs=1e-10), *rest],
        ["eigenvalue", 2, pytest.approx(4), pytest.approx(0, abs=1e-10), *rest],
        ["eigenvalue", -1, pytest.approx(1), pytest.approx(0, abs=1e-10), *rest],
        ["condition", None, pytest.approx(5), None, *rest],
        ["trace", None, trace.value, None, trace.standard_error, trace.products, "r", 0.5],
    ]
    assert made.eigenvalues() == pytest.approx([5, 4, 1])
    assert made.products == 5 + trace.products
    assert made.at == f"product {made.products}"
    assert made.converged
    assert [(made.pairs()[index][2].abs() > 0.9).nonzero().item() for index in (1, 2, -1)] == [0, 1, 4]
    alone = spectrum([5.0, 4.0, 3.0, 2.0, 1.0], trace=5)
    assert (alone.pairs(), alone.eigenvalues(), alone.converged) == ({}, [], True)
    with pytest.raises(TypeError):
        alone.condition()


@pytest.mark.parametrize(
    ("values", "name", "condition"),
    [
        ([8.0, 4.0, 2.0], "condition", 4), ([-1.0, -4.0, -2.0], "condition", 4),
        ([6.0, -8.0, 2.0], "condition at least", 4), ([6.0, -3.0, 0.0], "condition at least", None),
    ],
)  # fmt: skip
def test_the_condition_is_of_absolute_values(values: list[float], name: str, condition: float | None) -> None:
    found, value = spectrum(values, condition=True).condition()
    assert found == name
    assert value > 1e10 if condition is None else value == pytest.approx(condition)
    assert spectrum([0.0, 0.0, 0.0], condition=True).condition() == ("condition at least", math.inf)


@pytest.mark.parametrize(
    ("size", "top", "bottom", "given", "expected"),
    [
        (1000, 3, 2, None, (30, 200)), (1000, 100, 20, None, (260, 260)), (40, 15, 0, None, (40, 40)),
        (25, 1, 0, None, (22, 25)), (1000, 3, 2, 7, (30, 7)),
    ],
)  # fmt: skip
def test_the_basis_has_room_for_twice_the_pairs_and_twenty_more(
    size: int, top: int, bottom: int, given: int | None, expected: tuple[int, int]
) -> None:
    search = Extremes(size, top, bottom, DOUBLE, torch.Generator(), vectors=given)
    assert (search.expected, len(search.process.basis) - 1) == expected
    assert search.tolerance == 1e-6


def test_a_basis_of_large_vectors_takes_the_memory_that_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for fits, count in ((100, 100), (29, 30), (500, 200)):
        monkeypatch.setattr(extremes, "_MEMORY", 1000 * 4 * fits + 3999)
        assert len(Extremes(1000, 5, 0, torch.float32, torch.Generator()).process.basis) == count + 1


@pytest.mark.parametrize(
    ("asked", "message", "hint"),
    [
        ((5, 6, 0), "--top: 6 eigenvalues, but the matrix has 5", "use 5 or fewer"),
        ((5, 0, 6), "--bottom: 6 eigenvalues, but the matrix has 5", "use 5 or fewer"),
        ((5, -1, 0), "--top: -1 eigenvalues, but the matrix has 5", "use 5 or fewer"),
        ((100, 2, 3, 6), "--basis: 6 vectors for 5 eigenpairs", "use 30 or more, or fewer eigenpairs"),
        ((6, 2, 3, 5), "--basis: 5 vectors for 5 eigenpairs", "use 6 or more, or fewer eigenpairs"),
    ],
)
def test_searches_that_cannot_be_are_refused(asked: tuple[int, ...], message: str, hint: str) -> None:
    size, top, bottom, *basis = asked
    with pytest.raises(GencliError) as refused:
        Extremes(size, top, bottom, DOUBLE, torch.Generator(), vectors=basis[0] if basis else None)
    assert str(refused.value).startswith(message)
    assert refused.value.hint == hint
    Extremes(5, 5, 5, DOUBLE, torch.Generator())
    Extremes(100, 2, 3, DOUBLE, torch.Generator(), vectors=7)


@pytest.mark.parametrize(
    ("top", "bottom", "spare", "wanted"),
    [
        (2, 0, 0, [8, 9]), (0, 2, 0, [0, 1]), (1, 2, 0, [0, 1, 9]), (2, 0, 3, [5, 6, 7, 8, 9]), (0, 1, 2, [0, 1, 2]),
        (1, 1, 5, [0, 1, 2, 7, 8, 9]), (6, 6, 0, list(range(10))), (12, 0, 0, list(range(10))),
    ],
)  # fmt: skip
def test_spare_pairs_are_shared_between_the_ends(top: int, bottom: int, spare: int, wanted: list[int]) -> None:
    own: Any = SimpleNamespace(top=top, bottom=bottom)
    assert Extremes._wanted(own, 10, spare) == wanted


@pytest.mark.parametrize("word", ["gradient", "ones", "random:0", "random:7", "eigen:1", "eigen:-12", "eigen:1234"])
def test_words_of_vectors_are_taken(word: str) -> None:
    assert vectors.is_named(word)


@pytest.mark.parametrize("word", ["v.safetensors", "other", "-", "s3://b/o", "randoms:1"])
def test_other_words_are_files(word: str) -> None:
    assert not vectors.is_named(word)


@pytest.mark.parametrize(
    "word", ["random", "random:-1", "random:x", "eigen:0", "eigen:1.5", "ones:1", "gradient:2", "eigen"]
)
def test_words_that_are_no_vector_are_refused(word: str) -> None:
    with pytest.raises(GencliError, match=f"--vector: '{word}' is not a vector"):
        vectors.is_named(word)


def test_named_vectors_are_what_they_say() -> None:
    made = operator(parameters="3.*")
    assert torch.equal(vectors.named(made, "gradient"), made.gradient())
    assert vectors.named(made, "ones").tolist() == [1.0] * 18
    assert torch.equal(vectors.named(made, "random:3"), vectors.random(made, 3))
    assert not torch.equal(vectors.random(made, 3), vectors.random(made, 4))
    values, columns = torch.linalg.eigh(made.dense())
    for word, place in (("eigen:1", -1), ("eigen:2", -2)):
        found = vectors.named(made, word)
        assert abs(float(found @ columns[:, place])) == pytest.approx(1, abs=1e-6)
        assert found[found.abs().argmax()] > 0
    assert float(vectors.named(made, "eigen:-1") @ made.dense() @ vectors.named(made, "eigen:-1")) == pytest.approx(
        float(values[0]), abs=1e-9
    )
    for word in ("eigen:19", "eigen:-19"):
        with pytest.raises(GencliError, match=f"--vector: {word}: the matrix has 18 eigenvalues"):
            vectors.named(made, word)


def test_vectors_of_a_file_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    made, place = operator(parameters="3.*"), tmp_path / "v.safetensors"
    several = [vector(18, seed) for seed in range(4)]
    numbered = {"-1": several[0], "2": several[1], "10": several[3], "3": several[2]}
    parts = {f"{key}/{name}": each.clone() for key, v in numbered.items() for name, each in made.unflatten(v).items()}
    save_file(parts, place)
    found = vectors.find(made, "file", Input(str(place)))
    assert [name for name, _ in found] == ["file 0", "file 1", "file 2", "file 3"]
    for (_, each), expected in zip(found, several, strict=True):
        assert torch.equal(each, expected)
    assert list(vectors.by_name(made, several[:2])) == ["0/3.weight", "0/3.bias", "1/3.weight", "1/3.bias"]
    assert list(vectors.by_name(made, several[:1])) == ["3.weight", "3.bias"]
    save_file({name: each.clone() for name, each in made.unflatten(several[0]).items()}, place)
    assert [name for name, _ in vectors.find(made, "file", Input(str(place)))] == ["file"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"3.bias": torch.zeros(3)}, "3.weight is missing, but the model's is 3×5"),
        ({"3.bias": torch.zeros(4), "3.weight": torch.zeros(3, 5)}, "3.bias is 4, but the model's is 3"),
        (
            {"3.bias": torch.zeros(3), "3.weight": torch.zeros(3, 5), "x": torch.zeros(2)},
            "x is 2, but the model's is not a",
        ),
        ({"3.bias": torch.zeros(3), "3.weight": torch.zeros(3, 5), "1.bias": torch.zeros(5)}, "1.bias is fixed, by"),
        ({"3.bias": torch.full((3,), torch.nan), "3.weight": torch.zeros(3, 5)}, "3.bias holds numbers that are not"),
        ({"3.bias": torch.zeros(3) + 0j, "3.weight": torch.zeros(3, 5)}, "3.bias holds numbers that are not"),
    ],
)
def test_files_of_other_tensors_are_refused(given: dict[str, Tensor], message: str) -> None:
    file: Any = SimpleNamespace(name="f")
    with pytest.raises(GencliError) as refused:
        vectors._vector(operator(parameters="3.*"), file, given)
    assert str(refused.value).startswith(f"f: {message}")


ROWS = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


@pytest.mark.parametrize(
    ("first", "second", "part", "message"),
    [
        (
            ROWS / torch.tensor([[1.0], [0.0], [0.0]]),
            ROWS,
            ROWS,
            "a: the outputs of row 1 are not finite in torch.float32",
        ),
        (ROWS, ROWS + 1e-3, ROWS, "a: every call gives different outputs"),
        (ROWS, ROWS, ROWS[:2] * 1.01, "a: a row's output depends on other rows of the batch (in evaluation mode)"),
        (ROWS.double(), ROWS.double() * (1 + 1e-8), ROWS.double(), "--dtype: float64 is not available for a"),
        (ROWS.double(), ROWS.double() + 1.1 * 6e-5, ROWS.double(), "a: every call gives different outputs"),
    ],
)
def test_outputs_that_are_not_of_their_rows_alone_are_refused(
    first: Tensor, second: Tensor, part: Tensor, message: str
) -> None:
    with pytest.raises(GencliError) as refused:
        networks.require_rows_apart("a", nn.Identity(), first, second, part)
    assert str(refused.value).startswith(message)


def test_outputs_of_their_rows_alone_are_taken_and_norms_of_batches_named() -> None:
    for rows in (ROWS, ROWS.double()):
        networks.require_rows_apart("a", nn.Identity(), rows, rows, rows[:2] * (1 + torch.finfo(rows.dtype).eps))
    norm = nn.Sequential(nn.BatchNorm1d(2), nn.BatchNorm1d(2, track_running_stats=False))
    with pytest.raises(GencliError, match=r"other rows of the batch \(1\), so that"):
        networks.require_rows_apart("a", norm, ROWS, ROWS, 2 * ROWS[:1])


def test_losses_and_parameters_that_a_model_has_not_are_refused() -> None:
    classes: Any = SimpleNamespace(title="m", arch="a", logits=True, task="classes")
    networks.require_loss(classes, CrossEntropy())
    images: Any = SimpleNamespace(title="m", arch="a", logits=True, task="images")
    with pytest.raises(GencliError, match="is for classes, a gives images"):
        networks.require_loss(images, CrossEntropy())
    closed: Any = SimpleNamespace(title="m", arch="a", logits=False, task="classes")
    with pytest.raises(GencliError, match="m gives scores without a loss"):
        networks.require_loss(closed, CrossEntropy())
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    network[1].bias.requires_grad_(False)
    assert list(networks.find_parameters(classes, network, "1.*")) == ["1.weight"]
    with pytest.raises(GencliError, match=r"--parameters: a has none that match '2\.\*'"):
        networks.find_parameters(classes, nn.Linear(2, 3), "2.*")
