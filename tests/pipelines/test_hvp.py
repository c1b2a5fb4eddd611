"""`gencli hvp` at the shell: files, the exit status, replayable bytes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.pipelines.shell import Done, Shell, explained, many

REFUSED = {
    "vector short.safetensors": (["--vector", "short.safetensors"], "is missing, but the model's is"),
    "vector wide.safetensors": (["--vector", "wide.safetensors"], "is 1, but the model's is"),
    "vector more.safetensors": (["--vector", "more.safetensors"], "extra is 1, but the model's is not"),
    "vector nan.safetensors": (["--vector", "nan.safetensors"], "numbers that are not finite and real"),
    "no file": (["--vector", "missing.safetensors"], "no such file"),
    "an empty name": (["--vector", "ones,"], "--vector: an empty name"),
    "no number": (["--vector", "random:x"], "'random:x' is not a vector"),
    "no parameter": (["--parameters", "weights"], "none that match 'weights'"),
    "no loss": (["--loss", "cee"], "no loss 'cee'"),
    "an image loss": (["--loss", "l2"], "l2 is for images"),
    "dense and vector": (["--dense", "--vector", "ones"], "cannot be combined"),
    "plot unverified": (["--plot", "a.png", "--no-verify"], "draws what verification finds"),
    "no figure": (["--plot", "a.txt"], "not a .png, .svg or .pdf"),
    "input is output": (["--vector", "v.safetensors", "-o", "v.safetensors"], "the output is the input"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    made = tmp_path_factory.mktemp("hvp")
    weights = {name: tensor.double() for name, tensor in load_file(data / "model.safetensors").items()}
    first = next(iter(weights))
    save_file(weights, made / "v.safetensors")
    save_file({name: each for name, each in weights.items() if name != first}, made / "short.safetensors")
    save_file(weights | {first: torch.zeros(1)}, made / "wide.safetensors")
    save_file(weights | {"extra": torch.zeros(1)}, made / "more.safetensors")
    save_file(weights | {first: weights[first] * torch.nan}, made / "nan.safetensors")
    ends = {f"{number}/{name}": each * number for number in (1, -1) for name, each in weights.items()}
    save_file(ends, made / "top,bottom.safetensors")
    return made


@pytest.fixture(scope="module")
def ends(folder: Path, data: Path) -> dict[str, Done]:
    """One process, torch loaded once: each command's name and how it ended."""
    model = ["hvp", str(data / "model.safetensors"), str(data / "digits.parquet")]
    two = ["--vector", "v.safetensors", "--vector", "gradient", "--dtype", "float64"]
    commands = {
        "two": [*two, "--plot", "two.svg", "-o", "two.safetensors", "-v"],
        "again": [*two, "--plot", "again.svg", "-o", "again.safetensors"],
        "one": ["--vector", "v.safetensors", "-o", "one.safetensors", "--method", "all"],
        "twice": ["--vector", "two.safetensors", "--no-verify", "-o", "twice.safetensors"],
        "dense": ["--parameters", "*.bias", "--dense", "--operator", "ggn", "-o", "dense.safetensors"],
        "eigen": ["--vector", "eigen:1", "--dtype", "float64", "-q", "-o", "eigen.safetensors"],
        "ends": ["--vector", "top,bottom.safetensors", "--vector", "ones,eigen:-1", "--no-verify", "-v", "-o", "ends"],
        "strict": ["--tolerance", "0", "-o", "strict.safetensors"],
        **{name: (more if "-o" in more else [*more, "-o", "x.safetensors"]) for name, (more, _) in REFUSED.items()},
    }
    one = ["--threads", "1"]  # two would wait for each other
    done = many(folder, [[*model, *more, *one] for more in commands.values()])
    return dict(zip(commands, done, strict=True))


def test_products_have_the_parameters_names(folder: Path, data: Path, ends: dict[str, Done]) -> None:
    for name in ("two", "again", "one", "twice", "dense", "eigen"):
        ends[name].worked()
    weights, one, two = (load_file(path) for path in (
        data / "model.safetensors", folder / "one.safetensors", folder / "two.safetensors"
    ))  # fmt: skip
    assert {name: each.shape for name, each in one.items()} == {name: each.shape for name, each in weights.items()}
    assert set(two) == {f"{number}/{name}" for number in (0, 1) for name in weights}
    for name, each in one.items():
        torch.testing.assert_close(each.double(), two[f"0/{name}"], rtol=1e-3, atol=1e-5)
    assert set(load_file(folder / "twice.safetensors")) == set(two)
    matrix = load_file(folder / "dense.safetensors")["ggn"]
    assert matrix.shape == (26, 26)
    torch.testing.assert_close(matrix, matrix.T)


def test_vectors_of_spectra_are_read_by_their_signed_numbers(folder: Path, ends: dict[str, Done]) -> None:
    found = load_file(ends["ends"].worked() and folder / "ends")
    assert {name.partition("/")[0] for name in found} == {"0", "1", "2", "3"}
    for name, each in found.items():
        if name.startswith("0/"):  # of vector -1
            torch.testing.assert_close(each, -found[f"1/{name[2:]}"])
    assert "eigen:-1" in ends["ends"].err


