"""Work on several cores gives what one gives, in order, and leaves no process behind."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.machine import cores
from gencli.sources.pixels import BadImage, encode
from gencli.sources.processes import in_processes
from tests.pipelines.shell import Shell

RANDOM = np.random.default_rng(0)
PARTS = [RANDOM.integers(0, 256, (length, 5, 4, 3), dtype=np.uint8) for length in (3, 1, 7, 2, 30, 1, 1, 9, 4)]
FILES = [encode(part) for part in PARTS]


@pytest.fixture(params=["1", "2", "3"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OMP_NUM_THREADS", request.param)
    return request.param


def test_the_cores_are_those_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, count in (("3", 3), ("2,4", 2), ("", len(os.sched_getaffinity(0))), ("0", len(os.sched_getaffinity(0)))):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert cores() == count


def test_parts_come_back_in_order(threads: str) -> None:
    decoded = [images for images, _ in in_processes("decode", FILES)]
    assert len(decoded) == len(PARTS)
    assert all(np.array_equal(image, part) for image, part in zip(decoded, PARTS, strict=True))
    assert list(in_processes("encode", PARTS)) == FILES
    assert list(in_processes("encode", [])) == []


def test_the_first_bad_image_is_the_one_named(threads: str) -> None:
    files: list[Any] = [[*FILES[0]], [*FILES[1]], [*FILES[2]], [*FILES[3]], [*FILES[4]]]
    files[2][5], files[3][0] = b"none", b"neither"
    results = in_processes("decode", files)
    assert np.array_equal(next(results)[0], PARTS[0])
    assert np.array_equal(next(results)[0], PARTS[1])
    with pytest.raises(BadImage) as bad:
        next(results)
    assert bad.value.args[0] == 5


def test_no_more_is_read_than_is_needed_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    read = 0

    def parts() -> Iterator[Any]:
        nonlocal read
        for _ in range(50):
            read += 1
            yield FILES[0]

    for given, _ in enumerate(in_processes("decode", parts())):
        assert read <= given + 4


def children(process: int) -> set[str]:
    """The processes that a process started, by any of its threads."""
    return {child for task in Path(f"/proc/{process}/task").glob("*/children") for child in task.read_text().split()}


def test_workers_end_when_the_work_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = children(os.getpid())
    results = in_processes("decode", FILES)
    next(results)
    assert len(children(os.getpid()) - before) == 2
    results.close()  # type: ignore[attr-defined]
    assert children(os.getpid()) == before


def test_a_worker_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = children(os.getpid())
    results = in_processes("decode", FILES * 20)
    next(results)
    for child in children(os.getpid()) - before:
        os.kill(int(child), signal.SIGKILL)
    with pytest.raises(GencliError, match="died"):
        list(results)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Encoded images that take a while to decode."""
    folder = tmp_path_factory.mktemp("many")
    make = "gencli data synthetic noise --rows 3000 | gencli data export --encode png"
    Shell(folder)(f"{make} | gencli data repeat --times 40 -o many.parquet").worked()
    return folder / "many.parquet"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_do_not_outlive_the_command(number: int, many: Path, tmp_path: Path) -> None:
    """Whatever ends it."""
    shell = Shell(tmp_path, cold=True)  # whose workers are its own children
    process = shell.start(f"exec gencli data export --encode png {many} --threads 2 -q -o out.parquet")
    end = time.monotonic() + 60
    while len(workers := children(process.pid)) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(workers) == 2
    process.send_signal(number)
    process.communicate()
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not shell.files() or number == signal.SIGKILL
