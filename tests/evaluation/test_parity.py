"""Every number of the result table is torchmetrics' and scikit-learn's, on random and on degenerate rows."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from gencli.evaluation import logits as rows_of
from gencli.evaluation.predictions import Evaluated
from gencli.evaluation.similarity import ssim
from gencli.evaluation.top_k import ranks
from tests.evaluation.tables import confusion, per_class

Case = tuple[torch.Tensor, torch.Tensor]


class _Classification:
    """torchmetrics' functions, which take 2 seconds to import: not at the collection of tests that are not these."""

    def __getattr__(self, name: str) -> Any:
        from torchmetrics.functional import classification

        return getattr(classification, name)


classification = _Classification()


def random_case(rows: int, classes: int, seed: int) -> Case:
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (rows,), generator=random)
    return torch.randn(rows, classes, generator=random) + 1.5 * functional.one_hot(labels, classes), labels


def cases() -> dict[str, Case]:
    logits, labels = random_case(200, 5, 1)
    absent = torch.where(labels == 3, 0, labels)
    never = logits.clone()
    never[:, 2] = -10.0
    return {
        "random": random_case(1000, 10, 0),
        "two classes": random_case(300, 2, 2),
        "one row": random_case(1, 4, 3),
        "a class without rows": (logits, absent),
        "rows of one class": (logits, torch.full_like(labels, 1)),
        "a class never predicted": (never, labels),
        "all equal": (torch.zeros(60, 3), torch.arange(60) % 3),
        "ties": (logits.round(), labels),
        "all right": (10 * functional.one_hot(labels, 5).float(), labels),
    }


def evaluated(case: Case, groups: list[tuple[str]] | None = None) -> Evaluated:
    logits, labels = case
    return Evaluated(
        np.arange(len(labels)), labels.numpy(),
        functional.cross_entropy(logits, labels, reduction="none").double().numpy(), None, logits.argmax(1).numpy(),
        rows_of.confidences(logits).double().numpy(), rows_of.margins(logits, labels).double().numpy(),
        ranks(logits, labels).numpy(), by=("g",) if groups else (), groups=groups,
    )  # fmt: skip


@pytest.mark.parametrize("name", list(cases()))
def test_scores_are_those_of_scikit_learn_and_torchmetrics(name: str) -> None:
    logits, labels = cases()[name]
    classes = logits.shape[1]
    table = per_class(evaluated((logits, labels)), tuple(map(str, range(classes))), [1, 2]).to_pydict()
    predicted, there = logits.argmax(1), labels.bincount(minlength=classes) > 0
    numbers = np.flatnonzero(there)
    zero: Any = 0  # its stub knows words alone
    scores = metrics.precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=zero)
    overall = metrics.precision_recall_fscore_support(
        labels, predicted, labels=numbers, average="macro", zero_division=zero
    )
    theirs = {
        "precision": classification.multiclass_precision(logits, labels, classes, average="none"),
        "recall": classification.multiclass_recall(logits, labels, classes, average="none"),
        "f1": classification.multiclass_f1_score(logits, labels, classes, average="none"),
    }
    for (column, torchs), sklearns, whole in zip(theirs.items(), scores, overall):
        assert [value is not None for value in table[column][:-1]] == there.tolist()
        mine = [value for value in table[column][:-1] if value is not None]
        assert mine == pytest.approx(sklearns[numbers])  # type: ignore[index]
        assert mine == pytest.approx(torchs[there].tolist(), rel=1e-5)
        assert table[column][-1] == pytest.approx(whole)
    assert table["n"] == [*labels.bincount(minlength=classes).tolist(), len(labels)]
    assert table["accuracy"][-1] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert table["top_1"] == table["accuracy"]
    loss = metrics.log_loss(labels, logits.double().softmax(1), labels=range(classes))
    assert table["loss"][-1] == pytest.approx(loss, rel=1e-5, abs=1e-6)
    counts = confusion(labels.numpy(), predicted.numpy(), tuple(map(str, range(classes))))
    matrix = np.array([counts[str(number)] for number in range(classes)]).T
    assert np.array_equal(matrix, metrics.confusion_matrix(labels, predicted, labels=range(classes)))
    assert np.array_equal(matrix, classification.multiclass_confusion_matrix(predicted, labels, classes))


