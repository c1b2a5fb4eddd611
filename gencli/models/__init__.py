"""The networks: a table of families by the pattern of their names, and the file format of a fitted one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from gencli import plugins, runs
from gencli.cli.options import dashed
from gencli.counts import by
from gencli.errors import GencliError, nearest
from gencli.files import provenance, tensors
from gencli.files.stream import Input, Output
from gencli.files.tables import ImageTable, is_shape
from gencli.machine import free_memory
from gencli.models import heads, learners, of_runs, start
from gencli.models.airbench import AIRBENCH
from gencli.models.alexnet import ALEXNET
from gencli.models.base import PLAIN, Family, Options, Shape, form, limited, require_room, trained
from gencli.models.circulant import CIRCULANT_MLP
from gencli.models.convnet_gelu import CONVNET_GELU
from gencli.models.convnet_vanilla import CONVNET_VANILLA
from gencli.models.inception import INCEPTION
from gencli.models.inputs import Preprocessing, network_input, require_target
from gencli.models.learners import LEARNERS, Learner
from gencli.models.lenet import LENET5
from gencli.models.linear import LINEAR
from gencli.models.mlp import MLP
from gencli.models.own import OWN, find
from gencli.models.resnet18 import RESNET18
from gencli.models.resnet32 import RESNET32, RESNET32_CUI2019
from gencli.models.torchvision import TORCHVISION
from gencli.models.unet import UNET

FAMILIES = [
    LINEAR, MLP, CIRCULANT_MLP,
    LENET5, ALEXNET, INCEPTION, CONVNET_VANILLA, CONVNET_GELU, RESNET18, RESNET32, RESNET32_CUI2019, AIRBENCH,
    UNET,
    TORCHVISION, OWN,  # their names are like each other: the first that matches
]  # fmt: skip


_STORED = 2  # times a file's bytes that its network's parameters may take, layers that are replaced among them


def family(arch: str) -> Family:
    """The family of the network of this name.

    Raises:
        GencliError: no such network.
    """
    for each in FAMILIES:
        if re.fullmatch(each.pattern, arch, re.ASCII):
            return each
    raise GencliError(
        f"--arch: no network {arch!r}", nearest(arch, (name for each in FAMILIES for name in each.samples))
    )


def require(arch: str) -> Family:
    """The family of the network of this name; for a user's own network, its code is imported.

    Raises:
        GencliError: no such network.
    """
    found = family(arch)
    if found is OWN:
        find(*arch.split(":"))
    return found


def open_file(place: str, arch: str | None = None, run: int | None = None) -> tuple[Input, Model]:
    """A model's file, and the model that `read` reads from it."""
    source = Input(place)
    return source, read(source, arch, run)


def open_runs(place: str, arch: str | None = None, run: int | None = None) -> tuple[Input, list[Model]]:
    """A model's file, and the models that `read_runs` reads from it."""
    source = Input(place)
    return source, read_runs(source, arch, run)


def build(arch: str, shape: Shape, classes: int, options: Options = PLAIN) -> nn.Module:
    """The network of this name, from images [n, channels, height, width] float32 to logits [n, classes] or images.

    Initialized from torch's global random numbers.

    Args:
        shape: height, width, channels of the images that it gets.

    Raises:
        GencliError: no such network, an option that it does not take, or images too small for it.
    """
    kind = family(arch)
    given = {name: value for name in ("batch_norm", "dropout") if (value := getattr(options, name)) is not None}
    for name in given.keys() - kind.options:
        takers = ", ".join(each.example for each in FAMILIES if name in each.options)
        raise GencliError(f"{dashed(name)}: {arch} has no such option", f"omit it; it is for {takers}")
    if not 0 <= given.get("dropout", 0) < 1:
        raise GencliError(
            f"--dropout: {options.dropout:g} is not a probability below 1",
            "give a number from 0 to below 1, such as 0.1",
        )
    if kind.task == "images" and options.head != "linear":
        raise GencliError(f"--head: {arch} outputs images, which need no {options.head} layer", "omit it")
    if min(shape[:2]) < kind.least:
        raise GencliError(
            f"--arch: {arch} takes images of at least {kind.least}×{kind.least}, not {shape[0]}×{shape[1]}",
            "use larger images, or a network for small ones, such as mlp-1x512",
        )
    match = re.fullmatch(kind.pattern, arch, re.ASCII)
    groups = [int(group) if group and group.isdecimal() else group for group in match.groups()] if match else []
    construct = partial(kind.build, *groups, shape=shape, classes=classes, **given)
    on_meta = torch.get_default_device().type == "meta"
    if kind.ours and (on_meta or kind is not TORCHVISION):
        with torch.device("meta"), limited(free_memory(), lambda held: require_room(held, arch, " and more")):
            network = construct()  # where numbers take no room
        if on_meta:
            return heads.attach(network, options.head, classes, arch)
        require_room(trained(network), arch)
    return heads.attach(construct(), options.head, classes, arch)


