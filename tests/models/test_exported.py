"""Exported models: graphs with their preprocessing compute what the network does, of any number of images."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gencli import models
from gencli.errors import CheckFailed, GencliError
from gencli.files.provenance import KEY
from gencli.models import exported
from gencli.models.inputs import Preprocessing
from tests.pipelines.shell import Shell

ALL = os.environ.get("GENCLI_TEST_ALL")
WHITE = Preprocessing("dataset", None, (0.2, 0.3, 0.4), (0.5, 0.6, 0.7))


def whole(arch: str = "mlp-1x8", side: int = 8, channels: int = 1, pre: Preprocessing | None = None) -> exported.Whole:
    torch.manual_seed(0)
    pre, shape = pre or Preprocessing(), (side, side, channels)
    network = models.build(arch, pre.input_shape(shape), 10)
    model = models.Model(arch, shape, tuple("abcdefghij"), network, preprocessing=pre)
    return exported.Whole(model)


def by_hand(made: exported.Whole, images: torch.Tensor) -> torch.Tensor:
    """Preprocessing in float64, written out, and the network."""
    pixels = images.double() / 255
    if made.preprocessing.whiten == "image":
        flat = pixels.flatten(1)
        deviation = flat.std(1, correction=0, keepdim=True).clamp(min=flat.shape[1] ** -0.5)
        pixels = ((flat - flat.mean(1, keepdim=True)) / deviation).view(images.shape)
    else:
        mean, deviation = (torch.tensor(each).view(1, -1, 1, 1) for each in (WHITE.mean, WHITE.deviation))
        pixels = (pixels - mean) / deviation
    return made.network(pixels.float())


CASES = [("mlp-1x8", 8, 1, None, "uint8"), ("convnet-vanilla", 8, 3, WHITE, "float32")]
MORE = [
    ("mlp-1x8", 9, 1, Preprocessing("image", 4), "float32"), ("inception-small", 16, 3, None, "uint8"),
    ("resnet32", 16, 3, WHITE, "uint8"), ("unet-small", 16, 1, None, "uint8"), ("airbench", 32, 3, None, "uint8"),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "side", "channels", "pre", "dtype"), CASES + MORE if ALL else CASES)
def test_an_archive_computes_what_the_network_does(
    arch: str, side: int, channels: int, pre: Preprocessing | None, dtype: Any
) -> None:
    made = whole(arch, side, channels, pre)
    content = exported.archive(made, exported.program(made, dtype), dtype, "said")
    told: dict[str, Any] = {KEY: ""}
    again: Any = torch.export.load(io.BytesIO(content), extra_files=told).module()
    assert told[KEY] in ("said", b"said")
    images = torch.randint(0, 256, (5, channels, side, side), dtype=torch.uint8).to(getattr(torch, dtype))
    with torch.no_grad():
        torch.testing.assert_close(again(images), made(images), rtol=0, atol=0)
        if pre is None or pre.crop is None:
            torch.testing.assert_close(again(images), by_hand(made, images), rtol=1e-3, atol=1e-4)
        assert again(images[:1]).shape[0] == 1


@pytest.mark.parametrize(("arch", "side", "channels", "pre", "dtype"), CASES + MORE if ALL else CASES[:1])
def test_onnxruntime_computes_what_the_network_does(
    arch: str, side: int, channels: int, pre: Preprocessing | None, dtype: Any
) -> None:
    onnxruntime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    made = whole(arch, side, channels, pre)
    content, said = exported.onnx(made, exported.program(made, dtype), dtype, lambda: "said")
    assert said.startswith("onnxruntime")
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto)
    assert [(each.key, each.value) for each in proto.metadata_props] == [(KEY, "said")]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["n", channels, side, side]
    for count in (1, 5):
        images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8).to(getattr(torch, dtype))
        found = torch.from_numpy(session.run(["outputs"], {"images": images.numpy()})[0])
        torch.testing.assert_close(found, made(images).detach(), rtol=1e-3, atol=1e-4)


class Odd(nn.Module):
    """What no graph can follow: numbers decide what it does."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :10] if float(images.sum()) > 0 else -images.flatten(1)[:, :10]


def test_what_cannot_be_exported_is_refused_by_name() -> None:
    made = whole()
    made.network = Odd()
    with pytest.raises(GencliError, match=r"mlp-1x8: torch\.export cannot follow the network: ") as caught:
        exported.program(made, "uint8")
    assert "another network" in caught.value.hint


def test_a_graph_that_computes_something_else_is_not_written() -> None:
    made = whole()
    with pytest.raises(CheckFailed, match="mlp-1x8: the exported model differs by 1 on 1 images"):
        exported._require_same(made, "uint8", lambda images: made(images) + 1)
    with pytest.raises(CheckFailed, match="differs by nan"):
        exported._require_same(made, "uint8", lambda images: made(images) * torch.nan)


@pytest.mark.parametrize(("factor", "largest"), [(1e-3, 1.0), (1.0, 1.0), (1e3, 1e3)])
def test_outputs_may_differ_by_a_share_of_the_largest_or_of_1(factor: float, largest: float) -> None:
    def outputs(images: torch.Tensor) -> torch.Tensor:
        return factor * torch.tensor([[1.0, -0.5]] * len(images))

    class Made:
        shape, title = (2, 2, 1), "toy"
        __call__ = staticmethod(outputs)

    made: Any = Made()
    exported._require_same(made, "uint8", lambda images: outputs(images) + 0.95e-4 * largest)
    with pytest.raises(CheckFailed, match="toy: the exported model differs by"):
        exported._require_same(made, "uint8", lambda images: outputs(images) - 1.05e-4 * largest)


def test_options_are_checked_before_the_work(tmp_path: Path) -> None:
    sh = Shell(tmp_path)
    sh("touch m; gencli export model m").refused("give exactly one of --onnx and --torch-export")
    sh("gencli export model m --onnx --torch-export").refused("give exactly one of")
    sh("gencli export model m --onnx -o m.pt2").refused("-o: m.pt2: ONNX cannot be written as .pt2")
    sh("gencli export model m --torch-export -o m.safetensors").refused("cannot be written as .safetensors")
    sh("gencli export model m --torch-export -o m.pt2").refused("gencli export model: m: ")
    assert sh.files() == {"m"}
