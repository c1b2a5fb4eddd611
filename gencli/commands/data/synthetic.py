"""`gencli data synthetic`: synthetic images. A kind is a class of `gencli.sources`, its fields the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from gencli.cli.groups import KindGroup, group
from gencli.cli.options import ImagesOutput, Seed

if TYPE_CHECKING:
    from gencli.sources.synthetic import Synthetic


def synthetic(kind: Synthetic, seed: Seed = 0, output: ImagesOutput = None) -> None:
    """Makes a kind of images."""
    from gencli.cli.outputs import write_images
    from gencli.files import provenance
    from gencli.sources.synthetic import SyntheticTable

    made = asdict(kind) | {"seed": seed}
    used = ["numpy", "pyarrow"]
    table = SyntheticTable(kind, seed)
    write_images(table, output, lambda: provenance.step(f"data synthetic {kind.name}", made, packages=used))


class Kinds(KindGroup):
    """The kinds of images as commands."""

    def kinds(self) -> Mapping[str, type]:
        from gencli.sources.synthetic import KINDS

        return KINDS

    def run(self) -> Callable[..., None]:
        return synthetic


app = group("Generate images whose true distribution is known.", cls=Kinds)
