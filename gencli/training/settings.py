"""What determines a training run, given its data; each field is an option of `gencli train`."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from gencli import machine
from gencli.cli.options import Device
from gencli.counts import TIMES, is_number, number, seconds
from gencli.errors import GencliError
from gencli.losses.settings import LossSettings
from gencli.runs import NUMBERS, several, varied
from gencli.training import presets
from gencli.training.optimizers import OPTIMIZERS
from gencli.training.parts import ImageSettings, NetworkSettings, StartSettings
from gencli.training.schedules import SCHEDULES
from gencli.training.tracking import TRACKED, tracked

Precision = Literal["auto", "float32", "tf32", "bf16"]

_OWN_RATES = "; ".join(f"{name} {kind.learning_rate:g}" for name, kind in OPTIMIZERS.items() if not kind.network_rates)
_OWN_MOMENTUM = "; ".join(
    f"{name} {kind.options['momentum']:g}" for name, kind in OPTIMIZERS.items() if "momentum" in kind.options
)
_SCHEDULES = ", ".join(kind.form + (f" ({kind.effect})" if kind.effect else "") for kind in SCHEDULES.values())
if TYPE_CHECKING:
    OptimizerName = PresetName = str
else:
    OptimizerName, PresetName = Literal[tuple(OPTIMIZERS)], Literal[tuple(presets.PRESETS)]


def _pin(asked: bool) -> bool:
    if asked:
        machine.pin()
    return asked


def _minutes(text: object) -> float:
    """The minutes of a time with its unit, or of a number of them; provenance has numbers."""
    text = str(text)
    found = seconds(text)
    if found is None and not (is_number(text) and number(text) >= 0):
        raise typer.BadParameter(f"{text!r} is no time; give {TIMES}, or minutes")
    return number(text) if found is None else found / 60


@dataclass(frozen=True)
class RunSettings:
    """How long, from which random numbers, and where."""

    heading: ClassVar[str] = "Run"

    preset: Annotated[
        PresetName | None,
        typer.Option(
            help="Settings of a paper; explicit options override them; another optimizer keeps its own --lr and "
            "--momentum.",
            show_default=False,
        ),
    ] = None
    epochs: Annotated[int, typer.Option(min=1, help="Maximum number of epochs.")] = 30
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 128
    full_batch: Annotated[
        bool,
        typer.Option(
            "--full-batch",
            help="One step per epoch, by the exact gradient of all rows, which is summed over batches of --batch-size.",
        ),
    ] = False
    max_steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Stop after N steps; schedules end there too.")
    ] = None
    stop_epoch: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Stop after epoch N of --epochs; schedules go on as if it had not."),
    ] = None
    max_time: Annotated[
        float | None,
        typer.Option(
            parser=_minutes,
            metavar="TIME",
            help=f"Stop after this time, such as {TIMES}, or in minutes, in total for several runs; how far a run gets "
            "is not reproducible.",
        ),
    ] = None
    until_train_accuracy: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="A", help="Stop once train accuracy reaches this value; implies --measure-train."
        ),
    ] = None
    until_train_loss: Annotated[
        float | None,
        typer.Option(min=0, metavar="L", help="Stop once train loss reaches this value; implies --measure-train."),
    ] = None
    validation_fraction: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, metavar="F", help="Share of each class's rows to hold out and evaluate every epoch."
        ),
    ] = 0.0
    early_stop: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="EPOCHS",
            help="Stop after EPOCHS epochs without improvement in validation accuracy; keep the best model.",
        ),
    ] = None
    measure_train: Annotated[
        bool,
        typer.Option(
            "--measure-train",
            help="Evaluate the training rows after every epoch, not only during its steps and at the end.",
        ),
    ] = False
    track: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Add columns to the history, measured after each epoch on the training rows' mean loss without "
            f"augmentation and weight decay, in evaluation mode: {', '.join(TRACKED)}.",
            show_default=False,
        ),
    ] = None
    track_every: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="EPOCHS", help="Fill --track's columns every EPOCHS epochs. Default: 1.", show_default=False
        ),
    ] = None
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed of initialization, order, augmentation and dropout.")
    ] = 0
    seed_init: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Seed of initialization, for all --runs. Default: --seed, each run's own."
        ),
    ] = None
    seed_order: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Seed of the order of rows (with --resample, of the draw), for all --runs. Default: --seed, each "
            "run's own.",
        ),
    ] = None
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train N networks, of seeds SEED ... SEED+N-1, each as it would be by itself, into one file.",
        ),
    ] = None
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=V1,V2,...",
            help="Train networks that differ in a setting, for each of its values --runs of them: "
            f"{', '.join(name.replace('_', '-') for name in NUMBERS)}; repeatable, for all combinations.",
        ),
    ] = None
    precision: Annotated[
        Precision,
        typer.Option(
            help="Precision of the network's arithmetic; bf16 keeps the parameters in float32, tf32 is for CUDA, "
            "auto is bf16 where the device supports it."
        ),
    ] = "float32"
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network with torch.compile, for long runs on CUDA.")
    ] = False
    device: Device = "auto"
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            callback=_pin,
            is_eager=True,  # before --threads, which it leaves in force
            help="Use instructions that all CPUs of a kind have, in one thread unless --threads is given, so that "
            "different CPUs train the same bits; several times slower.",
        ),
    ] = False


@dataclass(frozen=True)
class OptimizerSettings:
    """How the parameters follow the gradient."""

    heading: ClassVar[str] = "Optimization"

    optimizer: Annotated[
        OptimizerName,
        typer.Option(
            help="; ".join(f"{name}: {kind.purpose} ({kind.source})" for name, kind in OPTIMIZERS.items()) + "."
        ),
    ] = "sgd"
    lr: Annotated[
        float | None,
        typer.Option(
            min=0,
            help=f"Learning rate. Default: the network's own, see --list-archs; {_OWN_RATES}. "
            "0 leaves the weights as they were initialized.",
            show_default=False,
        ),
    ] = None
    schedule: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Learning-rate schedule: {_SCHEDULES}.",
        ),
    ] = "constant"
    warmup: Annotated[
        float, typer.Option(min=0, metavar="EPOCHS", help="Warm up linearly from 0 over this many epochs.")
    ] = 0.0
    momentum: Annotated[
        float | None, typer.Option(min=0, max=1, help=f"Momentum. Default: {_OWN_MOMENTUM}.", show_default=False)
    ] = None
    nesterov: Annotated[
        bool | None, typer.Option("--nesterov/--no-nesterov", help="Use Nesterov momentum.", show_default=False)
    ] = None
    rho: Annotated[
        float | None,
        typer.Option(min=0, help="Radius of sam, in the parameters' own units. Default: 0.05.", show_default=False),
    ] = None
    weight_decay: Annotated[float, typer.Option(min=0, help="Coefficient of weight decay; see --optimizer.")] = 0.0
    no_decay: Annotated[
        str | None, typer.Option(metavar="norm,bias", help="Parameters exempt from weight decay.", show_default=False)
    ] = None
    grad_clip: Annotated[
        float | None, typer.Option(min=0, metavar="NORM", help="Clip the norm of the gradient to this value.")
    ] = None
    ema: Annotated[
        float | None,
        typer.Option(metavar="DECAY", help="Evaluate and keep a moving average of the parameters."),
    ] = None


# fields of later bases come first
@dataclass(frozen=True)
class Settings(RunSettings, OptimizerSettings, LossSettings, ImageSettings, StartSettings, NetworkSettings):
    """A training run's settings; the defaults are no paper's."""

    def resolved(self, given: Collection[str] = ()) -> Settings:
        """The same with the preset's settings in place of those not `given`, which it does not name any more.

        Raises:
            GencliError: no network, or settings that exclude each other.
        """
        chosen: dict[str, Any] = presets.settings(self.preset, self.arch, self.loss) if self.preset else {}
        if "optimizer" in given and self.optimizer != chosen.get("optimizer"):
            chosen = {name: value for name, value in chosen.items() if name not in ("lr", "momentum", "nesterov")}
        settings = replace(self, **{name: value for name, value in chosen.items() if name not in given})
        if not settings.arch:
            raise GencliError("--arch: no network is named", "--list-archs shows them, mlp-1x512 is one")
        if settings.early_stop is not None and not settings.validation_fraction:
            raise GencliError("--early-stop: there are no validation rows", "hold some out with --validation-fraction")
        if settings.stream is not None and settings.resample is not None:
            raise GencliError(
                "--resample: draws rows from all of the data, which --stream does not hold", "omit one of them"
            )
        if (settings.stop_epoch or 0) > settings.epochs:
            raise GencliError(f"--stop-epoch: {settings.stop_epoch} of {settings.epochs} epochs", "give an earlier one")
        if (settings.deferred_reweighting or 0) >= settings.epochs:
            raise GencliError(
                f"--deferred-reweighting: no epoch follows epoch {settings.deferred_reweighting} of {settings.epochs}",
                "give an earlier one, or more --epochs",
            )
        if settings.freeze and settings.optimizer == "muon":
            raise GencliError("--freeze: muon knows the output layer as the last one it trains", "use adamw or sgd")
        settings._require_runs(given)
        settings._require_exact()
        every = None if settings.track is None else settings.track_every or 1
        return replace(settings, preset=None, vary=settings.vary or None, track_every=every)

    def _require_runs(self, given: Collection[str]) -> None:
        values, which = varied(self.vary), "--vary" if self.vary else "--runs"
        for name in values:
            if name in given:
                raise GencliError(f"--{name.replace('_', '-')}: --vary gives it values", "omit one of them")
        if len({value == 0 for value in values.get("dropout", [])}) > 1:
            raise GencliError("--vary: a network without dropout has other layers", "give dropout values above 0")
        why = {
            "sync_batch_norm": "every network is trained by one process",
        }
        for name in [name for name in why if self.several and getattr(self, name)]:
            raise GencliError(f"--{name.replace('_', '-')} and {which}: {why[name]}", "omit one of them")
        if self.subset is not None and self.validation_fraction:
            raise GencliError(
                "--subset and --validation-fraction: which rows a network saw could not be told from its file",
                "omit one of them",
            )

    def _require_exact(self) -> None:
        """Refuses what would make the gradient of all rows one of a sample, or what is tracked another network's."""
        drawn = {"augment": "augmentation", "mix": "mixing", "resample": "resampling", "dropout": "dropout"}
        for name in [name for name in drawn if self.full_batch and getattr(self, name)]:
            why = f"{drawn[name]} draws at random, so that the gradient would not be that of the rows"
            raise GencliError(f"--full-batch and --{name}: {why}", "omit one of them")
        if self.full_batch and "dropout" in varied(self.vary):
            raise GencliError("--full-batch and --vary dropout: dropout draws at random", "omit one of them")
        tracked(self.track)
        if self.track is None:
            if self.track_every not in (None, 1):  # 1 was recorded of runs that tracked nothing
                raise GencliError("--track-every: nothing is tracked", "it is for --track")
            return
        whole = {"stream": "images stay in their file", "ema": "evaluation is of the average, steps are of the weights"}
        for name in [name for name in whole if getattr(self, name) is not None]:
            raise GencliError(f"--track and --{name}: {whole[name]}", "omit one of them")

    @property
    def last_epoch(self) -> int:
        """The last one that there may be."""
        return self.epochs if self.stop_epoch is None else self.stop_epoch

    @property
    def initial_seed(self) -> int:
        """Of the initialization."""
        return self.seed if self.seed_init is None else self.seed_init

    @property
    def order_seed(self) -> int:
        """Of the order of rows."""
        return self.seed if self.seed_order is None else self.seed_order

    def tracked_after(self, epoch: int) -> tuple[str, ...]:
        """What is tracked after an epoch, from 1."""
        return () if epoch % (self.track_every or 1) else tracked(self.track)

    def step_rows(self, rows: int) -> int:
        """How many of an epoch's rows a step takes, at most."""
        return rows if self.full_batch else self.batch_size

    def is_fitted(self, score: float, loss: float) -> bool:
        """Whether an epoch's training score and loss, measured after it, are enough."""
        enough, low = self.until_train_accuracy, self.until_train_loss
        return (enough is not None and score >= enough) or (low is not None and loss <= low)

    @property
    def several(self) -> bool:
        """Whether they are of several runs."""
        return self.runs is not None or bool(self.vary)

    @property
    def count(self) -> int:
        """How many runs they are of."""
        return math.prod(map(len, varied(self.vary).values())) * (self.runs or 1)

    def each(self) -> list[Settings]:
        """The settings of each run by itself; their own if they are of one."""
        found = several(vars(self))
        return [self] if found is None else [replace(self, runs=None, vary=None, **own) for own in found]

    @property
    def learning_rate(self) -> float:
        """`lr`, or the optimizer's own; a network's own is filled in by `setup.choose`."""
        return OPTIMIZERS[self.optimizer].learning_rate if self.lr is None else self.lr

    @property
    def undecayed(self) -> list[str]:
        """The words of `no_decay`."""
        return self.no_decay.split(",") if self.no_decay else []
