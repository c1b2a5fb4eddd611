"""What a run needs besides its settings: the loss, the model, and whether they fit the data."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import nn

from gencli import losses, models
from gencli.errors import GencliError
from gencli.files import provenance, tables
from gencli.files.provenance import Source, Step
from gencli.files.tables import Description, ImageTable
from gencli.files.tensors import double
from gencli.losses import Loss
from gencli.models import Model, Options, inputs
from gencli.models.inputs import Preprocessing, Rows, require_target
from gencli.models.layers import Whitening
from gencli.models.start import Start, freeze
from gencli.randomness import derive
from gencli.ranks import Group
from gencli.runs import varied
from gencli.training import devices, mixing, optimizers, schedules
from gencli.training.batches import augmentations, require_geometric
from gencli.training.loop import Training
from gencli.training.settings import Precision, Settings
from gencli.training.streaming import Streamed
from gencli.training.validation import split, subset

_ANY = 1 << 20, 1 << 20, 3  # a shape that all augmentations fit
_WHITENED = 5000  # rows that a layer's whitening is measured on, as in airbench


@dataclass(frozen=True)
class Setup:
    """A run on data of one description.

    Attributes:
        settings: with the defaults of network, loss and optimizer filled in.
        score: what its history measures, `accuracy` or `psnr`.
        start: what networks start from besides their seeds.
    """

    settings: Settings
    loss: Loss
    description: Description
    score: Literal["accuracy", "psnr"]
    start: Start | None = None

    @property
    def options(self) -> Options:
        """The network's."""
        settings = replace(self.settings, runs=1).each()[0] if self.settings.several else self.settings
        return Options(settings.batch_norm, settings.dropout, self.loss.head)

    def build(self, shape: models.Shape) -> nn.Module:
        """The network for images of this shape, initialized from the seed's own stream."""
        with torch.random.fork_rng([]):  # the network is drawn on the CPU
            torch.manual_seed(derive(self.settings.initial_seed, "initialization"))
            network = models.build(self.settings.arch, shape, len(self.description.classes), self.options)
        for each in (*network.parameters(), *network.buffers()):
            if each.ndim == 4:  # of images; volumes have five dimensions, and torch has no such order of them
                each.data = each.data.contiguous(memory_format=torch.channels_last)
        return network

    def tried(self, asked: Precision) -> tuple[Setup, str]:
        """The run in float32 where the network fails in an automatic bf16, and why its precision is what it is.

        Raises:
            GencliError: it fails in a bf16 that was asked for.
        """
        settings, device = self.settings, torch.device(self.settings.device)
        plain = self, f"chosen for this {device.type}"
        if settings.precision != "bf16":
            return plain
        shape = Preprocessing(crop=settings.crop).input_shape(self.description.shape)
        network = self.build(shape).to(device)
        failure = devices.failure(network, shape, bf16=True)
        if failure is None or devices.failure(network, shape, bf16=False) is not None:  # its own, as training will say
            return plain
        if asked == "bf16":
            raise GencliError(f"--precision: {settings.arch} fails in bf16: {failure}", "use float32 or auto")
        return replace(
            self, settings=replace(settings, precision="float32")
        ), f"because the network fails in bf16: {failure}"

    def member(self, number: int) -> Setup:
        """One run's own, of several."""
        settings, loss = choose(self._each[number])
        return replace(self, settings=settings, loss=loss, start=self.start and self.start.of(number))

    @cached_property
    def _each(self) -> list[Settings]:
        return self.settings.each()

    def load(self, table: ImageTable, group: Group, rehearsed: bool = False) -> Rows:
        """A table's rows; this process loads its part of them, not yet onto the device.

        Args:
            rehearsed: whether it is only to refuse what a run refuses: no image is read.
        """
        kept, window = group.part(table), 1 if rehearsed else self.settings.stream
        return inputs.load(table, kept) if window is None else Streamed(table, kept, window)

    def training(
        self,
        table: ImageTable,
        test_table: ImageTable | None,
        group: Group,
        rehearsed: bool = False,
        watched: int | None = None,
    ) -> Training:
        """The run of one network on a table's rows, before its first step; see `on_rows`."""
        rows, test = self.loaded(table, test_table, group, rehearsed)
        return self.on_rows(rows, test, group, rehearsed=rehearsed, watched=watched)

    def loaded(
        self, table: ImageTable, test_table: ImageTable | None, group: Group, rehearsed: bool = False
    ) -> tuple[Rows, Rows | None]:
        """The rows, not yet on the device, and those of evaluation data, on it; see `load`.

        Raises:
            GencliError: the evaluation data are of another kind.
        """
        rows = self.load(table, group, rehearsed)
        if test_table is None:
            return rows, None
        self.unfilled().require(test_table)
        return rows, self.load(test_table, group, rehearsed).to(torch.device(self.settings.device))

    def on_rows(
        self,
        rows: Rows,
        test: Rows | None,
        group: Group,
        copied: bool = True,
        rehearsed: bool = False,
        watched: int | None = None,
    ) -> Training:
        """The run of one network on a table's rows, before its first step.

        Args:
            copied: whether the network's own rows get images of their own, if they are not all of them.
            rehearsed: whether its network has no numbers.
            watched: see `Training`.
        """
        settings, device = self.settings, torch.device(self.settings.device)
        validation = below = None
        if settings.subset is not None:
            rows, below = subset(rows, settings.subset, settings.seed, copied)
        if settings.validation_fraction:
            rows, validation = split(rows, settings.validation_fraction, settings.seed, copied)
        rows = rows.to(device)
        model = self.unfilled() if rehearsed else self.model(rows, group)
        model.subset_below = below
        held = None if validation is None else validation.to(device)
        return Training(model, rows, settings, self.loss, held, test, group, watched)

    def steps(
        self, table: ImageTable, test_table: ImageTable | None, group: Group, watched: int | None = None
    ) -> tuple[Step, Step, Step]:
        """How the model is made, its history, which evaluation data are part of, and its dynamics."""
        threads = {"threads": torch.get_num_threads()}  # they change the order of sums
        made = asdict(self.settings) | threads | ({"processes": group.size} if group.size > 1 else {})
        of_data = tables.sources(table, "data")
        of_data += [] if self.start is None else [self.start.entry]
        of_test = tables.sources(test_table, "eval-data") if test_table else []

        def step(arguments: dict[str, Any], files: list[Source]) -> Step:
            return provenance.step("train", arguments, files, ("torch", "numpy", "pyarrow"))

        of_rows = step(made | {"el2n_epoch": watched}, of_data)
        return step(made, of_data), step(made, of_data + of_test).to("history"), of_rows.to("dynamics")

    def unfilled(self) -> Model:
        """The model to train, its network on torch's device `meta`: shapes without numbers."""
        settings, description = self.settings, self.description
        preprocessing = Preprocessing(settings.whiten or "none", settings.crop)
        with torch.device("meta"):
            network = self.build(preprocessing.input_shape(description.shape))
        shape, classes, options = description.shape, description.classes, self.options
        return Model(settings.arch, shape, classes, network, options, preprocessing, frozen=settings.freeze)

    def model(self, rows: Rows, group: Group) -> Model:
        """The model to train on these rows, on their device, initialized."""
        settings, description = self.settings, self.description

        def add(sums: torch.Tensor) -> None:
            group.add([sums])

        def images() -> Iterator[torch.Tensor]:
            for part in rows.held()[0].parts():
                yield part.images

        preprocessing = Preprocessing.of(images(), settings.whiten or "none", settings.crop, add)
        network = self.build(preprocessing.input_shape(description.shape)).to(rows.images.device)
        for layer in network.modules():
            if isinstance(layer, Whitening):
                held, numbers = rows.held()
                first = held.select((numbers < _WHITENED).nonzero().squeeze(1))
                size = layer.in_channels * 4 + 1
                moments = double(torch.zeros(size, size, device=rows.images.device))
                for part in first.parts():  # of several processes some have none
                    moments += layer.moments(preprocessing(part.images))
                add(moments)
                layer.fit(moments)
        shape, classes, options = description.shape, description.classes, self.options
        made = Model(settings.arch, shape, classes, network, options, preprocessing, frozen=settings.freeze)
        if self.start is not None:
            made.start = self.start.fill(network, len(description.classes), settings.arch)
            self.start.say(made.start, preprocessing.whiten)
        return made

    def require_start(self) -> None:
        """Refuses a start that does not fit the network, and words that name none of its tensors.

        Raises:
            GencliError: see `Start.random` and `freeze`.
        """
        if self.start is None and self.settings.freeze is None:
            return
        network, classes = self.unfilled().network, len(self.description.classes)
        if self.start is not None:
            self.start.random(network, classes, self.settings.arch)
        if self.settings.freeze is not None:
            freeze(network, self.settings.freeze, classes)


