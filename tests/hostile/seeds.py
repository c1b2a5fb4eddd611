"""The files that cases are made of: small ones of every kind, as gencli itself writes them."""

from __future__ import annotations

import re
from pathlib import Path

import xxhash

from tests.hostile import child

_STEPS = """
data digits --limit 24 -q -o d.parquet
data digits --split test --limit 24 -q -o e.parquet
corrupt random-labels -p 0.5 d.parquet -q -o t.parquet
train t.parquet --arch linear --epochs 3 -q --eval-data e.parquet --history history.parquet -o m.safetensors
train t.parquet --arch linear --epochs 3 -q --history history.csv -o other.safetensors
train t.parquet --arch linear --epochs 3 -q --history history.json -o other.safetensors
train t.parquet --arch mlp-1x4 --epochs 1 -q -o mlp.safetensors
eval m.safetensors t.parquet -q --predictions predictions.parquet --confusion confusion.parquet -o result.parquet
eval m.safetensors t.parquet -q --predictions predictions.csv --confusion confusion.csv -o result.csv
eval m.safetensors t.parquet -q --predictions predictions.json --confusion confusion.json -o result.json
hvp m.safetensors t.parquet --vector random:1 -q -o v.safetensors
data export d.parquet --encode png -q -o hub.parquet
spectrum mlp.safetensors t.parquet --top 1 -q --density density.parquet -o spectrum.parquet
spectrum mlp.safetensors t.parquet --top 1 -q --density density.csv -o spectrum.csv
spectrum mlp.safetensors t.parquet --top 1 -q --density density.json -o spectrum.json
"""
KINDS = "history", "result", "predictions", "confusion", "density"
TRAIN = "train t.parquet --arch linear --epochs 3 -q --checkpoint c.safetensors --resume -o out.safetensors"


def make(place: Path) -> dict[str, bytes]:
    """The files by name. `c.safetensors` is a checkpoint after the first of three epochs."""
    files: dict[str, bytes] = {}
    for line in filter(None, _STEPS.splitlines()):
        done = child.run(place, files, line.split())
        assert done.status == 0, (line, done)
        files |= done.files
    return files | {"c.safetensors": _checkpoint(place, files)}


def _checkpoint(place: Path, files: dict[str, bytes]) -> bytes:
    """What a run that is stopped after its first epoch leaves."""
    from gencli.training import checkpoints

    write = checkpoints.write

    def first(path: str, *others: object) -> None:
        if not Path(path).exists():
            write(path, *others)  # type: ignore[arg-type]

    checkpoints.write = first
    try:
        done = child.run(place, files, [each for each in TRAIN.split() if each != "--resume"])
    finally:
        checkpoints.write = write
    assert done.status == 0, done
    return done.files["c.safetensors"]


def seal(content: bytes) -> bytes:
    """The file with the seal that its bytes deserve; see `gencli.files.seals`. One that bears none stays as it is."""
    found = re.search(rb"gencli\.seal\x18\x20([0-9a-f]{32})", content) if content[:4] == b"PAR1" else None
    found = found or re.match(rb'.{8}\{"__metadata__":\{"gencli":"\{\\"seal\\":\\"([0-9a-f]{32})', content, re.DOTALL)
    if found is None:
        return content
    start, end = found.span(1)
    blank = content[:start] + b"0" * 32 + content[end:]
    return content[:start] + xxhash.xxh3_128_hexdigest(blank).encode() + content[end:]
