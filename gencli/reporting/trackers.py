"""Histories as runs of experiment trackers, each written through its own library, which is imported when it is used.

A run is one network's: its name that of its file, its parameters those of its training and data, its steps the epochs.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from gencli.cli import signals
from gencli.errors import GencliError, first_line
from gencli.files.named import distinct_names
from gencli.files.stores import require_folder
from gencli.reporting.documents import Document, corruptions, data_name
from gencli.reporting.groups import chains

_PROJECT = "gencli"  # of the runs, where a tracker has projects or experiments
_AT_ONCE = {"params": 100, "metrics": 1000}  # that MLflow takes


@dataclass(frozen=True)
class Run:
    """One run, as trackers have it.

    Attributes:
        name: unlike the other runs'.
        parameters: numbers, truths and text.
        steps: the epochs, each with the time [s] since 1970 at its end and the numbers that the history has of it.
    """

    name: str
    parameters: dict[str, bool | int | float | str]
    steps: list[tuple[int, float, dict[str, float]]]

    @property
    def started(self) -> float:
        """The time at which it started, as far as the history tells."""
        _, end, values = self.steps[0]
        return end - values.get("seconds", 0.0)


def runs(documents: Sequence[Document]) -> list[Run]:
    """The runs of histories, which ended when their files were written.

    Raises:
        GencliError: a document is no history.
    """
    for each in documents:
        if each.kind != "history":
            raise GencliError(f"{each.title}: a {each.kind}, no history", "give the output of `gencli train --history`")
    files = distinct_names([each.file for each in documents])
    stems = [os.path.splitext(file)[0] for file in files]
    known = dict.fromkeys(zip(stems, files))
    names = files if len(known) > len({stem for stem, _ in known}) else stems
    chained = chains([corruptions(each.trained_on) for each in documents], {"seed"})
    made = [_run(each, name, chain) for each, name, chain in zip(documents, names, chained)]
    alike = Counter(run.name for run in made)
    return [replace(run, name=f"{run.name}-{place}") if alike[run.name] > 1 else run for place, run in enumerate(made)]


def _run(history: Document, name: str, chain: str) -> Run:
    number = "" if history.number is None else f"-run{history.number}"
    told = {} if history.training is None else history.training.arguments
    facts = {"data": data_name(history.trained_on), "corruption": chain} if told else {}
    parameters = {
        name: value if isinstance(value, bool | int | float | str) else ", ".join(map(str, value))
        for name, value in (facts | told).items()
        if isinstance(value, bool | int | float | str | list)
    }
    columns = {name: history.rows[name].to_pylist() for name in history.rows.column_names}
    spent = sum(each or 0.0 for each in columns.get("seconds", []))
    now = (os.path.getmtime(history.file) if os.path.isfile(history.file) else time.time()) - spent
    steps = []
    for epoch, *values in zip(columns.pop("epoch"), *columns.values()):
        row = {name: float(value) for name, value in zip(columns, values) if value is not None}
        now += row.get("seconds", 0.0)
        steps.append((epoch, now, row))
    return Run(re.sub(r"[^\w.=+-]+", "-", name) + number, parameters, steps)


def write(tracker: str, place: str, found: Sequence[Run]) -> str:
    """Writes runs to a tracker at a place; returns a line on how they are shown.

    Raises:
        GencliError: there is no such tracker, its library is missing or refuses, or runs of these names are there.
    """
    if tracker not in _TRACKERS:
        raise GencliError(f"--to: no tracker {tracker!r}", f"known: {', '.join(_TRACKERS)}")
    if tracker != "mlflow":
        require_folder(place, f"--to {tracker}")
    package, import_name, into = _TRACKERS[tracker]
    os.environ.update({name: value for name, value in _SILENT.items() if name not in os.environ})
    try:
        import_module(import_name)
    except ModuleNotFoundError as error:
        why = "is not installed" if error.name == import_name else f"cannot be imported: no {error.name}"
        raise GencliError(f"--to {tracker}: {import_name} {why}", f"pip install {package}") from None
    try:
        return into(place, found)
    except (GencliError, OSError):
        raise
    except Exception as error:
        why = f"--to {tracker} {place}: {first_line(error)}"
        raise GencliError(why, "check the place, and that it is up") from None


def _tensorboard(place: str, found: Sequence[Run]) -> str:
    """Event files, a folder a run: scalars by their columns' names in float32, and the parameters as hparams."""
    event, summary = (import_module(f"tensorboard.compat.proto.{name}_pb2") for name in ("event", "summary"))
    files = import_module("tensorboard.summary.writer.event_file_writer")
    hparams = import_module("tensorboard.plugins.hparams.summary_v2")
    folder = Path(place)
    for run in found:
        if (folder / run.name).exists():
            raise GencliError(f"--to tensorboard: {folder / run.name}: exists", "remove it, or name another folder")
    with _aside(folder) as aside:
        for run in found:
            writer = files.EventFileWriter(str(aside / run.name))
            told = hparams.hparams_pb(run.parameters, start_time_secs=run.started)
            writer.add_event(event.Event(wall_time=run.started, step=0, summary=told))
            for epoch, now, values in run.steps:
                scalars = [summary.Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
                writer.add_event(event.Event(wall_time=now, step=epoch, summary=summary.Summary(value=scalars)))
            writer.close()
        for run in found:
            (aside / run.name).rename(folder / run.name)
    return f"tensorboard --logdir {place}"


def _mlflow(place: str, found: Sequence[Run]) -> str:
    """Runs of the experiment `gencli` at a server, or in a folder; of several all or none."""
    entities = import_module("mlflow.entities")
    client = import_module("mlflow.tracking").MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name(_PROJECT)
    number = client.create_experiment(_PROJECT) if experiment is None else experiment.experiment_id
    made: list[str] = []
    try:
        for run in found:
            made.append(client.create_run(number, int(1000 * run.started), run_name=run.name).info.run_id)
            metrics = [
                entities.Metric(name, value, int(1000 * now), epoch)
                for epoch, now, values in run.steps
                for name, value in values.items()
            ]
            params = [entities.Param(name, str(value)) for name, value in run.parameters.items()]
            for kind, entries in (("params", params), ("metrics", metrics)):
                for start in range(0, len(entries), _AT_ONCE[kind]):
                    client.log_batch(made[-1], **{kind: entries[start : start + _AT_ONCE[kind]]})
            client.set_terminated(made[-1], end_time=int(1000 * run.steps[-1][1]))
    except BaseException:
        for each in made:
            with contextlib.suppress(Exception):
                client.delete_run(each)
        raise
    scheme = place.partition(":")[0] if ":" in place else "file"
    allowed = f"{_ALLOWED}=true " if scheme == "file" else ""
    seen = place if scheme.startswith("http") else f"{allowed}mlflow ui --backend-store-uri {place}"
    return f"{seen}, experiment {_PROJECT}"


def _wandb(place: str, found: Sequence[Run]) -> str:
    """Runs that `wandb sync` uploads. Its library writes them in a process of its own, which ends with them."""
    wandb: Any = import_module("wandb")
    folder = Path(place)
    off = {"x_disable_stats": True, "x_disable_meta": True, "disable_git": True, "disable_code": True}
    settings = wandb.Settings(mode="offline", console="off", silent=True, **off)
    with _aside(folder) as aside:
        try:
            for run in found:
                logged = wandb.init(
                    dir=str(aside), project=_PROJECT, name=run.name, config=run.parameters, settings=settings
                )
                for epoch, _, values in run.steps:
                    logged.log(values | {"epoch": epoch}, step=epoch)
                logged.finish()
        finally:
            wandb.teardown()
        (folder / "wandb").mkdir(exist_ok=True)
        for each in (aside / "wandb").glob("offline-run-*"):
            each.rename(folder / "wandb" / each.name)
    return f"wandb sync {place}/wandb/offline-run-*"


_ALLOWED = "MLFLOW_ALLOW_FILE_STORE"  # without it mlflow of late reads no folders
_SILENT = {  # libraries that would tell others of their use, or say more than errors
    "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "WANDB_ERROR_REPORTING": "false",
    _ALLOWED: "true", "WANDB_SILENT": "true",
}  # fmt: skip
_TRACKERS: dict[str, tuple[str, str, Callable[[str, Sequence[Run]], str]]] = {
    "tensorboard": ("tensorboard", "tensorboard", _tensorboard),
    "mlflow": ("mlflow-skinny", "mlflow", _mlflow),
    "wandb-offline": ("wandb", "wandb", _wandb),
}


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder within one that is made where it is missing; what is left of it at the end goes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".gencli-", dir=folder))
    signals.before_dying(lambda: shutil.rmtree(made, ignore_errors=True))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
