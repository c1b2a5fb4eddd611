"""A line of every command that writes, and the small files they read; a test holds the lines against the program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from gencli.cli import app
from gencli.commands.data.downloads import SOURCES

# downloads are attacked by their own tests, with a server; all checks write as one does; a manifest's images are
# found beside it, not by links
ELSEWHERE = {f"data {name}" for name in SOURCES} | {"check all", "data csv"}
# what a line writes is called out…, and a checkpoint saved
_EACH = "digits.parquet -o out --seed 1"
LINES = f"""
data digits --limit 300 -o out
data arrays images.npy labels.npy -o out
data folder folder -o out
data webdataset shard.tar -o out
data parquet hub.parquet -o out
data parquet foreign.parquet -o out
data repeat digits.parquet --times 2 -o out
data export digits.parquet --encode png -o out
data export digits.parquet --folder out
data where label>3 digits.parquet -o out
show digits.parquet -o out.csv --sheet out.png
data synthetic gaussian-clusters -o out
data synthetic two-moons -o out
data synthetic noise -o out
corrupt random-labels -p 0.5 large.parquet -o out
corrupt flip-labels -p 0.5 {_EACH}
corrupt shuffled-pixels foreign.parquet -o out
train foreign.parquet --arch linear --epochs 1 -o out
corrupt pair-labels -p 0.5 {_EACH}
corrupt matrix-labels --matrix matrix.csv {_EACH}
corrupt labels --from digits.parquet {_EACH}
corrupt permute-labels {_EACH}
corrupt prune -p 0.1 --by aum --scores dynamics.parquet {_EACH}
corrupt merge-classes --groups 0-4,5-9 {_EACH}
corrupt shuffled-pixels {_EACH}
corrupt random-pixels {_EACH}
corrupt gaussian-pixels {_EACH}
corrupt gaussian-noise --sigma 25 {_EACH}
corrupt poisson-noise --peak 30 {_EACH}
corrupt impulse-noise -p 0.5 {_EACH}
corrupt text-overlay -p 0.5 {_EACH}
corrupt long-tail --ratio 10 {_EACH}
corrupt step-imbalance --ratio 10 {_EACH}
corrupt subsample --n 30 {_EACH}
corrupt common --kind fog --severity 3 digits.parquet -o out
train digits.parquet --arch mlp-1x16 --epochs 3 -o out --history out-history.parquet
train digits.parquet --arch mlp-1x16 --epochs 20 --dropout 0.2 -o out --checkpoint saved --checkpoint-every 3 --resume
fit finite-sample digits.parquet -o out
fit kernel --kernel gaussian:0.02 digits.parquet -o out
fit least-squares digits.parquet -o out
fit random-features digits.parquet --features 20 -o out
eval model digits.parquet -o out.csv --predictions out-rows --confusion out-counts.csv
hvp model digits.parquet --vector random:1 -o out --plot out.svg
check label-alignment --width 256 --examples 5 --instances 1 --plot out.svg -o out
check edge-of-stability --levels 10 --width 30 --steps 4000 --instances 1 --plot out.svg -o out
check prox-step -o out
check newton-step -o out
check sgd-regret -o out
check sgd-rate --runs 20 --plot out.png -o out
check sgd-nonmonotone --instances 1 --plot out.svg -o out
check hessian-size --layers 5-4-3 -o out
check hvp-limit --plot out.svg -o out
check weight-decay-convexity --steps 9 --examples 50 --plot out.svg -o out
check circulant -o out
check median-mean --instances 1 --plot out.svg -o out
check noise-targets --instances 1 --plot out.svg -o out
check finite-sample --points 200 -o out
check min-norm --instances 1 --plot out.svg -o out
check rademacher --examples 20 --draws 1 --steps 9 --plot out.svg -o out
check uniform-stability --examples 20 --removals 2 --plot out.svg -o out
jacobian -f sin(x*y) --at 1,2 --graph out.svg -o out.safetensors
jacobian model few.parquet --summary out.csv -o out.safetensors
spectrum model digits.parquet --top 2 --trace --density out-density --vectors out-vectors --along out-along --figure out.svg -o out
spectrum model digits.parquet --top 2 -o out --checkpoint saved --checkpoint-every 3 --resume
score dynamics.parquet -o out
rank measures.parquet six.parquet -o out
bound pac-bayes model digits.parquet --epochs 1 --draws 300 --certificate out.safetensors -o out
bound compression model digits.parquet --epochs 1 --subspace 50 --certificate out.safetensors -o out
bound holdout model held.parquet --train digits.parquet --certificate out.safetensors -o out
bound verify code.safetensors digits.parquet -o out
sum part-0 part-1 -o out.safetensors
export model model --torch-export -o out.pt2
recipe demo --engine make -o out.mk
how model -o out.sh
report history.parquet --format html -o out.html
report history.parquet --plot curves --figure out.png -o out.csv
report digits.parquet corrupted.parquet --contact-sheet out.png
how model --tree -o out.txt
""".strip().splitlines()  # noqa: E501

INPUTS = """
data digits --limit 300 -o digits.parquet
data digits --limit 20 -o few.parquet
data digits --split test --limit 50 -o held.parquet
data synthetic noise --rows 6000 -o large.parquet
data export few.parquet --folder folder
data export few.parquet --encode png -o hub.parquet
corrupt random-labels -p 0.5 digits.parquet -o corrupted.parquet
train digits.parquet --arch mlp-1x16 --epochs 2 -o model --history history.parquet --dynamics dynamics.parquet
bound compression model digits.parquet --epochs 1 --subspace 50 --certificate code.safetensors -o code.parquet
train digits.parquet --arch mlp-1x4 --epochs 1 --runs 6 --eval-data few.parquet -o six --history six.parquet
eval six digits.parquet --measures -o measures.parquet
hvp model digits.parquet --shard 0/2 -o part-0
hvp model digits.parquet --shard 1/2 -o part-1
""".strip().splitlines()
# a line of every way to write: what is tried many times
_OFTEN = (
    "data digits",
    "data export",
    "show",
    "corrupt random-labels",
    "train",
    "fit kernel",
    "eval",
    "check circulant",
)
OFTEN = [line for line in LINES if line.startswith((*_OFTEN, "hvp", "jacobian", "spectrum", "report"))]
MATRIX = "\n".join(10 * [",".join(10 * ["0.1"])])


_WRITES = "-o", "--folder", "--history", "--dynamics", "--certificate"


def inputs(lines: Iterable[str]) -> list[str]:
    """Of INPUTS the lines that write what these read, or what they read themselves."""
    read, found = {"large.parquet", *" ".join(lines).split()}, list[str]()  # World makes foreign.parquet of it
    for line in reversed(INPUTS):
        words = line.split()
        if read & {word for option, word in pairwise(words) if option in _WRITES}:
            found.insert(0, line)
            read |= {*words}
    return found


def outputs(line: str) -> list[str]:
    """The places that a line names, that of -o first."""
    words = line.split()
    return sorted(
        (word for word in words if word.startswith("out")), key=lambda word: words[words.index(word) - 1] != "-o"
    )


def writing() -> set[str]:
    """All commands of the program that have an option for a file, or a folder, that they write."""
    return {
        " ".join(path)
        for path, command in _commands(app.command_tree())
        for option in command.params
        if option.param_type_name == "option" and option.opts[0] in ("-o", "--folder")
    }


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from _commands(command.get_command(None, name), (*path, name))
    else:
        yield path, command
