"""Scripts of `gencli how`, run: they make the same bytes, for every command that writes a file."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gencli.cli.app import command_tree
from gencli.files.stream import Input
from gencli.replay.comparison import differences
from tests.pipelines.shell import Shell

# what all of them may read; `outside` is what scripts find in INPUTS
SHARED = """
set -e
mkdir outside
gencli data digits --limit 120 -q -o digits.parquet
gencli data digits --split test --limit 60 -q -o test.parquet
gencli corrupt random-labels -p 0.5 digits.parquet -q -o half.parquet
gencli train half.parquet --arch mlp-1x8 --epochs 2 -q --eval-data test.parquet --history history.parquet -o m.safetensors
gencli train half.parquet --arch linear --epochs 1 -q -o other.safetensors
gencli eval m.safetensors test.parquet -q -o result.parquet --predictions predictions.parquet --confusion confusion.parquet
gencli data export digits.parquet --encode png -o outside/hub-train.parquet
gencli data export digits.parquet --folder outside/images
python - << END
import pyarrow.parquet as parquet
parquet.write_table(parquet.read_table("outside/hub-train.parquet").replace_schema_metadata(), "outside/plain-train.parquet")
END
for class in 0 1 2 3 4 5 6 7 8 9; do
  for other in 0 1 2 3 4 5 6 7 8 9; do [ $class = $other ] && echo -n 0.91 || echo -n 0.01; [ $other = 9 ] || echo -n ,; done; echo
