"""Which rows are kept: by class, by a sample that does not depend on the order, from the start."""

from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gencli.errors import GencliError
from gencli.files.tables import Description, MemoryTable
from gencli.sources import open_table
from gencli.sources.selection import numbers_of, require_one_version, select
from tests.helpers import image_table, read

TABLE = image_table(2000, (1, 1, 1), classes=5)
LABELS = TABLE.column("label")


def kept(
    classes: str | None = None, sample: int | None = None, limit: int | None = None, seed: int = 0
) -> NDArray[np.bool_]:
    mask = select(TABLE, classes, sample, limit, seed)
    assert mask is not None
    return mask


def test_nothing_asked_keeps_all() -> None:
    assert select(TABLE) is None


@pytest.mark.parametrize("classes", ["class 1,class 3", "1,3", "3,class 1", "1,3,3"])
def test_classes_by_name_and_number(classes: str) -> None:
    assert np.array_equal(kept(classes), np.isin(LABELS, [1, 3]))


def test_a_name_goes_before_a_number() -> None:
    description = Description("toy", "", ("1", "0"), (1, 1, 1))
    table = MemoryTable("toy", description, np.zeros((3, 1, 1, 1), np.uint8), np.array([0, 1, 0]))
    mask = select(table, "1")
    assert mask is not None
    assert mask.tolist() == [True, False, True]


@pytest.mark.parametrize("classes", ["5", "-1", "class", "", "1,,3"])
def test_unknown_classes_are_refused(classes: str) -> None:
    with pytest.raises(GencliError, match="no class"):
        select(TABLE, classes)


def test_a_misspelt_class_is_suggested() -> None:
    with pytest.raises(GencliError) as raised:
        select(TABLE, "clas 3")
    assert raised.value.hint == "did you mean class 3?"


def test_classes_without_rows_are_refused() -> None:
    table = MemoryTable("toy", TABLE.description, np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1]))
    with pytest.raises(GencliError, match="no rows are left"):
        select(table, "4")


def test_samples_are_nested() -> None:
    small, large = kept(sample=100), kept(sample=200)
    assert (small.sum(), large.sum()) == (100, 200)
    assert large[small].all()


def test_a_sample_is_spread_over_the_table_and_follows_the_seed() -> None:
    first, second = kept(sample=1000, seed=0), kept(sample=1000, seed=1)
    assert abs(first[:1000].sum() - 500) < 5 * np.sqrt(250)
    assert abs((first & second).sum() - 500) < 5 * np.sqrt(250)


def test_samples_never_change_between_releases() -> None:
    assert np.flatnonzero(kept(sample=3)).tolist() == [1566, 1612, 1919]


@settings(max_examples=10)
@given(random=st.randoms(), sample=st.integers(1, 60))
def test_a_sample_does_not_depend_on_the_order(
    random: Random, sample: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("order") / "shuffled.parquet"
    order = random.sample(range(60), 60)
    table = image_table(60)
    pq.write_table(read(table).take(pa.array(order)), path)
    shuffled = open_table(str(path))
    masks = select(table, sample=sample), select(shuffled, sample=sample)
    ids = [set(source.column("id")[mask]) for source, mask in zip((table, shuffled), masks, strict=True)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == sample


def test_a_sample_of_more_than_all_is_all() -> None:
    assert kept(sample=5000).all()


def test_a_sample_of_a_class_is_drawn_from_it() -> None:
    mask = kept("2", sample=50)
    assert mask.sum() == 50
    assert (LABELS[mask] == 2).all()


def test_a_limit_takes_the_first_rows_of_what_is_left() -> None:
    assert np.flatnonzero(kept(limit=3)).tolist() == [0, 1, 2]
    assert np.array_equal(np.flatnonzero(kept("2", limit=3)), np.flatnonzero(LABELS == 2)[:3])
    sampled = kept(sample=50)
    assert np.array_equal(np.flatnonzero(kept(sample=50, limit=3)), np.flatnonzero(sampled)[:3])


def test_kept_rows_stay_in_order() -> None:
    mask = kept("1,2", sample=100, limit=50)
    assert read(TABLE, mask)["id"].to_pylist() == TABLE.column("id")[np.flatnonzero(mask)].tolist()


@pytest.mark.parametrize("classes", ["1\rx", "x" * 200_000, "1" * 5000, "1,a\nb"])
def test_names_that_no_list_can_hold_are_refused(classes: str) -> None:
    with pytest.raises(GencliError):
        select(TABLE, classes)


def refused(classes: str, *names: str) -> tuple[str, str]:
    with pytest.raises(GencliError) as raised:
        numbers_of(classes, names, "toy")
    return raised.value.message, raised.value.hint


def test_numbers_of_classes_are_below_their_number() -> None:
    names = tuple(f"c{label}" for label in range(3))
    assert numbers_of("2,c0,0", names, "toy") == [2, 0, 0]
    assert refused("3", *names)[0] == "toy: no class '3'"
    assert numbers_of("0" * 18 + "2", names, "toy") == [2]
    assert refused("0" * 19 + "2", *names)[0] == f"toy: no class '{'0' * 19}2'"
    assert refused("²", *names)[0] == "toy: no class '²'"


def test_classes_of_one_name_are_told_apart_by_number() -> None:
    assert refused("a", "a", "b", "a") == ("toy: classes 0 and 2 are both called 'a'", "give the class's number")
    assert numbers_of("2,b", ("a", "b", "a"), "toy") == [2, 1]


def test_names_of_numbers_alone_may_be_given_their_words() -> None:
    more = "; gencli data parquet --class-names gives their number"
    assert refused("cat", "0", "1")[1].endswith(more)
    assert more not in refused("cat", "0", "2")[1]


def test_draws_follow_the_seed_nought_where_none_is_given() -> None:
    drawn = select(TABLE, sample=9)
    assert drawn is not None
    assert np.array_equal(drawn, kept(sample=9, seed=0))
    assert not np.array_equal(drawn, kept(sample=9, seed=1))


def test_rows_in_several_versions_are_not_drawn() -> None:
    table = image_table(4)
    require_one_version(table)
    table._rows = table._rows.set_column(0, table.schema.field("id"), pa.array([5, 6, 7, 5]))
    for drawn in (lambda: require_one_version(table), lambda: select(table, sample=1)):
        with pytest.raises(GencliError, match=r"^toy: holds each row in several versions, which cannot be drawn"):
            drawn()
    mask = select(table, limit=1)
    assert mask is not None
    assert mask.tolist() == [True, False, False, False]
