"""What every kind of corruption holds to: a row's draws alone decide what becomes of it.

A kind that `EXAMPLES` does not name fails: give it sensible options there.
"""

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.cli.outputs import write_images
from gencli.corruptions import KINDS, Corrupted
from gencli.corruptions.base import Corruption
from gencli.files import provenance
from gencli.files.tables import ImageTable, MemoryTable
from gencli.sources import open_table
from tests.helpers import image_table, read, save, save_corrupted
from tests.pipelines.shell import Shell, many


class Example(NamedTuple):
    """Options of a kind.

    Attributes:
        options: the dataclass's fields; files are `matrix.csv`, `other.parquet` and `scores.parquet`.
        draws: whether another seed gives other rows.
        whole: whether a row's fate depends on the table's other rows, so that parts of the table fare otherwise.
    """

    options: dict[str, Any]
    draws: bool = True
    whole: bool = False


# the first example of each is for 8-bit images, and leaves 8-bit images
EXAMPLES: dict[str, list[Example]] = {
    "random-labels": [Example({"p": 0.5}), Example({"p": 0.5, "exact": True}, whole=True)],
    "flip-labels": [Example({"p": 0.5}), Example({"p": 0.5, "exact": True}, whole=True)],
    "pair-labels": [Example({"p": 0.5}), Example({"p": 0.5, "pairs": "0:2,class 3:1"})],
    "matrix-labels": [Example({"matrix": "matrix.csv"})],
    "permute-labels": [Example({})],
    "labels": [Example({"source": "given.csv"}, draws=False)],
    "merge-classes": [Example({"groups": "0-2+4,3"}, draws=False)],
    "shuffled-pixels": [Example({}), Example({"channels": "apart"})],
    "random-pixels": [Example({}), Example({"channels": "apart"})],
    "gaussian-pixels": [
        Example({}, whole=True),
        Example({"statistics": "scalar"}, whole=True),
        Example({"statistics": "other.parquet"}),
    ],
    "gaussian-noise": [
        Example({"sigma": "0:50"}),
        Example({"sigma": "25", "on": "both", "dtype": "float32"}),
        Example({"sigma": "25", "clean_target": True}),
    ],
    "poisson-noise": [Example({"peak": "30"}), Example({"peak": "0:50", "on": "target"})],
    "impulse-noise": [Example({"p": "0:0.95"})],
    "text-overlay": [Example({"p": "0:0.5"})],
    "long-tail": [Example({"ratio": 4.0}, whole=True)],
    "step-imbalance": [Example({"ratio": 4.0}, whole=True)],
    "subsample": [
        Example({"fold": "0/4", "invert": True}, whole=True),
        Example({"n": 20}, whole=True),
        Example({"per_class": 5}, whole=True),
        Example({"classes": "0,class 3"}, draws=False),
        Example({"classes": "class 3,1", "renumber": True}, draws=False),
    ],
    "prune": [Example({"p": 0.3, "by": "aum", "scores": "scores.parquet"}, whole=True)],
    "common": [
        Example({"kind": "fog", "severity": 3}),
        Example({"kind": "brightness", "severity": 3}, draws=False),
        Example({"all": True}),
    ],
}
CLASSES = 5
TABLE = image_table(60, (32, 32, 3), classes=CLASSES)
CASES = [(name, place) for name in KINDS for place in range(len(EXAMPLES.get(name, ())))]
each_case = pytest.mark.parametrize(("name", "place"), CASES)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder, with the files that options name."""
    with contextlib.chdir(tmp_path_factory.mktemp("kinds")):
        matrix = np.full((CLASSES, CLASSES), 0.1) + np.eye(CLASSES) / 2
        Path("matrix.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in matrix.tolist()))
        save(image_table(30, (32, 32, 3), classes=CLASSES, name="other"), Path("other.parquet"))
        halves = np.repeat([0.25, 0.5], len(TABLE.column("id")) // 2)  # with ties, that lots decide
        pq.write_table(pa.table({"id": TABLE.column("id"), "aum": halves}), "scores.parquet")
        given = zip(TABLE.column("id").tolist(), range(60))
        Path("given.csv").write_text("id,label\n" + "".join(f"{row},{place % CLASSES}\n" for row, place in given))
        yield Path.cwd()


class Pieces(MemoryTable):
    """Rows of a table by their places, in batches that end where `ends` says."""

    def __init__(self, table: MemoryTable, places: Sequence[int], ends: Sequence[int] = ()) -> None:
        vars(self).update(vars(table))
        self._rows, self._ends, self.rows = table._rows.take(pa.array(places)), ends, len(places)

    def batches(self, keep: NDArray[np.bool_] | None = None) -> Iterator[pa.RecordBatch]:
        for start, stop in zip([0, *self._ends], [*self._ends, self.rows], strict=True):
            piece = self._rows.slice(start, stop - start)
            if piece.num_rows and (keep is None or keep[start:stop].any()):
                yield piece if keep is None else piece.filter(pa.array(keep[start:stop]))


def example(name: str, place: int = 0) -> Corruption:
    assert name in EXAMPLES, f"EXAMPLES in {__name__} names no options of {name}"
    return KINDS[name](**EXAMPLES[name][place].options)


def corrupted(name: str, place: int, table: ImageTable = TABLE, seed: int = 0) -> pa.Table:
    """The corrupted rows by their identities; they came in the table's order, once a pass."""
    corruption = example(name, place)
    result = Corrupted(table, corruption, seed)
    rows = read(result)
    ids, before = rows["id"].to_numpy(), table.column("id")
    assert np.array_equal(ids, np.tile(before[np.isin(before, ids)], len(corruption.passes())))
    assert rows.num_rows == result.rows
    return by_identity(rows)


