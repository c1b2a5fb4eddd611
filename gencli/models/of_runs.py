"""What a model's file says of each of its runs, where it holds the networks of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files.stream import Input

if TYPE_CHECKING:
    from torch import Tensor


def entries(source: Input, facts: dict[str, Any], classes: int) -> list[dict[str, Any]]:
    """What each run of several has for itself, of a file's metadata; empty for one by itself.

    Raises:
        GencliError: facts of another form, of which there are `classes`.
    """
    found = facts.get("runs", [])
    if "runs" in facts and not (isinstance(found, list) and found and all(isinstance(each, dict) for each in found)):
        raise GencliError(f"{source.name}: corrupt metadata: runs {console.quoted(found)}", "make the model again")
    for each in found or [facts]:
        counts, epoch, below, failed = (each.get(name) for name in ("class_rows", "epoch", "subset_below", "failed"))
        known = (counts is None or _is_counts(counts, classes)) and (epoch is None or _is_count(epoch))
        known &= failed is None or (isinstance(failed, str) and bool(failed) and bool(found))
        if not known or not (below is None or type(below) is float):  # which older files do not have
            told = {"class_rows": counts, "epoch": epoch, "subset_below": below, "failed": failed}
            what = ", ".join(f"{name} {console.quoted(value)}" for name, value in told.items())
            raise GencliError(f"{source.name}: corrupt metadata: {what}", "make the model again")
    return found


def numbers(source: Input, entries: Sequence[dict[str, Any]], run: int | None) -> list[int] | list[None]:
    """The numbers of a file's networks, or of one `run`'s; those of runs that failed are left out, and it is said.

    Raises:
        GencliError: there is no such network.
    """
    count = len(entries)
    if run is not None and not 0 <= run < count:
        there = f"{count} networks, 0 to {count - 1}" if count else "one network, and no runs"
        raise GencliError(f"--run: {source.name} has {there}", "omit --run, or choose another")
    if not count:
        return [None]
    failed = {number: each["failed"] for number, each in enumerate(entries) if each.get("failed")}
    if run in failed:
        raise GencliError(f"--run: {source.name}: run {run} has no network: {failed[run]}", "choose another")
    if run is not None:
        return [run]
    if len(failed) == count:
        raise GencliError(f"{source.name}: all of its runs failed, run 0: {failed[0]}", "make the model again")
    if failed:
        number, why = next(iter(failed.items()))
        said = f"without {len(failed)} of {count} runs, which failed, run {number}: {why}"
        console.message(console.printable(f"{source.name}: {said}"))
    return [number for number in range(count) if number not in failed]


def network(source: Input, given: dict[str, Tensor], number: int, count: int) -> dict[str, Tensor]:
    """The tensors of one network, of a file's that have a leading dimension `count`.

    Raises:
        GencliError: one has another.
    """
    for name, tensor in given.items():
        if tensor.ndim == 0 or len(tensor) != count:
            raise GencliError(f"{source.name}: {name} is not of {count} networks", "make the model again")
    return {name: tensor[number] for name, tensor in given.items()}


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_counts(value: Any, classes: int) -> bool:
    return isinstance(value, list) and len(value) == classes and all(map(_is_count, value))
