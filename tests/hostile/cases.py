"""What a case is, and changes of values, bytes and JSON that all grammars make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.hostile.child import Files, Outcome

STRANGE = (
    "", " ", "x" * 20_000,
    "\x1b[31m", "\u009b2J", "\u202eabc", "\n", "\r\n", "\0", "a,b", '"', "'", "\\", "<script>", "%s", "{0}",
    "NaN", "null", "-1", "1e400", "0x10", "１", "1_0", "٣", "é", "𝒳", "../../etc/passwd", "/etc/passwd",
    "strangers.module:f",
    "antigravity:fly", "torchvision:resnet18", "own", "linear", "mlp-1x4", "mlp-9x99999999", "😀" * 200, "\ud800",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 7, 10, 255, 256, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**53 + 1, 2**63 - 1,
    2**63, -(2**63),
    2**64, 10**30, 0.5, -0.0, 1e-320, 1e308, 1.8e19, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Files, a command that reads them, and what is right.

    Attributes:
        changed: the file that is strange, and as it was before.
        like: files (or what makes them of the case's,
    None where nothing does) on which the command's result is the right one, if it
            is not refused. Results are not judged where this is None.
        refused: whether nothing but a refusal is right.
        judge: says what is wrong with a result.
    """

    files: Files
    command: tuple[str, ...]
    changed: tuple[str, bytes] = ("", b"")
    like: Files | Callable[[Files], Files | None] | None = None
    refused: bool = False
    judge: Callable[[Outcome], str | None] | None = None


def value(random: Random, old: Any = None) -> Any:
    """Something else, as JSON may have it."""
    ways = [
        lambda: random.choice(NUMBERS),
        lambda: random.choice(STRANGE),
        lambda: random.choice((None, True, False, [], {}, [[]], {"a": 1}, [None])),
        lambda: [old] * random.choice((1, 2, 100)),
        lambda: {"value": old},
        lambda: str(old),
        lambda: old + random.choice((-1, 1, 2**31, 0.5)) if isinstance(old, int | float) else not old,
        lambda: nested(random.choice((5, 100, 400))),
    ]
    return random.choice(ways)()


def nested(depth: int) -> Any:
    """Lists in lists."""
    found: Any = 0
    for _ in range(depth):
        found = [found]
    return found


def places(value: Any) -> list[tuple[Any, Any]]:
    """All containers in JSON with each of their keys."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            found += [(value, key), *places(each)]
    return found


def edit(random: Random, root: Any) -> Any:
    """JSON with one change: another value, one more, one less, two that change places. The argument is spoilt."""
    found = places(root)
    if not found or random.random() < 0.02:
        return value(random, root)
    container, key = random.choice(found)
    way = random.randrange(6)
    if way < 3:
        container[key] = value(random, container[key])
    elif way == 3:
        del container[key]
    elif way == 4 and isinstance(container, dict):
        container[random.choice([*STRANGE, *map(str, container)])] = value(random)
    elif way == 4:
        container.insert(key, container[key])
    else:
        other, place = random.choice(found)
        if not {id(container), id(other)} & {id(each) for each, _ in places([container[key], other[place]])}:
            container[key], other[place] = other[place], container[key]
    return root


def spelled(random: Random, root: Any) -> str:
    """JSON text of other blanks and escapes; numbers and names as they were."""
    text = json.dumps(root, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 0, 1, "\t")))
    return random.choice(("", " ", "\n\n")) + text + random.choice(("", "\n", " \t"))


def twice(random: Random, text: str) -> str:
    """JSON text in which an object says something twice."""
    starts = [place for place, each in enumerate(text) if each == "{"]
    start = random.choice(starts) if starts else 0
    name = text[start + 1 :].lstrip().partition('"')[2].partition('"')[0]
    return f'{text[: start + 1]}"{name}":{random.choice(("0", "null", "[]", text[:50] and "1"))},{text[start + 1 :]}'


def damaged(random: Random, content: bytes) -> bytes:
    """Bytes with one damage: a bit, bytes, a piece out, twice, elsewhere or of its own end."""
    at = random.randrange(len(content)) if content else 0
    end = min(len(content), at + random.choice((1, 2, 4, 16, 100, 1000)))
    way = random.randrange(8)
    if way < 3:
        return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
    if way == 3:
        return content[:at] + random.randbytes(end - at) + content[end:]
    if way == 4:
        return content[:at]
    if way == 5:
        return content[:at] + content[end:]
    if way == 6:
        return content[:end] + content[at:]
    return (
        content[:at] + random.choice((b"\0", b"\xff" * 8, b"{", b'"', b",", b"\n", b"-", b"e9", b"\x80")) + content[at:]
    )


def reworded(random: Random, text: str) -> str:
    """Text with a few characters or words changed."""
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(text) + 1)
        end = min(len(text), at + random.choice((0, 1, 1, 2, 8)))
        new = random.choice(
            [
                *STRANGE[:30],
                *map(str, NUMBERS),
                "(",
                ")",
                ",",
                ";",
                "\t",
                "#",
                "-",
                ".",
                "e",
                "9",
                "[" * 5000,
                text[at:end] * 2,
            ]
        )
        text = text[:at] + new + text[end:]
    return text
