"""What a step says, in which order steps are walked, and how one is typed."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import gencli
from gencli.files import provenance


def made(command: str, *inputs: provenance.Step) -> provenance.Step:
    sources = [provenance.source("data", f"hash of {step.command}", step, None) for step in inputs]
    return provenance.step(command, {}, sources)


NOISE = "corrupt random-labels"


def test_a_step_names_command_arguments_versions_and_inputs() -> None:
    data = provenance.source("data", "0a", None, Path("/home/somebody/toy.parquet"))
    step = provenance.step("train", {"lr": 0.1}, [data], ["numpy"])
    assert step.command == "train"
    assert step.arguments == {"lr": 0.1}
    assert set(step.versions) == {"gencli", "numpy"}
    assert step.versions["gencli"] == gencli.__version__
    assert step.inputs == (provenance.Source("data", "0a", name="toy.parquet"),)


def test_inputs_that_gencli_made_are_known_by_their_making_not_their_name() -> None:
    made_here = made("data digits")
    by_file = provenance.source("data", "0a", made_here, Path("digits.parquet"))
    assert by_file == provenance.source("data", "0a", made_here, None)
    assert by_file == provenance.Source("data", "0a", made_here)


def test_steps_are_walked_earliest_first_with_side_inputs_deeper() -> None:
    train = made("data train")
    test = made("corrupt test", made("data test"))
    last = made("eval", made("train", made(NOISE, train)), test)
    steps = [(step.command, depth) for step, depth in provenance.walk(last)]
    assert steps == [
        ("data train", 0),
        (NOISE, 0),
        ("train", 0),
        ("data test", 1),
        ("corrupt test", 1),
        ("eval", 0),
    ]


def test_files_from_elsewhere_have_no_steps() -> None:
    assert list(provenance.walk(None)) == []
    step = provenance.step("train", {}, [provenance.source("data", "0a", None, Path("toy.parquet"))])
    assert [entry.command for entry, _ in provenance.walk(step)] == ["train"]


def test_times_counts_along_first_inputs_only() -> None:
    twice = made(NOISE, made("corrupt shuffled-pixels", made(NOISE, made("data train"))))
    assert provenance.times(twice, NOISE) == 2
    assert provenance.times(twice, "corrupt shuffled-pixels") == 1
    assert provenance.times(twice, "corrupt") == 0
    assert provenance.times(made("join", made("data train"), twice), NOISE) == 0
    assert provenance.times(made("join", twice, twice), NOISE) == 2
    assert provenance.times(None, NOISE) == 0


def test_the_footer_is_one_line_of_json() -> None:
    step = provenance.step("data toy", {"name": "Größe"})
    text = provenance.encode(step, rows=3)
    assert json.loads(text) == {"rows": 3, "step": step.to_json()}
    assert provenance.decode(text) == {"rows": 3, "step": step}
    assert b"\n" not in text


def test_a_command_line_says_what_was_asked() -> None:
    arguments = {"p": 0.5, "seed": 3, "label": "my label", "name": None, "dither": True, "clip": False}
    inputs = [
        provenance.source("data", "0a", None, Path("my file.parquet")),
        provenance.source("data", "0b", made("data digits"), Path("digits.parquet")),
        provenance.source("data", "0c", None, None),
    ]
    line = provenance.command_line(provenance.step(NOISE, arguments, inputs))
    expected = "gencli corrupt random-labels 'my file.parquet' -p 0.5 --seed 3 --label 'my label' --dither"
    assert shlex.split(line) == shlex.split(expected)


def test_a_command_line_gives_the_same_result_again() -> None:
    line = provenance.command_line(provenance.step("train", {"batch_size": 16, "lr": 0.0123456789}))
    assert shlex.split(line) == ["gencli", "train", "--batch-size", "16", "--lr", "0.0123456789"]


def test_lines_can_be_typed() -> None:
    made = provenance.step("eval", {"top": [1, 3]})
    assert provenance.command_line(made) == "gencli eval --top 1 --top 3"
    made = provenance.step("train", {"arch": "linear", "processes": 2})
    assert provenance.command_line(made) == "torchrun --nproc-per-node 2 -m gencli train --arch linear"


STEP = {"command": "data toy", "arguments": {}, "versions": {"gencli": "1"}, "inputs": []}
WRONG = {
    "no object": [],
    "no command": {name: value for name, value in STEP.items() if name != "command"},
    "a command of another type": STEP | {"command": ["data"]},
    "a version that is a number": STEP | {"versions": {"gencli": 1}},
    "a fact of the machine that is a list": STEP | {"machine": {"cpu": []}},
    "an input that is none": STEP | {"inputs": [1]},
    "an input of no content": STEP | {"inputs": [{"role": "data", "name": "x"}]},
    "an input of nobody": STEP | {"inputs": [{"role": "data", "sha256": "0a"}]},
    "an input with a wrong step": STEP | {"inputs": [{"role": "data", "sha256": "0a", "step": {}}]},
    "a share that is text": STEP | {"inputs": [{"role": "data", "sha256": "0a", "name": "x", "labels_differ": "1"}]},
}


@pytest.mark.parametrize("step", WRONG.values(), ids=WRONG)
def test_provenance_of_another_form_is_refused(step: object) -> None:
    with pytest.raises(ValueError, match="its provenance has the wrong form"):
        provenance.decode(json.dumps({"step": step}))


def test_what_a_newer_version_records_is_not_dropped_silently() -> None:
    with pytest.raises(ValueError, match="its provenance has 'weather', which this version does not know"):
        provenance.decode(json.dumps({"step": STEP | {"weather": "rain"}}))


def test_more_steps_than_anyone_makes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_STEPS", 3)
    entries = [{"role": "data", "sha256": "0a", "step": STEP}] * 4
    few, many = (json.dumps({"step": STEP | {"inputs": entries[:count]}}) for count in (2, 4))
    assert len(list(provenance.walk(provenance.decode(few)["step"]))) == 3
    with pytest.raises(ValueError, match="more than 3 steps"):
        provenance.decode(many)


def test_metadata_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not text"):
        provenance.decode(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ['{"step": "\\ud800"}', '{"a":' * 700 + "1" + "}" * 700])
def test_what_cannot_be_written_again_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"surrogates|nested too deep"):
        provenance.decode(text)


def test_what_is_read_is_what_was_written() -> None:
    entry = provenance.Source("data", "0a", made("data toy"), labels_differ=0.5)
    whole = provenance.Step("eval", {"top": [1]}, {"gencli": "1"}, (entry,), {"cpu": "AVX2"}, "confusion", "all of it")
    assert provenance.decode(provenance.encode(whole))["step"] == whole


@pytest.mark.parametrize(
    "text", ['{"a":1,"b":{"c":1,"c":1}}', '{"a":[' + "{}," * (1 << 22) + "0]}"], ids=["twice", "many"]
)
def test_json_of_far_more_values_than_bytes_or_of_two_minds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"names something twice|8,388,610 values in 12,582,921 bytes"):
        provenance.parse(text)


def source(role: str, name: str = "", step: provenance.Step | None = None) -> provenance.Source:
    return provenance.Source(role, "0a", step, name)


@pytest.mark.parametrize(
    ("command", "inputs", "arguments", "line"),
    [
        ("data where", [source("data", "x")], {"expr": "a > 1", "seed": 0}, "data where 'a > 1' x --seed 0"),
        ("check hvp", [source("data", "x")], {}, "check hvp --data x"),
        ("eval", [source("model", "-"), source("data", "x")], {}, "eval x"),
        ("eval", [source("model", "m"), source("history", "h")], {}, "eval m --history h"),
        ("eval", [source("init", "", provenance.Step("train", {}, {}))], {}, "eval --init FILE"),
        ("data digits", [source("source", "batch")], {}, "data digits"),
        ("fit", [source("data", "x"), source("top", "y")], {"top": ["FILE", "z"]}, "fit x --top FILE --top z"),
        ("train", [], {"batch_norm": False, "nesterov": True, "other": False}, "train --no-batch-norm --nesterov"),
        ("train", [], {"lr": 0.1, "p": 1e-07, "x": 1e22, "n": None}, "train --lr 0.1 -p 1e-07 -x 1e+22"),
        ("train", [], {"lr": 1 / 3, "s": 0, "w": ""}, "train --lr 0.3333333333333333 -s 0 -w ''"),
        ("train", [], {"processes": 4, "batch_size": 8}, "4 train --batch-size 8"),
    ],
)  # fmt: skip
def test_a_step_is_a_line(command: str, inputs: list[provenance.Source], arguments: dict[str, Any], line: str) -> None:
    found = provenance.command_line(provenance.Step(command, arguments, {}, tuple(inputs)))
    start = "torchrun --nproc-per-node 4 -m gencli" if "processes" in arguments else "gencli"
    assert found == f"{start} {line.removeprefix('4 ')}"


def test_lines_of_further_inputs_are_indented() -> None:
    first, second = (provenance.Step(f"data {name}", {}, {"gencli": "1", "numpy": "2"}) for name in "ab")
    last = provenance.Step("eval", {}, {"gencli": "1"}, (source("model", "", first), source("data", "", second)))
    assert [*provenance.lines(last)] == [
        "gencli data a  # gencli 1, numpy 2", "  gencli data b  # gencli 1, numpy 2", "gencli eval  # gencli 1",
    ]  # fmt: skip


def test_a_step_of_another_of_its_files_names_that() -> None:
    whole = provenance.Step(
        "eval", {}, {"gencli": "1"}, (source("data", "a"), source("data", "b"), source("model", "m"))
    )
    other = whole.to("predictions", "numpy", names={"data": ["x"], "none": ["y"]})
    assert [each.name for each in other.inputs] == ["x", "b", "m"]
    assert (other.output, set(other.versions)) == ("predictions", {"gencli", "numpy"})
    assert [each.name for each in whole.given("data")] == ["a", "b"]


@pytest.mark.parametrize(("values", "fits"), [(4, True), (5, False)])
def test_values_of_json_are_as_many_as_its_bytes_allow(
    values: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_VALUES", 1)
    text = '{"a":[' + "1," * (values - 2) + "1]" + " " * (63 - 2 * values) + "}"
    monkeypatch.setattr(provenance, "_A_VALUE", len(text) // 4)
    if fits:
        assert provenance.parse(text)["a"] == [1] * (values - 1)
    else:
        with pytest.raises(ValueError, match=f"^{values} values in {len(text)} bytes$"):
            provenance.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":[[]]}', ""), ('{"a":[[[]]]}', "not an object, or nested too deep"),
        ("[]", "not an object, or nested too deep"),
        ('{"a":1' + "0" * 308 + "}", ""), ('{"a":1' + "0" * 309 + "}", "a number that is too large"),
        ('{"a":-1' + "0" * 309 + "}", "a number that is too large"),
    ],
)  # fmt: skip
def test_json_is_an_object_of_a_depth_and_of_numbers_that_a_float_holds(
    text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_DEPTH", 3)
    if not said:
        provenance.parse(text)
        return
    with pytest.raises(ValueError, match=f"^{said}$"):
        provenance.parse(text)
