"""Rows removed by their scores: which, how many, that ties are drawn and coupled, and what cannot be ranked."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from gencli.corruptions.pruning import Prune
from gencli.errors import GencliError
from gencli.randomness import Draws
from gencli.runs import seen, subset
from tests.helpers import image_table

TABLE = image_table(45, (4, 4, 1), classes=3)
IDS = TABLE.column("id")


def removed(path: Path, scores: Any, p: float, seed: int = 0, ids: Any = IDS, **more: Any) -> NDArray[np.int64]:
    pq.write_table(pa.table({"other": range(len(ids)), "id": ids, "s": scores}), path / "s.parquet")
    options: dict[str, Any] = {"by": "s"} | more
    kind = Prune(p=p, scores=str(path / "s.parquet"), **options)
    return np.flatnonzero(~kind.kept(TABLE, Draws(seed, "prune", 0)))


def test_the_rows_of_the_highest_or_lowest_scores_go(tmp_path: Path) -> None:
    scores = np.random.default_rng(0).permutation(len(IDS)).astype(float)
    shuffled = np.random.default_rng(1).permutation(len(IDS))
    for p, count in ((0, 0), (0.1, 5), (0.3, 13), (1, 45)):  # 40.5 and 31.5 stay, halves to even
        order = np.argsort(scores)
        assert set(removed(tmp_path, scores, p)) == set(order[len(order) - count :])
        assert set(removed(tmp_path, scores[shuffled], p, ids=IDS[shuffled], lowest=True)) == set(order[:count])


def test_equal_scores_are_drawn_by_lot_and_a_larger_share_takes_the_same_rows_and_more(tmp_path: Path) -> None:
    scores = np.repeat([1, 0, 2], 15)
    some, more, others = (removed(tmp_path, scores, p, seed) for p, seed in ((0.2, 0), (0.5, 0), (0.2, 1)))
    assert set(some) < set(more)
    assert some.min() >= 30
    assert set(more) >= set(range(30, 45))
    assert set(some) != set(others)


def test_as_many_rows_go_as_a_subset_leaves_out(tmp_path: Path) -> None:
    scores = np.arange(len(IDS))
    for p in (0.05, 0.1, 0.25, 0.3, 0.5):
        left = int(seen(IDS, 0, subset(IDS, float(f"{1 - p:g}"), 0)).sum())
        assert len(removed(tmp_path, scores, p)) == len(IDS) - left, p


@pytest.mark.parametrize(
    ("scores", "more", "said"),
    [
        ([1.0] * 44 + [None], {}, "column `s`: no value for 1 of 45 rows"),
        ([1.0] * 44 + [float("nan")], {}, "no value for 1 of 45 rows"),
        ([1.0] * 44, {"ids": IDS[:44]}, "no value for 1 of 45 rows"),
        ([1.0] * 45, {"ids": IDS + 1000}, "none of its ids"),
        ([1.0] * 45, {"ids": np.append(IDS[:44], IDS[0])}, "twice"),
        (["a"] * 45, {}, "column `s` is string, not numbers"),
        ([1.0] * 45, {"by": "t"}, "has no scores 't'"),
        ([1.0] * 45, {"by": "id"}, "has no scores 'id'"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores: Any, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(GencliError, match=said):
        removed(tmp_path, pa.array(scores), 0.1, **more)


def test_scores_of_other_labels_are_refused(tmp_path: Path) -> None:
    labels, scores = TABLE.column("label").copy(), np.arange(len(IDS))
    file = tmp_path / "s.parquet"
    for kind in (pa.int64(), pa.uint8()):
        pq.write_table(pa.table({"id": IDS[::-1], "label": pa.array(labels[::-1], kind), "s": scores}), file)
        assert mask_of(file).sum() == 40
    labels[7] += 1
    pq.write_table(pa.table({"id": IDS[::-1], "label": labels[::-1], "s": scores}), file)
    said = rf"in 1 of 45 rows, the first of id {IDS[7]}: {labels[7]}, not {labels[7] - 1}"
    with pytest.raises(GencliError, match=said):
        mask_of(file)


def mask_of(file: Path) -> NDArray[np.bool_]:
    return Prune(p=0.1, scores=str(file), by="s").kept(TABLE, Draws(0, "prune", 0))


def test_scores_of_several_runs_are_refused_with_what_makes_one_of_them(tmp_path: Path) -> None:
    file = tmp_path / "runs.parquet"
    pq.write_table(pa.table({"id": [*IDS, *IDS], "run": [0, 1] * len(IDS), "s": range(2 * len(IDS))}), file)
    with pytest.raises(GencliError, match="twice") as refused:
        Prune(p=0.1, scores=str(file), by="s").kept(TABLE, Draws(0, "prune", 0))
    assert refused.value.hint == f"gencli score {file} writes the means over its runs"
