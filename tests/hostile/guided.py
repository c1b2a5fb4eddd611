"""The parsers alone, in one process, guided by coverage: `python -m tests.hostile.guided PARSER SECONDS SEED`.

Atheris (the extra `fuzz`) keeps inputs that reach new branches of gencli and changes them further. A parser may raise
GencliError, or the errors that its docstring names; any other ends the run, with the input beside it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["gencli"]):
    from gencli import console, provenance, tensors
    from gencli.corruptions import transitions
    from gencli.derivatives import formulas, matrices
    from gencli.errors import GencliError
    from gencli.reporting import against, readers
    from gencli.sources import classes
    from gencli.sources.pixels import BadImage, decode
    from gencli.stream import Input
    from gencli.training import schedules, settings

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
    formulas.parse(formulas.read_lines(text, "x"))


def _provenance(text: str) -> None:
    with suppress(ValueError):
        list(provenance.lines(provenance.decode(text).get("step")))


def _image(data: bytes) -> None:
    with suppress(BadImage):
        decode([data])


PARSERS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {
    "formulas": (_text(_formulas), (b"sin(w1)*w[2]^2 + max(x, -1e-3) # a\nexp(pi/2);y", b"log(x)**2/hypot(y,z)")),
    "documents": (
        _file(readers.from_text),
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
    "cadence": (_text(settings.parse_cadence), (b"1ep", b"500", b"5min")),
    "images": (
        _image,
        (b"P5 2 2 255\nabcd", b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"),
    ),
    "numbers": (_file(lambda source: void(matrices.read_answer(source, 2, 2))), (b"w1,w2\n1,2\n", b"1 2\n3 4\n")),
}


def main() -> None:
    """Runs one parser until the time is over, or an input is found that it does not take as it says."""
    name, seconds, seed = sys.argv[1:4]
    parse, starts = PARSERS[name]
    corpus = Path(tempfile.mkdtemp())
    for number, start in enumerate(starts):
        (corpus / str(number)).write_bytes(start)
    found = Path("build/fuzz")
    found.mkdir(parents=True, exist_ok=True)

    def one(data: bytes) -> None:
        with suppress(GencliError):
            parse(data)

    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-timeout=10", "-rss_limit_mb=4096"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={found}/{name}-", "-verbosity=0", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
