"""Ways to change what a checkpoint holds, one value at a time, as another program or a stranger may."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

Content = dict[str, Tensor]
_INSTEAD = [None, True, "1", [], {}, [3], -1, -1.5, 0, 10**9, -(10**9), 2**70, 1e300, -1e300, math.nan, math.inf]


def of_facts(facts: Any) -> Iterator[tuple[str, Any]]:
    """What was changed, and the facts with one value changed, dropped or added, at any depth."""
    if isinstance(facts, dict):
        for key, value in facts.items():
            rest = {name: each for name, each in facts.items() if name != key}
            yield f"no {key}", rest
            for words, changed in of_facts(value):
                yield f"{key}: {words}", facts | {key: changed}
        yield "one more key", facts | {"more": 1}
    elif isinstance(facts, list):
        if facts:
            yield "without the last", facts[:-1]
            yield "without the first", facts[1:]
        yield "the last twice", [*facts, *(facts[-1:] or [1])]
        for place, value in enumerate(facts):
            for words, changed in of_facts(value):
                yield f"[{place}] {words}", [*facts[:place], changed, *facts[place + 1 :]]
    for other in _INSTEAD:
        if type(other) is not type(facts) or other != facts:
            yield repr(other), other
    if isinstance(facts, (int, float)) and not isinstance(facts, bool):
        yield "negative", -facts - 1
        yield "one more", facts + 1


def of_tensors(content: Content) -> Iterator[tuple[str, Content]]:
    """What was changed, and tensors with one of another shape, type or value, dropped or added.

    A network's weights and what goes with them may be any finite numbers, and become none.
    """
    for name, tensor in content.items():
        yield f"no {name}", {key: each for key, each in content.items() if key != name}
        yield f"{name} under another name", {key + "x" * (key == name): each for key, each in content.items()}
        kind = tensor.dtype
        changes = {
            "a row more": torch.cat([tensor.flatten(), tensor.flatten()[:1]]),
            "of no dimension": torch.zeros((), dtype=kind) if tensor.ndim else torch.zeros(1, dtype=kind),
            "empty": torch.zeros(0, dtype=kind),
            "float16": tensor.to(torch.float16),
            "int32": tensor.to(torch.int32),
            "one more dimension": tensor[None],
        }
        values: list[float] = [math.nan, math.inf, -math.inf] if kind.is_floating_point else []
        plain = name.partition("/")[0] in ("network", "kept", "average", "optimizer") and kind.is_floating_point
        values += [] if plain else [-1, 3] if kind == torch.uint8 else [-1, 10**9, -(10**9)]
        for value in values:
            if kind != torch.bool and tensor.numel():
                for place in {0, tensor.numel() - 1}:
                    flat = tensor.clone().flatten()
                    flat[place] = value % 256 if kind == torch.uint8 else value
                    changes[f"{value} at {place}"] = flat.view(tensor.shape)
        if kind == torch.bool:
            changes["flipped"] = ~tensor
        for words, changed in changes.items():
            if changed.dtype != kind or not torch.equal(changed, tensor):
                yield f"{name}: {words}", content | {name: changed}
    yield "one more tensor", content | {"more": torch.zeros(2)}
    yield "one more of a part", content | {f"{next(iter(content))}.more": torch.zeros(2)}
