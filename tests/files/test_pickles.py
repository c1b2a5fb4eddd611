"""What a pickle may hold: numbers by the words in it, tensors within their storages, arrays of as many bytes."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest
import torch

from gencli.files.pickles import _ENCODE, _ORDERED, _Machine, _Made, _Name, _numbers, _Storage, _stored, read


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


def plain(content: Any) -> dict[str, list[Any]]:
    """What is found in the pickle of a value that names nothing."""

    def member(name: str) -> bytes:
        if name != "a/data.pkl":
            raise ValueError(name)
        return pickle.dumps(content, 2)

    return {name: array.tolist() for name, array in read(member, "a/data.pkl").items()}


def test_lists_are_arrays_where_all_their_values_are_whole_numbers() -> None:
    lists = {"a": [1, 2.0], "b": [1, 2], "c": [], "d": (1, True), "e": [False], "f": (7,), "g": [2.0, 1], 3: [4]}
    assert plain(lists) == {"b": [1, 2], "f": [7]}
    assert plain({"one": [5]}) == {"one": [5]}
    assert plain([5, 6]) == {"": [5, 6]}


@pytest.mark.parametrize(("said", "wanted"), [(b"big", 256.0), (b"little", 1.0), (None, 1.0)])
def test_the_order_of_bytes_is_the_archive_s_or_else_little(said: bytes | None, wanted: float) -> None:
    saved = io.BytesIO()
    torch.save({"a": torch.tensor([1], dtype=torch.int16)}, saved)
    with zipfile.ZipFile(saved) as archive:
        held = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    held |= {"byteorder": said} if said else {}

    def member(name: str) -> bytes:
        if name == "byteorder" and said is None:
            raise ValueError
        return held[name]

    assert read(member, "data.pkl")["a"].tolist() == [wanted]


def tensor(offset: Any, shape: Any, strides: Any, count: int = 4) -> list[Any]:
    machine = _Machine(lambda key: np.arange(4, dtype=np.float32).tobytes(), False)
    return machine._tensor(_Storage(np.dtype("f4"), "0", count), offset, shape, strides).tolist()


def test_a_tensor_is_a_view_of_its_storage() -> None:
    assert tensor(0, (2, 2), (2, 1)) == [[0, 1], [2, 3]]
    assert tensor(1, (3,), (1,)) == [1, 2, 3]
    assert tensor(1, (2,), (2,)) == [1, 3]
    assert tensor(3, (4,), (0,)) == [3, 3, 3, 3]
    assert tensor(3, (), ()) == 3
    assert tensor(9, (2, 0), (9, 9)) == [[], []]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (-1, (1,), (1,)), (True, (1,), (1,)), (0.0, (1,), (1,)), (0, (-1,), (1,)), (0, (2,), (-1,)),
        (0, (True,), (1,)), (0, (1,), (1.0,)), (0, (2,), (1, 1)), (0, (2, 2), (1,)),
    ],
)  # fmt: skip
def test_shapes_and_strides_are_whole_numbers_from_zero_one_each_a_side(offset: Any, shape: Any, strides: Any) -> None:
    with pytest.raises(ValueError, match=r"^a tensor with a shape or strides that cannot be$"):
        tensor(offset, shape, strides)


@pytest.mark.parametrize(
    ("offset", "shape", "strides", "count", "size"),
    [
        (2, (3,), (1,), 4, 3), (0, (2, 2), (3, 1), 4, 4), (4, (), (), 4, 1), (0, (5,), (0,), 4, 5),
        (0, (4,), (1,), 3, 4), (0, (4,), (1,), 5, 4),
    ],
)  # fmt: skip
def test_no_tensor_reaches_beyond_its_storage(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...], count: int, size: int
) -> None:
    with pytest.raises(ValueError, match=f"^a tensor of {size} values in a storage of 4$"):
        tensor(offset, shape, strides, count)


def built(made: Any, *state: Any) -> Any:
    _Machine(lambda key: b"", False)._built(made, state)
    return made.value


def test_a_dtype_has_its_order_and_no_parts() -> None:
    for order, wanted in (("<", "<i2"), (">", ">i2"), ("|", "i2"), ("=", "i2")):
        assert built(_Made("dtype", np.dtype("i2")), 3, order, None, None, None, -1, -1, 0) == np.dtype(wanted)
    for place in range(2, 5):
        parts = [3, "<", None, None, None, -1, -1, 0]
        parts[place] = ("a",)
        with pytest.raises(ValueError, match=r"^a dtype of parts$"):
            built(_Made("dtype", np.dtype("i2")), *parts)
    with pytest.raises(ValueError, match=r"^a dtype of parts$"):
        built(_Made("dtype", np.dtype("i2")), 3, "!", None, None, None, -1, -1, 0)


def test_an_array_has_as_many_bytes_as_its_shape_says() -> None:
    kind = _Made("dtype", np.dtype("i1"))
    assert built(_Made("array"), 1, (2, 2), kind, False, b"\0\1\2\3").tolist() == [[0, 1], [2, 3]]
    assert built(_Made("array"), 1, (2, 2), kind, True, b"\0\1\2\3").tolist() == [[0, 2], [1, 3]]
    objects = "an array of Python objects, which are never unpickled"
    for shape, of, content, said in (
        ((2, 2), kind, bytes(5), "an array of 4 values in 5 bytes"),
        ((2, 2), kind, bytes(3), "an array of 4 values in 3 bytes"),
        ((-2, -2), kind, bytes(4), r"an array of the shape \(-2, -2\)"),
        ((True, 4), kind, bytes(4), r"an array of the shape \(True, 4\)"),
        ((4,), kind, [0] * 4, objects), ((4,), np.dtype("i1"), bytes(4), objects),
        ((4,), _Made("array", np.dtype("i1")), bytes(4), objects),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{said}$"):
            built(_Made("array"), 1, shape, of, False, content)
    with pytest.raises(ValueError, match=r"^a pickle that sets what is no array$"):
        built([], 1)


def test_the_few_known_names_are_called_with_what_they_take() -> None:
    machine = _Machine(lambda key: b"", False)
    assert machine._called(_ORDERED, ()) == {}
    assert machine._called(_ENCODE, ("é", "latin1")) == machine._called(_ENCODE, ("é", "latin-1")) == b"\xe9"
    with pytest.raises(ValueError, match=r"^a pickle of bytes in 'utf-8'$"):
        machine._called(_ENCODE, ("é", "utf-8"))
    for name, values in ((_ORDERED, ([],)), ("numpy.ndarray", ())):
        with pytest.raises(ValueError, match=f"^a pickle that calls {name}$"):
            machine._called(name, values)
