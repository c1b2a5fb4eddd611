"""`gencli export model`: a network for other tools."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gencli.cli.options import ModelFile, OwnArch, command, single
from gencli.files import endings

app = single()


@command(app, "model")
def model(
    file: ModelFile,
    *,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX.")] = False,
    torch_export: Annotated[bool, typer.Option("--torch-export", help="Write a .pt2 of torch.export.")] = False,
    dtype: Annotated[
        Literal["uint8", "float32"], typer.Option(help="Type of the input images; values are 0 to 255 either way.")
    ] = "uint8",
    run: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Of a model of several runs, use run K, from 0.")
    ] = None,
    arch: OwnArch = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Output file. Default: standard output."),
        endings.EXPORTED,
    ] = None,
) -> None:
    """Export a model with its preprocessing, as ONNX or for torch.export.

    Reads a model; writes one graph from images [n, channels, height, width], of any n and as an image table holds
    them, to the network's outputs [n, classes]: crop, division by 255 and whitening are part of it. Before it is
    written it is loaded again and compared with the network on random images, ONNX by onnxruntime where that is
    installed. A network that cannot be exported is refused.

    ONNX needs the packages of the extra export: pip install 'gencli[export]'. How the file was made is in the ONNX
    model's metadata, or the archive's extra files, under gencli.provenance.

    \b
    Example:
      gencli data digits | gencli train --arch mlp-1x16 --epochs 1 -o digits.safetensors
      gencli export model digits.safetensors --torch-export -o digits.pt2
    """
    from gencli.errors import GencliError
    from gencli.files.stream import require_writable

    if onnx == torch_export:
        raise GencliError("give exactly one of --onnx and --torch-export", "they are the formats")
    (endings.ONNX if onnx else endings.PT2).require("-o", output)
    require_writable(output)

    from gencli import models
    from gencli.cli import console, outputs
    from gencli.commands import opening
    from gencli.files import provenance
    from gencli.files.stream import Output
    from gencli.models import exported

    outputs.refuse_terminal(output, "model")
    if arch is not None:
        models.require(arch)
    source, read = models.open_file(file, arch, run)
    form = "onnx" if onnx else "torch_export"
    made = {form: True, "dtype": dtype, "run": run}
    packages = ["onnx", "onnxscript"] if onnx else []
    whole = exported.Whole(read)
    graph = exported.program(whole, dtype)

    def text() -> str:
        return provenance.encode(opening.step("export model", made, [source], [read], [], (), packages)).decode()

    if onnx:
        content, said = exported.onnx(whole, graph, dtype, text)
    else:
        content, said = exported.archive(whole, graph, dtype, text()), "it computes the same once it is loaded"
    with Output(output, [source]) as place:
        place.write(content)
    console.message(f"{read.title}: {said}")
