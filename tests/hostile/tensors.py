"""Safetensors: models, vectors and checkpoints with other headers, metadata and numbers."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.hostile import cases
from tests.hostile.cases import Case
from tests.hostile.child import Files
from tests.hostile.seeds import TRAIN, seal

Tensors = dict[str, tuple[str, list[int], bytes]]
_SIZES = {"F32": 4, "F64": 8, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1, "I8": 1, "F8_E4M3": 1}


def parts(content: bytes) -> tuple[dict[str, Any], Tensors]:
    """What gencli says of the tensors, and the tensors: type, shape, bytes."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    facts, data = json.loads(header.pop("__metadata__")["gencli"]), content[8 + length :]
    return facts, {name: (e["dtype"], e["shape"], data[slice(*e["data_offsets"])]) for name, e in header.items()}


def _header(facts: str, tensors: Tensors) -> dict[str, Any]:
    header: dict[str, Any] = {"__metadata__": {"gencli": facts}}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return header


def whole(facts: str, tensors: Tensors, header: dict[str, Any] | None = None) -> bytes:
    """A file of them, sealed again if it was."""
    text = json.dumps(header or _header(facts, tensors), separators=(",", ":"), ensure_ascii=False)
    text += " " * (-len(text.encode(errors="surrogatepass")) % 8)
    head = text.encode(errors="surrogatepass")
    return seal(len(head).to_bytes(8, "little") + head + b"".join(data for _, _, data in tensors.values()))


def _facts(facts: dict[str, Any]) -> str:
    return json.dumps(
        {"seal": "0" * 32, **{name: facts[name] for name in facts if name != "seal"}},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _retyped(random: Random, tensors: Tensors) -> Tensors:
    name = random.choice([*tensors])
    dtype, shape, data = tensors[name]
    way = random.randrange(7)
    if way == 0:
        at = random.randrange(max(1, len(data) // 4))
        new = random.choice((float("nan"), float("inf"), -float("inf"), 1e38, 1e-42, 0.0, -0.0))
        data = data[: 4 * at] + struct.pack("<f", new) + data[4 * at + 4 :] if dtype == "F32" and data else data[::-1]
    elif way == 1:
        dtype = random.choice([*_SIZES])
    elif way == 2:
        shape = random.choice(
            (shape[::-1], [*shape, 1], [1, *shape], [], [0], [len(data) // 4], [2**31, 2**33], [-1, *shape])
        )
    elif way == 3:
        return {each: kept for each, kept in tensors.items() if each != name}
    elif way == 4:
        return {**tensors, random.choice(cases.STRANGE): (dtype, shape, data)}
    elif way == 5:
        data = data[: random.randrange(len(data) + 1)]
    else:
        other = random.choice([*tensors])
        return {**tensors, name: tensors[other], other: tensors[name]}
    return {**tensors, name: (dtype, shape, data)}


def _case(random: Random, name: str, files: Files, command: Sequence[str]) -> Case:
    content = files[name]
    facts, tensors = parts(content)
    way = random.randrange(6)
    like: Files | None = None
    refused = False
    if way == 0:
        content = whole(
            _facts(facts).replace('","', '" ,\n"').replace('":', '" : '),
            dict(random.sample([*tensors.items()], len(tensors))),
        )
        like = files
    elif way == 1:
        content, refused = cases.damaged(random, content), True
        refused = content != files[name]
    elif way == 2:
        content = whole(_facts(facts), _retyped(random, tensors))
    elif way == 3:
        header = _header(_facts(facts), tensors)
        header = cases.edit(random, header)
        content = whole("", tensors, header)
    else:
        changed = facts
        for _ in range(random.choice((1, 1, 1, 2))):
            changed = cases.edit(random, changed)
        text = _facts(changed) if isinstance(changed, dict) else json.dumps(changed)
        content = whole(cases.twice(random, text) if random.random() < 0.1 else text, tensors)
    return Case({**files, name: content}, tuple(command), (name, files[name]), like, refused)


def models(random: Random, seeds: Files) -> Case:
    """A model."""
    name = random.choice(("m.safetensors", "m.safetensors", "mlp.safetensors"))
    line = f"eval {name} t.parquet -q --format json" if random.random() < 0.8 else f"how {name}"
    line = f"show {name} --head 3 --format json" if random.random() < 0.2 else line
    return _case(random, name, {each: seeds[each] for each in (name, "t.parquet")}, line.split())


def vectors(random: Random, seeds: Files) -> Case:
    """Vectors that a curvature matrix is multiplied by."""
    files = {each: seeds[each] for each in ("v.safetensors", "m.safetensors", "t.parquet")}
    line = "hvp m.safetensors t.parquet --vector v.safetensors --limit 4 -q -o out.safetensors"
    return _case(random, "v.safetensors", files, line.split())


def checkpoints(random: Random, seeds: Files) -> Case:
    """A run's state. What it ends in is the uninterrupted run's model, or as its tensors were changed."""
    return _case(random, "c.safetensors", {each: seeds[each] for each in ("c.safetensors", "t.parquet")}, TRAIN.split())
