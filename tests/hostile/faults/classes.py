"""The kinds of fault: each gives cases in turn, a case being what it does, in words, and a function that judges it."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from tests.hostile.faults.commands import OFTEN, outputs
from tests.hostile.faults.world import NOBODY, OLD, Ended, World, content, require
from tests.pipelines.shell import BIN, Shell, environment, explained

Case = tuple[str, Callable[[], object]]
CALLS = "create", "write", "fsync", "rename", "unlink", "mkdir"
_MOST = 60  # calls of one kind that are tried, of one line
_SIGNALS = signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP
_DIGITS = "corrupt random-labels -p 0.5 digits.parquet -o out"
_LARGE = "corrupt random-labels -p 0.5 large.parquet -o out"


def kills(world: World, random: Random, count: int) -> Iterator[Case]:
    """A signal at a random moment; then the same line again."""

    def kill(line: str, number: signal.Signals, moment: float) -> None:
        after = moment * world.expected(line)[0].seconds
        with placed(world, line) as folder:
            done = world.run(line, folder, signal=number, after=after)
            require(done.status in (128 + number, world.expected(line)[0].status), "status", done)
            world.judge(line, folder, done)

    for place in range(count):
        line, number, moment = world.lines[place % len(world.lines)], random.choice(_SIGNALS), random.uniform(0, 1.05)
        yield f"{number.name} at {moment:.4f} of {line}", partial(kill, line, number, moment)


def signals_at_calls(world: World, random: Random, count: int) -> Iterator[Case]:
    """A signal within a call that changes the folder."""
    for place in range(count):
        line, call, number = random.choice(world.lines), CALLS[place % len(CALLS)], random.choice(_SIGNALS)
        n = random.randint(1, 4)
        yield f"{call} {n} {number.name} of {line}", partial(_at_call, world, line, f"{call} {n} {-number}")


def _at_call(world: World, line: str, fault: str, under: Path | None = None) -> bool:
    with placed(world, line) as folder:
        done = world.run(line, folder, fault, under)
        fired = world.fired()
        world.judge(line, folder, done, leaves=fault.startswith("unlink"))
        return fired


def failing_calls(world: World, random: Random, count: int) -> Iterator[Case]:
    """Every call that changes the folder fails once, of some lines, and a random one of all others."""
    for line in world.lines:
        for call in CALLS:
            name = random.choice(["ENOSPC", "EIO"] if call in ("write", "fsync") else ["EACCES", "EIO", "ENOSPC"])
            number = getattr(errno, name)
            if line in often(world):
                for n in range(1, _MOST):
                    fired = [False]

                    def fail(line: str = line, fault: str = f"{call} {n} {number}", fired: list[bool] = fired) -> None:
                        fired[0] = True  # if it fails, the next is tried
                        fired[0] = _at_call(world, line, fault)

                    yield f"{call} {n} {name} of {line}", fail
                    if not fired[0]:
                        break
            elif random.random() < count / 200:
                n = random.randint(1, 3)
                yield f"{call} {n} {name} of {line}", partial(_at_call, world, line, f"{call} {n} {number}")


def failing_reads(world: World, random: Random, count: int) -> Iterator[Case]:
    """A read of an input fails, or all of them bring half."""
    for line in [line for line in world.lines if any((world.inputs / word).exists() for word in line.split())]:
        for call, n, number in (("read", random.randint(1, 9), errno.EIO), ("open", 1, errno.EIO), ("read", 1, 0)):
            if random.random() < count / 200:
                what = f"{call} {n} {number}"
                yield f"{what} of inputs of {line}", partial(_at_call, world, line, what, world.inputs)


def short_writes(world: World, random: Random, count: int) -> Iterator[Case]:
    """Every write takes half of what it is given."""
    for line in random.sample(world.lines, min(len(world.lines), count // 10)):
        yield f"short writes of {line}", partial(_at_call, world, line, "write 1 0")


def limits(world: World, random: Random, count: int) -> Iterator[Case]:
    """Few open files, little memory, short files."""

    def limit(line: str, name: str, value: int) -> None:
        with placed(world, line) as folder:
            world.judge(line, folder, world.run(line, folder, limits={name: value}))

    for line in random.sample(world.lines, min(len(world.lines), count // 8)):
        for name, value in (("RLIMIT_FSIZE", random.choice([1000, 5000])), ("RLIMIT_NOFILE", 32)):
            yield f"{name} {value} of {line}", partial(limit, line, name, value)
    for line in often(world)[: count // 25]:
        for value in (400, 800, 1600):
            yield f"ulimit -v {value}000 of {line}", partial(_alone, world, line, memory=value * 1_000_000)


def _alone(
    world: World, line: str, memory: int = 0, closed: tuple[int, ...] = (), full: tuple[int, ...] = (),
    unset: tuple[str, ...] = (), **variables: str,
) -> None:  # fmt: skip
    """A run in a process of its own, with streams that are closed or full, or variables that are other or none."""

    def prepare() -> None:
        for number in full:
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)
        for number in closed:
            os.close(number)
        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    with placed(world, line) as folder:
        known = {name: value for name, value in environment(variables).items() if name not in unset}
        done = subprocess.run(
            [BIN / "gencli", *line.split(), "-q", "--threads", "1"], cwd=folder, env=known, preexec_fn=prepare,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False,
        )  # fmt: skip
        require(not done.stdout, "on standard output:", done.stdout)
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        if 2 in closed + full and status == 2:  # where its words go
            require(not done.stderr, done.stderr)
            world.judge(line, folder, Ended(2, "gencli: somewhere\n  something\n"))
        else:
            world.judge(line, folder, Ended(status, done.stderr.decode()))
        if not memory:
            require(status == world.expected(line)[0].status, "status", status, done.stderr)


def streams(world: World, random: Random, count: int) -> Iterator[Case]:
    """Standard streams closed, in all ways, or full; a result goes to its file."""
    ways: list[dict[str, tuple[int, ...]]] = [
        {"closed": closed} for size in (1, 2, 3) for closed in itertools.combinations((0, 1, 2), size)
    ]
    ways += [{"full": (1,)}, {"full": (2,)}, {"full": (1, 2)}, {"closed": (0, 1), "full": (2,)}]
    for place, way in enumerate(ways * max(1, count // 40)):
        lines = often(world) if place < len(ways) else world.lines
        line = lines[place % len(lines)]
        yield f"{way} of {line}", partial(_alone, world, line, **way)  # type: ignore[arg-type]


def environments(world: World, random: Random, count: int) -> Iterator[Case]:
    """No HOME, no place for temporary files, a mask that takes all, a clock that jumps, times of files that do."""
    nowhere = {"HOME": "/nowhere", "XDG_CONFIG_HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere"}
    for line in often(world)[: max(1, count // 14)]:
        yield f"no HOME of {line}", partial(_alone, world, line, unset=("HOME", "TMPDIR", "USER", "LOGNAME"))
        yield f"HOME and TMPDIR nowhere of {line}", partial(_alone, world, line, TMPDIR="/nowhere", **nowhere)

    def run(line: str, **asked: object) -> None:
        with placed(world, line) as folder:
            done = world.run(line, folder, **asked)  # type: ignore[arg-type]
            world.judge(line, folder, done, again="mask" not in asked)
            require(done.status == world.expected(line)[0].status, done)

    def times(line: str, seconds: int) -> None:
        before = {path: path.stat().st_mtime for path in world.inputs.iterdir()}
        try:
            for path in before:
                os.utime(path, (seconds, seconds))
            run(line)
        finally:
            for path, was in before.items():
                os.utime(path, (was, was))

    for line in random.sample(world.lines, min(len(world.lines), count // 8)):
        if "--checkpoint" not in line:  # of which the second would replace a file that nobody may write
            yield f"umask 777 of {line}", partial(run, line, mask=0o777, user=NOBODY)
        yield f"a clock that jumps of {line}", partial(run, line, environment={"FAULT_CLOCK": "1"})
        yield f"files of 1901 of {line}", partial(times, line, -(1 << 31))
        yield f"files of 2106 of {line}", partial(times, line, (1 << 32) - 9)


def folders(world: World, random: Random, count: int) -> Iterator[Case]:
    """Folders that cannot be written, that vanish or fill up, as nobody and as root."""

    def read_only(line: str) -> None:
        with placed(world, line) as folder:
            folder.chmod(0o555)
            done = world.run(line, folder, user=NOBODY)
            folder.chmod(0o777)
            require(done.status == 2, done)
            world.judge(line, folder, done)

    def vanished(line: str, call: str) -> None:
        with placed(world, line) as folder:
            answer = world.start(line, folder, f"{call} 1 {-signal.SIGSTOP}")
            if not answer.get("stopped"):
                return  # it has no such call
            shutil.rmtree(folder)
            done = world.resume(folder, answer)
            require(done.status == 2, done)
            explained(done.messages)
            folder.mkdir()

    def tmpfs(line: str, size: int) -> None:
        with placed(world, line) as folder:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k,mode=777", "tmpfs", folder]
            if subprocess.run(mount, check=False, capture_output=True).returncode:
                return  # no right to mount
            try:
                for word in {word for word in line.split() if (world.inputs / word).exists()}:
                    (folder / word).symlink_to(world.inputs / word)
                world.judge(line, folder, world.run(line, folder), again=False)
            finally:
                subprocess.run(["umount", folder], check=True)

    for line in random.sample(world.lines, min(len(world.lines), count // 8)):
        if os.geteuid() == 0:
            yield f"read-only, as nobody, of {line}", partial(read_only, line)
            size = random.choice([4, 16, 64, 256])
            yield f"a disk of {size} KiB of {line}", partial(tmpfs, line, size)
        if "--folder out" not in line:
            call = random.choice(["write", "fsync", "rename"])
            yield f"the folder vanishes at {call} of {line}", partial(vanished, line, call)


def changing_inputs(world: World, random: Random, count: int) -> Iterator[Case]:
    """An input grows, shrinks or becomes another while it is read: refused, or what it was at first."""

    def grow(path: Path) -> None:
        with path.open("ab") as file:
            file.write(path.read_bytes())

    def shrink(path: Path) -> None:
        os.truncate(path, path.stat().st_size // 2)

    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        middle = len(data) // 3
        data[middle : middle + 64] = bytes(255 - each for each in data[middle : middle + 64])
        path.write_bytes(data)

    def change(line: str, name: str, n: int, way: Callable[[Path], None]) -> None:
        with placed(world, line) as folder:
            (folder / name).unlink()
            shutil.copyfile(world.inputs / name, folder / name)
            answer = world.start(line, folder, f"read {n} {-signal.SIGSTOP}", folder / name)
            if not answer.get("stopped"):
                return  # fewer reads
            way(folder / name)
            done = world.resume(folder, answer)
            shutil.copyfile(world.inputs / name, folder / name)
            world.judge(line, folder, done)

    reading = [
        (line, word)
        for line in world.lines
        for word in sorted(set(line.split()))
        if (world.inputs / word).is_file() and not line.startswith("how ")
    ]
    reading += [each for each in reading if each[1] == "foreign.parquet"] * 4  # which has no seal
    for place in range(count // 2):
        line, name = reading[place % len(reading)]
        way, n = (grow, shrink, flip)[place % 3], random.randint(1, 12)
        yield f"{name}: {way.__name__} at read {n} of {line}", partial(change, line, name, n, way)


def writers(world: World, random: Random, count: int) -> Iterator[Case]:
    """Two write one file, the second while the first is stopped in a call."""

    def both(line: str, call: str, end: signal.Signals | None) -> None:
        with placed(world, line) as folder:
            first = world.start(line, folder, f"{call} 1 {-signal.SIGSTOP}")
            if not first.get("stopped"):
                return
            second = world.run(line, folder)
            right = world.expected(line)[0].status
            require(second.status in (right, 2), second)
            if end is not None:
                os.kill(first["process"], end)
            done = world.resume(folder, first)
            require(done.status in (right, 2, *([] if end is None else [128 + end])), done)
            world.judge(line, folder, done)

    for line in random.sample(world.lines, min(len(world.lines), count // 10)):
        if "--folder out" not in line:
            call, end = random.choice(["write", "fsync", "rename"]), random.choice([None, None, *_SIGNALS])
            words = f", then {end.name}" if end else ""
            yield f"two writers, the first stopped in {call}{words}, of {line}", partial(both, line, call, end)


def links(world: World, random: Random, count: int) -> Iterator[Case]:
    """Outputs are links: to a file, to nothing, to a folder, in a circle, to an input."""

    def link(line: str, way: str) -> None:
        with placed(world, line, old=False) as folder:
            (folder / "there").mkdir()
            (folder / "there" / "file").write_bytes(OLD)
            targets = {"file": "there/file", "nothing": "there/new", "folder": "there", "broken": "where/new"}
            read = next((word for word in line.split() if (folder / word).is_symlink()), "there/file")
            for name in outputs(line):
                (folder / name).symlink_to({**targets, "circle": name, "input": read}[way])
            done = world.run(line, folder)
            words = set(os.listdir(folder)) - set(line.split())
            require(words == {"there"}, words)
            require(all((folder / name).is_symlink() for name in outputs(line)), "a link is gone", done)
            several = len(outputs(line)) > 1
            works = way in ("file", "nothing") and not several
            if way in ("file", "nothing") and several:
                explained(done.messages, "two outputs")
            if works:
                require(done.status == world.expected(line)[0].status, done)
                name, new = next(iter(world.expected(line)[1].items()))
                if "history" not in name:
                    require(content(folder / name) == new, "another file")
            else:
                require(done.status == 2, done)
                explained(done.messages)
                require((folder / "there" / "file").read_bytes() == OLD, "the old one is gone")
            require(set(os.listdir(folder / "there")) <= {"file", "new"}, "left", os.listdir(folder / "there"))

    for line in random.sample(world.lines, min(len(world.lines), count // 8)):
        for way in ("file", "nothing", "folder", "broken", "circle", "input"):
            reads = any((world.inputs / word).exists() for word in line.split())
            if "--folder out" not in line and (way != "input" or reads):
                yield f"links, {way}: {line}", partial(link, line, way)


def pipelines(world: World, random: Random, count: int) -> Iterator[Case]:
    """A reader that stalls, long pipelines, and their kills."""
    stages = max(3, count // 2)
    shell = Shell(world.top / "pipes", world.inputs)
    shell.folder.mkdir(exist_ok=True)
    one = "gencli corrupt flip-labels -p 0.1 -q --threads 1"
    many = f"gencli data digits --limit 20 -q {f'| {one} ' * (stages - 2)}"

    def stall(seconds: float) -> None:
        line = f"{one} $D/large.parquet"
        whole = shell(f"{line} | sha256sum; {line} | {{ sleep {seconds}; sha256sum; }}").worked().text.split()
        require(whole[0] == whole[2], "a stalled reader gets another file")

    def stalled_kill() -> None:
        done = shell(f"{one} $D/large.parquet | {{ sleep 2; cat > /dev/null; }} & sleep 1.5; kill %1; wait %1; echo $?")
        require(done.text.strip().endswith("143"), done)

    def long() -> None:
        shell(f"{many} | gencli show - --format csv -q -o shown.csv && test -s shown.csv").worked()

    def broken() -> None:
        middle = "{ head -c 4000; kill -9 $BASHPID; }"
        done = shell(f"{many} | {middle} {f'| {one} ' * 3} -o out; echo ${{PIPESTATUS[@]: -3}}")
        require(done.text.split() == ["2", "2", "2"], done)
        require(not (shell.folder / "out").exists(), "a table of what was cut")

    yield "a reader that stalls", partial(stall, count / 20)
    yield "SIGTERM while the reader stalls", stalled_kill
    yield f"a pipeline of {stages} stages", long
    yield f"a stage of {stages} dies", broken


def often(world: World) -> list[str]:
    """Lines of the world of every way to write."""
    return [line for line in OFTEN if line in world.lines]


@contextmanager
def placed(world: World, line: str, old: bool = True) -> Iterator[Path]:
    """A case's folder, that is removed."""
    folder = world.folder(line, old)
    try:
        yield folder
    finally:
        world.remove(folder)


CLASSES = {
    each.__name__: each
    for each in (
        kills, signals_at_calls, failing_calls, failing_reads, short_writes, limits, streams, environments, folders,
        changing_inputs, writers, links, pipelines,
    )
}  # fmt: skip