@dataclass
class Model:
    """A network and what it was trained for.

    Attributes:
        arch: its name.
        shape: height, width, channels of the tables' images; the network gets `preprocessing`'s.
        classes: the classes' names, by label.
        options: what the name leaves open.
        made: its provenance, None until it is written.
        class_rows: how many training rows each class had, by label; None where it is not known.
        epoch: the one after which the network was as it is, from 1; likewise.
        file: that it was read from, as messages call it; empty for none.
        subset_below: the bound of the rows that training saw, see `gencli.runs.seen`; None for all.
        run: its number in a file of several networks; None of one that is by itself.
        start: of one that started from a file's tensors: its `sha256`, how many are from there, which are `random`.
        frozen: the words of `train --freeze`, which name the tensors that training keeps as they are; None for none.
        failed: why its training, one of several, has no network, whose tensors are not numbers; empty otherwise.
    """

    arch: str
    shape: Shape
    classes: tuple[str, ...]
    network: nn.Module
    options: Options = PLAIN
    preprocessing: Preprocessing = network_input
    made: provenance.Step | None = None
    class_rows: tuple[int, ...] | None = None
    epoch: int | None = None
    file: str = ""
    subset_below: float | None = None
    run: int | None = None
    start: dict[str, Any] | None = None
    failed: str = ""
    frozen: str | None = None

    @property
    def title(self) -> str:
        """Its name in messages: its file, if it has one, its network, and its run."""
        arch = self.arch if self.run is None else f"{self.arch}, run {self.run}"
        return f"{self.file}: {arch}" if self.file else arch

    @property
    def arguments(self) -> dict[str, Any]:
        """The settings of its training, its own ones of several runs; empty where they are not known."""
        if self.made is None:
            return {}
        made = self.made.arguments
        return made if self.run is None else runs.own(made, self.run)

    @property
    def parameters(self) -> int:
        """The number of trained parameters, without frozen ones."""
        return sum(each.numel() for each in self.trained.values())

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by their names, without frozen ones."""
        kept = start.kept_as_is(self.network, self.frozen, len(self.classes))
        named = self.network.named_parameters()
        return {name: each for name, each in named if each.requires_grad and name not in kept}

    @property
    def task(self) -> Literal["classes", "images"]:
        """What the network computes from images: classes or images."""
        return family(self.arch).task if self.logits else "classes"

    @property
    def ours(self) -> bool:
        """Whether its network is code of gencli or torchvision, which look at each image by itself."""
        return not self.logits or family(self.arch).ours

    @property
    def logits(self) -> bool:
        """Whether its outputs are logits or images; those of a learner in closed form are scores without a loss."""
        return not isinstance(self.network, Learner)

    def require(self, table: ImageTable) -> None:
        """Refuses data of another image shape, of other classes, or without targets that images are compared with."""
        description, title, mine = table.description, table.title, self.file or "the model"
        if description.shape != self.shape:
            raise GencliError(
                f"{title}: images of {by(description.shape)}, but {mine} takes {by(self.shape)}",
                "evaluate a model on the kind of images it was trained on",
            )
        if self.task == "images":
            require_target(table.schema.names, title)
        elif description.classes != self.classes and not self._counts(description.classes):
            differ = (
                number for number, (one, other) in enumerate(zip(description.classes, self.classes)) if one != other
            )
            start = next(differ, 0)
            unnamed = description.classes == tuple(map(str, range(len(self.classes))))
            names = ",".join(self.classes) if len(self.classes) <= 20 else "FILE, one name a line"
            raise GencliError(
                f"{title}: {len(description.classes)} classes ({_some(description.classes, start)}), "
                f"but {mine} has {len(self.classes)} ({_some(self.classes, start)})",
                "if its classes are the model's, make it again with --class-names " + names
                if unnamed
                else "evaluate a model on the classes it was trained on; --class-names of gencli data names them",
            )

    def _counts(self, classes: tuple[str, ...]) -> bool:
        """Whether they are the numbers of the first classes, as of a table without names that lacks the last ones."""
        return classes == tuple(map(str, range(len(classes)))) == self.classes[: len(classes)]


def write(output: Output, model: Model, settings: dict[str, Any], made: provenance.Step) -> None:
    """Writes a model: parameters and buffers under their `state_dict` names, all else in the metadata."""
    # the format takes no two names of one tensor, which a user's own network may have
    state = {name: tensor.detach().clone() for name, tensor in model.network.state_dict().items()}
    tensors.write(output, state, _facts(model, settings) | _of_run(model) | {"step": made})


def write_runs(output: Output, models: Sequence[Model], settings: dict[str, Any], made: provenance.Step) -> None:
    """Writes the networks of several runs as one: tensors with a leading dimension, the runs, in their order.

    What differs from run to run is in the metadata under `runs`: its seed and other settings of its own, and what
    `read` takes from there.
    """
    states = [model.network.state_dict() for model in models]
    whole = {name: torch.stack([state[name].detach() for state in states]) for name in states[0]}
    own = runs.several(made.arguments) or []
    each = [told | _of_run(model) for told, model in zip(own, models, strict=True)]
    tensors.write(output, whole, _facts(models[0], settings) | {"runs": each, "step": made})


def _facts(model: Model, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "architecture": model.arch,
        "options": model.network.facts if isinstance(model.network, Learner) else model.options.to_json(),
        "shape": model.shape,
        "classes": model.classes,
        "preprocessing": model.preprocessing.to_json(),
        "parameters": model.parameters,
        "training": settings,
        **({} if model.start is None else {"start": model.start}),
    }


def _of_run(model: Model) -> dict[str, Any]:
    facts = {"class_rows": model.class_rows, "epoch": model.epoch, "subset_below": model.subset_below}
    if model.preprocessing.whiten == "dataset":  # each run's own, of the rows that it saw
        facts["preprocessing"] = model.preprocessing.to_json()
    return facts | ({"failed": model.failed} if model.failed else {})


def read(source: Input, arch: str | None = None, run: int | None = None) -> Model:
    """Reads a model that `write` wrote, or one `run`'s of several; on the CPU, in evaluation mode.

    Args:
        arch: its name again, which a network of the user's own needs: a file's words import nothing.

    Raises:
        GencliError: not such a file, its tensors are not the architecture's, `arch` is another, or there are several
            and none is named.
    """
    found = read_runs(source, arch, run)
    if len(found) > 1:
        choice = f"choose one: --run {found[0].run} to {found[-1].run}"
        raise GencliError(f"{source.name}: {len(found)} networks", choice)
    return found[0]


def read_runs(source: Input, arch: str | None = None, run: int | None = None) -> list[Model]:
    """Reads all models of a file, or one `run`'s, as `read`; those of runs that failed are left out, and it is said."""
    facts = tensors.read_metadata(source)
    named, shape, classes = facts.get("architecture"), facts.get("shape", []), facts.get("classes", [])
    if not (isinstance(named, str) and is_shape(shape) and _is_names(classes) and facts.get("step")):
        raise GencliError(f"{source.name}: tensors, but not a model", "give a model that `gencli train` wrote")
    kind = named_in(source.name, named, arch, facts["step"].arguments)
    if not classes and (kind is None or kind.task == "classes"):
        raise GencliError(f"{source.name}: {named} without class names", "make the model again")
    entries = of_runs.entries(source, facts, len(classes))
    given, found = tensors.read(source), list[Model]()
    for number in of_runs.numbers(source, entries, run):
        own = facts if number is None else facts | entries[number]
        parts = given if number is None else of_runs.network(source, given, number, len(entries))
        found.append(_model(source, kind, own, parts, number))
    return found


