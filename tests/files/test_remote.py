"""Objects as files: which ranges are fetched for which reads, each block of 16 KiB once."""

from __future__ import annotations

import os

import pytest

from gencli.errors import GencliError
from gencli.files import remote
from gencli.files.remote import RemoteFile

BLOCK = 1 << 14


class Counted:
    """An object in memory that knows what was read of it, in blocks."""

    def __init__(self, size: int, version: str = "") -> None:
        self.content = b"".join(bytes([at % 251 + 1]) * BLOCK for at in range(-(-size // BLOCK)))[:size]
        self.size, self.version, self.asked = size, version, 0
        self.reads: list[tuple[int, int]] = []

    def read(self, start: int, count: int) -> bytes:
        assert start % BLOCK == 0
        self.reads.append((start // BLOCK, -(-(start + count) // BLOCK)))
        return self.content[start : start + count]

    def require_unchanged(self) -> None:
        self.asked += 1


def opened(blocks: int, more: int = 0) -> tuple[Counted, RemoteFile]:
    found = Counted(blocks * BLOCK + more)
    return found, RemoteFile(found, "x")


def test_a_read_fetches_the_blocks_that_it_touches() -> None:
    found, file = opened(100)
    for start, count, reads in (
        (10 * BLOCK, BLOCK, [(10, 11)]), (30 * BLOCK - 1, 2, [(29, 31)]), (50 * BLOCK + 1, BLOCK - 1, [(50, 51)]),
        (10 * BLOCK + 5, 9, []),
    ):  # fmt: skip
        found.reads.clear()
        assert file.pread(count, start) == found.content[start : start + count]
        assert found.reads == reads


def test_reads_that_follow_ask_for_twice_as_many() -> None:
    found, file = opened(2000)
    for at in range(1100):
        file.pread(1, at * BLOCK)
    ends = [2, 6, 14, 30, 62, 126, 254, 510, 766, 1022, 1278]
    assert found.reads == [*zip([0, *ends[:-1]], ends)]
    found.reads.clear()
    file.pread(1, 1282 * BLOCK)  # four on, which follows
    file.pread(1, 1543 * BLOCK)  # five on, which does not
    file.pread(1, 1543 * BLOCK - 1)
    assert found.reads == [(1282, 1538), (1543, 1544), (1542, 1543)]


def test_a_read_ahead_ends_with_the_object() -> None:
    found, file = opened(2, 5)
    assert [file.pread(BLOCK, at * BLOCK) for at in range(4)] == [
        bytes([1]) * BLOCK,
        bytes([2]) * BLOCK,
        b"\3" * 5,
        b"",
    ]
    assert found.reads == [(0, 2), (2, 3)]


def test_gaps_that_are_near_are_fetched_with_what_lies_between() -> None:
    for between, wanted in ((3, [(0, 5)]), (4, [(0, 1), (5, 6)])):
        found, file = opened(20)
        file.prefetch([(BLOCK, (1 + between) * BLOCK)])
        found.reads.clear()
        file.prefetch([(0, (2 + between) * BLOCK)])
        assert sorted(found.reads) == wanted


def test_a_gap_ends_where_blocks_are_there_again() -> None:
    found, file = opened(20)
    file.prefetch([(BLOCK, 2 * BLOCK), (3 * BLOCK, 12 * BLOCK)])
    found.reads.clear()
    file.prefetch([(0, 20 * BLOCK)])
    assert sorted(found.reads) == [(0, 3), (12, 20)]


def test_ranges_that_touch_are_fetched_together() -> None:
    found, file = opened(20)
    file.prefetch([(9 * BLOCK, 10 * BLOCK), (-5, 2 * BLOCK), (2 * BLOCK, 3 * BLOCK), (BLOCK, BLOCK + 1)])
    file.prefetch([(19 * BLOCK + 1, 99 * BLOCK)])
    assert sorted(found.reads) == [(0, 3), (9, 10), (19, 20)]


def test_the_whole_is_fetched_in_pieces_and_found_unchanged_once(capsys: pytest.CaptureFixture[str]) -> None:
    found, file = opened(513, 7)
    assert os.pread(file.fileno(), found.size + 1, 0) == found.content
    assert sorted(found.reads) == [(0, 512), (512, 514)]
    assert file.whole().read() == found.content
    assert (found.asked, len(found.reads)) == (1, 2)
    file.require_unchanged()
    assert found.asked == 2
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("more", [0, 1])
def test_a_large_one_is_told(more: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_LARGE", 2 * BLOCK)
    opened(2, more)[1].whole()
    assert ("x: fetching 32,769 bytes" in capsys.readouterr().err) == bool(more)


def test_what_is_fetched_by_reads_alone_is_not_asked_for_again() -> None:
    found, file = opened(1)
    file.pread(1, 0)
    file.whole()
    assert (found.reads, found.asked) == ([(0, 1)], 0)


def test_it_is_read_and_sought_as_a_file() -> None:
    found, file = opened(1, 10)
    assert (file.readable(), file.seekable(), file.tell()) == (True, True, 0)
    assert [file.seek(-4, os.SEEK_END), file.read(3), file.tell()] == [BLOCK + 6, b"\2\2\2", BLOCK + 9]
    assert [file.seek(-2, os.SEEK_CUR), file.read(9), file.read(9)] == [BLOCK + 7, b"\2\2\2", b""]
    assert [file.seek(BLOCK - 1), file.read(2), file.seek(-1), file.seek(0, os.SEEK_CUR)] == [BLOCK - 1, b"\1\2", 0, 0]
    buffer = bytearray(b"????")
    file.seek(found.size - 1)
    assert (file.readinto(buffer), buffer) == (1, b"\2???")


def test_what_provenance_has_of_it() -> None:
    assert RemoteFile(Counted(5), "x").said == "x, 5 bytes"
    assert RemoteFile(Counted(5, "abc"), "x").said == "x, 5 bytes, version abc"


def test_a_disk_that_takes_little_at_a_time_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found, file = opened(1)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, content, at: write(fd, content[:1000], at))
    assert file.pread(BLOCK, 0) == found.content

    def full(fd: int, content: bytes, at: int) -> int:
        raise OSError(28, "No space left on device")

    other = opened(1)[1]
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(GencliError, match=r"^x: cannot be kept in a temporary file: No space left on device$"):
        other.pread(1, 0)
