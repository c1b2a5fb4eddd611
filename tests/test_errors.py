"""What was short, of errors that many libraries word in many ways."""

import errno

import pyarrow as pa
import pytest

from gencli.cli.app import _shortened, _words
from gencli.errors import GencliError, require_enough, shortage
from gencli.files import parquet

SHORT = [
    (MemoryError(), "memory"),
    (RuntimeError("std::bad_alloc"), "memory"),
    (RuntimeError("[enforce fail at alloc_cpu.cpp:115] DefaultCPUAllocator: not enough memory: you tried"), "memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "memory"),
    (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory"),
    (pa.ArrowMemoryError("malloc of size 64 failed"), "memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (SystemError("error return without exception set"), "memory"),  # Python's own, where it gets no memory for one
    (RuntimeError("can't start new thread"), "threads"),
    (OSError("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"), "threads"),
]


@pytest.mark.parametrize(("error", "what"), SHORT)
def test_a_lack_of_memory_or_threads_is_told_and_never_taken_for_a_fault_of_a_file(
    error: BaseException, what: str
) -> None:
    assert shortage(error) == what
    message, hint = _words(error)
    assert message.startswith(f"out of {what}")
    assert "ulimit" in hint
    with pytest.raises(type(error)):
        require_enough(error)


@pytest.mark.parametrize("error", [ValueError("bad"), OSError(errno.ENOENT, "no such file"), RuntimeError("shape")])
def test_other_errors_are_none_of_it(error: BaseException) -> None:
    assert shortage(error) is None
    require_enough(error)


def test_arrow_without_memory_does_not_call_a_file_damaged() -> None:
    with pytest.raises(GencliError, match=r"a\.parquet: out of memory: malloc"), parquet.undamaged("a.parquet"):
        raise pa.ArrowMemoryError("malloc of size 64 failed")
    with pytest.raises(OSError, match="Cannot allocate"), parquet.undamaged("a.parquet"):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")


def test_long_messages_keep_their_beginning_and_their_end() -> None:
    words = "".join(chr(97 + place % 26) for place in range(1200))
    assert _shortened(words[:1000]) == words[:1000]
    assert _shortened(words[:1001]) == f"{words[:700]} … {words[801:1001]}"
    assert _shortened("a\nb\x1b[2J").isprintable()
