"""`gencli jacobian` of networks at the shell: files, the exit status, replayable bytes, and what is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from gencli import models
from gencli.cli import app
from gencli.files.stream import Input
from gencli.models import inputs
from gencli.sources import open_table
from tests.helpers import steps
from tests.pipelines.shell import Done, Shell, explained, many

FAULTY = """
import torch
from torch import nn
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()
    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (1 - x.tanh().square()) * 1.001
class Net(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.into, self.out = nn.Linear(inputs, 5), nn.Linear(5, classes)
    def forward(self, images):
        return self.out(Scaled.apply(self.into(images.flatten(1))))
class Solve(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.matrix = nn.Parameter(torch.randn(5, 5) / 9)
    def forward(self, images):
        return self.out(torch.linalg.solve(torch.eye(5) + self.matrix, self.into(images.flatten(1)).tanh().T).T)
def net(shape, classes):
    return Net(shape[0] * shape[1] * shape[2], classes)
class Volumes(Net):
    def __init__(self, inputs, classes):
        super().__init__(inputs, classes)
        self.into, self.fold, self.out = nn.Linear(inputs, 8), nn.Conv3d(1, 2, 2, padding=1), nn.Linear(54, classes)
        self.pair = nn.Bilinear(8, 8, 8)
    def forward(self, images):
        hidden = self.into(images.flatten(1)).tanh()
        hidden = torch.cdist(self.pair(hidden, hidden)[:, None], torch.zeros(1, 1, 8)) + hidden[:, None]
        return self.out(self.fold(hidden.view(-1, 1, 2, 2, 2)).flatten(1))
def volumes(shape, classes):
    return Volumes(shape[0] * shape[1] * shape[2], classes)
def solve(shape, classes):
    return Solve(shape[0] * shape[1] * shape[2], classes)
"""
REFUSED = {
    "a formula too": (["-f", "x", "--at", "1"], "--at: applies to formulas, but a model is given"),
    "a trace": (["--trace", "forward"], "--trace: applies to formulas"),
    "a loss of outputs": (["--loss", "focal"], "--loss: applies only to the loss"),
    "an unknown loss": (["--of", "loss", "--loss", "cee"], "no loss 'cee'"),
    "parameters of the input": (["--parameters", "*.bias"], "--parameters: derivatives are with respect to the input"),
    "no parameter": (["--wrt", "parameters", "--parameters", "w"], "none that match 'w'"),
    "no folder": (["--summary", "nowhere/x.csv"], "nowhere/x.csv: cannot be written"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jacobian")


@pytest.fixture(scope="module")
def ends(folder: Path, data: Path) -> dict[str, Done]:
    """One process, torch loaded once: each command's name and how it ended."""
    (folder / "nets.py").write_text(FAULTY)
    digits, given = str(data / "digits.parquet"), [str(data / "model.safetensors"), str(data / "digits.parquet")]
    train = ["train", digits, "--arch", "nets:net", "--epochs", "1", "-q", "-o"]
    own = ["own.safetensors", digits, "--arch", "nets:net", "--limit", "9", "--wrt", "parameters"]
    learned = ["learned.safetensors", digits, "--limit", "5"]
    commands = {
        "train": [*train, "own.safetensors"],
        "fit": ["fit", "least-squares", digits, "-q", "-o", "learned.safetensors"],
        "input": ["-v", "jacobian", *given, "--verify", "--summary", "input.json", "-o", "input.safetensors"],
        "again": ["jacobian", *given, "-q", "-o", "again.safetensors"],
        "loss": ["jacobian", *given, "--of", "loss", "--wrt", "parameters", "--limit", "20", "-o", "loss.safetensors"],
        "table": ["jacobian", *given, "--of", "loss", "--dtype", "float64", "--verify", "-o", "table.json"],
        "faulty": ["jacobian", *own, "--verify", "-o", "faulty.safetensors"],
        "unverified": ["jacobian", *own, "-q", "--summary", "x.csv", "-o", "unverified.safetensors"],
        "solve": ["train", digits, "--arch", "nets:solve", "--epochs", "1", "-q", "-o", "solve.safetensors"],
        **{
            mode: [
                "jacobian",
                "solve.safetensors",
                digits,
                "--arch",
                "nets:solve",
                "--limit",
                "9",
                "--mode",
                mode,
                "-o",
                f"{mode}.json",
            ]
            for mode in ("forward", "reverse")
        },
        "volumes": [
            "train",
            digits,
            "--arch",
            "nets:volumes",
            "--epochs",
            "1",
            "--precision",
            "auto",
            "-o",
            "volumes.safetensors",
        ],
        "of volumes": [
            "jacobian",
            "volumes.safetensors",
            digits,
            "--arch",
            "nets:volumes",
            "--limit",
            "9",
            "-o",
            "v.json",
        ],
        "lacking": ["jacobian", *own, "--mode", "forward", "-o", "lacking.safetensors"],
        "learner": ["jacobian", *learned, "--verify", "-o", "learner.safetensors"],
        "a learner's loss": ["jacobian", *learned, "--of", "loss", "-o", "x.safetensors"],
        "a learner's curvature": ["hvp", *learned[:2], "--loss", "ce", "-o", "x.safetensors"],
        "no model": ["jacobian", "-f", "x", "--at", "1", "--wrt", "input", "-o", "x.json"],
        **{name: ["jacobian", *given, *more, "-o", "x.safetensors"] for name, (more, _) in REFUSED.items()},
    }
    return dict(zip(commands, many(folder, list(commands.values())), strict=True))


def test_jacobians_are_those_of_torch(folder: Path, data: Path, ends: dict[str, Done]) -> None:
    for name in ("train", "fit", "input", "again", "loss", "table", "learner"):
        ends[name].worked()
    model, table = models.read(Input(str(data / "model.safetensors"))), open_table(str(data / "digits.parquet"))
    rows = inputs.load(table)
    images = model.preprocessing(rows.images)
    found = load_file(folder / "input.safetensors")["input"]
    assert found.shape == (300, 10, 1, 8, 8)
    expected = torch.func.vmap(torch.func.jacrev(lambda image: model.network(image[None])[0]))(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    gradients = load_file(folder / "loss.safetensors")
    loss = torch.nn.functional.cross_entropy(model.network(images[:20]), rows.labels[:20])
    for name, parameter in model.network.named_parameters():
        (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True)
        torch.testing.assert_close(gradients[name].mean(0), gradient, rtol=1e-4, atol=1e-6)
    norms = [row["norm"] for row in json.loads((folder / "input.json").read_text())]
    assert norms == pytest.approx(expected.flatten(1).norm(dim=1).tolist(), rel=1e-5)


def test_the_same_command_gives_the_same_bytes(folder: Path, ends: dict[str, Done]) -> None:
    assert ends
    assert (folder / "input.safetensors").read_bytes() == (folder / "again.safetensors").read_bytes()
    with safe_open(folder / "input.safetensors", "pt") as file:
        step = json.loads(file.metadata()["gencli"])["step"]
    assert [entry["role"] for entry in step["inputs"]] == ["model", "data"]
    assert (step["arguments"]["of"], step["arguments"]["wrt"]) == ("logits", "input")
    assert "loss" not in step["arguments"]
    assert step["checked"] == "3 rows compared with differences in float64, all with reverse mode without vmap"


def test_tables_say_norms_ranks_and_singular_values(folder: Path, ends: dict[str, Done]) -> None:
    assert ends
    rows = json.loads((folder / "input.json").read_text())
    assert list(rows[0])[:4] == ["id", "label", "norm", "rank"]
    assert list(rows[0])[-1] == "singular_value_10"
    for row in rows[:20]:
        values = [row[f"singular_value_{number}"] for number in range(1, 11)]
        assert values == sorted(values, reverse=True)
        assert row["norm"] == pytest.approx(sum(value**2 for value in values) ** 0.5, rel=1e-6)
    losses = json.loads((folder / "table.json").read_text())
    assert list(losses[0]) == ["id", "label", "loss", "norm", "rank", "singular_value_1"]
    assert "norm" in ends["input"].err
    assert "20 numbers compared with differences in float64: 20 hold" in ends["input"].err
    assert not ends["again"].err


def test_faults_are_found_and_fallbacks_are_said(folder: Path, ends: dict[str, Done]) -> None:
    for name in ("faulty", "unverified"):
        assert ends[name].status == 1
        explained(ends[name].err, "differences confirm no derivatives, so nothing is written: reverse mode is wrong")
        assert not (folder / f"{name}.safetensors").exists()
    assert not list(folder.glob("*.csv"))
    explained(ends["lacking"].err, "--mode: forward is not available for nets:net")
    assert not (folder / "lacking.safetensors").exists()
    assert (
        ends["forward"]
        .worked()
        .err.startswith(
            "in forward mode row by row, which is slower: torch.func.vmap in forward mode is wrong for nets:solve: row "
        )
    )
    assert not ends["reverse"].worked().err
    forward, reverse = (json.loads((folder / f"{mode}.json").read_text()) for mode in ("forward", "reverse"))
    assert [row["norm"] for row in forward] == pytest.approx([row["norm"] for row in reverse], rel=1e-5)


def test_layers_that_are_dangerous_work(ends: dict[str, Done]) -> None:
    """Five dimensions, no bfloat16, and distances whose batching rule is wrong."""
    said = ends["volumes"].worked().err
    assert "precision float32, " in said  # whether or not there are instructions for bf16
    assert "vmap in reverse mode is wrong" in ends["of volumes"].worked().err


def test_learners_have_jacobians_in_their_own_precision(folder: Path, ends: dict[str, Done]) -> None:
    found = load_file(folder / "learner.safetensors")["input"]
    assert found.dtype == torch.float64
    weight = load_file(folder / "learned.safetensors")["weight"]
    assert torch.allclose(found.flatten(2), weight.expand(5, -1, -1), rtol=1e-12)
    for name in ("a learner's loss", "a learner's curvature"):
        explained(ends[name].err, "gives scores without a loss")


@pytest.mark.parametrize("name", [*REFUSED, "no model"])
def test_what_does_not_fit_is_refused(name: str, ends: dict[str, Done]) -> None:
    assert ends[name].status == 2, ends[name]
    explained(ends[name].err, REFUSED[name][1] if name in REFUSED else "--wrt: applies to networks, but no model")


def test_it_works_in_a_pipe_and_its_provenance_is_a_command(sh: Shell) -> None:
    sh("cp $D/*.parquet $D/model.safetensors . && gencli data digits --limit 30 | gencli jacobian model.safetensors -q "
       "--of loss > piped.parquet").worked()  # fmt: skip
    command = next(line for line in steps(sh.folder / "piped.parquet") if line.startswith("gencli jacobian"))
    assert "--of loss --wrt input" in command
    digits = "gencli data digits --limit 30 -q -o digits.parquet"
    again = shlex.join([*shlex.split(command), "-o", "again.parquet", "model.safetensors", "digits.parquet"])
    sh(f"{digits} && {again}").worked()
    assert (sh.folder / "again.parquet").read_bytes() == (sh.folder / "piped.parquet").read_bytes()
    sh("gencli jacobian - < model.safetensors").refused("two inputs would come from standard input")


@pytest.mark.parametrize(("file", "held"), [("x.safetensors", 20), ("x.csv", 1)])
def test_matrices_beyond_memory_are_refused_and_norms_hold_those_of_one_row(
    file: str, held: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Three copies of 10 x 64 float64 a row."""
    given = ["jacobian", str(data / "model.safetensors"), str(data / "digits.parquet"), "--limit", "20", "-q"]
    given += ["--dtype", "float64", "-o", str(tmp_path / file)]
    needed: list[tuple[int, str]] = []
    monkeypatch.setattr("gencli.machine.require_memory", lambda need, what, *_: needed.append((need, what)))
    assert app.main(given) == 0
    assert (3 * held * 10 * 64 * 8, f"--limit: {held} rows") in needed