def prepare(
    settings: Settings, description: Description, columns: Collection[str], title: str, start: Start | None = None
) -> Setup:
    """Chooses the loss (see `choose`) and checks what can be checked before the rows are read.

    Args:
        description, columns, title: of the training table.

    Raises:
        GencliError: unknown names, or parts that do not fit each other or the table.
    """
    settings, loss = choose(settings)
    images = models.family(settings.arch).task == "images"
    if images:
        require_target(columns, title)
    augmentations(settings, description.shape)
    setup = Setup(settings, loss, description, "psnr" if images else "accuracy", start)
    setup.require_start()
    return setup


def choose(settings: Settings) -> tuple[Settings, Loss]:
    """The settings with the defaults of network, loss and optimizer filled in, and the loss: all that needs no data.

    Of several runs the settings that they share, and the first one's loss.

    Raises:
        GencliError: unknown names, or parts that do not fit each other.
    """
    if settings.several:
        (first, loss), *_ = [choose(each) for each in replace(settings, runs=1).each()]
        of_all = dict.fromkeys(varied(settings.vary))
        return replace(first, **of_all, runs=settings.runs, vary=settings.vary), loss  # type: ignore[arg-type]
    settings, loss = _filled(settings)
    images = models.require(settings.arch).task == "images"
    _require_task(settings, loss, images)
    if images:
        require_geometric(settings)
    augmentations(settings, _ANY)
    schedules.parse(settings.schedule, settings.warmup)
    optimizers.options(settings.optimizer, settings.momentum, settings.nesterov, settings.undecayed, settings.rho)
    mixing.parse(settings.mix, loss)
    return settings, loss


