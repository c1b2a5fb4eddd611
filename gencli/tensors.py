"""Tensors in safetensors files, and what gencli says in their metadata.

All metadata is JSON under the one key `gencli`: the format's own map has no order, so that two keys would give other
bytes from run to run. Reading never imports code or unpickles anything that a file names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gencli.errors import GencliError
from gencli.stream import Input, Output

if TYPE_CHECKING:
    import torch

KEY = "gencli"


def write(output: Output, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Writes tensors (any device, any strides) under their names."""
    import safetensors.torch

    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    output.write(safetensors.torch.save(plain, {KEY: text}))


def read_metadata(source: Input) -> dict[str, Any]:
    """What gencli wrote about the tensors.

    Raises:
        GencliError: not safetensors, cut short, or not gencli's.
    """
    hint = "give a model that `gencli train` wrote"
    if source.size == 0:
        source.expect("safetensors", b"{")
    source.file.seek(0)
    length = int.from_bytes(source.file.read(8), "little")
    try:
        header = json.loads(source.file.read(length)) if 2 <= length <= min(source.size - 8, 100_000_000) else None
        ends = [entry["data_offsets"][1] for name, entry in (header or {}).items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        header, ends = None, []
    if not isinstance(header, dict):
        raise GencliError(f"{source.name}: not safetensors, or cut short", hint)
    if 8 + length + max(ends, default=0) != source.size:
        raise GencliError(f"{source.name}: cut short: {source.size} bytes do not hold its tensors", hint)
    try:
        metadata = json.loads(header["__metadata__"][KEY])
    except (KeyError, TypeError, ValueError):
        raise GencliError(f"{source.name}: safetensors that gencli did not write", hint) from None
    return metadata


def read(source: Input) -> dict[str, torch.Tensor]:
    """The tensors by name, on the CPU."""
    import safetensors.torch

    source.file.seek(0)
    try:
        return safetensors.torch.load(source.file.read())
    except Exception as error:  # the library's own error type lies in a private module
        raise GencliError(f"{source.name}: not safetensors: {error}", "make the file again") from None