def _model(
    source: Input, kind: Family | None, facts: dict[str, Any], given: dict[str, torch.Tensor], run: int | None
) -> Model:
    """The model of a file's facts and tensors."""
    named, shape, classes = facts["architecture"], tuple(facts["shape"]), tuple(facts["classes"])
    try:
        preprocessing = Preprocessing.from_json(facts.get("preprocessing"), shape[2])
        options = PLAIN if kind is None else Options.from_json(facts.get("options"))
        if type(facts.get("dropout")) is float:  # a run's own
            options = replace(options, dropout=facts["dropout"])
        input_shape = preprocessing.input_shape(shape)
        if kind is None:
            network, empty = learners.build(named, input_shape, len(classes), facts.get("options")), True
        else:
            network, empty = _unfilled(named, input_shape, len(classes), options, source.size)
    except GencliError as error:
        raise GencliError(f"{source.name}: {error.message}", error.hint) from error
    _fill(network, source, named, given, empty)
    counts = facts.get("class_rows")
    return Model(
        named, shape, classes, network.eval(), options, preprocessing, facts["step"], counts and tuple(counts),
        facts.get("epoch"), source.name, facts.get("subset_below"), run, frozen=_frozen(facts["step"]),
    )  # fmt: skip


def _frozen(made: provenance.Step) -> str | None:
    words = made.arguments.get("freeze") if made.command == "train" else None
    return words if isinstance(words, str) else None