done > outside/noise.csv
echo "1,2" > outside/points.csv
python -c "import numpy; numpy.savez('outside/given.npz', worse=numpy.arange(120) % 10, other=numpy.arange(120) % 7)"
python -c "import numpy; numpy.savez('outside/x.npz', x_train=numpy.ones((30, 3, 5, 4), 'u1'), x_test=numpy.ones((9, 5, 4)))"
for label in 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4; do echo $label; done > outside/half.csv
cat outside/half.csv outside/half.csv > outside/y.csv
"""  # noqa: E501
# by command: lines that leave files named `made…`
MAKES = {
    "data digits": ["gencli data digits --classes 3,8 --sample 20 --seed 1 --limit 15 -o made.parquet"],
    "data parquet": [
        "gencli data parquet outside/hub-train.parquet --limit 9 -o made.parquet",
        """
        gencli data parquet outside/plain-train.parquet --name "it's; \\$(echo no) \\`ls\\`" --limit 9 \\
            -o made.parquet --class-names 'a b,c;d,"e,f",3,4,5,6,7,8,$x'
        """,
        """
        gencli data parquet outside/plain-train.parquet --image image.bytes --keep label,id,image.path --renumber \\
            --limit 9 -q -o made.parquet
        """,
        "gencli data parquet outside/plain-train.parquet --size 6 --crop 4x5 --mode rgb --split x --limit 9 -o made",
    ],
    "data arrays": [
        """
        gencli data arrays outside/x.npz outside/y.csv --image x_train --severities 2 --limit 20 -q -o made.parquet
        """,
    ],
    "data folder": [
        "gencli data folder outside/images --size 16 --split test -o made.parquet",
        "tar czf outside/images.tgz -C outside images; gencli data folder outside/images.tgz --limit 9 -o made.parquet",
    ],
    "data csv": [
        """
        (cd outside; echo path,what; for file in images/[123]/*.png; do echo $file,${file:7:1}; done) > outside/m.csv
        gencli data csv outside/m.csv --label what --renumber --limit 9 -q -o made.parquet
        """,
    ],
    "data webdataset": [
        """
        for n in 0 1 2 3; do cp outside/images/1/$(ls outside/images/1 | head -1) $n.png; echo $n > $n.cls; done
        tar cf outside/s0.tar 0.* 1.*; tar czf outside/s1.tar.gz 2.* 3.*
        gencli data webdataset outside/s0.tar outside/s1.tar.gz -q -o made.parquet
        """,
    ],
    "data synthetic gaussian-clusters": ["gencli data synthetic gaussian-clusters --rows 20 --seed 3 -o made.parquet"],
    "data synthetic two-moons": ["gencli data synthetic two-moons --rows 20 --noise 0.25 -o made.parquet"],
    "data synthetic noise": ["gencli data synthetic noise --rows 20 --size 4x4x1 -o made.parquet"],
    "data repeat": ["gencli data repeat digits.parquet --times 3 -o made.parquet"],
    "data where": [
        """
        gencli data where "label <> label_true -- it's; $(echo no)" half.parquet -q |
            gencli data where 'label > 2' -q -o made.parquet
        """,
        """
        gencli eval m.safetensors half.parquet -q -o r --predictions rows.parquet
        gencli data where 'loss > 1 and rows.prediction = label' half.parquet --join rows.parquet -q -o made.parquet
        gencli eval m.safetensors half.parquet -q -o r.csv --predictions outside/rows.csv
        gencli data where '0 - loss < -1' half.parquet --join outside/rows.csv -q -o made-csv.parquet
        """,
    ],
    "show": [
        "gencli show half.parquet --sheet made.png --columns 3 -o made.parquet",
        "gencli show m.safetensors --sheet made.png -o made.csv.parquet --head 3",
        "mkdir a; cp other.safetensors a/m.safetensors; gencli show a/m.safetensors m.safetensors -o made.parquet",
    ],
    "data export": ["gencli data export half.parquet --encode png -o made.parquet"],
    "corrupt random-labels": [
        "gencli corrupt random-labels -p 0.3 --exact half.parquet --seed 4 -q -o made.parquet",
        "gencli corrupt random-labels -p 0.3 --shard 1/3 half.parquet -q -o made.parquet",
    ],
    "corrupt flip-labels": ["gencli corrupt flip-labels -p 0.3 digits.parquet -q -o made.parquet"],
    "corrupt pair-labels": ["gencli corrupt pair-labels -p 0.3 digits.parquet -q -o made.parquet"],
    "corrupt matrix-labels": [
        "gencli corrupt matrix-labels --matrix outside/noise.csv digits.parquet -q -o made.parquet"
    ],
    "corrupt permute-labels": ["gencli corrupt permute-labels digits.parquet -q -o made.parquet"],
    "corrupt labels": [
        "gencli corrupt labels --from outside/given.npz --column worse digits.parquet -q -o made.parquet",
        """
        gencli eval m.safetensors half.parquet -q -o r --predictions rows.parquet
        gencli corrupt labels --from rows.parquet --column prediction half.parquet -q -o made.parquet
        """,
    ],
    "corrupt merge-classes": ["gencli corrupt merge-classes --groups 0-4,5-9 digits.parquet -q -o made.parquet"],
    "corrupt shuffled-pixels": ["gencli corrupt shuffled-pixels digits.parquet -q -o made.parquet"],
    "corrupt random-pixels": ["gencli corrupt random-pixels digits.parquet -q -o made.parquet"],
    "corrupt gaussian-pixels": [
        "gencli corrupt gaussian-pixels --statistics scalar digits.parquet -q -o made.parquet",
        "gencli corrupt gaussian-pixels --statistics digits.parquet test.parquet -q -o made.parquet",
        """
        mkdir shards
        for n in 0 1 2; do gencli corrupt random-pixels --shard $n/3 digits.parquet -q -o shards/$n.parquet; done
        gencli corrupt gaussian-pixels --statistics shards test.parquet -q -o made.parquet
        """,
    ],
    "corrupt gaussian-noise": ["gencli corrupt gaussian-noise --sigma 25 digits.parquet -q -o made.parquet"],
    "corrupt poisson-noise": ["gencli corrupt poisson-noise --peak 30 digits.parquet -q -o made.parquet"],
    "corrupt impulse-noise": ["gencli corrupt impulse-noise -p 0.2 digits.parquet -q -o made.parquet"],
    "corrupt text-overlay": ["gencli corrupt text-overlay -p 0.25 digits.parquet -q -o made.parquet"],
    "corrupt long-tail": ["gencli corrupt long-tail --ratio 4 digits.parquet -q -o made.parquet"],
    "corrupt step-imbalance": ["gencli corrupt step-imbalance --ratio 4 digits.parquet -q -o made.parquet"],
    "corrupt subsample": [
        "gencli corrupt subsample -n 30 --seed 2 digits.parquet -q -o made.parquet",
        "gencli corrupt subsample --classes 3,5 --renumber digits.parquet -q -o made.parquet",
    ],
    "corrupt prune": [
        """
        gencli eval m.safetensors half.parquet -q -o r --predictions rows.parquet
        gencli corrupt prune -p 0.3 --by loss --lowest --scores rows.parquet half.parquet -q -o made.parquet
        """
    ],
    "corrupt common": ["gencli corrupt common --kind fog --severity 3 digits.parquet -q -o made.parquet"],
    "train": [
        "gencli train half.parquet --arch linear --epochs 2 -q --history made.parquet --eval-data test.parquet -o m.st",
        "gencli train half.parquet --arch linear --epochs 2 -q --history made.csv --eval-data test.parquet -o m.st",
        "gencli train half.parquet --arch linear --runs 2 --epochs 1 -q --history made.jsonl -o m.st",
        """
        gencli data digits --limit 99 | gencli corrupt random-labels -p 1 -q |
            gencli train --arch mlp-1x8 --epochs 1 -q -o made.safetensors
        """,
        """
        gencli train half.parquet --arch convnet-vanilla --epochs 1 --optimizer adamw --loss focal --augment crop:1 \\
            --schedule cosine --validation-fraction 0.2 --early-stop 1 --ema 0.9 --weight-decay 0.01 \\
            -q -o made.safetensors
        """,
        """
        mkdir shards
        for n in 0 1; do gencli corrupt flip-labels -p .2 --shard $n/2 digits.parquet -q -o shards/$n.parquet; done
        gencli train shards --arch linear --epochs 1 -q -o made
        """,
        """
        gencli train half.parquet --arch mlp-1x8 --epochs 3 --track weight-norm,sharpness --track-every 2 \\
            --history made.parquet -q -o made.safetensors
        """,
        """
        gencli train digits.parquet --arch mlp-1x8 --epochs 1 --init m.safetensors --init-except head \\
            --freeze '*,!head' -q -o made.safetensors
        python -c "from safetensors.numpy import *; save_file(load_file('m.safetensors'), 'outside/w.safetensors')"
        gencli train digits.parquet --arch mlp-1x8 --epochs 1 --init outside/w.safetensors -q -o made-other.safetensors
        """,
        """
        gencli train half.parquet --arch mlp-1x8 --epochs 1 --checkpoint c -q -o part.safetensors
        gencli train half.parquet --arch mlp-1x8 --epochs 4 --save-every 3 --checkpoint c --resume -q \\
            -o made.safetensors
        """,
    ],
    "fit kernel": [
        "gencli fit kernel half.parquet --kernel gaussian:0.1 --ridge 0.5 -q -o made.safetensors",
        "gencli fit kernel half.parquet --kernel laplace:1 --tolerance 0 --keep -q -o made.safetensors || [ $? = 2 ]",
    ],
    "fit least-squares": ["gencli fit least-squares half.parquet -q -o made.safetensors"],
    "fit random-features": [
        "gencli fit random-features half.parquet --features 20,40 -q -o 'made-{features}.safetensors'"
    ],
    "fit finite-sample": ["gencli fit finite-sample half.parquet -q -o made.safetensors"],
    "eval": [
        """
        gencli eval m.safetensors test.parquet --top 2 --top 3 --intervals --seed 1 -q -o made.parquet \\
            --predictions made-predictions.parquet --confusion made-confusion.parquet
        """,
        "gencli eval m.safetensors other.safetensors test.parquet half.parquet -q -o made.parquet",
        """
        mkdir -p a b; cp m.safetensors a/m.safetensors; cp other.safetensors b/m.safetensors
        gencli train digits.parquet --arch linear --epochs 1 -q |
            gencli eval - a/m.safetensors b/m.safetensors test.parquet -q -o made.parquet
        """,
        "gencli eval m.safetensors --measures -q -o made.parquet",
        """
        gencli train half.parquet --arch mlp-1x8 --epochs 1 --runs 2 -q -o made.safetensors
        gencli eval made.safetensors test.parquet --run 1 -q -o made.parquet
        """,
    ],
    "hvp": [
        """
        gencli hvp m.safetensors test.parquet --vector gradient -q -o g.safetensors
        gencli hvp m.safetensors test.parquet --vector random:1 --vector g.safetensors --vector ones --dtype float64 \\
            --plot made.svg -q -o made.safetensors
        """,
        "gencli hvp other.safetensors test.parquet --parameters '*bias' --dense -q -o made.safetensors",
    ],
    "spectrum": [
        """
        gencli spectrum m.safetensors test.parquet --top 1 --trace --trace-products 9 --density-steps 9 -q \\
            --density made-density.parquet --along made-along.parquet --vectors made-vectors.safetensors \\
            --figure made.pdf -o made.parquet
        """,
        "gencli spectrum m.safetensors test.parquet --trace --trace-products 9 -q -o made.parquet",
        """
        gencli spectrum --kernel random-conv:4 test.parquet --limit 30 --seed 3 --normalize whitened --step-size 0.01 \\
            --energy made-energy.parquet --descent made-descent.parquet --figure made.svg -q -o made.parquet
        """,
        "gencli spectrum --kernel empirical m.safetensors test.parquet --limit 5 --outputs mean -q -o made.parquet",
    ],
    "jacobian": [
        "gencli jacobian -f 'cos(w1)*w2' -f 'w1^2*w2' --at 1,2 --at 3,4 --step 0.01 -q -o made.parquet",
        "gencli jacobian -f 'cos(w1)*w2; w1^2*w2' --at '1,2' --graph made.svg -q -o made.parquet",
        "gencli jacobian -f 'cos(w1)*w2' --at outside/points.csv --hvp 1,0 -q -o made.safetensors",
        "gencli jacobian other.safetensors test.parquet --limit 5 --summary made.parquet -q -o made.safetensors",
        "gencli jacobian m.safetensors test.parquet --limit 5 --of loss --wrt parameters -q -o made.parquet",
    ],
    "score": [
        """
        gencli train half.parquet --arch mlp-1x8 --epochs 2 --runs 3 --subset 0.7 --dynamics d.parquet -q -o runs
        gencli score d.parquet runs half.parquet --fitted-at 0 --test test.parquet --influence made-pairs.parquet \\
            --pairs 9 -q -o made.parquet
        gencli score --judge d.parquet -q -o made-judge.parquet
        """,
    ],
    "rank": [
        """
        gencli train half.parquet --arch mlp-1x4 --epochs 1 --runs 5 --eval-data test.parquet --history h.parquet \\
            -q -o runs
        gencli eval runs half.parquet --measures --history h.parquet --reached 3 -q -o made-measures.parquet
        gencli rank made-measures.parquet h.parquet --seed 2 -q -o made.parquet
        """,
    ],
    "bound pac-bayes": [
        "gencli bound pac-bayes m.safetensors half.parquet --test test.parquet --epochs 2 --prior-fraction 0.5 "
        "--prior-epochs 1 --draws 100 --certificate made.safetensors -q -o made.parquet"
    ],
    "bound compression": [
        "gencli bound compression m.safetensors half.parquet --epochs 2 --subspace 20 "
        "--certificate made.safetensors -q -o made.parquet"
    ],
    "bound holdout": [
        "gencli bound holdout m.safetensors test.parquet --train half.parquet "
        "--certificate made.safetensors -q -o made.parquet"
    ],
    "bound verify": [
        """
        gencli bound compression m.safetensors half.parquet --epochs 1 --certificate c.safetensors -q -o c.parquet
        gencli bound verify c.safetensors half.parquet -q -o made.parquet
        """,
    ],
    "report": [
        """
        gencli report result.parquet --table classes --metric accuracy --metric loss --title 'a "b" $c it'"'s" \\
            --figure made.png -o made.parquet
        """,
        "gencli report history.parquet result.parquet --plot curves --figure made.svg > /dev/null",
        "gencli report confusion.parquet --plot confusion --figure made.pdf",
        "gencli report predictions.parquet --plot reliability --figure made.svg",
        "gencli report --contact-sheet made.png digits.parquet half.parquet",
    ],
}


def makers() -> Iterator[str]:
    """Every command that writes a file."""

    def walk(command: Any, words: list[str]) -> Iterator[str]:
        if not hasattr(command, "list_commands"):
            if command.callback.places:
                yield " ".join(words)
            return
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), [*words, name])

    return walk(command_tree(), [])


CHECKED = [name for name in makers() if name.startswith("check ")]
MAKES["sum"] = [
    """
    for k in 0 1; do gencli hvp m.safetensors half.parquet --shard $k/2 -q -o part$k; done
    gencli sum part0 part1 -q -o made.safetensors
    """
]
MAKES["export model"] = ["gencli export model m.safetensors --torch-export -q -o made.pt2"]
MAKES |= {name: [f"gencli {name} --seed 1 -q -o made.parquet"] for name in CHECKED}
MAKES["check min-norm"] = ["gencli check min-norm -q --plot made.png -o made.parquet"]
MAKES["check rademacher"] = ["gencli check rademacher --data half.parquet --instances 1 -q -o made.parquet"]
SHOWN = {"check circulant", "check min-norm", "check rademacher", "check sgd-nonmonotone"}
LONG = {*CHECKED} - SHOWN  # they take the same way
DOWNLOADED = {f"data {name}" for name in ("cifar10", "cifar100", "mnist", "fashion-mnist", "svhn")}


def test_every_command_that_writes_a_file_is_replayed() -> None:
    assert {*makers()} - DOWNLOADED == MAKES.keys()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("how")
    Shell(folder)(SHARED).worked()
    return folder


@pytest.fixture(scope="module")
def kept() -> dict[tuple[str, ...], Path]:
    """Where files are that scripts have made, by the first statements that made them."""
    return {}


def _made_again(shell: Shell, script: str, kept: dict[tuple[str, ...], Path]) -> Path:
    """A new folder in which a script has run; first statements that a script had before are not run again."""
    folder = Path(tempfile.mkdtemp(prefix="again-", dir=shell.folder))
    *head, body = script.partition("\ndone\n\n")
    statements = re.split(r"^(?=gencli |\)$)", body, flags=re.MULTILINE)[1:]
    own = [all(word == "/dev/null" or "/" not in word for word in each.split()) for each in statements[:-1]]
    firsts = [tuple(statements[:number]) for number in range(1, len(statements)) if all(own[:number])]
    known = max((each for each in firsts if each in kept), key=len, default=())
    files = [kept[known] / word for word in dict.fromkeys(shlex.split(" ".join(known)))]
    copies = shlex.join(["cp", *(str(each) for each in files if each.is_file()), "."]) if known else ""
    shell(
        f"cd {folder.name}; INPUTS=../outside\n" + "".join([*head, f"{copies}\n", *statements[len(known) :]])
    ).worked()
    kept |= {each: folder for each in firsts if each not in kept}
    return folder


@pytest.mark.parametrize("command", [name for name in MAKES if name not in LONG])
def test_a_script_makes_the_same_bytes(
    command: str, shared: Path, kept: dict[tuple[str, ...], Path], tmp_path: Path
) -> None:
    for number, line in enumerate(MAKES[command]):
        folder = tmp_path / str(number)
        shutil.copytree(shared, folder)
        shell = Shell(folder)
        shell(f"set -e\n{line}").worked()
        made = sorted(path for path in folder.iterdir() if path.name.startswith("made"))
        assert made
        for file in made:
            shell(f"gencli how {file.name} > make.sh").worked()
            text = (folder / "make.sh").read_text()
            again = _made_again(shell, text, kept) / file.name
            if "--history" in text:  # which holds the time that it took
                assert differences(Input(str(file)), Input(str(again))) == []
            else:
                assert again.read_bytes() == file.read_bytes(), text


CHAIN = """
set -e
gencli data digits --limit 120 | gencli corrupt random-labels -p 0.5 -q -o half.parquet
gencli data digits --split test --limit 60 -o test.parquet
gencli train half.parquet --arch mlp-1x8 --epochs 2 --eval-data test.parquet --history history.parquet -q \\
    -o m.safetensors
gencli eval m.safetensors test.parquet -q -o result.parquet
gencli report history.parquet result.parquet -o table.parquet
"""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("chain"))
    shell(CHAIN).worked()
    return shell


def test_the_ancestry_shows_each_step_once(chain: Shell) -> None:
    lines = chain("gencli how table.parquet --tree").worked().text.splitlines()
    assert lines[0].startswith("table.parquet: [6] gencli report")
    assert sum("gencli train" in line for line in lines) == 1
    assert lines[-3:-1] == ["   ├─ model: [4], see there", "   └─ data: [3], see there"]


def test_two_files_part_at_the_first_step_that_differs(chain: Shell) -> None:
    made = chain(
        """
        gencli data digits --limit 120 | gencli corrupt random-labels -p 0.3 -q |
            gencli train --arch mlp-1x8 --epochs 2 -q -o other.safetensors
        gencli how m.safetensors --diff other.safetensors; echo $?
        gencli how m.safetensors --diff m.safetensors; echo $?
        """
    ).worked()
    assert made.text.splitlines() == ["corrupt random-labels:", "  --p: 0.5 and 0.3", "1", "0"]


def test_a_check_makes_what_is_missing_and_compares_all(chain: Shell) -> None:
    done = chain("mkdir -p some; cp half.parquet some; gencli how table.parquet --check --inputs some -q").worked()
    lines = done.text.splitlines()
    assert [line.partition("] ")[2] for line in lines[1:-1]] == [
        "corrupt random-labels: there already, not made again", "data digits: the same", "train: the same",
        "eval: the same", "report: the same",
    ]  # fmt: skip
    assert lines[-1] == "table.parquet: the same"


def test_a_check_that_is_ended_leaves_nothing(chain: Shell) -> None:
    chain("""
        mkdir -p none scratch
        TMPDIR=$PWD/scratch gencli how table.parquet --check --inputs none -q & check=$!
        until ls scratch | grep -q .; do sleep 0.02; done
        sleep 0.2; kill -TERM $check; ! wait $check; sleep 0.2; rmdir scratch
    """).worked()


def test_another_input_is_refused_by_both_hashes_and_another_processor_is_named(chain: Shell) -> None:
    """Of a table from outside one pixel was changed: its step would differ, and so would all after it."""
    done = chain(
        """
        set -e
        mkdir -p out
        python - << END
import pyarrow.parquet as parquet
import pyarrow
table = parquet.read_table("test.parquet").replace_schema_metadata()
parquet.write_table(table, "out/plain-test.parquet")
images = table["image"].to_pylist()
images[3] = bytes([images[3][0] ^ 1]) + images[3][1:]
changed = table.set_column(1, table.schema.field("image"), pyarrow.array(images, table.schema.field("image").type))
parquet.write_table(changed, "changed.parquet")
END
        gencli data parquet out/plain-test.parquet --shape 8x8x1 -o plain.parquet
        gencli corrupt random-pixels plain.parquet -q -o pixels.parquet
        gencli how pixels.parquet --check --inputs out -q > same.txt
        mkdir -p wrong; cp changed.parquet wrong/plain-test.parquet
        """
    )
    done.worked()
    assert (chain.folder / "same.txt").read_text().endswith("pixels.parquet: the same\n")
    old, new = (chain(f"sha256sum {name} | cut -c1-64").text.strip() for name in ("out/plain-test.parquet", "wrong/*"))
    chain("gencli how pixels.parquet --check --inputs wrong").refused("wrong/plain-test.parquet", old, new)
    missing = chain("mkdir empty; gencli how pixels.parquet --check --inputs empty")
    missing.refused("empty/plain-test.parquet: no such file", old)
    chain("gencli how pixels.parquet --check --inputs nowhere").refused("--inputs: nowhere: no such folder")
    stale = chain("gencli how pixels.parquet --stale --inputs wrong")
    assert stale.status == 1
    assert [line.partition(": SHA")[0] for line in stale.text.splitlines()] == [
        "[1] data parquet:", "  data: plain-test.parquet", "[2] corrupt random-pixels:",
        "  data: its step [1] would differ",
    ]  # fmt: skip
    script = chain("gencli how pixels.parquet > make.sh; mkdir e; cd e; INPUTS=../wrong sh ../make.sh")
    assert (script.status, script.out) == (2, b"")
    assert new in script.err
    assert old in script.err
    full = chain("cd out; INPUTS=. sh ../make.sh")
    assert full.status == 2
    assert "the folder is not empty" in full.err
    chain(
        "mkdir f; cd f; INPUT1=../out/plain-test.parquet sh ../make.sh; cmp pixels.parquet ../pixels.parquet"
    ).worked()


def test_make_runs_the_same_graph(chain: Shell) -> None:
    chain(
        """
        set -e
        gencli how half.parquet --format make > half.mk; mkdir m; make -s -C m -f ../half.mk
        cmp m/half.parquet half.parquet
        """
    ).worked()


@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
def test_snakemake_runs_the_same_graph(chain: Shell) -> None:
    """With threads of its own choice, which gencli does not obey: those of the recorded run count."""
    chain(
        """
        set -e
        mkdir s; gencli how m.safetensors --format snakemake > s/Snakefile; (cd s; snakemake --cores 1 --quiet all)
        cmp s/m.safetensors m.safetensors
        """
    ).worked()


def test_a_crate_is_one_that_the_library_reads(chain: Shell, tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate", reason="rocrate is not installed")
    chain(
        f"""
        set -e
        cp result.parquet {tmp_path}; cd {tmp_path}
        gencli how result.parquet > make.sh; gencli how result.parquet --format ro-crate -o ro-crate-metadata.json
        """
    ).worked()
    crate = rocrate.ROCrate(str(tmp_path))
    assert crate.root_dataset["license"] == "notspecified"
    assert crate.mainEntity["@id"] == "make.sh"
    assert {each["@id"] for each in crate.root_dataset["hasPart"]} == {"make.sh", "result.parquet"}
    actions = crate.get_by_type("CreateAction")
    assert len(actions) == 1 + 5
    (last,) = [each for each in actions if each["name"] == "gencli eval"]
    assert [each["@id"] for each in last["result"]] == ["result.parquet"]
    assert all(crate.get(each["@id"]) for action in actions for each in action["object"])


@pytest.mark.parametrize("license", ["CC-BY-4.0", "https://example.org/terms"])
def test_a_crate_has_the_license_that_it_is_given(license: str, chain: Shell) -> None:
    text = chain(f"gencli how half.parquet --format ro-crate --license {license}").worked().text
    entities = {each["@id"]: each for each in json.loads(text)["@graph"]}
    address = license if "/" in license else f"https://spdx.org/licenses/{license}"
    assert entities["./"]["license"] == {"@id": address}
    assert entities[address] == {"@id": address, "@type": "CreativeWork", "name": license}
    chain("gencli how half.parquet --format ro-crate --license 'my own'").refused("--license: 'my own'")


STRANGE = {
    "a table of another tool": "echo 'a,b' > x.csv; gencli how x.csv",
    "a model of another tool": """python - << END
import safetensors.torch, torch
safetensors.torch.save_file({"w": torch.zeros(1)}, "x.safetensors")
END
gencli how x.safetensors""",
    "a checkpoint": "gencli train half.parquet --arch linear --epochs 1 -q --checkpoint c.st -o x.st; gencli how c.st",
    "a checkpoint of a fit": """gencli fit kernel half.parquet --kernel laplace:1 --solver cg --checkpoint fit.st \\
        --checkpoint-every 1 -q -o fitted.st; gencli how fit.st""",
    "two at once": "gencli how half.parquet --tree --check",
    "a license of a script": "gencli how half.parquet --license MIT",
    "a folder for nothing": "gencli how half.parquet --inputs .",
    "no folder": "gencli how half.parquet --check --inputs nowhere",
}


@pytest.mark.parametrize("script", STRANGE.values(), ids=STRANGE)
def test_what_cannot_be_made_again_is_refused(script: str, chain: Shell) -> None:
    chain(script).refused()


def test_a_check_names_the_first_step_that_differs_by_how_much_and_what_was_other_there(sh: Shell) -> None:
    """Trained with the instructions that all processors have: in the last bits other sums."""
    done = sh(
        """
        gencli data digits --limit 100 | ATEN_CPU_CAPABILITY=default gencli train --arch mlp-1x32 --epochs 1 -q -o m.st
        mkdir none; gencli how m.st --check --inputs none -q
        """
    )
    assert done.status == 1
    lines = done.text.splitlines()
    assert lines[0] == "[1] data digits: the same"
    assert lines[1].startswith("[2] train: differs: output has SHA-256 ")
    assert lines[2] == "first to differ: [2] train"
    assert lines[3].startswith("  torch cpu: DEFAULT, here ")
    assert lines[4] == "m.st: differs"
    assert any(line.startswith("  tensor 1.weight: ") and " numbers differ, by up to " in line for line in lines)
    stale = sh("gencli how m.st --stale")
    assert stale.status == 1
    assert stale.text.splitlines()[0] == "[2] train:"
    assert stale.text.splitlines()[1].startswith("  torch cpu: DEFAULT, now ")


@pytest.mark.cold
def test_deterministic_training_takes_the_same_way_on_every_processor(sh: Shell) -> None:
    sh(
        """
        set -e
        gencli data digits --limit 100 -o d.parquet
        train="gencli train d.parquet --arch convnet-vanilla --epochs 1 -q --deterministic"
        $train -o here.st
        ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2 ONEDNN_MAX_CPU_ISA=AVX2 $train -o there.st
        cmp here.st there.st
        """
    ).worked()


def test_how_starts_without_torch(chain: Shell) -> None:
    chain(
        """
        python -X importtime -m gencli how table.parquet -o x.sh 2> times.txt
        ! grep -q ' torch$' times.txt
        """
    ).worked()


def test_a_network_of_ones_own_is_made_again_where_it_is_trusted(sh: Shell) -> None:
    sh(
        """
        set -e
        mkdir -p work/nets
        cat > work/nets/small.py << END
from torch import nn

def factory(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], classes))
END
        cd work
        gencli data digits --limit 60 -q -o d.parquet
        gencli train d.parquet --arch nets.small:factory --epochs 1 -q -o m.safetensors
        gencli eval m.safetensors d.parquet --arch nets.small:factory -q -o r.parquet
        gencli how r.parquet --trust > ../make.sh
        mkdir ../again; cd ../again
        INPUTS=../work; . ../make.sh
        cmp r.parquet ../work/r.parquet
        cd ../work; gencli how r.parquet --trust --check
        """
    ).worked()
    text = (sh.folder / "make.sh").read_text()
    assert f"# imports nets.small, which is looked for in INPUTS too; SHA-256 {sha256(sh)}" in text
    sh("cd work; gencli how r.parquet").refused("nets.small:factory, which is code", "--trust")


def sha256(sh: Shell) -> str:
    """Of all modules of the package, each after its name."""
    return sh(r"(printf 'small.py\0'; cat work/nets/small.py) | sha256sum | cut -c1-64").worked().text.strip()
