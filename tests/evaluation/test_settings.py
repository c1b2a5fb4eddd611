"""What `gencli eval` is asked for: which options go together, and which words are models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.evaluation.settings import Requests


@pytest.mark.parametrize(
    ("more", "given", "refused"),
    [
        ({}, set(), ""),
        ({"measures": True}, {"measures"}, ""),
        ({"measures": True, "seed": 3}, {"measures", "seed"}, ""),
        ({"intervals": True, "seed": 3}, {"intervals", "seed"}, ""),
        ({"seed": 3}, {"seed"}, "--seed: nothing is drawn"),
        ({"measures": True, "history": "h", "reached": 0.2}, {"measures", "history", "reached"}, ""),
        ({"history": "h"}, {"history"}, "--history: no measures are asked for"),
        ({"measures": True, "reached": 0.2}, {"measures", "reached"}, "--reached: there is no history"),
        ({"top": [1], "norm": True, "by": "id"}, {"top", "norm", "by"}, ""),
        *(
            ({"measures": True, name: value}, {"measures", name}, f"--{name} and --measures do not go together")
            for name, value in (
                ("by", "id"), ("top", [1]), ("intervals", True), ("norm", True),
                ("predictions", "p"), ("confusion", "c"),
            )
        ),
    ],
)  # fmt: skip
def test_options_that_exclude_each_other_are_refused(more: dict[str, Any], given: set[str], refused: str) -> None:
    requests = Requests(**more)
    if not refused:
        assert requests.resolved(given) is requests
        return
    with pytest.raises(GencliError, match=re.escape(refused)):
        requests.resolved(given)


def test_a_seed_is_of_what_is_drawn() -> None:
    assert Requests(seed=4).drawn is None
    assert Requests(seed=4, intervals=True).drawn == Requests(seed=4, measures=True).drawn == 4


def test_safetensors_are_models_and_other_words_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m").write_bytes(bytes(8) + b"{}")
    Path("short").write_bytes(bytes(8))
    Path("table").write_bytes(b"PAR1    }")
    Path("folder").mkdir()
    assert Requests().places("-", ["m", "table", "folder", "none", "short"]) == (
        ["-", "m"], ["table", "folder", "none", "short"]
    )  # fmt: skip
    assert Requests().places("m", ["m"]) == (["m", "m"], ["-"])
    assert Requests().places("table", []) == (["table"], ["-"])
    assert Requests(measures=True).places("-", []) == (["-"], [])
    with pytest.raises(GencliError, match="two inputs would come from standard input"):
        Requests().places("-", ["m"])


def test_measures_take_one_model_and_one_table_at_most(tmp_path: Path) -> None:
    measured = Requests(measures=True)
    model = tmp_path / "m"
    model.write_bytes(bytes(8) + b"{}")
    assert measured.places("a", ["b"]) == (["a"], ["b"])
    with pytest.raises(GencliError, match="--measures: 1 models, 2 tables"):
        measured.places("a", ["b", "c"])
    with pytest.raises(GencliError, match="--measures: 2 models, 1 tables"):
        measured.places("a", [str(model), "c"])
    followed = Requests(measures=True, history="h")
    assert followed.places("a", ["b"]) == (["a"], ["b"])
    with pytest.raises(GencliError, match="--history: no table"):
        followed.places("a", [])
    with pytest.raises(GencliError, match="two inputs would come from standard input"):
        Requests(measures=True, history="-").places("a", ["-"])


@pytest.mark.parametrize("name", ["measures", "predictions", "confusion"])
def test_a_part_has_no_other_files(name: str) -> None:
    asked = Requests(**{name: True if name == "measures" else "f"})  # type: ignore[arg-type]
    asked.require_part(None, None, "out.csv")
    with pytest.raises(GencliError, match=f"--{name} and --shard do not go together"):
        asked.require_part("0/2", None, "out.parquet")
    Requests(top=[1], norm=True).require_part("0/2", None, "out.parquet")
    with pytest.raises(GencliError, match="--shard: a part of a result is written as Parquet"):
        Requests().require_part("0/2", None, "out.csv")


@pytest.mark.parametrize("name", ["top", "intervals", "confusion"])
def test_networks_that_make_images_have_no_classes(name: str) -> None:
    asked = Requests(**{name: [1] if name == "top" else "c" if name == "confusion" else True})  # type: ignore[arg-type]
    with pytest.raises(GencliError, match=f"m: unet makes images, to which --{name} does not apply"):
        asked.require_classes("m: unet makes images", True)
    for data in (False, True):
        Requests(norm=True).require_classes("m: unet makes images", data)
    Requests(measures=True).require_classes("m: unet makes images", False)
    with pytest.raises(GencliError, match="m: unet makes images, and measures on data need classes"):
        Requests(measures=True).require_classes("m: unet makes images", True)
