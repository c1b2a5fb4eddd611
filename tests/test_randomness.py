"""Draws depend on seed, purpose and row identity, and on nothing else; streams are independent."""

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from gencli.randomness import Draws, Rows, derive, philox4x32
from tests.helpers import chi_square

IDS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=20)
ROWS = np.arange(40_000)
BASE = Draws(0, "random-labels", 0)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: str, key: str, answer: str) -> None:
    words = [int(word, 16) for word in counter.split()]
    low, high = (int(word, 16) for word in key.split())
    [drawn] = philox4x32(np.array([words], np.uint32), (low, high))
    assert [f"{word:08x}" for word in drawn] == answer.split()


def test_draws_never_change_between_releases() -> None:
    # everybody's corrupted data sets hang on these
    assert BASE.words(np.array([0, 7 << 32 | 5]), 5).tolist() == [
        [2184302455, 2521790181, 1750632563, 4166190097, 1103363230],
        [2176985571, 743080219, 2361017369, 2395019562, 3185464862],
    ]
    assert BASE.normals(np.array([0, 7 << 32 | 5]), 2).tolist() == [
        [-0.14136597514152527, -0.9826544523239136],
        [1.055846095085144, -0.5069175958633423],
    ]
    rows = BASE.rows(np.array([0, 7 << 32 | 5]), 1)
    assert rows.bits(1).tolist() == [[10100864546508027669], [14768970903161534219]]
    assert rows.permutations(8).tolist() == [[4, 0, 6, 2, 7, 3, 1, 5], [6, 0, 4, 7, 2, 1, 3, 5]]
    assert [generator.integers(1000) for generator in rows] == [572, 85]
    assert BASE.permutation(8).tolist() == [6, 3, 5, 1, 4, 7, 2, 0]
    assert derive(0, "order") == 6614782067203725704


@given(IDS, st.integers(1, 9))
def test_a_row_draws_the_same_alone_as_among_others(ids: list[int], count: int) -> None:
    together = BASE.words(np.array(ids), count)
    alone = [BASE.words(np.array([row]), count)[0] for row in ids]
    assert np.array_equal(together, alone)


@given(IDS, st.randoms())
def test_draws_follow_the_rows_in_any_order(ids: list[int], random: Random) -> None:
    order = np.array(random.sample(range(len(ids)), len(ids)))
    assert np.array_equal(BASE.uniforms(np.array(ids)[order]), BASE.uniforms(np.array(ids))[order])


@given(IDS, st.integers(1, 9))
def test_asking_for_more_words_keeps_the_first(ids: list[int], count: int) -> None:
    assert np.array_equal(BASE.words(np.array(ids), 9)[:, :count], BASE.words(np.array(ids), count))


NUMBERS: dict[str, Callable[[Rows, int], np.ndarray]] = {
    "normals": Rows.normals, "bits": Rows.bits, "permutations": Rows.permutations
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 9, 3000, 40_000])
@pytest.mark.parametrize("kind", NUMBERS)
@given(data=st.data())
@settings(max_examples=20)
def test_rows_that_are_drawn_together_draw_what_they_draw_alone(kind: str, count: int, data: st.DataObject) -> None:
    near = st.integers(0, 40) if count > 9 else st.integers(0, 10_000)
    ids = np.array(data.draw(st.lists(near.map(lambda place: place | 5 << 32), min_size=1, max_size=30)))
    ids = np.concatenate([ids, np.arange(data.draw(st.integers(0, 20)))])
    together = NUMBERS[kind](BASE.rows(ids, 1), count)
    assert together.shape == (len(ids), count)
    for row in data.draw(st.sets(st.integers(0, len(ids) - 1), max_size=5)):
        assert np.array_equal(together[row], NUMBERS[kind](BASE.rows(ids[row : row + 1], 1), count)[0])


