"""Which numbers a pickle may hold, by the words in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gencli.files.pickles import _Name, _numbers, _stored


@pytest.mark.parametrize("word", ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_numbers_are_of_numpys_kinds(word: str) -> None:
    assert _numbers(word) == np.dtype(word)


@pytest.mark.parametrize(
    "word", ["O", "O8", "S3", "U1", "V8", "M8", "m8", "c16", "f16", "i3", "", "i4,i4", 5, None, b"i4"]
)
def test_objects_words_and_times_are_no_numbers(word: Any) -> None:
    with pytest.raises(ValueError, match="not of numbers"):
        _numbers(word)


FLOATS = _Name("torch.FloatStorage")


@pytest.mark.parametrize(
    "value",
    [
        ("module", FLOATS, "0", "cpu", 4), ("storage", "torch.FloatStorage", "0", "cpu", 4),
        ("storage", FLOATS, 0, "cpu", 4), ("storage", FLOATS, "../0", "cpu", 4), ("storage", FLOATS, "0", "cpu", 4.0),
        ("storage", FLOATS, "0", "cpu", True), ("storage", _Name("os.FloatStorage"), "0", "cpu", 4),
        ("storage", _Name("torch.Float"), "0", "cpu", 4),
    ],
)  # fmt: skip
def test_a_storage_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="another form than torch writes"):
        _stored(value)


def test_a_storage_is_of_its_class_key_and_count() -> None:
    found = _stored(("storage", FLOATS, "17", "cpu", 4))
    assert (found.dtype, found.key, found.count) == (np.float32, "17", 4)