def by_identity(rows: pa.Table) -> pa.Table:
    return rows.take(pa.array(np.argsort(rows["id"].to_numpy(), kind="stable")))


@cache
def whole(name: str, place: int) -> pa.Table:
    return corrupted(name, place)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_an_example_here(name: str) -> None:
    assert isinstance(example(name), KINDS[name])


def test_every_example_is_of_a_kind() -> None:
    assert set(EXAMPLES) <= set(KINDS)


def test_no_two_kinds_share_their_draws() -> None:
    purposes = {(each.purpose, name) for name, place in CASES for each in example(name, place).passes()}
    assert len(purposes) == len({purpose for purpose, _ in purposes}), sorted(purposes)


@each_case
@settings(max_examples=3)
@given(ends=st.lists(st.integers(0, 60), max_size=5).map(sorted), random=st.randoms(use_true_random=False))
def test_any_batches_in_any_order_give_the_same_rows(name: str, place: int, ends: list[int], random: Random) -> None:
    shuffled = Pieces(TABLE, random.sample(range(60), 60), ends)
    assert corrupted(name, place, shuffled).equals(whole(name, place))


@pytest.mark.parametrize(("name", "place"), [case for case in CASES if not EXAMPLES[case[0]][case[1]].whole])
@settings(max_examples=3)
@given(ends=st.sets(st.sampled_from([13, 29, 46])).map(sorted))
def test_corrupted_parts_joined_are_the_corrupted_whole(name: str, place: int, ends: list[int]) -> None:
    parts = [Pieces(TABLE, range(start, stop)) for start, stop in zip([0, *ends], [*ends, 60], strict=True)]
    joined = pa.concat_tables([corrupted(name, place, part) for part in parts])
    assert joined.equals(whole(name, place))


@each_case
@pytest.mark.parametrize("shards", [2, 3])
def test_shards_joined_are_the_whole(name: str, place: int, shards: int) -> None:
    passes = len(example(name, place).passes())
    parts = [read(Corrupted(TABLE, example(name, place), 0, shard, shards)) for shard in range(shards)]
    joined = pa.concat_tables(parts)
    assert np.ptp([part.num_rows for part in parts]) <= passes
    assert (joined if passes == 1 else by_identity(joined)).equals(whole(name, place))


@each_case
def test_the_same_seed_gives_the_same_bytes(
    name: str, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(TABLE, tmp_path / "table.parquet")
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        save_corrupted(source, example(name, place), tmp_path / f"{threads}.parquet")
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "3.parquet").read_bytes()


@each_case
def test_another_seed_and_a_second_time_give_other_rows(name: str, place: int, tmp_path: Path) -> None:
    same = not EXAMPLES[name][place].draws
    assert corrupted(name, place, seed=1).equals(whole(name, place)) == same
    for step, expected in ((f"corrupt {name}", same), ("corrupt otherwise", True)):
        write_images(TABLE, str(tmp_path / step), lambda step=step: provenance.step(step, {}))
        assert corrupted(name, place, open_table(str(tmp_path / step))).equals(whole(name, place)) == expected


@each_case
def test_the_table_that_is_read_stays_as_it_is(name: str, place: int) -> None:
    before = pa.Table.from_pylist(read(TABLE).to_pylist(), TABLE.schema)
    corrupted(name, place)
    assert read(TABLE).equals(before)


def test_a_pipe_through_all_kinds_gives_the_files_that_each_step_gives(folder: Path) -> None:
    save(TABLE, folder / "made-0")
    files = {
        "matrix-labels": ("matrix", "matrix.csv"),
        "prune": ("scores", "scores.parquet"),
        "labels": ("from", "given.csv"),
    }
    given = {name: [provenance.source(role, "", None, Path(file))] for name, (role, file) in files.items()}
    steps = [provenance.step(f"corrupt {name}", example(name).arguments(), given.get(name, [])) for name in KINDS]
    lines = [f"{provenance.command_line(step)} --seed 0" for step in steps]
    pipe = " | ".join(f"{line} -q | tee piped-{number + 1}" for number, line in enumerate(lines))
    Shell(folder)(f"cat made-0 | {pipe} > /dev/null").worked()
    commands = [
        [*shlex.split(line)[1:], "-q", f"made-{number}", "-o", f"made-{number + 1}"]
        for number, line in enumerate(lines)
    ]
    for line, done in zip(lines, many(folder, commands), strict=True):
        assert done.status == 0, (line, done)
    for number, line in enumerate(lines):
        assert Path(f"piped-{number + 1}").read_bytes() == Path(f"made-{number + 1}").read_bytes(), line
    made = [
        provenance.command_line(step)
        for step, depth in provenance.walk(open_table(f"made-{len(lines)}").made)
        if depth == 0
    ]
    assert made == ["gencli data toy", *lines]