def test_permutations_of_rows_are_uniform() -> None:
    drawn = BASE.rows(ROWS).permutations(4)
    assert np.array_equal(np.sort(drawn, axis=1), np.tile(np.arange(4), (len(ROWS), 1)))
    _, counts = np.unique(drawn @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert abs(chi_square(counts)) < 5


OTHERS = {
    "seed": Draws(1, "random-labels", 0).uniforms(ROWS),
    "purpose": Draws(0, "shuffled-pixels", 0).uniforms(ROWS),
    "occurrence": Draws(0, "random-labels", 1).uniforms(ROWS),
    "data set": BASE.uniforms(ROWS | 1 << 32),
    "next row": BASE.uniforms(ROWS + 1),
    "third word": BASE.words(ROWS, 3)[:, 2] / 2**32,
    "fifth word": BASE.words(ROWS, 5)[:, 4] / 2**32,
    "normal": norm.cdf(BASE.normals(ROWS, 5)[:, 0]),
    "other stream": norm.cdf(BASE.rows(ROWS, 1).normals(5)[:, 0]),
    "other block": norm.cdf(BASE.normals(ROWS ^ 1 << 15, 5)[:, 0]),
    "bits": BASE.rows(ROWS).bits(2)[:, 1] / 2.0**64,
    "generator": [generator.random() for generator in BASE.rows(ROWS)],
    "fifth normal": norm.cdf(BASE.normals(ROWS, 5)[:, 4]),
}


@pytest.mark.parametrize("other", OTHERS)
def test_streams_are_independent(other: str) -> None:
    mine, theirs = BASE.uniforms(ROWS), np.asarray(OTHERS[other])
    assert abs(np.corrcoef(mine, theirs)[0, 1]) < 5 / np.sqrt(len(ROWS))
    cells = (mine * 16).astype(int) * 16 + (theirs * 16).astype(int)
    assert abs(chi_square(np.bincount(cells, minlength=256))) < 5


@pytest.mark.parametrize("word", range(5))
def test_words_are_uniform(word: int) -> None:
    drawn = BASE.words(ROWS, 5)[:, word]
    assert abs(chi_square(np.bincount(drawn >> 24, minlength=256))) < 5
    assert abs(chi_square(np.bincount(drawn & 255, minlength=256))) < 5


def test_uniforms_have_53_random_bits_below_one() -> None:
    drawn = BASE.uniforms(ROWS)
    assert drawn.dtype == np.float64
    assert drawn.min() >= 0
    assert drawn.max() < 1
    integers = drawn * 2**53
    assert np.array_equal(integers, np.floor(integers))
    assert abs((integers % 2).mean() - 0.5) < 5 * 0.5 / np.sqrt(len(ROWS))


@pytest.mark.parametrize("lane", range(5))
def test_normals_are_standard_normal(lane: int) -> None:
    assert kstest(BASE.normals(ROWS, 5)[:, lane], "norm").pvalue > 1e-5


def test_normals_have_the_moments_and_tails_of_the_normal_distribution() -> None:
    drawn = BASE.normals(ROWS, 50).ravel()
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs((drawn**power).mean() - moment) < 5 * np.sqrt(variance / drawn.size)
    for bound in (-4.5, -3, 3, 4.5):
        beyond = norm.sf(abs(bound)) * drawn.size
        assert abs((drawn * np.sign(bound) > abs(bound)).sum() - beyond) < 5 * np.sqrt(beyond)


def test_normals_of_a_row_are_independent_of_each_other_and_of_the_next_row() -> None:
    drawn = BASE.normals(ROWS, 8)
    correlations = np.corrcoef(np.hstack([drawn[1:], drawn[:-1], drawn[1:] ** 2]), rowvar=False)
    assert abs(correlations - np.eye(24)).max() < 5 / np.sqrt(len(ROWS))


@given(IDS, st.integers(1, 9))
def test_a_row_s_generator_is_its_own_whatever_others_draw(ids: list[int], count: int) -> None:
    drawn = [
        generator.integers(0, 1000, count + place).tolist() for place, generator in enumerate(BASE.rows(np.array(ids)))
    ]
    for row, numbers in zip(ids, drawn, strict=True):
        [alone] = BASE.rows(np.array([row]))
        assert alone.integers(0, 1000, len(numbers)).tolist() == numbers


@given(st.integers(0, 300), st.integers(0, 2**64))
def test_a_permutation_holds_every_place_once(size: int, seed: int) -> None:
    assert sorted(Draws(seed, "shuffled-pixels").permutation(size)) == list(range(size))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_permutations_are_uniform(size: int) -> None:
    drawn = [tuple(Draws(seed, "shuffled-pixels").permutation(size)) for seed in range(4000)]
    _, counts = np.unique(np.array(drawn), axis=0, return_counts=True)
    assert len(counts) == np.prod(range(1, size + 1))
    assert abs(chi_square(counts)) < 5


def test_the_permutation_is_not_the_order_of_row_draws() -> None:
    words = BASE.words(np.arange(50), 2).astype(np.uint64)
    of_rows = np.argsort(words[:, 0] << np.uint64(32) | words[:, 1])
    assert not np.array_equal(BASE.permutation(50), of_rows)


def test_seed_and_purpose_cannot_be_confused() -> None:
    purposes = [(1, "order"), (11, "order"), (1, "1", "order"), (1, "order", 0), (1, "order", 1), (0, "order")]
    assert len({derive(*purpose) for purpose in purposes}) == len(purposes)
