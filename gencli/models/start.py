"""What a network starts from, a file's tensors in place of random ones, and which of its tensors stay as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from gencli.cli import console
from gencli.errors import GencliError
from gencli.files import provenance, stored, tensors
from gencli.files.provenance import Source
from gencli.files.stream import Input
from gencli.models import of_runs
from gencli.models.base import form, require_finite
from gencli.models.heads import head_name

_LISTED = 6  # names in a message
_AVERAGED = "n_averaged"  # how many torch's AveragedModel has averaged, beside the average
_WRAPPERS = ("module.", "_orig_mod.")  # of torch's DataParallel and its like, and of torch.compile


@dataclass(frozen=True)
class Start:
    """The tensors that networks start from.

    Attributes:
        networks: by name, of each run; one for all where there is one.
        facts: what the file says of itself where gencli made it; empty otherwise.
        spared: the words that name what starts at random, see `chosen`.
        number: of the run that it is for, of several.
    """

    source: Input
    networks: Sequence[dict[str, torch.Tensor]]
    facts: dict[str, Any]
    spared: str | None
    number: int = 0

    @classmethod
    def read(cls, place: str, spared: str | None, run: int | None, runs: int | None) -> Start:
        """Those of a model, one `run`'s of several or each its own, or of safetensors that gencli did not make.

        Args:
            runs: how many runs there are that start from it; None for one that is by itself.

        Raises:
            GencliError: another file, or several networks of which none is named.
        """
        source = Input(place)
        if source.starts(b"PK\x03\x04") or source.starts(b"\x80"):
            raise GencliError(
                f"--init: {source.name}: a file of torch.save, which is code; safetensors are none",
                "convert it: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'FILE.safetensors')",
            )
        known = stored.header(source, "give a model, or a network's state as safetensors")[0].get("__metadata__")
        facts: dict[str, Any] = {}
        if isinstance(known, dict) and tensors.KEY in known:
            facts = tensors.read_metadata(source)
            if not (isinstance(facts.get("architecture"), str) and facts.get("step")):
                hint = "give a model; --resume continues from a checkpoint"
                raise GencliError(f"--init: {source.name}: tensors, but not a model", hint)
        classes = facts.get("classes", [])
        each = of_runs.entries(source, facts, len(classes) if isinstance(classes, list) else 0) if facts else []
        given = tensors.read(source)
        if run is None and len(each) > 1 and runs != len(each):
            hint = f"choose one: --init-run 0 to {len(each) - 1}, or train as many --runs"
            raise GencliError(f"--init: {source.name}: {len(each)} networks", hint)
        if run is not None and run >= len(each):
            there = f"{len(each)} networks, 0 to {len(each) - 1}" if each else "one network, and no runs"
            raise GencliError(f"--init-run: {source.name} has {there}", "choose another" if each else "omit it")
        numbers = of_runs.numbers(source, each, run)
        if run is None and len(numbers) < len(each):
            raise GencliError(f"--init: {source.name}: some of its runs failed", "choose another with --init-run")
        found = [given if number is None else of_runs.network(source, given, number, len(each)) for number in numbers]
        return cls(source, found, facts, spared)

    def of(self, number: int) -> Start:
        """That of one run, of several."""
        return Start(self.source, [self.networks[number % len(self.networks)]], self.facts, self.spared, number)

    @property
    def entry(self) -> Source:
        """As provenance names it."""
        return provenance.source("init", self.source.sha256, self.facts.get("step"), self.source.path)

    def random(self, network: nn.Module, classes: int, arch: str) -> list[str]:
        """The names of the network's tensors that do not come from the file, in their order.

        Raises:
            GencliError: what should come from the file is missing there or of another form, or the file has more.
        """
        state = network.state_dict()
        given = self._given(state)
        names = [*dict.fromkeys([*state, *given])]
        spared = set() if self.spared is None else chosen("--init-except", self.spared, names, network, classes)
        for name in names:
            if name in spared:
                continue
            here, there = (None if name not in each else form(each[name]) for each in (state, given))
            if here == there:
                continue
            known = console.printable(name, 80)
            what = f"{known} is {there}, not {here}" if here and there else f"no {known}"
            if here is None:
                what = f"{known}, which {arch} has not"
            words = _spare(name, network, classes)
            hint = f"--init-except {words} leaves it out" + ("" if here is None else ", at random")
            if here and there and here.partition(" ")[2] == there.partition(" ")[2]:
                hint = f"convert it, or {hint}"
            raise GencliError(f"--init: {self.source.name}: {what}", hint)
        left = [name for name in state if name in spared]
        if len(left) == len(state):
            raise GencliError("--init-except: nothing is left to come from --init", "omit both")
        return left

    def _given(self, state: Collection[str]) -> dict[str, torch.Tensor]:
        """The file's tensors, by names without the prefix that a wrapper of the network gave to all of them."""
        given = self.networks[0]
        if _AVERAGED in given and all(name.startswith("module.") for name in given if name != _AVERAGED):
            given = {name: tensor for name, tensor in given.items() if name != _AVERAGED}
        while given and (wrapped := [each for each in _WRAPPERS if all(name.startswith(each) for name in given)]):
            if any(name.startswith(wrapped[0]) for name in state):
                break
            given = {name.removeprefix(wrapped[0]): tensor for name, tensor in given.items()}
        return given

    @torch.no_grad()
    def fill(self, network: nn.Module, classes: int, arch: str) -> dict[str, Any]:
        """Puts the file's tensors into a network; what a model's file says of that: the hash, and what is random.

        Raises:
            GencliError: see `random`; or numbers that are not finite.
        """
        random, state = self.random(network, classes, arch), network.state_dict()
        given = self._given(state)
        for name, tensor in state.items():
            if name not in random:
                tensor.copy_(given[name])
        require_finite(network, f"--init: {self.source.name}", "give weights that are numbers")
        return {"sha256": self.source.sha256, "tensors": len(state) - len(random), "random": random}

    def say(self, told: dict[str, Any], whiten: str) -> None:
        """Tells where the tensors came from, and where images are treated in another way; of several runs once."""
        if self.number > 0:
            return
        random = told["random"]
        more = f"; at random: {_names(random)}" if random else ""
        console.message(f"--init {self.source.name}: {told['tensors']:,} tensors from there{more}")
        before = self.facts.get("preprocessing")
        if isinstance(before, dict) and before.get("whiten") not in (None, whiten):
            console.message(
                f"--init {self.source.name}: its images had --whiten {before['whiten']!s:.20}, here {whiten}"
            )


