"""Tensors in safetensors files, and what gencli says in their metadata.

All metadata is JSON under the one key `gencli`: the format's own map has no order, so that two keys would give other
bytes from run to run. Reading never imports code or unpickles anything that a file names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gencli import machine
from gencli.errors import GencliError, require_enough
from gencli.files import provenance, seals, stored
from gencli.files.stream import Input, Output

if TYPE_CHECKING:
    import torch

KEY = "gencli"
WITHOUT_FLOAT64 = {"mps"}  # devices
UNAWAITED = {"cuda"}  # devices that copy memory of the CPU before the call returns, and need not be waited for


def write(output: Output, tensors: dict[str, torch.Tensor], metadata: dict[str, Any]) -> None:
    """Writes tensors (any device, any strides) under their names."""
    import safetensors.torch

    text = provenance.dumps({"seal": seals.BLANK, **metadata})
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    seals.write_tensors(output, safetensors.torch.save(plain, {KEY: text}))


def double(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64; on the CPU if the device has no float64."""
    return (tensor.cpu() if tensor.device.type in WITHOUT_FLOAT64 else tensor).double()


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor, which lies on the CPU, on a device; a GPU goes on with what it does meanwhile."""
    return tensor.to(device, non_blocking=device.type in UNAWAITED)


def read_metadata(source: Input, hint: str = "give a model that `gencli train` wrote") -> dict[str, Any]:
    """The metadata that gencli wrote with the tensors.

    Raises:
        GencliError: not safetensors, cut short, or not written by gencli; `hint` says what to give.
    """
    header, _ = stored.header(source, hint)
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


def read(source: Input) -> dict[str, torch.Tensor]:
    """The tensors by name, on the CPU."""
    import safetensors.torch

    hint = "make the file again"
    metadata = stored.header(source, hint)[0].get("__metadata__")
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
