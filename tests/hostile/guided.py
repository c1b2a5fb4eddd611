"""The parsers alone, guided by coverage: `python -m tests.hostile.guided SECONDS SEED [PARSER]`; all of them, in turn.

Atheris (the extra `fuzz`) keeps inputs that reach new branches of gencli and changes them further. A parser may raise
GencliError, or the errors that its docstring names; any other ends the run, with the input beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

try:
    import atheris  # pyright: ignore[reportMissingImports]
except ModuleNotFoundError:
    sys.exit("atheris, which this needs, is not installed: pip install '.[fuzz]'")

with atheris.instrument_imports(include=["gencli"]):  # pyright: ignore[reportAttributeAccessIssue]
    from gencli.cli import console
    from gencli.corruptions import transitions
    from gencli.errors import GencliError
    from gencli.files import provenance, tensors
    from gencli.files.stream import Input
    from gencli.formulas import matrices, parsing
    from gencli.reporting import against, readers
    from gencli.sources import classes
    from gencli.sources.pixels import BadImage, decode
    from gencli.training import records, schedules

_PLACE = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)) / "x"


def _file(read: Callable[[Input], object]) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        _PLACE.write_bytes(data)
        source = Input(str(_PLACE))
        try:
            read(source)
        finally:
            _ = source.sha256  # for which a thread reads the file
            source.file.close()

    return parse


def _text(read: Callable[[str], object]) -> Callable[[bytes], None]:
    return lambda data: void(read(data.decode(errors="replace")))


def void(value: object) -> None:
    """Nothing, of what was read."""
    del value


def _formulas(text: str) -> None:
    parsing.parse(parsing.read_lines(text, "x"))


def _provenance(text: str) -> None:
    with suppress(ValueError):
        list(provenance.lines(provenance.decode(text).get("step")))


def _image(data: bytes) -> None:
    with suppress(BadImage):
        decode([data])


PARSERS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "formulas": (_text(_formulas), (b"sin(w1)*w[2]^2 + max(x, -1e-3) # a\nexp(pi/2);y", b"log(x)**2/hypot(y,z)")),
    "documents": (
        _file(lambda source: source.starts(b"PAR1") or readers.from_text(source)),  # Parquet has a reader of its own
        (
            b'[{"label":0,"name":"a","n":3,"loss":0.5}]',
            b"epoch,train_loss\n1,0.5\n2,NaN\n",
            b"id,label,prediction\n1,0,1\n",
        ),
    ),
    "matrices": (_file(transitions.read_matrix), (b"0.5,0.5\n0,1\n", b"label;a;b\na;1;0\nb;0;1\n", b"# x\n1 0\n0 1")),
    "published": (_file(against.read), (b"# from\ncorruption,accuracy\nnone,0.9\n",)),
    "metadata": (_file(tensors.read_metadata), (b'\x1c\0\0\0\0\0\0\0{"__metadata__":{"gencli":""}}',)),
    "provenance": (
        _text(_provenance),
        (b'{"rows":1,"step":{"command":"data","arguments":{},"versions":{},"inputs":[]}}',),
    ),
    "names": (_text(lambda text: classes.listed(text, "--x")), (b'a,"b,c",d',)),
    "escapes": (_text(lambda text: console.escaped(console.unescaped(text))), (b"\\u001b[31m\\ud83d\\ude00",)),
    "schedules": (_text(lambda text: schedules.parse(text, 0)), (b"exp:0.97", b"step:10,20:0.1", b"one-cycle")),
    "cadence": (_text(records.parse_cadence), (b"1ep", b"500", b"5min")),
    "images": (
        _image,
        (b"P5 2 2 255\nabcd", b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"),
    ),
    "numbers": (_file(lambda source: void(matrices.read_answer(source, 2, 2))), (b"w1,w2\n1,2\n", b"1 2\n3 4\n")),
}


def guide(name: str, seconds: int, seed: str) -> None:
    """Runs one parser in this process, and ends it."""
    parse, starts = PARSERS[name]
    corpus = Path(tempfile.mkdtemp())
    for number, start in enumerate(starts):
        (corpus / str(number)).write_bytes(start)
    found = Path("build/fuzz")
    found.mkdir(parents=True, exist_ok=True)

    def one(data: bytes) -> None:
        with suppress(GencliError):
            parse(data)

    # libFuzzer takes seeds of 32 bits
    options = [f"-max_total_time={seconds}", f"-seed={zlib.crc32(seed.encode())}", "-max_len=4096", "-timeout=10"]
    limits = ["-rss_limit_mb=4096", f"-artifact_prefix={found}/{name}-", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, *limits, str(corpus)], one)
    atheris.Fuzz()


def main() -> int:
    """Runs parsers; the status is 1 if one does not take an input as it says."""
    seconds, seed, *names = sys.argv[1:]
    if names:
        guide(names[0], int(seconds), seed)
    wrong = 0
    for name in PARSERS:
        command = [sys.executable, "-m", "tests.hostile.guided", str(int(seconds) // len(PARSERS)), seed, name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        ran = re.search("number_of_executed_units: *([0-9]+)", done.stderr)
        print(f"{name}: {int(ran[1]) if ran else 0:,} inputs", flush=True)
        if done.returncode:
            print(
                done.stdout[-2000:], done.stderr[-500:], f"its input lies in build/fuzz/{name}-*", sep="\n", flush=True
            )
        wrong |= done.returncode != 0
    return wrong


if __name__ == "__main__":
    sys.exit(main())
