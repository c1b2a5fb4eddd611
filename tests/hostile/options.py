"""Options with values that nobody means."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from tests.hostile import cases
from tests.hostile.cases import Case
from tests.hostile.child import Files

_BASES = (
    "data digits --limit 5 -q -o out.parquet",
    "data parquet t.parquet -q -o out.parquet",
    "show t.parquet",
    "data where label>2 t.parquet -q -o out.parquet",
    "data repeat t.parquet --times 2 -q -o out.parquet",
    "corrupt random-labels t.parquet -q -o out.parquet",
    "corrupt pair-labels t.parquet -p 0.5 -q -o out.parquet",
    "corrupt gaussian-noise t.parquet -q -o out.parquet",
    "corrupt impulse-noise t.parquet -q -o out.parquet",
    "corrupt long-tail t.parquet -q -o out.parquet",
    "corrupt subsample t.parquet -q -o out.parquet",
    "corrupt common t.parquet -q -o out.parquet",
    "train t.parquet --arch linear --epochs 1 -q -o out.safetensors",
    "train t.parquet --arch linear --epochs 1 --dry-run",
    "fit least-squares t.parquet -q -o out.safetensors",
    "eval m.safetensors t.parquet -q --format json",
    "hvp m.safetensors t.parquet --vector random:1 --limit 4 -q -o out.safetensors",
    "jacobian -f x*y --at 1,2 --step 0.1 -q --format json",
    "spectrum mlp.safetensors t.parquet --limit 4 --top 1 -q --format json",
    "report result.json --format json",
)
# that make runs long or large as they should, or write where it is said, or start code that is named here
_LEFT = {
    "--epochs", "--steps", "--threads", "--debug", "--output", "--arch", "--history", "--checkpoint",
    "--figure", "--sheet",
    "--confusion", "--predictions", "--density", "--vectors", "--along", "--graph", "--summary", "--contact-sheet",
    "--install-completion", "--show-completion", "--times", "--root", "--top", "--size", "--stream",
    "--warmup", "--help",
    "--version", "--plot", "--file", "--preset", "--list-archs", "--color", "--device",
    "--max-products", "--compile",
}  # fmt: skip
_WORDS = (
    "0", "1", "-1", "0.5", "1.5", "-0", "nan", "inf", "-inf", "1e400", "1e-400", "1e308", "9" * 30, "1_0",
    "0x10", "１", "٣", " 1", "1 ",
    "", ",", ",,", "1,2", "a,b", "1,", ":", "x:y", "0:1", "K/N", "0/1", "1/1", "-1/2", "1/0", "\n", "é",
    "\x1b[31m", "x" * 5000,
    "../..", "/", ".", "t.parquet", "nothing.parquet", "*", "[", "**", "(", "\\", "$(touch x)", "1x1", "0x0",
    "3x3x3", "8x8",
)  # fmt: skip


@cache
def _known(words: tuple[str, ...]) -> list[tuple[str, bool]]:
    """The options of a command, and whether they take a value."""
    from gencli.cli.app import command_tree

    command: Any = command_tree()
    context = command.make_context("gencli", [words[0]], resilient_parsing=True)
    for word in words:
        found = command.get_command(context, word) if hasattr(command, "get_command") else None
        if found is None:
            break
        command, context = found, type(context)(found, parent=context, info_name=word)
    options = [each for each in command.params if each.opts[0].startswith("-")]
    return [
        (option.opts[-1], not option.is_flag)
        for option in options
        if not {*option.opts, *option.secondary_opts} & _LEFT
    ]


def options(random: Random, seeds: Files) -> Case:
    """A command with one or two options more."""
    words = random.choice(_BASES).split()
    known = _known(tuple(words[:2]))
    more = []
    for name, takes in random.sample(known, min(len(known), random.choice((1, 1, 2)))):
        text = random.choice(_WORDS) if random.random() < 0.8 else cases.reworded(random, random.choice(_WORDS))
        text = text.replace("\0", "").encode(errors="replace").decode()
        more += [f"{name}={text}" if name.startswith("--") else f"{name}{text}"] if takes else [name]
    files = {name: seeds[name] for name in ("t.parquet", "m.safetensors", "mlp.safetensors", "result.json")}
    return Case(files, (*words, *more))
