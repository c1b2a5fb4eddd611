"""Parts of one result, each of some of the rows, that were computed by themselves: what they say of themselves.

That is in their provenance: the step with `--shard`, K of N, and the hashes of model and table; tensors say besides
which rows these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gencli.counts import parse_part, span
from gencli.errors import GencliError
from gencli.files import checkpoints, endings, parquet, tensors
from gencli.files.provenance import Step
from gencli.files.stream import Input

COMMANDS = ("hvp", "jacobian", "eval")
_FREE = ("shard", "threads", "device")  # which bear on the last bits alone


@dataclass(frozen=True)
class Part:
    """Attributes:
    made: its step.
    shard, shards: K and N.
    facts: of tensors their metadata; None of a table.
    """

    source: Input
    made: Step
    shard: int
    shards: int
    facts: dict[str, Any] | None

    @property
    def rows(self) -> range:
        """Of tensors, those that it is of.

        Raises:
            GencliError: it says others than its shard has.
        """
        told = (self.facts or {}).get("rows")
        if isinstance(told, int) and not isinstance(told, bool) and told > 0:
            return span(told, self.shard, self.shards)
        raise GencliError(f"{self.source.name}: does not say which rows it is of", "make it again")


def told(shard: str | None, rows: int) -> dict[str, int]:
    """What the metadata of a part says of how many rows there are in all."""
    return {} if shard is None else {"rows": rows}


def titled(title: str, shard: str | None) -> str:
    """The title of a result, of a part one that says so."""
    return title if shard is None else f"part {shard} of {title}"


def require_kept(shard: str | None, form: str | None, output: str | None) -> None:
    """Refuses a table's format that does not keep what a part says of itself; None is that of the name, or Parquet.

    Raises:
        GencliError: it is one.
    """
    if shard is not None and (form or endings.named(output) or "parquet") != "parquet":
        raise GencliError("--shard: a part of a result is written as Parquet", "gencli sum writes other formats")


def open_part(place: str) -> Part:
    """Opens a file that a command with --shard wrote.

    Raises:
        GencliError: it is none.
    """
    source, facts = Input(place), None
    if source.starts(b"{", 8):
        facts = tensors.read_metadata(source)
        made = facts.get("step")
    elif parquet.is_parquet(source):
        made = parquet.read_provenance(parquet.open_file(source))
    else:
        raise GencliError(f"{source.name}: neither safetensors nor Parquet", _HINT)
    shard = made.arguments.get("shard") if made else None
    if made is None or not isinstance(shard, str):
        raise GencliError(f"{source.name}: not a part: it was made without --shard", _HINT)
    if made.command not in COMMANDS or made.output:
        what = f"--{made.output} of gencli {made.command}" if made.output else f"gencli {made.command}"
        hint = "a folder of its shards is a data set" if made.command.startswith(("corrupt", "data")) else _HINT
        raise GencliError(f"{source.name}: of {what}, whose parts are not summed", hint)
    return Part(source, made, *parse_part(shard, f"{source.name}: its shard"), facts)


_HINT = "give what gencli hvp, jacobian or eval wrote with --shard, all parts of it"


def require_whole(parts: Sequence[Part]) -> list[Part]:
    """The parts in their order, if they are all of one result and each is there once.

    Raises:
        GencliError: one is of another model, table or command, there twice, or missing.
    """
    first, found = parts[0], dict[int, Part]()
    for part in parts:
        if part.made.command != first.made.command or (part.facts is None) != (first.facts is None):
            raise GencliError(
                f"{part.source.name}: of gencli {part.made.command}, and {first.source.name} is of another kind", _HINT
            )
        if part.shards != first.shards:
            raise GencliError(
                f"{part.source.name}: one of {part.shards} parts, but {first.source.name} is one of {first.shards}",
                _HINT,
            )
        # they may be of several machines, but of one gencli
        mine, other = (
            replace(each.made, machine={"the code of gencli": each.made.machine.get("source")})
            for each in (part, first)
        )
        if differences := checkpoints.differences(other, mine, _FREE):
            raise GencliError(
                f"{part.source.name}: not of the same as {first.source.name}: {'; '.join(differences)}", _HINT
            )
        if (twice := found.get(part.shard)) is not None:
            raise GencliError(
                f"{part.source.name}: part {part.shard} of {part.shards}, as {twice.source.name} is", "give each once"
            )
        found[part.shard] = part
    missing = [str(number) for number in range(first.shards) if number not in found]
    if missing:
        which = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        raise GencliError(f"parts missing of {first.shards}: {which}", "give all of them")
    if first.facts is not None and len({each.facts["rows"] for each in found.values() if each.facts and each.rows}) > 1:
        raise GencliError("the parts are of different numbers of rows", _HINT)
    return [found[number] for number in range(first.shards)]
