"""Tensors in safetensors files, and what gencli says in their metadata.

All metadata is JSON under the one key `gencli`: the format's own map has no order, so that two keys would give other
bytes from run to run. Reading never imports code or unpickles anything that a file names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gencli import machine
from gencli.errors import GencliError, require_enough
from gencli.files import provenance, seals
from gencli.files.stream import Input, Output

if TYPE_CHECKING:
    import torch

KEY = "gencli"
WITHOUT_FLOAT64 = {"mps"}  # devices
_HEADER = 16 << 20  # bytes that any header may have, and beyond that as many as the tensors
_LONGEST_HEADER = 100_000_000  # the format's own limit


def write(output: Output, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Writes tensors (any device, any strides) under their names."""
    import safetensors.torch

    text = provenance.dumps({"seal": seals.BLANK, **metadata})
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seals.write_tensors(output, safetensors.torch.save(plain, {KEY: text}))


def double(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64; on the CPU if the device has no float64."""
    return (tensor.cpu() if tensor.device.type in WITHOUT_FLOAT64 else tensor).double()


def read_metadata(source: Input) -> dict[str, Any]:
    """The metadata that gencli wrote with the tensors.

    Raises:
        GencliError: not safetensors, cut short, or not written by gencli.
    """
    hint = "give a model that `gencli train` wrote"
    header = _header(source, hint)
    try:
        text = header["__metadata__"][KEY]
    except (KeyError, TypeError):
        raise GencliError(f"{source.name}: safetensors that gencli did not write", hint) from None
    try:
        facts = provenance.decode(text)
    except (ValueError, TypeError) as error:
        raise GencliError(f"{source.name}: corrupt metadata: {error}", hint) from None
    seals.require(source, "safetensors", seals.place_in_header(source), ours=True)
    return {name: value for name, value in facts.items() if name != "seal"}


def _header(source: Input, hint: str) -> dict[str, Any]:
    """What stands before the tensors: their types, shapes and places, and the metadata."""
    if source.size == 0:
        source.expect("safetensors", b"{")
    for start, kind in ((b"PAR1", "a table"), (b"PARE", "encrypted Parquet")):
        if source.starts(start):
            raise GencliError(f"{source.name}: {kind}, not safetensors", hint)
    length = int.from_bytes(source.peek(0, 8), "little")
    try:
        if not 2 <= length <= min(source.size - 8, _LONGEST_HEADER):
            raise ValueError("no header of that length")
        if length > max(_HEADER, source.size - 8 - length):
            what = f"a header of {length:,} bytes before {source.size - 8 - length:,} of tensors"
            raise GencliError(f"{source.name}: {what}", hint)
        header = provenance.parse(source.peek(8, length))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = max((entry["data_offsets"][1] for entry in tensors), default=0)
        if any(math.prod(side or 1 for side in entry["shape"]) >= 1 << 63 for entry in tensors):
            raise ValueError("a shape that no tensor has")
        cut = 8 + length + end != source.size
    except (ValueError, KeyError, TypeError, IndexError):
        raise GencliError(f"{source.name}: not safetensors, or cut short", hint) from None
    if cut:
        raise GencliError(f"{source.name}: cut short: {source.size} bytes are too few for its tensors", hint)
    return header


def read(source: Input) -> dict[str, torch.Tensor]:
    """The tensors by name, on the CPU."""
    import safetensors.torch

    hint = "make the file again"
    metadata = _header(source, hint).get("__metadata__")
    ours = isinstance(metadata, dict) and KEY in metadata
    seals.require(source, "safetensors", seals.place_in_header(source), ours)
    machine.require_memory(2 * source.size, source.name, "use a smaller one")
    source.file.seek(0)
    try:
        return safetensors.torch.load(source.file.read())
    except KeyError as error:
        raise GencliError(f"{source.name}: torch has no tensors of type {error}", "convert them first") from None
    except Exception as error:  # the library's own error type lies in a private module
        require_enough(error)
        raise GencliError(f"{source.name}: not safetensors: {error}", hint) from None
