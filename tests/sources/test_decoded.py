"""The words of sizes, shapes and ranges, and what a file's name tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.files.tables import is_shape
from gencli.sources import decoded
from gencli.sources.decoded import DecodedTable, identify, most_bytes, parse_crop, parse_range, parse_shape, parse_size


@pytest.mark.parametrize(
    ("parse", "text", "numbers"),
    [
        (parse_shape, "32x30x3", (32, 30, 3)), (parse_size, "64", (64,)), (parse_size, "64x48", (64, 48)),
        (parse_crop, "56", (56, 56)), (parse_crop, "56x40", (56, 40)), (parse_range, "0,4095", (0, 4095)),
        (parse_range, "-1.5,2e3", (-1.5, 2000)), (parse_size, "23170", (23170,)),
    ],
)  # fmt: skip
def test_words_are_numbers(parse: Callable[[str | None], Any], text: str, numbers: tuple[float, ...]) -> None:
    assert parse(text) == numbers
    assert parse(None) is None


@pytest.mark.parametrize(
    ("parse", "texts", "what"),
    [
        (parse_shape, ["32x32", "32", "0x32x3", "32x32x0", "9x9x9x9", "32x32x", "", "-1x2x3", "20000x20000x3"],
         "a shape"),
        (parse_size, ["0", "1x2x3", "5x0", "x", "6x", "٣", "1234567890", "23171"], "a size"),
        (parse_crop, ["0", "1x2x3", "a"], "a size"),
        (parse_range, ["1,1", "2,1", "1", "1,2,3", "nan,1", "0,inf", "-1e308,1e308", "a,b", ""], "a range"),
    ],
)  # fmt: skip
def test_other_words_are_refused(parse: Callable[[str | None], Any], texts: list[str], what: str) -> None:
    for text in texts:
        with pytest.raises(GencliError, match=f"is not {what}"):
            parse(text)


def test_shapes_are_of_images_that_fit_in_two_gibibytes() -> None:
    assert is_shape((1, 1, 1))
    assert is_shape([1 << 14, 1 << 14, 1])
    assert not is_shape([1 << 15, 1 << 14, 1])
    for other in ((1, 1), (1, 1, 1, 1), (1, 1, 0), (1, -1, 1), (1, 1, 1.0), (True, 1, 1), "111", 3, None):
        assert not is_shape(other)


@pytest.mark.parametrize(
    ("stem", "told"),
    [
        ("cifar10-train", ("cifar10", "train")), ("train", ("train", "train")), ("a_b.test", ("a_b", "test")),
        ("train-00000-of-00002", ("train", "train")), ("x-val-00001-of-00002-0123456789abcdef", ("x", "val")),
        ("trained", ("trained", "")), ("a-validation", ("a", "validation")), ("a-0000-of-0002", ("a-0000-of-0002", "")),
    ],
)  # fmt: skip
def test_a_files_name_tells_its_data_set_and_split(stem: str, told: tuple[str, str]) -> None:
    assert identify(stem) == told


def test_parts_wait_for_all_cores_in_32_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, most in ((1, 16 << 20), (2, 8 << 20), (16, 1 << 20), (64, 1 << 20)):
        monkeypatch.setattr(decoded, "cores", lambda count=count: count)
        assert most_bytes() == most


@pytest.mark.parametrize(
    ("sizes", "count", "parts"),
    [
        ([1, 1, 1, 1], 2, [[0, 1], [2, 3]]), ([1, 1, 1], 2, [[0, 1], [2]]), ([4, 1, 1], 9, [[0, 1], [2]]),
        ([5, 1, 1], 9, [[0], [1, 2]]), ([2, 2, 1, 1], 9, [[0, 1, 2], [3]]), ([9], 1, [[0]]), ([], 3, []),
    ],
)  # fmt: skip
def test_parts_are_of_so_many_rows_or_so_many_bytes(
    sizes: list[int], count: int, parts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "most_bytes", lambda: 4)
    pieces = (([b"x" * size], np.array([place])) for place, size in enumerate(sizes))
    table: Any = SimpleNamespace(pieces=lambda most, keep: pieces)
    found = [*DecodedTable.values(table, count)]
    assert [places.tolist() for _, places in found] == parts
    assert [[len(each or b"") for each in values] for values, _ in found] == [
        [sizes[p] for p in part] for part in parts
    ]


def test_a_note_is_said_once_and_of_warnings_the_most_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = list[str]()
    monkeypatch.setattr("gencli.cli.console.message", messages.append)
    table: Any = SimpleNamespace(title="x", _said=set())
    notes = Counter({"b": 2, "a": 1500, "Pillow warns: one": 3, "Pillow warns: two": 4})
    DecodedTable._say(table, notes, 2000)
    assert messages == [
        "x: 7 of 2,000 images: Pillow warns: two", "x: 1,500 of 2,000 images: a", "x: 2 of 2,000 images: b"
    ]  # fmt: skip
    DecodedTable._say(table, Counter({"a": 1, "c": 1}), 5)
    assert messages[3:] == ["x: 1 of 5 images: c"]