@pytest.mark.parametrize("name", ["random", "a class without rows", "rows of one class", "a class never predicted"])
def test_top_k_without_ties(name: str) -> None:
    logits, labels = cases()[name]
    classes = logits.shape[1]
    table = per_class(evaluated((logits, labels)), tuple(map(str, range(classes))), [2, 3]).to_pydict()
    for k in (2, 3):
        sklearns = metrics.top_k_accuracy_score(labels, logits, k=k, labels=range(classes))
        torchs = classification.multiclass_accuracy(logits, labels, classes, average="micro", top_k=k)
        assert table[f"top_{k}"][-1] == pytest.approx(sklearns)
        assert table[f"top_{k}"][-1] == pytest.approx(torchs.item())


def test_ties_go_to_the_first_class() -> None:
    logits = torch.tensor([[1.0, 1, 0, 1]]).expand(4, 4)
    assert ranks(logits, torch.arange(4)).tolist() == [0, 1, 3, 2]
    assert ranks(torch.full((4, 4), torch.nan), torch.arange(4)).min() > 0


@pytest.mark.parametrize("name", list(cases()))
def test_the_calibration_error_is_that_of_torchmetrics(name: str) -> None:
    logits, labels = cases()[name]
    table = per_class(evaluated((logits, labels)), tuple(map(str, range(logits.shape[1])))).to_pydict()
    probabilities = logits.softmax(1)
    for label, mine in zip([*range(logits.shape[1]), None], table["calibration_error"]):
        rows = labels == label if label is not None else torch.ones_like(labels, dtype=torch.bool)
        if rows.any():
            args = probabilities[rows], labels[rows], logits.shape[1]
            theirs = classification.multiclass_calibration_error(*args, n_bins=15)
            assert mine == pytest.approx(theirs.item(), abs=1e-5)


def test_a_sure_row_is_in_the_last_bin() -> None:
    """torchmetrics gives confidence 1 a bin of its own; Guo's last bin is (14/15, 1]."""
    logits = torch.tensor([[200.0, 0], [3.0, 0]])
    labels = torch.tensor([1, 0])
    sure = logits.double().softmax(1).amax(1)
    error = per_class(evaluated((logits, labels)), ("a", "b"))["calibration_error"].to_pylist()[-1]
    assert error == pytest.approx(abs(0.5 - sure.mean().item()), abs=1e-6)


def test_margins_are_the_hinge_losses() -> None:
    logits, labels = cases()["random"]
    margins = rows_of.margins(logits, labels)
    hinge = metrics.hinge_loss(labels, logits.double(), labels=range(10))
    assert (1 - margins.double()).clamp(min=0).mean().item() == pytest.approx(hinge, rel=1e-5)
    assert torch.equal(margins > 0, logits.argmax(1) == labels)


def test_a_group_is_what_its_rows_are_alone() -> None:
    logits, labels = cases()["random"]
    groups = [("fog",) if row % 3 else ("snow",) for row in range(len(labels))]
    names = tuple(map(str, range(10)))
    rows = {row["name"]: row for row in per_class(evaluated((logits, labels), groups), names, [2]).to_pylist()}
    for name in ("fog", "snow"):
        alone = torch.tensor([group == (name,) for group in groups])
        whole = per_class(evaluated((logits[alone], labels[alone])), names, [2]).to_pylist()[-1]
        assert rows[name] == pytest.approx(whole | {"name": name, "label": rows[name]["label"]})
    assert rows["all"] == pytest.approx(per_class(evaluated((logits, labels)), names, [2]).to_pylist()[-1])


@pytest.mark.parametrize("shape", [(3, 16, 19), (1, 11, 11), (1, 40, 12)])
def test_ssim_is_that_of_torchmetrics(shape: tuple[int, int, int]) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    random = torch.Generator().manual_seed(0)
    targets = torch.rand(4, *shape, generator=random)
    outputs = (targets + 0.2 * torch.randn(4, *shape, generator=random)).clamp(0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, theirs = structural_similarity_index_measure(
            outputs.double(), targets.double(), sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
        )
    within = theirs[..., 5:-5, 5:-5]  # the rest are windows that stand out, which it fills with reflections
    assert torch.allclose(ssim(outputs, targets), within.mean((1, 2, 3)), atol=1e-9)  # type: ignore[call-overload]
    assert torch.allclose(ssim(targets, targets), torch.ones(4, dtype=torch.float64))
    beyond = targets + 0.5 * torch.randn(4, *shape, generator=random)
    assert torch.equal(ssim(beyond, targets), ssim(beyond.clamp(0, 1), targets))