def test_the_same_command_gives_the_same_bytes(folder: Path, ends: dict[str, Done]) -> None:
    for one, other in (("two.safetensors", "again.safetensors"), ("two.svg", "again.svg")):
        assert (folder / one).read_bytes() == (folder / other).read_bytes()
    with safe_open(folder / "two.safetensors", "pt") as file:
        step = json.loads(file.metadata()["gencli"])["step"]
    assert [entry["role"] for entry in step["inputs"]] == ["model", "data", "vector"]
    assert step["arguments"]["vector"] == ["FILE", "gradient"]


def test_findings_go_to_standard_error(ends: dict[str, Done]) -> None:
    for words in (
        "v'Hv / v'v",
        "symmetry",
        "reverse-over-forward",
        "Richardson",
        "kinks, where derivatives jump: relu",
    ):
        assert words in ends["two"].err
    assert "fails" not in ends["two"].err
    assert "not verified" in ends["twice"].err
    assert not ends["eigen"].err


def test_a_disagreement_is_exit_status_1(folder: Path, ends: dict[str, Done]) -> None:
    assert ends["strict"].status == 1, ends["strict"]
    assert "gencli hvp: random:0: " in ends["strict"].err
    assert not (folder / "strict.safetensors").exists()


NETS = """
import torch
from torch import nn

class Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return g * (1 - ctx.saved_tensors[0].tanh().square())

class Scaled(Tanh):
    @staticmethod
    def backward(ctx, g):
        return 1.01 * g * (1 - ctx.saved_tensors[0].tanh().square())

class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
    def forward(self, x):
        return self.function(x)

def net(function):
    return lambda shape, classes: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 6), Of(function), nn.Linear(6, 6), nn.Sigmoid(), nn.Linear(6, classes))

plain, once, wrong = net(torch.tanh), net(Tanh.apply), net(Scaled.apply)
"""


def test_a_wrong_derivative_is_never_written(tmp_path: Path, data: Path) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    digits = str(data / "digits.parquet")
    commands = [["train", digits, "--arch", f"nets:{each}", "--epochs", "2", "-q", "-o", each]
                for each in ("plain", "once", "wrong")]  # fmt: skip
    hvp = {
        "plain-v": ["plain"], "once-v": ["once", "--no-verify"], "once-ggn": ["once", "--operator", "ggn"],
        "asked": ["once", "--method", "double-backward", "--no-verify"],
        "wrong-v": ["wrong", "--no-verify"],
    }  # fmt: skip
    commands += [["hvp", each[0], digits, "--arch", f"nets:{each[0]}", *each[1:], "--limit", "200", "-o", name]
                 for name, each in hvp.items()]  # fmt: skip
    few = ["--top", "1", "--limit", "60"]
    commands += [["spectrum", each, digits, "--arch", f"nets:{each}", *few, "-o", f"{each}.json"]
                 for each in ("plain", "once", "wrong")]  # fmt: skip
    done = many(tmp_path, [[*each, "--threads", "1"] for each in commands])  # two would wait for each other
    assert [each.status for each in done] == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1], done
    assert (tmp_path / "plain").read_bytes() != (tmp_path / "once").read_bytes()  # the name of the network
    for name, each in load_file(tmp_path / "plain-v").items():
        torch.testing.assert_close(load_file(tmp_path / "once-v")[name], each, rtol=1e-4, atol=1e-6)
    for end, words in ((done[6], "--method: double-backward differs by"), (done[7], "the gradient differs by")):
        explained(end.err, words)
    assert not {"asked", "wrong-v", "wrong.json"} & {path.name for path in tmp_path.iterdir()}
    assert "double-backward differs by" in done[9].err
    [plain], [once] = (json.loads((tmp_path / name).read_text()) for name in ("plain.json", "once.json"))
    assert once["value"] == pytest.approx(plain["value"], rel=1e-4)
    assert (plain["route"], once["route"]) == ("double-backward", "finite-difference")
    assert plain["apart"] < 1e-8
    with safe_open(tmp_path / "once-ggn", "pt") as file:
        assert json.loads(file.metadata()["gencli"])["verified"]["route"] == "jacobian"


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str, ends: dict[str, Done]) -> None:
    assert ends[name].status == 2, ends[name]
    explained(ends[name].err, REFUSED[name][1])


def test_too_large_a_matrix_is_said_before_trying(sh: Shell) -> None:
    sh("gencli train $D/digits.parquet --arch mlp-1x4096 --epochs 1 --max-steps 1 -q -o large.safetensors").worked()
    done = sh("gencli hvp large.safetensors $D/digits.parquet --dense -o h.safetensors")
    done.refused("--dense: 307,210 parameters: needs 1,054.8 GiB of memory")  # three of n^2 float32


def test_standard_input_is_one_thing(sh: Shell) -> None:
    sh("gencli hvp - - -o h.safetensors < $D/model.safetensors").refused("two inputs would come from standard input")
