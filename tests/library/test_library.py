"""What `import gencli` offers: the values of the files, lazily, with errors of two lines; in a notebook too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gencli
from gencli.errors import GencliError
from gencli.models.inputs import load
from gencli.sources import open_table
from tests.pipelines.shell import Shell

NOTEBOOK = Path(__file__).with_name("first_look.ipynb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, corrupted digits, models of one and of two runs, a history and a result."""
    made = tmp_path_factory.mktemp("library")
    Shell(made)(
        """
        set -e
        gencli data digits --limit 300 -q -o digits.parquet
        gencli corrupt random-labels -p 0.5 digits.parquet -q -o noisy.parquet
        gencli corrupt gaussian-noise --sigma 9 --clean-target digits.parquet -q -o targets.parquet
        gencli train digits.parquet --arch mlp-1x16 --epochs 2 --history history.parquet -q -o model.safetensors
        gencli train digits.parquet --arch mlp-1x16 --epochs 1 --runs 2 --history runs.csv -q -o runs.safetensors
        gencli eval model.safetensors digits.parquet -o result.parquet
        """
    ).worked()
    return made


def test_the_notebook_runs(folder: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [each for cell in cells for each in cell.outputs if each.get("name") == "stderr"]
    shown = [output.get("text") or output["data"]["text/plain"] for cell in cells for output in cell.outputs]
    assert shown[0] == "(['id', 'image', 'label'], 300)"
    assert shown[1].startswith("{'epoch': [1, 2], 'train_accuracy': [")
    assert shown[2] == "((300, 1, 8, 8), torch.uint8, 10)"
    accuracy = gencli.read_table(folder / "result.parquet")["accuracy"][-1].as_py()
    assert float(shown[3]) == pytest.approx(accuracy, abs=1e-12)
    assert shown[4] == "True"
    assert shown[5].splitlines()[0] == "GencliError"
    assert len(shown[5].splitlines()) == 3


def test_nothing_is_loaded_before_it_is_used(folder: Path) -> None:
    script = """
import sys
import gencli
print([name for name in ("numpy", "pyarrow", "torch", "typer") if name in sys.modules])
gencli.read_table("digits.parquet"), gencli.history("history.parquet"), gencli.how("model.safetensors")
print("torch" in sys.modules, [name for name in dir(gencli) if not name.startswith("_")])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    names = ["Images", "history", "how", "load_model", "read_table"]
    assert done.stdout.splitlines()[0] == "[]"
    assert done.stdout.splitlines()[1].startswith(f"False {names!r}"), done


def test_tables_are_what_their_files_hold(folder: Path) -> None:
    noisy = gencli.read_table(folder / "noisy.parquet")
    assert noisy.column_names == ["id", "image", "label", "label_true"]
    assert (
        b"".join(noisy["image"].to_pylist()) == load(open_table(str(folder / "noisy.parquet"))).images.numpy().tobytes()
    )
    assert gencli.read_table(folder / "result.parquet").num_rows == 11
    runs = gencli.history(folder / "runs.csv")
    assert runs.column_names[0] == "run"
    assert runs["run"].to_pylist() == [0, 1]
    assert gencli.read_table(folder / "runs.csv") == runs


def test_images_are_pairs_with_what_their_table_has(folder: Path) -> None:
    images, table = gencli.Images(folder / "noisy.parquet"), gencli.read_table(folder / "noisy.parquet")
    image, label = images[7]
    assert len(images) == 300
    assert image.permute(1, 2, 0).numpy().tobytes() == table["image"][7].as_py()
    assert label == table["label"][7].as_py()
    assert images.labels_true is not None
    assert images.labels_true.tolist() == table["label_true"].to_pylist()
    assert images.ids is not None
    assert images.ids.tolist() == table["id"].to_pylist()
    pairs = gencli.Images(folder / "targets.parquet")
    target = pairs[3][1]
    assert isinstance(target, torch.Tensor)
    assert torch.equal(target, gencli.Images(folder / "digits.parquet")[3][0])


@pytest.mark.parametrize("name", ["model", "runs"])
def test_a_model_computes_what_eval_does(name: str, folder: Path) -> None:
    model = gencli.load_model(folder / f"{name}.safetensors", run=1 if name == "runs" else None)
    images = gencli.Images(folder / "digits.parquet")
    assert not model.training
    with torch.no_grad():
        outputs = model(images.images)
        floats = model(images.images.float())
    pixels = images.images.permute(0, 2, 3, 1).double() / 255  # whitened by hand, in float64
    flat = pixels.flatten(1)
    white = (flat - flat.mean(1, keepdim=True)) / flat.std(1, correction=0, keepdim=True).clamp(min=64**-0.5)
    expected = model.network.double()(white.view(-1, 8, 8, 1).permute(0, 3, 1, 2))
    torch.testing.assert_close(outputs.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(floats, outputs, rtol=1e-5, atol=1e-6)


def refused(function: object, *arguments: object, **named: object) -> str:
    with pytest.raises(GencliError) as caught:
        function(*arguments, **named)  # type: ignore[operator]
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("  ")
    return lines[0]


def test_what_is_refused_has_two_lines(folder: Path) -> None:
    leave = os._exit
    assert "no such file" in refused(gencli.read_table, folder / "nosuch.parquet")
    assert "no such file" in refused(gencli.Images, folder / "nosuch.parquet")
    assert "not a history" in refused(gencli.history, folder / "result.parquet")
    assert "2 networks" in refused(gencli.load_model, folder / "runs.safetensors")
    with pytest.raises(GencliError, match="choose one: run=0 to 1") as caught:
        gencli.load_model(folder / "runs.safetensors")
    assert caught.value.hint == "choose one: run=0 to 1"
    with pytest.raises(GencliError, match=r"run: .* has 2 networks, 0 to 1\n  omit run, or choose another"):
        gencli.load_model(folder / "runs.safetensors", run=2)
    assert "no module 'nosuch'" in refused(gencli.load_model, folder / "model.safetensors", arch="nosuch:f")
    assert "no module 'nosuch'" in refused(gencli.load_model, folder / "model.safetensors", plugin="nosuch")
    assert "no provenance" in refused(gencli.how, NOTEBOOK)
    model = gencli.load_model(folder / "model.safetensors")
    with pytest.raises(GencliError, match="n×1×8×8, uint8 or float32, not uint8 of 2×8×8×1"):
        model(torch.zeros(2, 8, 8, 1, dtype=torch.uint8))
    with pytest.raises(GencliError, match="not float64"):
        model(torch.zeros(2, 1, 8, 8, dtype=torch.float64))
    assert os._exit is leave
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gencli.nothing
    assert json.loads(NOTEBOOK.read_text())["nbformat"] == 4
    assert model(torch.zeros(1, 1, 8, 8)).isfinite().all()  # a black image
