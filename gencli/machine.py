"""What the machine has: cores, and work on batches in as many threads; memory, and the refusal of what exceeds it."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from gencli.errors import GencliError

Given = TypeVar("Given")
Made = TypeVar("Made")


def cores() -> int:
    """The number of cores to use: `--threads`, else OMP_NUM_THREADS, else all that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0))


@contextmanager
def _quick_turns() -> Iterator[None]:
    """Threads that return from numpy wait 0.2 ms at most for one that runs Python, not 5 ms.

    Such waiting took up to a quarter of all time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def pin() -> None:
    """Instructions that all CPUs of a kind have, and one thread: torch, oneDNN and MKL read it when they are loaded.

    Raises:
        GencliError: that is over.
    """
    variables = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
    if "torch" in sys.modules and os.environ.items() >= variables.items():
        return  # a plug-in has loaded it since
    if "torch" in sys.modules:
        raise GencliError("--deterministic: torch is loaded already", "train in a process of its own")
    os.environ |= variables | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def in_threads(function: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[tuple[Given, Made]]:
    """Each item with the function's result for it, in order; as many run at a time as there are cores."""
    with _quick_turns(), ThreadPoolExecutor(cores()) as pool:
        waiting: deque[tuple[Given, Future[Made]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > cores() + 1:
                given, made = waiting.popleft()
                yield given, made.result()
        for given, made in waiting:
            yield given, made.result()


def process() -> tuple[int, int]:
    """This process's number among those that torchrun started, from 0, and how many they are; 0 and 1 without it.

    Raises:
        GencliError: its environment variables are no such numbers.
    """
    words = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE")]
    if not all(words):
        return 0, 1
    rank, size = (int(word) if word.isdecimal() else -1 for word in words)
    if not 0 <= rank < size:
        raise GencliError(
            f"RANK={words[0][:20]} and WORLD_SIZE={words[1][:20]} are no process of torchrun's", "unset these variables"
        )
    return rank, size


def require_launched() -> None:
    """Refuses to be one of several processes that do not say where the first one is.

    Raises:
        GencliError: a variable that torchrun sets is missing, or is no such word.
    """
    for name, fits in (("MASTER_ADDR", bool), ("MASTER_PORT", str.isdecimal)):
        if not fits(word := os.environ.get(name, "")):
            raise GencliError(
                f"WORLD_SIZE={process()[1]}, but {name} is {word[:20] or 'not set'}",
                "start it with torchrun",
            )


def local() -> int:
    """How many of the processes that torchrun started are on this machine."""
    word = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(word) if process()[1] > 1 and word.isdecimal() and int(word) else 1


def first() -> bool:
    """Whether this is the first process, the one that writes."""
    return process()[0] == 0


def require_alone(why: str) -> None:
    """Refuses several processes of torchrun, where there is a reason `why`.

    Raises:
        GencliError: there are several.
    """
    count = process()[1]
    if why and count > 1:
        raise GencliError(f"{count} processes of torchrun: {why}", "start it without torchrun")


def require_files(*places: str | None) -> None:
    """Refuses standard input among the places that several processes of torchrun are to read.

    Raises:
        GencliError: it is.
    """
    count = process()[1]
    if count > 1 and any(place in (None, "-") for place in places):
        raise GencliError(f"standard input: {count} processes cannot share it", "name files instead")


def require_memory(need: int, what: str, hint: str = "reduce it") -> None:
    """Refuses to allocate more bytes than are free; `what` names, in the user's words, what needs them.

    Raises:
        GencliError: fewer are free.
    """
    have = free_memory()
    if need > have:
        raise GencliError(f"{what}: needs {size(need)} of memory, but only {size(have)} are free", hint)


def size(count: int) -> str:
    """A number of bytes as text, in the largest unit of which there is at least one."""
    if count >= 1 << 70:
        return f"2^{count.bit_length() - 1} bytes"
    units = {"GiB": 30, "MiB": 20, "KiB": 10}
    unit, power = next(((unit, power) for unit, power in units.items() if count >> power), ("bytes", 0))
    return f"{count / (1 << power):,.1f} {unit}" if power else f"{count} bytes"


def free_memory() -> int:
    """Bytes that this process can still take: of the machine, what the kernel would give up included, and within the
    limits of its control groups and of `ulimit -v`.
    """
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, StopIteration):  # not on every system
        lines = Path("/proc/meminfo").read_text().splitlines()
        have = min(have, 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]))
    with suppress(OSError, ImportError, ValueError, AttributeError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        have = have if limit == resource.RLIM_INFINITY else min(have, limit - used)
    return max(0, min([have, *_groups_rooms()]))


def _groups_rooms() -> Iterator[int]:
    """What the process's control groups leave it, of both versions; what they could drop of files counts as free."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kind, path = line.split(":", 2)
            if kind and "memory" not in kind.split(","):
                continue
            top = Path("/sys/fs/cgroup", kind and "memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kind else ("memory.max", "memory.current")
            own = top / path.lstrip("/")
            for folder in [own, *own.parents][: len(own.parts) - len(top.parts) + 1]:
                with suppress(OSError, ValueError, StopIteration):  # `max` is no limit, and the outermost has no files
                    limit, used = (int((folder / name).read_text()) for name in names)
                    stat = (folder / "memory.stat").read_text().splitlines()
                    yield limit - used + int(next(line for line in stat if line.startswith("inactive_file")).split()[1])
