"""`gencli spectrum` at the shell: the numbers against a dense float64 decomposition, files, checkpoints, refusals."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from scipy.sparse.linalg import eigsh
from torch import nn

from gencli import models
from gencli.curvature.operators import Operator
from gencli.files.stream import Input
from gencli.losses.classes import CrossEntropy
from gencli.models import inputs
from gencli.sources import open_table
from tests.pipelines.shell import Shell, explained, finish, many, wait_for

NET = """
from torch import nn
def net(shape, classes):
    sizes = [shape[0] * shape[1] * shape[2], 50, 50, 50, classes]
    layers = [nn.Linear(i, o, bias=False) for i, o in zip(sizes[1:], sizes[2:])]
    front = nn.Linear(sizes[0], 50, bias=False).requires_grad_(False)
    return nn.Sequential(nn.Flatten(), front, layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
"""
TOP = ["--top", "5", "--bottom", "2", "--trace", "--trace-products", "10"]
FILES = ["--density", "density.parquet", "--density-probes", "2", "--density-steps", "10", "--vectors", "vectors",
         "--along", "along.json", "--along-points", "5", "--figure", "figure.svg"]  # fmt: skip


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Shell:
    folder = tmp_path_factory.mktemp("spectrum")
    (folder / "nets.py").write_text(NET)
    shell = Shell(folder, data)
    shell("gencli train $D/digits.parquet --arch nets:net --epochs 5 -q -o net").worked()
    return shell


def dense(model: str, folder: Path, rows: int) -> torch.Tensor:
    """Eigenvalues of the Hessian, descending, by reverse over reverse in float64."""
    read = models.read(Input(str(folder / model)))
    table = inputs.load(open_table(str(folder / "digits.parquet"))).select(torch.arange(rows))
    network: nn.Module = read.network.double()
    names, shapes = zip(*((name, each.shape) for name, each in network.named_parameters()), strict=True)
    weights = torch.cat([each.detach().reshape(-1) for each in network.parameters()])
    pixels = read.preprocessing(table.images).double()

    def loss(w: torch.Tensor) -> torch.Tensor:
        parts = w.split([shape.numel() for shape in shapes])
        named = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        logits = torch.func.functional_call(network, named, (pixels,))
        return nn.functional.cross_entropy(logits, table.labels)

    return torch.linalg.eigvalsh(torch.func.jacrev(torch.func.grad(loss))(weights)).flip(0)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 2e-5), ("float64", 1e-11)])
def test_eigenvalues_are_those_of_a_dense_decomposition(sh: Shell, data: Path, dtype: str, error: float) -> None:
    words = f"--top 6 --trace --trace-products 40 --condition --limit 60 --dtype {dtype} -q -o found.json"
    sh(f"gencli spectrum $D/model.safetensors $D/digits.parquet {words}").worked()
    rows = json.loads((sh.folder / "found.json").read_text())
    expected = dense("model.safetensors", data, 60)
    values = {row["index"]: row["value"] for row in rows if row["quantity"] == "eigenvalue"}
    assert list(values) == [1, 2, 3, 4, 5, 6, -1]
    for index, value in values.items():
        place = index - 1 if index > 0 else index
        assert value == pytest.approx(expected[place].item(), rel=error, abs=error * expected[0].item())
    assert len({row["products"] for row in rows if row["index"]}) == 1
    (trace,) = [row for row in rows if row["quantity"] == "trace"]
    assert abs(trace["value"] - expected.sum().item()) <= 3 * trace["standard_error"]
    (condition,) = [row for row in rows if row["quantity"] == "condition at least"]
    assert 1 < condition["value"] <= (expected.abs().max() / expected.abs().min()).item() * 1.01


def test_a_net_of_5500_parameters(shell: Shell, data: Path) -> None:
    """50-50-50-10 without biases: eigenvalues and trace against its full Hessian."""
    words = "--arch nets:net --limit 20 --dtype float64 --top 5 --trace -q -o net.json"
    shell(f"gencli spectrum net $D/digits.parquet {words}").worked()
    rows = json.loads((shell.folder / "net.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(shell.folder))
        model = models.read(Input(str(shell.folder / "net")), "nets:net")
    table = inputs.load(open_table(str(data / "digits.parquet"))).select(torch.arange(20))
    operator = Operator(model, table, CrossEntropy(), dtype=torch.float64, batch_size=20)
    assert operator.size == 5500
    matrix = operator.dense()
    top = eigsh(matrix.numpy(), 5, which="LA", return_eigenvectors=False)  # a tenth of eigvalsh's time
    assert [row["value"] for row in rows[:5]] == pytest.approx(sorted(top, reverse=True), rel=1e-11)
    assert abs(rows[5]["value"] - matrix.trace().item()) <= 3 * rows[5]["standard_error"]


def test_files(shell: Shell, data: Path) -> None:
    given = ["spectrum", str(data / "model.safetensors"), str(data / "digits.parquet"), "-q", "--threads", "1"]
    commands = [
        [*given, *TOP, *FILES, "-o", "table.parquet"],
        [*given, *TOP, "-o", "again.parquet"],
        [*given, "--top", "5", "--bottom", "2", "--operator", "ggn", "-o", "ggn.json"],
        [*given, "--top", "5", "--bottom", "2", "--operator", "fisher", "-o", "fisher.json"],
        [*given, "--operator", "empirical-fisher", "--parameters", "*bias", "-o", "default.json"],
        [*given, "--max-products", "12", "-o", "short.json"],
    ]
    *worked, short = many(shell.folder, commands)
    assert all(done.status == 0 for done in worked), worked
    assert short.status == 1
    assert (shell.folder / "table.parquet").read_bytes() == (shell.folder / "again.parquet").read_bytes()
    rows = pq.read_table(shell.folder / "table.parquet").to_pylist()
    columns = ["quantity", "index", "value", "residual", "standard_error", "products", "route", "apart"]
    assert list(rows[0]) == columns
    density = pq.read_table(shell.folder / "density.parquet").to_pydict()
    assert density["eigenvalue"][0] < rows[6]["value"]
    assert min(density["density"]) >= 0
    vectors = load_file(shell.folder / "vectors")
    assert {name.partition("/")[0] for name in vectors} == {"1", "2", "3", "4", "5", "-1", "-2"}
    first = torch.cat([each.reshape(-1) for name, each in vectors.items() if name.startswith("1/")])
    assert first.norm().item() == pytest.approx(1, abs=1e-5)
    along = json.loads((shell.folder / "along.json").read_text())
    assert [row["distance"] for row in along[:5]] == [-0.5, -0.25, 0, 0.25, 0.5]
    assert len({row["loss"] for row in along if row["distance"] == 0}) == 1
    assert b"<svg" in (shell.folder / "figure.svg").read_bytes()
    ggn, fisher = (json.loads((shell.folder / name).read_text()) for name in ("ggn.json", "fisher.json"))
    for one, other in zip(ggn, fisher, strict=True):
        assert one["value"] == pytest.approx(other["value"], rel=1e-4, abs=1e-5)
    default = json.loads((shell.folder / "default.json").read_text())
    assert [row["index"] for row in default] == list(range(1, 11))


def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(sh: Shell) -> None:
    command = "gencli spectrum $D/model.safetensors $D/digits.parquet --top 5 --trace --density d --threads 1"
    sh(f"{command} -q -o whole && mv d whole-density").worked()
    process = sh.start(f"exec {command} --checkpoint saved --checkpoint-every 1 --resume -o out")
    wait_for(sh.folder, "saved", process)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.status == 130
    assert "--resume continues from there" in done.err
    resumed = sh(f"{command} --checkpoint saved --resume -o out").worked()
    assert "saved: resumed after product" in resumed.err
    assert (sh.folder / "out").read_bytes() == (sh.folder / "whole").read_bytes()
    assert (sh.folder / "d").read_bytes() == (sh.folder / "whole-density").read_bytes()
    sh(f"{command} --seed 1 --checkpoint saved --resume -o out").refused("saved: a checkpoint of another run: --seed")


def test_what_cannot_be_computed_is_refused(sh: Shell, data: Path) -> None:
    sh("python -c \"import pyarrow.parquet as pq; t = pq.read_table('$D/digits.parquet'); "
       "pq.write_table(t.slice(0, 0), 'none.parquet')\"").worked()  # fmt: skip
    model, digits = str(data / "model.safetensors"), str(data / "digits.parquet")
    refused = {
        "--top: 2000 eigenvalues, but the matrix has 1210": [model, digits, "--top", "2000"],
        "--parameters: mlp-1x16 has none that match 'conv*'": [model, digits, "--parameters", "conv*"],
        "--loss: no loss 'cee'": [model, digits, "--loss", "cee"],
        "--loss: l2 is for images": [model, digits, "--loss", "l2"],
        "--operator: fisher is defined for the softmax": [model, digits, "--operator", "fisher", "--loss", "focal"],
        "not safetensors": [digits, digits],
        "none.parquet: no rows": [model, "none.parquet"],
        "--figure: nothing to draw": [model, digits, "--figure", "figure.png"],
        "--figure: figure.gif: not a .png": [model, digits, "--density", "d", "--figure", "figure.gif"],
        "--vectors: no eigenvectors are computed": [model, digits, "--trace", "--vectors", "v"],
        "--resume needs a checkpoint": [model, digits, "--resume"],
        "--density-width: 0 is out of range": [model, digits, "--density", "d", "--density-width", "0"],
        "--density-width: 1e-20 is finer than": [model, digits, "--density", "d", "--density-width", "1e-20"],
        "--basis: 3 vectors for 10 eigenpairs": [model, digits, "--basis", "3"],
    }
    ends = many(sh.folder, [["spectrum", *words, "-o", "out"] for words in refused.values()])
    for message, end in zip(refused, ends, strict=True):
        assert end.status == 2, (message, end)
        explained(end.err, message)
    assert not (sh.folder / "out").exists()
    sh("gencli spectrum - < $D/model.safetensors").refused("two inputs would come from standard input")