def freeze(network: nn.Module, words: str, classes: int) -> list[nn.Parameter]:
    """Takes the gradient from the parameters that words choose; those that had one.

    Raises:
        GencliError: no such tensors, part of a layer's statistics, or nothing is left to train.
    """
    still(network, words, classes)
    names = kept_as_is(network, words, classes)
    found = [each for name, each in network.named_parameters() if name in names and each.requires_grad]
    for each in found:
        each.requires_grad = False
    if not any(each.requires_grad for each in network.parameters()):
        raise GencliError("--freeze: nothing is left to train", "take some out, as '*,!head' does the last layer")
    return found


def kept_as_is(network: nn.Module, words: str | None, classes: int) -> set[str]:
    """The names of the tensors that the words of `--freeze` choose; empty for None.

    Raises:
        GencliError: no such tensors.
    """
    return set() if words is None else chosen("--freeze", words, [*network.state_dict()], network, classes)


def still(network: nn.Module, words: str, classes: int) -> list[nn.Module]:
    """The layers whose own state, such as a batch norm's statistics, words choose: they stay in evaluation mode.

    Raises:
        GencliError: no such tensors, or part of a layer's statistics.
    """
    names = kept_as_is(network, words, classes)
    found = list[nn.Module]()
    for path, layer in network.named_modules():
        kept = [
            f"{path}.{name}".lstrip(".") for name in layer.state_dict() if name in dict(layer.named_buffers("", False))
        ]
        frozen = [name for name in kept if name in names]
        if frozen and len(frozen) < len(kept):
            (moving, *_) = [name for name in kept if name not in names]
            raise GencliError(
                f"--freeze: {frozen[0]} would stay and {moving} of the same layer change",
                f"name the layer, {path}, or {path}.running_* and {path}.num_*",
            )
        found += [layer] if frozen else []
    return found


def chosen(option: str, words: str, names: Collection[str], network: nn.Module, classes: int) -> set[str]:
    """The names that words choose: each a glob of a name or of its beginning up to a dot, one after the other.

    `head` is the last layer, where no name begins so; with ! what it matches is taken out again, from all where it is
    the first.

    Raises:
        GencliError: a word chooses nothing.
    """
    found = set(names) if words.startswith("!") else set[str]()
    for word in words.split(","):
        glob = word.removeprefix("!")
        hits = {name for name in names if any(fnmatchcase(each, glob) for each in _beginnings(name))}
        if glob == "head" and not hits and (head := head_name(network, classes)) is not None:
            hits = {name for name in names if not head or head in _beginnings(name)}
        if not hits:
            raise GencliError(f"{option}: no tensor is named {word!r}", f"there are {_names([*names])}")
        found = found - hits if word.startswith("!") else found | hits
    return found


def _beginnings(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _spare(name: str, network: nn.Module, classes: int) -> str:
    """The words that leave a tensor out, and what belongs to it."""
    head, layer = head_name(network, classes), name.rpartition(".")[0]
    if head is not None and (not head or head in _beginnings(name)):
        return "head"
    return console.printable(layer if layer in dict(network.named_modules()) and layer else name, 80)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(console.printable(name, 80) for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else "")
