"""What may be scored together, and the runs that a file has."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gencli.errors import GencliError
from gencli.files.provenance import Source, Step
from gencli.reporting.documents import Document
from gencli.scores import reading
from gencli.scores.reading import Files, _parts, collect, of_table

ROWS = pa.table({"id": [1, 2], "label": [0, 1]})


def trained(arch: str = "mlp-1x8", data: str = "d1", **more: Any) -> Step:
    return Step("train", {"arch": arch} | more, {}, (Source("data", data),))


def document(
    kind: Any, title: str, made: Step | None = None, rows: pa.Table = ROWS, sha256: str | None = None
) -> Document:
    block: Any = _Block(rows)
    return Document(kind, title, block, slice(None), made, Source("file", sha256 or title))


class _Block:
    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def __getitem__(self, place: slice) -> pa.Table:
        return self.rows


def predicted(step: Step | None, model: str = "m1", data: str = "d1") -> Step:
    return Step("eval", {}, {}, (Source("model", model, step), Source("data", data)))


def network(name: str, made: Step | None = None, arch: str = "mlp-1x8", **arguments: Any) -> Any:
    """A file of a model of one run."""
    model = SimpleNamespace(title=name, arch=arch, made=made, arguments=arguments)
    return SimpleNamespace(name=name, sha256=name, path=Path(name)), [model]


def table(title: str, *hashes: str) -> Any:
    return SimpleNamespace(title=title, inputs=[SimpleNamespace(sha256=each) for each in hashes])


def test_files_are_told_apart_by_kind() -> None:
    dynamics, model, rows = document("dynamics", "a", trained()), network("m", trained(), seed=1), table("t", "d1")
    found = collect([model, dynamics, rows], True)
    assert found == Files([dynamics], [model], [rows])
    assert found.scores is None
    scores = document("scores", "s")
    assert collect([scores], False).scores is scores
    assert collect([dynamics, document("dynamics", "b", trained())], False).documents[0] is dynamics
    assert collect([document("dynamics", "lost"), dynamics], False).tables == []


REFUSED: dict[str, tuple[list[Any], bool]] = {
    "s: scores, beside other files": ([document("dynamics", "a"), document("scores", "s")], False),
    "t and u are two image tables": ([table("t", "1"), table("u", "2"), table("v", "3")], False),
    "m: a model, without the rows that it saw": ([network("m")], False),
    "--influence: no models": ([document("dynamics", "a")], True),
    "t: an image table, without models": ([table("t", "1")], False),
    "b: the same file as a": ([document("dynamics", "a"), document("dynamics", "b", sha256="a")], False),
    "m: the same file as m": ([network("m"), network("m"), table("t", "1")], False),
    "p: predictions of m1": ([network("m1"), document("predictions", "p", predicted(None)), table("t", "d1")], False),
    "p: predictions of networks that left rows out, and do not say which": (
        [document("predictions", "p", predicted(trained(subset=0.5)))], False,
    ),
    "q: predictions of networks that left rows out, and do not say which": (
        [document("predictions", "q", predicted(trained(validation_fraction=0.5)))], False,
    ),
    "n: the same run as m": ([network("m", seed=1), network("n", seed=1), table("t", "1")], False),
    "b: runs of linear, not of mlp-1x8 as a": (
        [document("dynamics", "a", trained()), document("dynamics", "b", trained("linear"))], False,
    ),
    "m: runs of linear, not of mlp-1x8 as a": (
        [document("dynamics", "a", trained()), network("m", None, "linear"), table("t", "d1")], False,
    ),
    "b: of other rows than a": (
        [document("dynamics", "a", trained()), document("dynamics", "b", trained(data="d2"))], False,
    ),
    "m: of other rows than t": ([network("m", trained(data="d2")), table("t", "d1")], False),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_go_together_is_refused(message: str) -> None:
    with pytest.raises(GencliError) as refused:
        collect(*REFUSED[message])
    assert str(refused.value).startswith(message)


def test_what_goes_together_is_taken() -> None:
    for opened in (
        [document("predictions", "p", predicted(trained()))],
        [document("predictions", "p", predicted(None)), document("predictions", "q", predicted(None, "m2"))],
        [document("predictions", "p", predicted(trained(subset=0.5), data="held"))],  # of other rows than it saw
        [network("m", seed=1), network("n", seed=2), table("t", "1")],
        [network("m"), network("n"), table("t", "1")],  # of which nothing is known
    ):
        collect(opened, False)


def test_sources_are_named_by_their_kind() -> None:
    files = Files([document("dynamics", "a", trained())], [network("m", trained())])
    assert [(each.role, each.sha256) for each in files.sources()] == [("file", "a"), ("model", "m")]


def test_an_image_table_is_a_run_of_all_rows() -> None:
    for names in (["id", "label"], ["id", "label", "label_true"]):
        rows: Any = SimpleNamespace(
            title="t", rows=3, schema=SimpleNamespace(names=names), column=lambda name: np.array([len(name)] * 3)
        )
        part = of_table(rows)
        assert (part.title, part.rows.tolist(), part.ids.tolist(), part.labels.tolist()) == (
            "t", [0, 1, 2], [2, 2, 2], [5, 5, 5],
        )  # fmt: skip
        true = None if part.labels_true is None else part.labels_true.tolist()
        assert true == ([10, 10, 10] if "label_true" in names else None)


DYNAMICS = [
    "first_learned", "learned", "forgotten", "aum", "confidence", "variability", "correctness", "el2n", "loss_mean",
    "loss_last",
]  # fmt: skip


def of_runs(**columns: Any) -> pa.Table:
    return pa.table({"id": [4, 5, 6, 7], "label": [0, 1, 0, 1]} | columns)


def test_runs_are_in_the_order_of_their_first_rows() -> None:
    values = {name: pa.array([1.0, None, 3.0, 4.0], pa.float64()) for name in DYNAMICS}
    values["correctness"] = pa.array([1.0, 0.5, None, 0.5])
    values["learned"] = pa.array([1.0, None, None, 2.0])
    rows = of_runs(model=["b", "a", "b", "a"], run=[1, 0, 1, 2], **values)
    parts = list(_parts(document("dynamics", "f", rows=rows)))
    assert [(part.title, part.rows.tolist(), part.ids.tolist(), part.labels.tolist()) for part in parts] == [
        ("f: b, run 1", [0, 2], [4, 6], [0, 0]), ("f: a, run 0", [1], [5], [1]), ("f: a, run 2", [3], [7], [1]),
    ]  # fmt: skip
    assert [list(part.values) for part in parts] == [DYNAMICS] * 3
    learned = [part.values["learned"].tolist() for part in parts]
    assert str(learned) == "[[1.0, nan], [inf], [2.0]]"  # a row that was not visited, and one that was never learned
    assert str(parts[1].values["aum"].tolist()) == "[nan]"
    assert all(part.labels_true is None and part.probabilities is None for part in parts)


def test_one_run_has_all_rows_and_no_name() -> None:
    rows = of_runs(label_true=[1, 1, 0, 0], probabilities=[[0.25, 0.75], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
    (part,) = _parts(document("predictions", "f", rows=rows))
    assert (part.title, part.rows.tolist()) == ("f", [0, 1, 2, 3])
    assert part.labels_true is not None
    assert part.labels_true.tolist() == [1, 1, 0, 0]
    assert part.probabilities is not None
    assert part.probabilities.tolist() == [[0.25, 0.75], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    assert part.values == {}


PAIRS = [[0.5, 0.5]] * 3


@pytest.mark.parametrize(
    ("kind", "columns", "message"),
    [
        ("predictions", {"data": list("aaab"), "probabilities": [*PAIRS, [1.0, 0.0]]}, "f: predictions of several"),
        ("predictions", {}, "f: predictions without probabilities"),
        ("dynamics", {name: [1.0] * 4 for name in DYNAMICS[:-1]}, "f: dynamics without the column loss_last"),
        ("predictions", {"probabilities": [*PAIRS, None]}, "f: row 3: column `probabilities`: none"),
        ("predictions", {"probabilities": [*PAIRS, [1.0]]}, "f: row 3: column `probabilities`: 1, where others have 2"),
        ("predictions", {"run": [0, 1, 0, 1], "probabilities": [*PAIRS, [1.0]]},
         "f: run 1: row 3: column `probabilities`: 1, where others have 2"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_scored_are_refused(kind: Any, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(GencliError) as refused:
        list(_parts(document(kind, "f", rows=of_runs(**columns))))
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("kind", ["scores", "dynamics", "predictions", "influence", "history", "evaluation"])
def test_documents_that_say_nothing_of_single_rows_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = tmp_path / "f.csv", document(kind, "f")
    file.write_bytes(b"id,label\n1,0\n")
    monkeypatch.setattr(reading.documents, "read", lambda source: opened)
    if kind in ("scores", "dynamics", "predictions"):
        assert reading.open_any(str(file), None) is opened
    else:
        article = "an" if kind == "influence" else "a"
        with pytest.raises(GencliError, match=f"{article} {kind}, which says nothing of single rows"):
            reading.open_any(str(file), None)


def test_a_folder_and_a_file_with_images_are_image_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gencli.sources.open_table", lambda place: ("folder", place))
    monkeypatch.setattr("gencli.sources.read_table", lambda inputs: ("file", len(inputs)))
    monkeypatch.setattr(reading.documents, "read", lambda source: document("scores", "s"))
    assert reading.open_any(str(tmp_path), None) == ("folder", str(tmp_path))
    for names, table in ((["image", "label"], True), (["img", "label"], True), (["id", "label"], False)):
        place = tmp_path / "rows.parquet"
        pq.write_table(pa.table({key: [1] for key in names}), place)
        found = reading.open_any(str(place), None)
        assert (found == ("file", 1)) == table
