"""What is said of files of others, of many rows, of several files, and what is drawn of weights."""

from __future__ import annotations

import datetime
import io
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from PIL import Image

from gencli import showing
from gencli.cli.app import main
from gencli.errors import GencliError
from gencli.files.stored import tensors
from gencli.files.stream import Input, Output
from gencli.files.tensors import write
from gencli.showing import filters


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(capfd: pytest.CaptureFixture[str], line: str, status: int = 0) -> str:
    assert main(["show", *line.split()]) == status
    captured = capfd.readouterr()
    return captured.out if status == 0 else captured.err


def test_columns_of_many_rows_are_described(here: Path) -> None:
    values = np.random.default_rng(0).normal(size=50_000)
    gaps = pa.array(values, mask=np.arange(len(values)) % 5 == 0)
    wide = np.arange(len(values), dtype=np.uint64) + 2**63
    table = pa.table({"value": values, "gaps": gaps, "wide": wide, "word": ["x"] * len(values), "yes": values > 0})
    pq.write_table(table, "t.parquet", row_group_size=7000)
    found = showing.describe("t.parquet")
    assert found.headline == "Parquet table: 50,000 rows, 5 columns"
    rows = {row["column"]: row for row in found.rows.to_pylist()}
    for name, right in {"value": values, "gaps": values[np.arange(len(values)) % 5 > 0], "yes": values > 0}.items():
        assert rows[name]["mean"] == pytest.approx(right.mean(), rel=1e-9, abs=1e-12)
        assert (rows[name]["least"], rows[name]["greatest"]) == (right.min(), right.max())
    assert rows["gaps"]["missing"] == 10_000
    assert (rows["wide"]["greatest"], rows["wide"]["missing"]) == (None, 0)  # which float64 would round
    assert rows["word"]["mean"] is rows["word"]["missing"] is None
    assert found.json()["rows"][0]["column"] == "value"


STRANGE = {
    "bytes": [b"\x00\x1b[2J", None, b""],
    "dates": [datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), None, None],
    "decimal": [Decimal("1.50"), None, Decimal("-2")],
    "list": [[1.0, float("nan")], [], None],
    "struct": [{"a": 1, "b": b"xy"}, {"a": None, "b": None}, None],
    "nothing": [None, None, None],
    "words\x1b[2J": ["\x1b[31mred", "a\nb", None],
    "half": np.array([0.5, 1, 2], np.float16),
}