def _filled(settings: Settings) -> tuple[Settings, Loss]:
    """One run's settings with the defaults of its network, loss and optimizer, and the loss."""
    family = models.require(settings.arch)
    images = family.task == "images"
    settings = replace(
        settings,
        loss=losses.DEFAULTS[family.task] if settings.loss is None else settings.loss,
        whiten=settings.whiten or ("none" if images else "image"),
    )
    loss = losses.choose(settings)
    build = inspect.signature(family.build).parameters
    defaults = (
        asdict(loss)
        | dict(optimizers.OPTIMIZERS[settings.optimizer].options)
        | {name: build[name].default for name in family.options}
    )
    unset = {name: value for name, value in defaults.items() if getattr(settings, name) is None}
    settings = replace(settings, **unset)
    if settings.lr is None and optimizers.OPTIMIZERS[settings.optimizer].network_rates and family.rates:
        settings = replace(settings, lr=family.rates[bool(settings.batch_norm)])
    return replace(settings, lr=settings.learning_rate), loss


def _require_task(settings: Settings, loss: Loss, images: bool) -> None:
    """Refuses what is not for a network that outputs images, or for one that does not."""
    if (loss.task == "images") != images:
        kinds = "an image" if images else "classes", "images" if loss.task == "images" else "classes"
        raise GencliError(
            f"--loss: {loss.name} is for {kinds[1]}, but {settings.arch} outputs {kinds[0]}",
            "for image-to-image networks use l1, l2 or huber, for classifiers ce or another",
        )
    refused = {
        "whiten": settings.whiten == "image",
        "until_train_accuracy": settings.until_train_accuracy is not None,
        "resample": settings.resample is not None,
    }
    for option in [name for name, given in refused.items() if images and given]:
        raise GencliError(
            f"--{option.replace('_', '-')}: {settings.arch} outputs an image, which keeps its scale and has no classes",
            "omit it" if option != "whiten" else "use --whiten none or dataset",
        )