def named_in(title: str, named: str, arch: str | None, made: Mapping[str, Any] = {}) -> Family | None:
    """The family of the network that a file names; None for a learner in closed form.

    Args:
        arch: as of `read`.
        made: the arguments of the step that made the file.

    Raises:
        GencliError: there is none, `arch` is another, or the network is the user's own and not allowed by `arch`.
    """
    try:
        kind = None if named in LEARNERS else family(named)
    except GencliError:
        hint = plugins.hint(made, "use the gencli that wrote it")
        raise GencliError(f"{title}: this version has no network {named!r}", hint) from None
    if kind is OWN and arch is None:
        raise GencliError(
            f"{title}: its network is {named}, which is code that a file may not run by itself",
            f"allow it with --arch {named}",
        )
    if arch not in (None, named):
        raise GencliError(f"{title}: its network is {named}, not {arch}", f"omit --arch, or give {named}")
    return kind


def _fill(network: nn.Module, source: Input, named: str, given: dict[str, torch.Tensor], empty: bool) -> None:
    """Puts a file's tensors into the network; `empty` where it has shapes alone."""
    expected = network.state_dict()
    for name in expected | given:
        if form(given.get(name)) != form(expected.get(name)):
            raise GencliError(
                f"{source.name}: not the tensors of {named}: {name} is {form(given.get(name))}, "
                f"not {form(expected.get(name))}",
                "make the model again",
            )
    network.load_state_dict(given, assign=empty)


def _unfilled(arch: str, shape: Shape, classes: int, options: Options, size: int) -> tuple[nn.Module, bool]:
    """The network of a file of `size` bytes, and whether it has shapes alone, no numbers."""
    if not family(arch).ours:
        with torch.random.fork_rng([]):
            return build(arch, shape, classes, options), False

    def refuse(held: int) -> None:
        what = f"{arch} has {held:,} parameters or more, too many for {size:,} bytes"
        raise GencliError(what, "make the model again")

    with torch.device("meta"), limited(_STORED * size, refuse):
        return build(arch, shape, classes, options), True


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _some(names: tuple[str, ...], start: int) -> str:
    return ("…, " if start else "") + ", ".join(names[start : start + 3]) + (", …" if len(names) > start + 3 else "")