def test_values_of_every_type_are_shown_printably(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    table = pa.table(STRANGE)
    table = table.append_column("far", pa.array([2**62, 0, None], pa.timestamp("ms")))
    table = table.append_column("code", pa.array(["x", "y", None]).dictionary_encode())
    table = table.append_column("twice", pa.array([1, 2, 3])).append_column("twice", pa.array([1.5, 2, 3]))
    pq.write_table(table, "t.parquet")
    text = shown(capfd, "t.parquet")
    assert all(line.isprintable() for line in text.splitlines())
    for word in ("5 bytes", "2020-01-01", "1.50", "1 nan", "a: 1, b: 2 bytes", "red", "0.5000"):
        assert word in text, word
    [found] = json.loads(shown(capfd, "t.parquet --format json"))
    assert found["rows"][0]["list"] == [1, "NaN"]
    assert found["provenance"] == []
    for form in ("csv", "md", "parquet"):
        assert main(["show", "t.parquet", "--format", form, "-o", "out"]) == 0


def test_head_reads_no_more_than_it_shows(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = {"bytes": b"x" * 100, "path": None}
    pq.write_table(pa.table({"image": [image] * 300, "size": range(300)}), "t.parquet", row_group_size=100)
    [found] = json.loads(shown(capfd, "t.parquet --head 2 --format json"))
    assert found["rows"] == [{"image": "bytes: 100 bytes, path: None", "size": place} for place in range(2)]
    assert "… 298 more rows" in shown(capfd, "t.parquet --head 2")
    assert "more rows" not in shown(capfd, "t.parquet --head 300")


def test_images_of_others_that_are_no_image_table_are_a_table_that_says_why(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    images = []
    for side in (8, 9):
        page = io.BytesIO()
        Image.new("RGB", (side, side)).save(page, "PNG")
        images.append({"bytes": page.getvalue(), "path": None})
    pq.write_table(pa.table({"image": images, "label": [0, 1]}), "sizes.parquet")
    text = shown(capfd, "sizes.parquet")
    assert text.startswith("Parquet table: 2 rows, 2 columns\nnot an image table  ")
    pq.write_table(pa.table({"image": images, "label": ["a", "b"]}), "words.parquet")
    assert "not an image table  row 1: an image of 9×9×3, the first is 8×8×3" in shown(capfd, "words.parquet")
    content = bytearray((here / "sizes.parquet").read_bytes())
    content[5] ^= 255  # a page header
    (here / "damaged.parquet").write_bytes(content)
    assert "damaged.parquet: " in shown(capfd, "damaged.parquet", 2)


def test_tensors_of_others(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    every = {"b.10": torch.ones(2, 3), "b.9": torch.zeros(0, 4), "s\x1b[2J": torch.tensor(7)}
    every["z"] = torch.tensor([3 + 4j])
    safetensors.torch.save_file(every, "t", {"format": "pt"})
    text = shown(capfd, "t --head 2")
    assert text.startswith("tensors: 4 tensors, 8 values\nformat  pt\n")
    assert all(line.isprintable() for line in text.splitlines())
    assert [line.split()[0] for line in text.splitlines()[5:8]] == ["b.9", "b.10", "s�[2J"]
    [found] = json.loads(shown(capfd, "t --head 2 --format json"))
    assert found["rows"][1] == {
        "tensor": "b.10", "shape": "2×3", "dtype": "float32", "norm": 6**0.5, "least": 1, "greatest": 1,
        "values": [1, 1],
    }  # fmt: skip
    assert found["rows"][0]["norm"] is None
    assert (found["rows"][3]["norm"], found["rows"][3]["values"]) == (5, [3, 4])


@pytest.mark.parametrize(
    ("known", "headline", "facts"),
    [
        (
            {"parameters": 1310, "shape": [8, 8, 1], "classes": ["a", "b"], "class_rows": [7, 1035], "epoch": 3,
             "training": {"arch": "mlp-1x4", "lr": 0.1, "train_accuracy": 0.5}},
            "model mlp-1x4: 1,310 parameters, 2 tensors; images 8×8×1, 2 classes",
            {"trained on": "1,042 rows, 7 to 1,035 per class", "after epoch": 3, "accuracy": {"train_accuracy": 0.5},
             "training": {"lr": 0.1}},
        ),
        (
            {"parameters": 12, "runs": [{"seed": 0, "epoch": 2, "class_rows": [1]}, {"seed": 1, "failed": "nan"}, 3]},
            "3 runs of model mlp-1x4: 12 parameters each, 2 tensors",
            {"each run": ["seed 0 epoch 2", "seed 1 failed nan", "3"], "trained on": None, "accuracy": None},
        ),
        ({"class_rows": ["7"]}, "model mlp-1x4: 2 tensors", {"trained on": None, "each run": None}),
    ],
)  # fmt: skip
def test_a_model_is_described(known: Any, headline: str, facts: Any, here: Path, capfd: Any) -> None:
    with Output("m.safetensors") as output:
        write(output, {"a": torch.ones(2), "b": torch.ones(3)}, {"architecture": "mlp-1x4", **known})
    [found] = json.loads(shown(capfd, "m.safetensors --format json"))
    assert (found["kind"], found["headline"]) == ("model", headline)
    assert found["facts"] == found["facts"] | facts


def test_several_files(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        safetensors.torch.save_file({name: torch.ones(2)}, f"{name}.safetensors")
    pq.write_table(pa.table({"x": [1]}), "x.parquet")
    assert [line for line in shown(capfd, "*.safetensors x.parquet").splitlines() if line[:1] == "#"] == [
        "# a.safetensors", "# b.safetensors", "# x.parquet",
    ]  # fmt: skip
    lines = shown(capfd, "b.safetensors a.safetensors --format csv").splitlines()
    assert [line.split(",")[:2] for line in lines] == [
        ["file", "tensor"],
        ["b.safetensors", "b"],
        ["a.safetensors", "a"],
    ]
    assert "a.safetensors: tensors, but x.parquet: Parquet table" in shown(
        capfd, "*.safetensors x.parquet --format csv", 2
    )
    assert len(json.loads(shown(capfd, "*.safetensors x.parquet --format json"))) == 3
    assert "--sheet draws one file, not 2" in shown(capfd, "*.safetensors --sheet a.png", 2)
    assert "x.parquet: no image table and no model: nothing" in shown(capfd, "x.parquet --sheet a.png", 2)
    assert not (here / "a.png").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty, not Parquet, safetensors"),
        (b"# A heading\n\nwords, and more\n", "not Parquet, safetensors"),
        (b"| a | b |\n", "not Parquet, safetensors"),
        (b"<html>, \n", "not Parquet, safetensors"),
        (b"a,b\n1\n", "line 2: 1 cells, but the header has 2"),
        (b"a,a\n1,2\n", "two columns have the same name, 'a'"),
        (b"[1, 2]", "row 0: 1 is not an object"),
        (b'[{"a": 1}', "Expecting"),
        (b"[" * 100_000, "nested too deep"),
        (b"\x10\0\0\0\0\0\0\0{}", "not safetensors, or cut short"),
        (b"PAR1", "cut short, no Parquet footer"),
        (b"\x89PNG\r\n\x1a\n", "not a whole PNG of gencli's"),
        (b"%PDF-1.4", "not a whole PDF of gencli's: cut short"),
        (b"%PDF-1.4 %%EOF", "PDF without provenance"),
        (b"<svg></svg>", "SVG without provenance"),
        (b"<svg><dc:description>{}</dc:description></svg>", "SVG without provenance"),
        (b"\x80\x04\x95", "not Parquet, safetensors"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_by_name(here: Path, content: bytes, words: str, capfd: Any) -> None:
    (here / "x").write_bytes(content)
    said = shown(capfd, "x", 2).splitlines()
    assert len(said) == 2
    assert said[0].startswith("gencli show: x: ")
    assert words in said[0]


def test_csv_keeps_whole_numbers_and_words(here: Path) -> None:
    (here / "t.csv").write_text("id,name,loss,ok\n9223372036854775807,a,nan,True\n-3,1,-inf,False\n,\\u001b[2J,,\n")
    found = showing.describe("t.csv").rows.to_pylist()
    assert found[0]["id"] == 2**63 - 1
    assert [row["name"] for row in found] == ["a", "1", "\x1b[2J"]
    assert [row["ok"] for row in found] == [True, False, None]
    assert str([row["loss"] for row in found]) == "[nan, -inf, None]"


MODEL = {"architecture": "mlp", "shape": [2, 3, 1], "preprocessing": {"crop": None}}


def drawn(path: Path, every: dict[str, torch.Tensor], known: dict[str, Any], columns: int = 4) -> np.ndarray:
    safetensors.torch.save_file(every, path)
    source = Input(str(path))
    page = filters.picture(source, tensors(source)[0], known, columns)("{}")
    return np.asarray(Image.open(io.BytesIO(page)))


def test_weights_are_drawn_where_their_pixels_lie(tmp_path: Path) -> None:
    weight = torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [1.0] * 6])
    page = drawn(tmp_path / "t", {"1.weight": weight, "1.bias": torch.ones(2)}, MODEL)
    row = page[-22]  # through the second line of the tiles
    runs = [value for place, value in enumerate(row[:, 0]) if place == 0 or value != row[place - 1, 0]]
    assert runs == [255, 128, 0, 255], "gray, gray, black of the first unit; the second is white"
    colors = drawn(tmp_path / "c", {"0.weight": torch.eye(3).reshape(3, 3, 1, 1)}, MODEL | {"shape": [4, 4, 3]})
    assert {tuple(color) for color in colors.reshape(-1, 3).tolist()} >= {
        (255, 128, 128),
        (128, 255, 128),
        (128, 128, 255),
    }


def test_the_first_layer_is_the_one_that_looks_at_pixels(tmp_path: Path) -> None:
    every = {"10.weight": torch.ones(8, 5, 3, 3), "9.weight": torch.ones(5, 1, 3, 3), "1.scale": torch.ones(5)}
    safetensors.torch.save_file(every, tmp_path / "t")
    source = Input(str(tmp_path / "t"))
    assert filters._first_layer(source, tensors(source)[0], MODEL).tensor.name == "9.weight"
    for known in ({}, MODEL | {"shape": [2, 3, 2]}, MODEL | {"shape": ["x"]}, MODEL | {"preprocessing": ["x"]}):
        only = {"1.weight": torch.ones(4, 7), "2.weight": torch.ones(3, 9, 2, 2)}
        with pytest.raises(GencliError, match="no weights are of pixels"):
            drawn(tmp_path / "u", only, known)
    with pytest.raises(GencliError, match=r"1\.weight: weights that are not finite"):
        drawn(tmp_path / "v", {"1.weight": torch.full((4, 6), float("nan"))}, MODEL)
    runs = drawn(tmp_path / "w", {"1.weight": torch.ones(3, 4, 6)}, MODEL | {"runs": {"seed": [0, 1, 2]}})
    assert runs.shape[1] > 4 * 64


NUMBERS = torch.arange(1.0, 541.0)  # of which each tells its place
DENSE = "units of a dense layer, each 2x3x1"
FILTERS = "filters of a convolution, each 2x2x"
ORDER = "a unit's weights of the pixels, in the order "
GRAY, LINES = "gray is 0, white {0}, black -{0}, the largest of those drawn", "height, width, channels"
COLOR = "in each color half is 0, full {0}, none -{0}, the largest of those drawn"


@pytest.mark.parametrize(
    ("shape", "known", "tiles", "caption"),
    [
        ((40, 6), {}, NUMBERS[:240].view(40, 2, 3, 1), [f"40 {DENSE}", ORDER + LINES, GRAY.format(240)]),
        (
            (41, 6), {}, NUMBERS[:240].view(40, 2, 3, 1),
            [f"the first 40 of 41 {DENSE}", ORDER + LINES, GRAY.format(240)],
        ),
        (
            (2, 4), {"preprocessing": {"crop": 2}, "shape": [9, 9, 1]}, NUMBERS[:8].view(2, 2, 2, 1),
            ["2 units of a dense layer, each 2x2x1", ORDER + LINES, GRAY.format(8)],
        ),
        ((2, 6), {"preprocessing": {"crop": 0}}, NUMBERS[:12].view(2, 2, 3, 1), [
            f"2 {DENSE}", ORDER + LINES, GRAY.format(12)
        ]),
        (
            (2, 12), {"architecture": "nets:net", "shape": [2, 2, 3]},
            NUMBERS[:24].view(2, 3, 2, 2).permute(0, 2, 3, 1),
            ["2 units of a dense layer, each 2x2x3", f"{ORDER}channels, height, width", COLOR.format(24)],
        ),
        ((2, 6), {"architecture": "nets:net"}, NUMBERS[:12].view(2, 2, 3, 1), [
            f"2 {DENSE}", ORDER + LINES, GRAY.format(12)
        ]),
        (
            (2, 12), {"shape": [2, 2, 3]}, NUMBERS[:24].view(2, 2, 2, 3),
            ["2 units of a dense layer, each 2x2x3", ORDER + LINES, COLOR.format(24)],
        ),
        (
            (3, 2, 6), {"runs": [1, 2, 3]}, NUMBERS[:12].view(2, 2, 3, 1),
            ["2 units of a dense layer, of the first of 3 runs, each 2x3x1", ORDER + LINES, GRAY.format(12)],
        ),
        ((5, 3, 2, 2), {"shape": [4, 4, 3]}, NUMBERS[:60].view(5, 3, 2, 2).permute(0, 2, 3, 1), [
            f"5 {FILTERS}3", COLOR.format(60)
        ]),
        (
            (2, 2, 4, 2, 2), {"shape": None, "runs": [1, 2]}, NUMBERS[:32].view(2, 4, 2, 2).permute(0, 2, 3, 1),
            ["2 filters of a convolution, of the first of 2 runs, each 2x2x4", GRAY.format(32),
             "the first of 4 channels, as gray"],
        ),
        ((6,), {}, NUMBERS[:6].view(1, 2, 3, 1), [
            "1 direction that pixels are projected on, each 2x3x1", GRAY.format(6)
        ]),
        ((12,), {"architecture": "nets:net", "shape": [2, 2, 3]}, NUMBERS[:12].view(1, 2, 2, 3), [
            "1 direction that pixels are projected on, each 2x2x3", COLOR.format(12)
        ]),
    ],
)  # fmt: skip
def test_filters_are_drawn_as_the_layer_orders_its_pixels(
    shape: tuple[int, ...], known: dict[str, Any], tiles: torch.Tensor, caption: list[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Four beside each other, ten below; other tensors, of no pixels or no fractions, come before it."""
    found: list[Any] = []
    monkeypatch.setattr(filters.sheet, "weights", lambda *given: found.append(given) or b"")
    every = {
        "0": torch.ones(shape, dtype=torch.int64), "1": torch.ones(shape, dtype=torch.bool), "2": torch.ones(0, 6),
        "3": torch.ones(7), "a": NUMBERS[: math.prod(shape)].view(shape), "b": torch.ones(shape),
    }  # fmt: skip
    safetensors.torch.save_file(every, tmp_path / "t")
    source = Input(str(tmp_path / "t"))
    filters.picture(source, sorted(tensors(source)[0], key=lambda each: each.name), MODEL | known, 4)("made")
    ((drawn, columns, largest, said, made),) = found
    assert drawn.tolist() == tiles.tolist()
    assert (columns, largest, made) == (4, tiles.max(), "made")
    name, sides = (MODEL | known)["architecture"], "x".join(map(str, shape))
    assert said == [f"{name}: a, {sides}", *caption]


def test_other_filters_have_four_channels_at_most(tmp_path: Path) -> None:
    every = {"a": torch.ones(2, 5, 1, 1)}
    with pytest.raises(GencliError, match="no weights are of pixels"):
        drawn(tmp_path / "t", every, {})
    assert drawn(tmp_path / "t", every | {"b": torch.ones(2, 4, 1, 1)}, {}).any()
