"""Histories as trackers have them, read back by the trackers' own libraries where these are installed."""

from __future__ import annotations

import math
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from gencli.cli import signals
from gencli.errors import GencliError
from gencli.reporting import trackers
from gencli.reporting.documents import Document, read_all
from tests.reporting.made import history, result, save, training

LOSSES = [1.5, 0.75, math.nan]


@pytest.fixture
def documents(tmp_path: Path) -> list[Document]:
    """One run, and two of one training, whose provenance has a number, a truth, a text and nothing."""
    one = history(tmp_path / "one.parquet", training(0.5, nesterov=True, ema=None), train_loss=LOSSES)
    rows = pa.table({"run": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "train_loss": [4.0, 3.0, 2.0, 1.0],
                     "test_loss": [None, 0.5, None, 0.25], "seconds": [1.0, 2.0, 1.0, 2.0]})  # fmt: skip
    made = replace(training(lr=0.5, runs=2, seed=7), output="history")
    return [one, *read_all([str(save(tmp_path / "two.parquet", rows, made))])]


NAMES = {"one", "two-run0", "two-run1"}


def test_runs_have_the_parameters_of_their_own_training(documents: list[Document]) -> None:
    one, first, second = trackers.runs(documents)
    assert {one.name, first.name, second.name} == NAMES
    assert one.parameters["corruption"] == "random-labels p=0.5"
    assert (one.parameters["data"], one.parameters["nesterov"], "ema" in one.parameters) == (
        "digits train",
        True,
        False,
    )
    assert [each.parameters["seed"] for each in (first, second)] == [7, 8]
    assert [values for _, _, values in second.steps][1] == {"train_loss": 1.0, "test_loss": 0.25, "seconds": 2.0}
    assert [epoch for epoch, *_ in one.steps] == [1, 2, 3]
    assert second.steps[1][1] - second.started == pytest.approx(3.0)


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("a/h.parquet", "b/h.parquet", "b/g.parquet"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        history(tmp_path / place, training())
    read = read_all([str(tmp_path / place) for place in ("a/h.parquet", "b/h.parquet", "b/g.parquet")])
    assert [run.name for run in trackers.runs(read)] == ["a-h", "b-h", "b-g"]
    for place in ("a h.parquet", "a:h.parquet"):
        history(tmp_path / place, training())
    read = read_all([str(tmp_path / place) for place in ("a h.parquet", "a:h.parquet")])
    assert [run.name for run in trackers.runs(read)] == ["a-h-0", "a-h-1"]


def test_a_run_ends_when_its_file_was_written_and_started_as_many_seconds_before_as_its_epochs_took(
    tmp_path: Path,
) -> None:
    seconds: Any = [1.0, None, 2.0]
    document = history(tmp_path / "h.parquet", training(), seconds=seconds)
    os.utime(document.file, (5_000_000, 1_000_000))
    (run,) = trackers.runs([document])
    assert [now for _, now, _ in run.steps] == [999_998, 999_998, 1_000_000]
    assert run.started == 999_997
    assert trackers.Run("untimed", {}, [(1, 5.0, {"train_loss": 1.0})]).started == 5.0


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GencliError, match="a result, no history"):
        trackers.runs([result(tmp_path / "r.parquet", training(), [0.5])])
    with pytest.raises(GencliError, match="no tracker 'neptune'") as wrong:
        trackers.write("neptune", "x", [])
    assert wrong.value.hint == "known: tensorboard, mlflow, wandb-offline"
    for tracker in ("tensorboard", "wandb-offline"):
        with pytest.raises(GencliError, match=rf"^--to {tracker}: s3://b/x: an address$"):
            trackers.write(tracker, "s3://b/x", [])
    for tracker, module, package in (
        ("tensorboard", "tensorboard", "tensorboard"),
        ("mlflow", "mlflow", "mlflow-skinny"),
        ("wandb-offline", "wandb", "wandb"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(GencliError, match=f"{module} is not installed") as wrong:
            trackers.write(tracker, str(tmp_path / "place"), [])
        assert wrong.value.hint == f"pip install {package}"
    assert not (tmp_path / "place").exists()


def test_what_is_written_aside_goes_and_the_folder_stays(tmp_path: Path) -> None:
    for _ in range(2):
        with trackers._aside(tmp_path / "a/b") as aside:
            assert aside.parent == tmp_path / "a/b"
            (aside / "half").touch()
            aside.rename(tmp_path / "done")  # then there is nothing left to remove
            signals._undo[-1]()
        (tmp_path / "done/half").unlink()
        (tmp_path / "done").rmdir()
        with trackers._aside(tmp_path / "a/b") as aside:
            (aside / "half").touch()
        assert [*tmp_path.rglob("*")] == [tmp_path / "a", tmp_path / "a/b"]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_reads_the_same(documents: list[Document], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-not-found]

    place = tmp_path / "board"
    assert trackers.write("tensorboard", str(place), trackers.runs(documents)) == f"tensorboard --logdir {place}"
    assert {each.name for each in place.iterdir()} == NAMES
    read = EventAccumulator(str(place / "one"))
    read.Reload()
    scalars = read.Scalars("train_loss")
    assert [each.step for each in scalars] == [1, 2, 3]
    assert [each.value for each in scalars] == pytest.approx(LOSSES, nan_ok=True)
    assert "session_start_info" in str(read.PluginTagToContent("hparams"))
    second = EventAccumulator(str(place / "two-run1"))
    second.Reload()
    assert [(each.step, each.value) for each in second.Scalars("test_loss")] == [(2, 0.25)]
    with pytest.raises(GencliError, match="one: exists"):
        trackers.write("tensorboard", str(place), trackers.runs(documents))
    assert {each.name for each in place.iterdir()} == NAMES


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_has_the_parameters_at_the_start_and_each_epoch_at_its_end(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # type: ignore[import-not-found]

    trackers.write("tensorboard", str(tmp_path), [RUNS[0]])
    (file,) = (tmp_path / "a").iterdir()
    _, *events = EventFileLoader(str(file)).Load()  # the first tells the version of the format
    assert [(each.step, each.wall_time) for each in events] == [(0, 2.5), (1, 3.0), (2, 4.5)]


RUNS = [
    trackers.Run("a", {f"p{n}": n for n in range(101)}, [(1, 3.0, {"seconds": 0.5}), (2, 4.5, {"train_loss": 0.25})]),
    trackers.Run("b", {"lr": 0.1}, [(1, 8.0, {f"m{n}": n / 2 for n in range(1001)})]),
]


class Client:
    """MLflow's, as far as it is used: what it was asked to write is in `asked`."""

    asked: list[tuple[Any, ...]]
    there: SimpleNamespace | None

    def __init__(self, tracking_uri: str) -> None:
        self.asked.append(("at", tracking_uri))

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        assert name == "gencli"
        return self.there

    def create_experiment(self, name: str) -> str:
        self.asked.append(("experiment", name))
        return "new"

    def create_run(self, experiment: str, start: int, run_name: str) -> SimpleNamespace:
        self.asked.append(("run", experiment, start, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id=f"id of {run_name}"))

    def log_batch(self, run: str, params: list[Any] | None = None, metrics: list[Any] | None = None) -> None:
        if run == self.fails:
            raise RuntimeError("the server is gone\nmore")
        self.asked.append(("params", run, params) if metrics is None else ("metrics", run, metrics))

    def set_terminated(self, run: str, end_time: int) -> None:
        self.asked.append(("end", run, end_time))

    def delete_run(self, run: str) -> None:
        self.asked.append(("delete", run))

    fails = ""


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> type[Client]:
    """The client of a library that is not there."""

    class Fresh(Client):
        asked, there = [], None

    for name, module in (
        ("mlflow", ModuleType("mlflow")),
        ("mlflow.entities", SimpleNamespace(Param=lambda *all: all, Metric=lambda *all: all)),
        ("mlflow.tracking", SimpleNamespace(MlflowClient=Fresh)),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    return Fresh


def test_mlflow_gets_parameters_and_metrics_in_pieces_and_times_in_milliseconds(mlflow: type[Client]) -> None:
    said = trackers.write("mlflow", "sqlite:///runs.db", RUNS)
    assert said == "mlflow ui --backend-store-uri sqlite:///runs.db, experiment gencli"
    params = [(f"p{n}", str(n)) for n in range(101)]
    many = [(f"m{n}", n / 2, 8000, 1) for n in range(1001)]
    assert mlflow.asked == [
        ("at", "sqlite:///runs.db"),
        ("experiment", "gencli"),
        ("run", "new", 2500, "a"),
        ("params", "id of a", params[:100]),
        ("params", "id of a", params[100:]),
        ("metrics", "id of a", [("seconds", 0.5, 3000, 1), ("train_loss", 0.25, 4500, 2)]),
        ("end", "id of a", 4500),
        ("run", "new", 8000, "b"),
        ("params", "id of b", [("lr", "0.1")]),
        ("metrics", "id of b", many[:1000]),
        ("metrics", "id of b", many[1000:]),
        ("end", "id of b", 8000),
    ]


def test_runs_of_an_experiment_that_is_there_go_to_it_and_all_go_where_one_fails(mlflow: type[Client]) -> None:
    mlflow.there = SimpleNamespace(experiment_id="old")
    assert trackers.write("mlflow", "https://host:80", RUNS) == "https://host:80, experiment gencli"
    assert [each[1] for each in mlflow.asked if each[0] == "run"] == ["old", "old"]
    mlflow.fails = "id of b"
    with pytest.raises(GencliError, match=r"^--to mlflow /runs: the server is gone$"):
        trackers.write("mlflow", "/runs", RUNS)
    assert mlflow.asked[-3:] == [("run", "old", 8000, "b"), ("delete", "id of a"), ("delete", "id of b")]


@pytest.mark.parametrize("place", ["/runs", "file:///runs"])
def test_folders_of_mlflow_are_shown_where_they_are_allowed(place: str, mlflow: type[Client]) -> None:
    said = f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {place}, experiment gencli"
    assert trackers.write("mlflow", place, []) == said
    assert mlflow.asked == [("at", place), ("experiment", "gencli")]


def test_libraries_are_kept_from_telling_of_their_use_unless_they_were_asked_to(
    mlflow: type[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "WANDB_ERROR_REPORTING", "WANDB_SILENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "mine")
    trackers.write("mlflow", "/runs", [])
    assert os.environ["DO_NOT_TRACK"] == os.environ["MLFLOW_DISABLE_TELEMETRY"] == os.environ["WANDB_SILENT"] == "true"
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    assert os.environ["MLFLOW_ALLOW_FILE_STORE"] == "mine"


@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_the_same(documents: list[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient  # type: ignore[import-not-found]

    place = str(tmp_path / "runs")
    said = trackers.write("mlflow", place, trackers.runs(documents))
    assert said == f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {place}, experiment gencli"
    client = MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name("gencli")
    found = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert found.keys() == NAMES
    assert found["two-run1"].data.params["seed"] == "8"
    kept = client.get_metric_history(found["one"].info.run_id, "train_loss")
    assert [(each.step, each.value) for each in kept][:2] == [(1, 1.5), (2, 0.75)]
    assert found["one"].info.status == "FINISHED"
    monkeypatch.setattr(MlflowClient, "log_batch", lambda *_, **__: 1 / 0)
    with pytest.raises(GencliError, match="division by zero"):
        trackers.write("mlflow", place, trackers.runs(documents))
    assert len(client.search_runs([experiment.experiment_id])) == len(NAMES)


@pytest.mark.filterwarnings("ignore")
def test_an_offline_run_of_wandb_reads_the_same(documents: list[Document], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    trackers.write("wandb-offline", str(tmp_path), trackers.runs(documents))
    files = [*tmp_path.glob("wandb/offline-run-*/*.wandb")]
    runs = dict(map(_of_wandb, files))
    assert runs.keys() == NAMES
    assert [row["train_loss"] for row in runs["two-run1"]] == ["2", "1"]
    assert [row["_step"] for row in runs["one"]] == ["1", "2", "3"]
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_offline_runs_of_wandb_tell_nothing_of_the_machine_and_join_those_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def init(dir: str, project: str, name: str, config: dict[str, Any], settings: dict[str, Any]) -> SimpleNamespace:
        asked.append((project, name, config, settings))
        number = len(list(tmp_path.glob("*/offline-run-*"))) + len(list(Path(dir).glob("*/*")))
        (Path(dir) / f"wandb/offline-run-{number}").mkdir(parents=True)
        (Path(dir) / "wandb/latest-run").touch()
        return SimpleNamespace(
            log=lambda row, step: asked.append((row, step)), finish=lambda: asked.append(f"end of {name}")
        )

    wandb: Any = ModuleType("wandb")
    wandb.Settings, wandb.init, wandb.teardown = dict, init, lambda: asked.append("down")
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    place = tmp_path / "runs"
    said = f"wandb sync {place}/wandb/offline-run-*"
    assert trackers.write("wandb-offline", str(place), [RUNS[0]]) == said
    quiet = {"mode": "offline", "console": "off", "silent": True, "x_disable_stats": True, "x_disable_meta": True,
             "disable_git": True, "disable_code": True}  # fmt: skip
    assert asked == [
        ("gencli", "a", RUNS[0].parameters, quiet),
        ({"seconds": 0.5, "epoch": 1}, 1),
        ({"train_loss": 0.25, "epoch": 2}, 2),
        "end of a",
        "down",
    ]
    (place / "wandb/offline-run-0").rename(place / "wandb/offline-run-mine")
    trackers.write("wandb-offline", str(place), [RUNS[0]])
    found = sorted(str(each.relative_to(place)) for each in place.rglob("*"))
    assert found == ["wandb", "wandb/offline-run-0", "wandb/offline-run-mine"]


def _of_wandb(path: Path) -> tuple[str, list[dict[str, str]]]:
    """The name of the run in a file, and its rows."""
    from wandb.proto import wandb_internal_pb2  # type: ignore[import-not-found]

    name, rows = "", []
    for each in _records(path.read_bytes()):
        record: Any = wandb_internal_pb2.Record()
        record.ParseFromString(each)
        if record.WhichOneof("record_type") == "run":
            name = record.run.display_name
        if record.WhichOneof("record_type") == "history":
            rows.append({"".join(item.nested_key) or item.key: item.value_json for item in record.history.item})
    return name, rows


def _records(data: bytes) -> Iterator[bytes]:
    """Those of a log in LevelDB's format: blocks of 32 KiB, the first of which starts with seven bytes of W&B's."""
    place, part = 7, b""
    while place + 7 <= len(data):
        if (left := -place % 32768) < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        part += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield part
            part = b""
