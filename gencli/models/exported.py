"""Models for other tools: with their preprocessing as one graph, of any number of images, checked before it is written.

Formats: `torch.export`'s archive (.pt2), and ONNX, which the packages onnx and onnxscript make of it.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from gencli.counts import by
from gencli.errors import CheckFailed, GencliError, first_line, require_enough
from gencli.files.provenance import KEY
from gencli.models import Model

DType = Literal["uint8", "float32"]

_COUNTS = (1, 3, 8)  # images that a graph is checked on
_CLOSE = 1e-4  # of the largest output, by which other kernels may differ


class Whole(nn.Module):
    """A network with the preprocessing of its images.

    Attributes:
        network: from what `preprocessing` gives, [n, channels, height, width] float32, to logits [n, classes], to
            images [n, channels, height, width], or, of a learner in closed form, to scores [n, classes].
        shape: height, width, channels of the images.
        classes: their names, by label.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network, self.preprocessing = model.network, model.preprocessing
        self.shape, self.classes, self.title = model.shape, model.classes, model.title
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The network's outputs for images [n, channels, height, width], uint8 or float32, of 0 to 255."""
        height, width, channels = self.shape
        if tuple(images.shape[1:]) != (channels, height, width) or images.dtype not in (torch.uint8, torch.float32):
            given = f"{images.dtype} of {by(images.shape)}".removeprefix("torch.")
            raise GencliError(
                f"{self.title} takes images n×{by((channels, height, width))}, uint8 or float32, not {given}",
                "give them as gencli.Images does, values from 0 to 255; the model preprocesses them itself",
            )
        return self.network(self.preprocessing(images.permute(0, 2, 3, 1)))


def program(whole: Whole, dtype: DType) -> torch.export.ExportedProgram:
    """The graph of a network, from images [n, channels, height, width] of this type and any n.

    Raises:
        GencliError: torch.export cannot follow it.
    """
    images = _images(whole, dtype, 2)
    with _silent(), _refused(whole, "torch.export cannot follow the network"), torch.no_grad():
        return torch.export.export(whole, (images,), dynamic_shapes={"images": {0: torch.export.Dim("n")}})


def archive(whole: Whole, made: torch.export.ExportedProgram, dtype: DType, provenance: str) -> bytes:
    """The bytes of a .pt2; `torch.export.load(file).module()` computes what the network does.

    Raises:
        CheckFailed: it does not.
    """
    place = io.BytesIO()
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)  # which names folders of this machine
    with _silent(), _refused(whole, "torch.export cannot save it"):
        torch.export.save(made, place, extra_files={KEY: provenance})
        place.seek(0)
        again: Any = torch.export.load(place).module()
    _require_same(whole, dtype, again)
    return place.getvalue()


def onnx(
    whole: Whole, made: torch.export.ExportedProgram, dtype: DType, provenance: Callable[[], str]
) -> tuple[bytes, str]:
    """The bytes of an ONNX model from `images` to `outputs`, and by what it was checked, in words.

    Args:
        provenance: gives its text, once the packages are known to be there.

    Raises:
        GencliError: a package is missing, or there is no ONNX for an operation.
        CheckFailed: onnxruntime computes something else from it.
    """
    try:
        import onnxscript  # noqa: F401  # pyright: ignore[reportMissingImports]
        from onnx import ModelProto  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise GencliError(f"--onnx: needs the package {error.name}", "pip install 'gencli[export]'") from None
    names: Any = {"input_names": ["images"], "output_names": ["outputs"], "verbose": False}
    with _silent(), _refused(whole, "there is no ONNX for it"):
        found: Any = torch.onnx.export(made, (_images(whole, dtype, 2),), dynamo=True, **names)
        proto: ModelProto = found.model_proto
    _clean(proto)
    proto.metadata_props.add(key=KEY, value=provenance())
    try:
        content = proto.SerializeToString(deterministic=True)
    except ValueError as error:
        raise GencliError(
            f"{whole.title}: too large for one ONNX file: {first_line(error)}", "use --torch-export"
        ) from error
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        return content, "not checked: onnxruntime is not installed"
    session: Any = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    _require_same(whole, dtype, lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0]))
    return content, f"onnxruntime {onnxruntime.__version__} computes the same"


def _clean(proto: Any) -> None:
    """Leaves out what names this machine, and gives the number of images the name n."""
    graph = proto.graph
    given = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        del value.metadata_props[:]
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == given:
                dimension.dim_param = "n"
    for each in (*graph.initializer, graph, proto):
        del each.metadata_props[:]


def _images(whole: Whole, dtype: DType, count: int) -> torch.Tensor:
    """[count, channels, height, width] drawn uniformly, whole numbers from 0 to 255."""
    height, width, channels = whole.shape
    random = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, channels, height, width), generator=random, dtype=torch.uint8)
    return images if dtype == "uint8" else images.float()


def _require_same(whole: Whole, dtype: DType, other: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Compares what was made with the network on images of several numbers."""
    for count in _COUNTS:
        images = _images(whole, dtype, count)
        with torch.no_grad():
            expected, found = whole(images), other(images)
        apart = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
        if not apart <= _CLOSE * max(1.0, float(expected.abs().max())):
            raise CheckFailed(
                f"{whole.title}: the exported model differs by {apart:g} on {count} images", "please report it"
            )


@contextmanager
def _silent() -> Iterator[None]:
    """Within, no warnings of exporters, which are about their own insides."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _refused(whole: Whole, why: str) -> Iterator[None]:
    """Within, any failure of an exporter is a refusal by the network's name."""
    try:
        yield
    except Exception as error:
        require_enough(error)
        raise GencliError(
            f"{whole.title}: {why}: {first_line(error, 200)}", "use another network, or its state"
        ) from error
