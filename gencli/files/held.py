"""What a checkpoint holds, read key by key by the run that continues from it, which validates all of it.

A value that is missing, of another type or shape, or that this run cannot have had is refused by file, key and value,
and so is what nobody took.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gencli.cli import console
from gencli.errors import GencliError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LARGEST = sys.float_info.max
_ANEW = "the file was changed, or its run had failed before; --overwrite instead of --resume starts over"


def _refused(name: str, key: str, value: object, wanted: object) -> GencliError:
    shown = value if isinstance(value, str) else console.quoted(value)
    return GencliError(f"{name}: {key}: {console.printable(shown, 80)}, expected {wanted}", _ANEW)


def _range(low: float, high: float, what: str) -> str:
    if low == high:
        return f"{low:,}"
    return f"{what} from {low:,} to {high:,}" if high < LARGEST else f"a finite {what}" + " not below 0" * (low == 0)


class Facts:
    """An object of a checkpoint's JSON; each method takes the value of a key out."""

    def __init__(self, name: str, key: str, facts: object) -> None:
        if not isinstance(facts, dict):
            raise _refused(name, key, console.quoted(facts), "an object")
        self._name, self._key, self._facts = name, key, dict(facts)

    def refused(self, key: str, value: object, wanted: object) -> GencliError:
        """The error for a value that is not valid."""
        return _refused(self._name, f"{self._key}.{key}", console.quoted(value), wanted)

    def _take(self, key: str) -> Any:
        if key not in self._facts:
            raise _refused(self._name, f"{self._key}.{key}", "missing", "a value")
        return self._facts.pop(key)

    def whole(self, key: str, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self._take(key)
        if type(value) is not int or not low <= value <= high:
            raise self.refused(key, value, _range(low, high, "whole number"))
        return value

    def number(self, key: str, low: float = -LARGEST, high: float = LARGEST) -> float:
        """A number of floating point in [low, high]; any finite one by default."""
        value = self._take(key)
        if type(value) is not float or not low <= value <= high:
            raise self.refused(key, value, _range(low, high, "number"))
        return value

    def optional(self, key: str, known: bool, low: float = -LARGEST, high: float = LARGEST) -> float | None:
        """A number where it can be `known`, or None."""
        if key in self._facts and self._facts[key] is None:
            return self._take(key)
        if not known:
            raise self.refused(key, self._take(key), "null")
        return self.number(key, low, high)

    def truth(self, key: str) -> bool:
        """True or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self.refused(key, value, "true or false")
        return value

    def part(self, key: str) -> object:
        """Takes what is there, unverified; None where there is nothing."""
        return self._facts.pop(key, None)

    def text(self, key: str) -> str | None:
        """Words, None where there are none."""
        value = self._facts.pop(key, None)
        if not isinstance(value, str | None):
            raise self.refused(key, value, "text")
        return value

    def objects(self, key: str, most: int) -> list[Facts]:
        """A list of at most `most` objects."""
        value = self._take(key)
        if not isinstance(value, list) or len(value) > most:
            raise self.refused(key, value, f"a list of at most {most:,}")
        return [Facts(self._name, f"{self._key}.{key}[{place}]", each) for place, each in enumerate(value)]

    def same(self, key: str, wanted: object) -> None:
        """Reads the value that is determined by all the others, and refuses another."""
        value = self._take(key)
        if type(value) is not type(wanted) or value != wanted:
            raise self.refused(key, value, console.quoted(wanted))

    def close(self) -> None:
        """Refuses keys that were not read."""
        for key, value in self._facts.items():
            raise self.refused(key, value, "nothing")


class Held:
    """A checkpoint's tensors and facts.

    Attributes:
        facts: the part that is JSON.
        before: what was asked for where more is asked for now; None where it is the same.
    """

    before: int | None = None

    def __init__(self, name: str, content: Mapping[str, Tensor], state: object, at: object = None) -> None:
        self._name, self._content, self._at = name, dict(content), at
        self.facts = Facts(name, "state", state)

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def refused(self, key: str, value: object, wanted: object) -> GencliError:
        """The error for a value that is not valid."""
        return _refused(self._name, key, value, wanted)

    def apart(self, key: str) -> Held | None:
        """Takes out the part of this name, tensors and facts; None where there is none."""
        names = [name for name in self._content if name.startswith(f"{key}/")]
        content = {name.removeprefix(f"{key}/"): self._content.pop(name) for name in names}
        facts = self.facts.part(key)
        return None if facts is None else Held(self._name, content, facts, self._at)

    def tensor(
        self, key: str, shape: tuple[int, ...], kind: torch.dtype, low: float = -LARGEST, high: float = LARGEST
    ) -> Tensor:
        """Takes a tensor of this shape and type, whose numbers lie in [low, high]; finite ones by default."""
        if key not in self._content:
            raise self.refused(key, "missing", _shown(kind, shape))
        value = self._content.pop(key)
        if value.dtype != kind or value.shape != shape:
            raise self.refused(key, _shown(value.dtype, tuple(value.shape)), _shown(kind, shape))
        numbers = value.view(value.real.dtype) if kind.is_complex else value
        if value.numel() and kind.itemsize > 1:
            for extreme in numbers.aminmax():  # NaN where one is
                if not low <= (each := extreme.item()) <= high:
                    words = "number" if numbers.is_floating_point() else "whole number"
                    raise self.refused(key, each, _range(low, high, words))
        return value

    def length(self, key: str, most: int) -> int:
        """Of the list of numbers there, from 1 to `most`."""
        found = self._content[key].shape if key in self._content else ()
        if len(found) != 1 or not 1 <= found[0] <= most:
            raise self.refused(key, list(found) if key in self._content else "missing", f"from 1 to {most:,} numbers")
        return found[0]

    def like(self, prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Takes, by name, tensors of the same shapes and types under `prefix`."""
        return {name: self.tensor(f"{prefix}{name}", tuple(each.shape), each.dtype) for name, each in tensors.items()}

    def parts(self, key: str, most: int) -> Iterator[Held]:
        """At most `most` states in one, whose facts are a list and whose tensors start with their number in it."""
        for number, facts in enumerate(self.facts.objects(key, most)):
            prefix = f"{number}/"
            own = [name for name in self._content if name.startswith(prefix)]
            part = Held(self._name, {name.removeprefix(prefix): self._content.pop(name) for name in own}, {})
            part.facts = facts
            yield part

    def close(self, at: str) -> None:
        """Refuses keys that were not read, and a progress text that does not match."""
        for key, value in self._content.items():
            raise self.refused(key, _shown(value.dtype, tuple(value.shape)), "nothing")
        self.facts.close()
        if self._at not in (None, at):
            raise self.refused("at", self._at, console.quoted(at))


def _shown(kind: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{str(kind).removeprefix('torch.')} {list(shape)}"
