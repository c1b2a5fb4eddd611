"""Jobs of a plan: their words, the names of their files, and what they need before."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files.provenance import Source, Step
from gencli.replay import make, shell
from gencli.replay import words as shell_words
from gencli.replay.plan import Job, Plan, parents
from tests.replay.test_words import DIGITS, HASHES, planned, source, step

MODEL = source(step("train", {"arch": "linear"}, source(DIGITS)), 2, "model")
NEWER = "the gencli that wrote it may know it, another version"


def outside(number: int, name: str = "x.parquet", role: str = "data") -> Source:
    return Source(role, HASHES[number], name=name)


def last(made: Step, name: str = "made.parquet", form: str = "parquet") -> Job:
    """The job that makes a file."""
    return planned(made, name, form).jobs[-1]


def words(made: Step) -> str:
    """Its command line, in one text."""
    return " ".join(each if isinstance(each, str) else each.name for each in last(made).words)


LINES: list[tuple[Step, str]] = [
    (DIGITS, "gencli data digits --split test"),
    (step("data digits", {"split": "train", "seed": 0, "limit": None}), "gencli data digits"),
    (step("data digits", {"seed": 1, "limit": 5}), "gencli data digits --seed 1 --limit 5"),
    (step("data digits", {"other": None, "another": False}), "gencli data digits"),
    (
        step("corrupt random-labels", {"p": 0.5, "exact": True}, source(DIGITS)),
        "gencli corrupt random-labels 1-digits.parquet -p 0.5 --exact",
    ),
    (
        step("corrupt random-labels", {"p": 1e-07, "exact": False}, source(DIGITS)),
        "gencli corrupt random-labels 1-digits.parquet -p 1e-07",
    ),
    (
        step("train", {"arch": "mlp-1x16", "batch_norm": False, "nesterov": True}, source(DIGITS)),
        "gencli train 1-digits.parquet --arch mlp-1x16 --no-batch-norm --nesterov",
    ),
    (
        step("train", {"arch": "linear", "processes": 2}, source(DIGITS)),
        "torchrun --standalone --nproc-per-node 2 -m gencli train 1-digits.parquet --arch linear",
    ),
    (
        step("train", {"arch": "linear", "processes": 1024}, source(DIGITS)),
        "torchrun --standalone --nproc-per-node 1024 -m gencli train 1-digits.parquet --arch linear",
    ),
    (step("data parquet", {"name": "-x"}, outside(1)), "gencli data parquet x.parquet --name=-x"),
    (
        step("eval", {"top": [1, 5]}, MODEL, source(DIGITS, 3)),
        "gencli eval 2-train.safetensors 3-digits.parquet --top 1 --top 5",
    ),
    (
        step("train", {"arch": "linear"}, source(DIGITS), outside(6, role="eval-data")),
        "gencli train 1-digits.parquet --eval-data x.parquet --arch linear",
    ),
    (Step("data digits", {}, {}), "gencli data digits"),
    (Step("data digits", {}, {"gencli": "0.0.99"}), "gencli data digits"),
]


@pytest.mark.parametrize(("made", "line"), LINES, ids=[line for _, line in LINES])
def test_a_run_is_a_line_of_what_is_not_a_default(made: Step, line: str) -> None:
    assert words(made) == line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"processes": 1}, "processes 1"), ({"processes": 1025}, "processes 1025"),
        ({"processes": 2.0}, "processes 2.0"), ({"plugin": ["1a"]}, "plugin ['1a']"),
        ({"seed": False}, "seed False"), ({"seed": "0x"}, "seed '0x'"), ({"batch_norm": 1}, "batch_norm 1"),
        ({"plugin": "a"}, "plugin 'a'"), ({"plugin": ["a", 1]}, "plugin ['a', 1]"),
        ({"arch": ["linear"]}, "arch ['linear']"),
        ({"arch": "lin\0ear"}, "arch 'lin\\x00ear'"), ({"arch": {}}, "arch {}"),
    ],
)  # fmt: skip
def test_a_value_that_no_option_takes_is_shown(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(GencliError) as refused:
        planned(step("train", {"arch": "linear"} | arguments, source(DIGITS)), trust=True)
    assert refused.value.message == f"its step `train` has {said}, which is no value of it"
    assert refused.value.hint == NEWER


@pytest.mark.parametrize("value", ["/x", "~x", "../x", "a/../b"])
def test_a_value_that_is_a_path_is_refused(value: str) -> None:
    with pytest.raises(GencliError) as refused:
        planned(step("data parquet", {"name": value}, outside(1)))
    assert refused.value.message == f"its step `data parquet` has name {value!r}, a path"
    assert words(step("data parquet", {"name": "a..b/c"}, outside(1))).endswith("--name a..b/c")


@pytest.mark.parametrize(("version", "newer"), [("0.1.0", False), ("0.1.1", True), ("0.2", True), ("0.1.0.9", False)])
def test_what_a_newer_version_made_is_refused(version: str, newer: bool) -> None:
    made = Step("data digits", {}, {"gencli": version})
    if not newer:
        assert words(made) == "gencli data digits"
        return
    with pytest.raises(GencliError) as refused:
        planned(made)
    assert refused.value.message == f"made by gencli {version}, which is newer than this one, 0.1.0"


@pytest.mark.parametrize(
    ("arch", "own"),
    [("a:b", True), ("a.b:c", True), ("linear", False), ("torchvision:x", False), ("a:b.c", False), ("1:b", False)],
)
def test_networks_of_ones_own_are_named_by_module_and_factory(arch: str, own: bool) -> None:
    assert shell_words.is_own(arch) == own
    whole = planned(step("train", {"arch": arch if own else "linear"}, source(DIGITS)), trust=True)
    assert whole.modules == ([arch.partition(":")[0]] if own else [])
    if own:
        with pytest.raises(GencliError, match=rf"^its network is {arch}, which is code$"):
            planned(step("train", {"arch": arch}, source(DIGITS)))


@pytest.mark.parametrize(
    ("name", "form", "output", "made"),
    [
        ("made.parquet", "parquet", "", "made.parquet"), ("made", "parquet", "", "made"),
        ("made.csv", "csv", "", "made.csv"), ("made.csv", "parquet", "", "4-eval.parquet"),
        ("made", "json", "", "4-eval.json"), ("p.parquet", "parquet", "predictions", "p.parquet"),
        ("p.csv", "parquet", "predictions", "4-eval-predictions.parquet"),
    ],
)  # fmt: skip
def test_a_file_is_made_under_its_name_where_the_command_takes_it_for_its_format(
    name: str, form: str, output: str, made: str
) -> None:
    whole = planned(step("eval", {}, MODEL, source(DIGITS, 3), output=output), name, form)
    assert (whole.name, whole.made) == (name, made)
    assert [job.outputs for job in whole.jobs] == [
        {"": "1-digits.parquet"}, {"": "2-train.safetensors"}, {"": "3-digits.parquet"}, {output: made},
    ]  # fmt: skip
    moved = f"\nmv {made} {name}\n)\n"
    assert shell.script(whole).endswith(moved) == (made != name)
    assert make.makefile(whole).endswith(f"\n{name}: {made}\n\tcp {made} {name}\n") == (made != name)


def of_parts(*inputs: Source) -> Plan:
    return planned(step("train", {"arch": "linear"}, *inputs), "made.safetensors", "safetensors")


def test_parts_of_a_data_set_are_copied_into_a_folder(tmp_path: Path) -> None:
    whole = of_parts(outside(5, "a.parquet"), outside(6, "b.parquet"))
    [job] = whole.jobs
    one, two = whole.outside
    assert [(each.number, each.sha256, each.name) for each in (one, two)] == [
        (1, HASHES[5], "a.parquet"), (2, HASHES[6], "b.parquet"),
    ]  # fmt: skip
    assert job.copies == [(one, "1-inputs/data/00000.parquet"), (two, "1-inputs/data/00001.parquet")]
    assert job.needs == [one, two]
    (tmp_path / "Makefile").write_text(make.makefile(whole))
    done = subprocess.run(
        ["make", "-n", "--no-print-directory"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("&& gencli train 1-inputs/data --arch linear -o made.safetensors\n")
    assert "    input: '.checked-1', '.checked-2'\n    output: 'made.safetensors'\n" in make.snakefile(whole)
    made = [Source("data", HASHES[place], DIGITS, "x") for place in (5, 6)]
    job = last(step("eval", {}, MODEL, *made, replace(made[0], sha256=HASHES[7], name="y")))
    assert [each.name for each in job.needs if not isinstance(each, str)] == [
        "2-train.safetensors", "3-digits.parquet", "4-digits.parquet", "5-digits.parquet",
    ]  # fmt: skip
    assert [name for _, name in job.copies] == ["6-inputs/x/00000.parquet", "6-inputs/x/00001.parquet", "6-inputs/y"]


def test_standard_input_is_read_as_such() -> None:
    whole = planned(step("data repeat", {"times": 3}, outside(5, "-")))
    [job], [read] = whole.jobs, whole.outside
    assert (read.name, job.words, job.standard_input) == (
        "standard-input", ["gencli", "data", "repeat", "-", "--times", "3"], read,
    )  # fmt: skip
    assert job.needs == [read]
    assert shell.alone(job) == 'gencli data repeat - --times 3 < "$INPUT1" -o made.parquet'


def test_a_job_s_parents_make_what_it_reads() -> None:
    whole = planned(step("eval", {}, MODEL, source(DIGITS, 3)))
    assert [[each.number for each in parents(whole, job)] for job in whole.jobs] == [[], [1], [], [2, 3]]


@pytest.mark.parametrize("name", ["", ".", "/x", "../x", "a/../x", "a\0b"])
def test_an_input_s_name_leads_out_of_no_folder(name: str) -> None:
    with pytest.raises(GencliError) as refused:
        planned(step("data repeat", {}, outside(1, name)))
    assert refused.value.message == f"its provenance names an input {name!r}, which leads out of a folder"


@pytest.mark.parametrize(
    ("digest", "said"),
    [
        ("", "made.parquet: made from a part of s3://b/x, of which no SHA-256 is known"),
        ("0" * 63, f"its provenance has {'0' * 63!r}, which is no SHA-256"),
        ("0" * 65, f"its provenance has {'0' * 65!r}, which is no SHA-256"),
        ("G" * 64, f"its provenance has {'G' * 64!r}, which is no SHA-256"),
    ],
)
def test_an_input_is_known_by_its_hash(digest: str, said: str) -> None:
    with pytest.raises(GencliError) as refused:
        planned(step("data repeat", {}, Source("data", digest, name="x", object="" if digest else "s3://b/x")))
    assert refused.value.message == said


def test_why_other_bytes_may_come_out() -> None:
    timed = step("train", {"arch": "linear", "max_time": 0}, source(DIGITS), output="history")
    assert planned(timed, "h.parquet").limits == [
        "how far train --max-time gets depends on the machine",
        "a history holds times: seconds, images_per_second",
    ]
    assert planned(replace(timed, output="", arguments={"arch": "linear", "max_time": None})).limits == []


def test_files_that_options_need_are_named_too() -> None:
    tracked = planned(step("train", {"arch": "linear", "track": "norm"}, source(DIGITS)))
    assert tracked.jobs[-1].besides == {"history": "2-train-history.parquet"}
    assert shell.alone(tracked.jobs[-1]).endswith("--track norm --history 2-train-history.parquet -o 2-train.parquet")
    assert planned(step("train", {"arch": "linear", "track": None}, source(DIGITS))).jobs[-1].besides == {}
