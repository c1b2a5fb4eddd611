"""Every file that a command writes is shown for what it is: the files are those of the real commands."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len

from gencli import showing
from gencli.cli import console, outputs
from gencli.cli.app import command_tree, main
from gencli.errors import GencliError
from gencli.files import endings

LINES = """
data digits --limit 60 -o digits.parquet
data digits --split test --limit 40 -o test.parquet
corrupt random-labels -p 0.5 digits.parquet -o noisy.parquet
data where label<>label_true noisy.parquet -o wrong.parquet
data export digits.parquet --encode png -o hub.parquet
train noisy.parquet --arch mlp-1x4 --epochs 2 --eval-data test.parquet -o model --history history.parquet --checkpoint c --dynamics dynamics.parquet
train noisy.parquet --arch mlp-1x4 --epochs 1 --runs 2 -o several --history runs.parquet
train noisy.parquet --arch mlp-1x4 --epochs 1 --runs 4 --subset 0.5 -o parts --dynamics of-parts.parquet
score of-parts.parquet parts noisy.parquet --fitted-at 0 --test test.parquet --influence pairs.parquet -o scores.parquet
score --judge scores.parquet -o judged.parquet
how model -o how.sh
fit least-squares digits.parquet -o learner
eval model test.parquet -o result.parquet --predictions predictions.parquet --confusion confusion.parquet
eval model test.parquet noisy.parquet -o results.parquet --confusion confusions.parquet
eval model --measures -o measures.parquet
hvp model test.parquet --vector random:1 -o product
jacobian -f x*y -f x^2 --at 1,2 -o formulas.safetensors
jacobian -f x*y --at 1,2 -o formulas.parquet
jacobian -f x*y --at 1,2 --trace reverse -o trace.parquet
jacobian model test.parquet --limit 2 -o network.safetensors --summary norms.parquet
spectrum model test.parquet --top 1 --tolerance 0.1 --density density.parquet --density-steps 5 --density-probes 2 --vectors vectors --along along.parquet --checkpoint s --checkpoint-every 2 -o spectrum.parquet
spectrum --kernel ntk:1 test.parquet --limit 9 --energy energy.parquet --descent descent.parquet -o alignment.parquet
check prox-step -o claims.parquet
train noisy.parquet --arch mlp-1x4 --epochs 1 --runs 6 --eval-data test.parquet -o six --history six.parquet
eval six noisy.parquet --measures -o six-measures.parquet
rank six-measures.parquet six.parquet -o ranks.parquet
fit kernel --kernel laplace:1 --solver cg --checkpoint k --checkpoint-every 1 digits.parquet -o kernel
bound compression model noisy.parquet --subspace 5 --epochs 1 --certificate code -o bound.parquet
bound verify code noisy.parquet -o verified.parquet
show noisy.parquet -o statistics.parquet --sheet sheet.png
report history.parquet -o report.parquet --figure curves.png
report history.parquet --figure curves.svg -o again.parquet
report history.parquet --figure curves.pdf -o again.parquet
report digits.parquet noisy.parquet --contact-sheet contact.png
how model --tree -o how.txt
hvp model test.parquet --shard 0/2 -o part-0
hvp model test.parquet --shard 1/2 -o part-1
sum part-0 part-1 -o summed
export model model --torch-export -o graph.pt2
recipe demo --engine make -o jobs.mk
""".strip().splitlines()  # noqa: E501

KINDS = {
    "digits.parquet": "image table", "noisy.parquet": "image table", "wrong.parquet": "image table",
    "hub.parquet": "image table", "model": "model", "learner": "model", "several": "model",
    "history.parquet": "history",
    "parts": "model", "of-parts.parquet": "dynamics of training",
    "scores.parquet": "scores by row", "pairs.parquet": "influence of rows on test rows",
    "judged.parquet": "judgement of scores",
    "dynamics.parquet": "dynamics of training", "runs.parquet": "history", "c": "checkpoint of training",
    "s": "checkpoint of a spectrum", "k": "checkpoint of a fit", "kernel": "model", "six": "model",
    "six.parquet": "history", "six-measures.parquet": "measures of a network", "ranks.parquet": "ranking of measures",
    "result.parquet": "result by class", "results.parquet": "result by class",
    "predictions.parquet": "predictions", "confusion.parquet": "confusion matrix",
    "confusions.parquet": "confusion matrix", "measures.parquet": "measures of a network",
    "product": "products of the hessian with vectors", "part-0": "part 0/2 of products of the hessian with vectors",
    "part-1": "part 1/2 of products of the hessian with vectors", "summed": "products of the hessian with vectors",
    "formulas.safetensors": "Jacobian of formulas",
    "formulas.parquet": "Jacobian of formulas", "trace.parquet": "evaluation trace of formulas",
    "network.safetensors": "Jacobian of logits by input", "norms.parquet": "norms of a network's Jacobian",
    "spectrum.parquet": "eigenvalues", "density.parquet": "spectral density",
    "along.parquet": "losses along eigenvectors", "vectors": "eigenvectors of a network's curvature",
    "alignment.parquet": "alignment of labels with a kernel", "energy.parquet": "labels' energy along eigenvectors",
    "descent.parquet": "gradient descent on a kernel",
    "code": "certificate (compression)", "bound.parquet": "bound of an error rate",
    "verified.parquet": "verification of a certificate",
    "claims.parquet": "claims", "statistics.parquet": "statistics of an image table",
    "report.parquet": "table of gencli report", "curves.svg": "SVG picture", "curves.pdf": "PDF picture",
    "sheet.png": "PNG picture", "curves.png": "PNG picture", "contact.png": "PNG picture",
}  # fmt: skip
TABLES = [name for name, kind in KINDS.items() if name.endswith(".parquet") and kind != "image table"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in LINES:
            assert main([*line.split(), "-q"]) == 0, line
        yield folder


def writing() -> Iterator[tuple[str, str]]:
    """The commands, by their first word, and those of their options that name a file to be written but for figures.

    Figures are all written by one function, in three formats.
    """

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if hasattr(command, "list_commands"):
            for name in command.list_commands(None):
                yield from walk(command.get_command(None, name), (*words, name))
            return
        for name, kind in inspect.unwrap(command.callback).__annotations__.items():
            for each in getattr(kind, "__metadata__", ()):
                if isinstance(each, endings.Writes) and each != endings.FIGURE:
                    yield words[0], next(option.opts[0] for option in command.params if option.name == name)

    return walk(command_tree(), ())


def test_no_option_that_writes_a_file_is_forgotten() -> None:
    written = set(writing())
    assert {("train", "--checkpoint"), ("corrupt", "-o"), ("spectrum", "--vectors")} <= written
    for command, option in written:
        assert any(line.startswith(f"{command} ") and f" {option} " in line for line in LINES), (command, option)


def test_no_file_that_was_written_is_forgotten(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == KINDS.keys() | {
        "test.parquet",
        "again.parquet",
        "how.txt",
        "how.sh",
        "graph.pt2",
        "jobs.mk",
    }


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_named_and_fits_a_terminal(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "color", "never")
    found = showing.describe(name)
    assert found.kind == KINDS[name]
    text = showing.text([found], 80)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert all(line.isprintable() for line in text.splitlines())
    assert "gencli " in text.splitlines()[-1] or text.splitlines()[-1].startswith("    ")
    assert f"\n{next(iter(found.json()['provenance']))}\n" in showing.text([found], None)
    assert json.loads(outputs.json_text([found.json()]))[0]["kind"] == found.kind


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("name", TABLES)
def test_text_says_what_parquet_says(folder: Path, tmp_path: Path, name: str, form: Any) -> None:
    table = pq.read_table(name)
    if "metadata" in table.schema.names:
        table = table.drop_columns("metadata")
    place = tmp_path / f"{name}.{form}"
    place.write_text(outputs.render(table, form))
    found, same = showing.describe(str(place)), showing.describe(name)
    kind = f"{form.upper()} table" if same.kind.startswith("table of ") else same.kind
    assert found.kind.removesuffix(f", as {form.upper()}") == kind
    assert found.facts == same.facts
    ours, theirs = (outputs.render(showing.joined([each], [""]), "md").splitlines() for each in (found, same))
    assert (ours[0], ours[2:]) == (theirs[0], theirs[2:])


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.pdf", "sheet.png"])
def test_a_picture_that_is_cut_short_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for count in (len(content) - 9, len(content) // 2, 100):
        (tmp_path / name).write_bytes(content[:count])
        with pytest.raises(GencliError, match="not a whole "):
            showing.describe(str(tmp_path / name))
