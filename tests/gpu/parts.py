"""The parts of the check on a GPU, their deadlines, and what they hand back.

A part is a function of a `Setting` that yields rows as it finds them. It runs in a process of its own, so that one that
crashes, hangs or leaves the device in a bad state takes nothing from the others; what it found until then is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Row:
    """A finding.

    Attributes:
        bar: what the value may be at most.
        met: whether it is as it must be; None where nothing is demanded.
    """

    item: str
    value: float | str | None = None
    unit: str = ""
    bar: float | None = None
    met: bool | None = None
    note: str = ""

    @classmethod
    def below(cls, item: str, value: float, bar: float, unit: str = "", note: str = "") -> Row:
        """A number that may be `bar` at most; one that is none is not."""
        return cls(item, value, unit, bar, bool(value <= bar), note)

    def to_json(self) -> dict[str, Any]:
        """Its JSON form, which has no numbers that are not finite."""
        finite = not isinstance(self.value, float) or math.isfinite(self.value)
        return asdict(self) | ({} if finite else {"value": str(self.value)})


@dataclass(frozen=True)
class Setting:
    """Attributes:
    device: `cuda`, or `cpu` for a rehearsal.
    tiny: whether sizes are those of a rehearsal.
    data: the folder with real images; it may be empty.
    scratch: a folder of the part's own.
    """

    device: Literal["cuda", "cpu"]
    tiny: bool
    data: Path
    scratch: Path

    def size(self, full: int, tiny: int) -> int:
        """One of two sizes."""
        return tiny if self.tiny else full


@dataclass(frozen=True)
class Part:
    """Attributes:
    module: of this package, whose function of the part's name, with _ for -, runs.
    seconds: that it may take, besides what those before it left of theirs.
    """

    module: str
    seconds: int
    what: str


# in the order in which they run: what says most comes first
PARTS = {
    "machine": Part("machine", 15, "card, driver, libraries; the device's bf16 peak and bandwidth, measured"),
    "waits": Part("waits", 20, "no step of training waits for the device"),
    "layers": Part("layers", 20, "torch's layers without deterministic or second derivatives, by name"),
    "steps": Part("steps", 80, "a step of every network, loss and optimizer against the CPU"),
    "eager": Part("speed", 35, "images a second, and the share of the bf16 peak"),
    "fast": Part("fast", 55, "--preset fast to its accuracy beside airbench94's recipe"),
    "same-bytes": Part("commands", 55, "the same command twice, and killed and resumed, gives the same bytes"),
    "commands": Part("commands", 55, "every command on the device against the CPU"),
    "many": Part("speed", 20, "many networks in one run against one by one"),
    "products": Part("products", 35, "ResNet-18's Hessian times a vector against compiled peers"),
    "compiled": Part("speed", 70, "images a second with --compile, and with CUDA graphs"),
}
LIMIT = 470  # seconds, of all: the parts' own, and before them
START = 10  # to unpack wheels, and load torch to see the card


def found(name: str, setting: Setting) -> Iterator[Row]:
    """Runs a part in this process."""
    from importlib import import_module

    yield from getattr(import_module(f"tests.gpu.{PARTS[name].module}"), name.replace("-", "_"))(setting)
