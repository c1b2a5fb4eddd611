"""What arguments name and in which order it is opened; how many files may be open at once."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files import named


@pytest.mark.parametrize(
    ("soft", "hard", "count", "wanted"),
    [
        (1024, 4096, 923, None), (1024, 4096, 925, 1025), (1024, 4096, 1000, 1100), (1024, 1050, 1000, 1050),
        (1024, resource.RLIM_INFINITY, 5000, 5100), (256, 256, 1000, 256), (8000, 9000, 5, None),
    ],
)  # fmt: skip
def test_the_limit_of_open_files_is_raised_by_what_is_opened(
    soft: int, hard: int, count: int, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 are for everything else; the hard limit is never passed."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    named._allow_files(count)
    assert asked == ([] if wanted is None else [(wanted, hard)])


def test_pipes_are_opened_last_and_objects_before_them(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    opened = list[str | None]()

    def note(place: str | None) -> str:
        opened.append(place)
        return f"<{place}>"

    places = [None, str(tmp_path / "pipe"), "s3://b/x", str(tmp_path / "file"), "-", str(tmp_path), "missing"]
    assert named.named_first(*((each, note) for each in places)) == [f"<{each}>" for each in places]
    assert opened == [places[each] for each in (3, 5, 6, 2, 0, 1, 4)]
    assert [named.is_pipe(each) for each in places] == [True, True, False, False, True, False, False]


def test_standard_input_is_one_input() -> None:
    named.require_one_standard_input("-", "a", None, None)
    with pytest.raises(GencliError, match=r"^two inputs would come from standard input$"):
        named.require_one_standard_input("-", "a", "-")


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["a/x", "b/y"], ["x", "y"]), (["a/x", "b/x"], ["a/x", "b/x"]), (["a/x", "a/x"], ["x", "x"]),
        (["a/b/x/", "a/c/x"], ["b/x", "c/x"]), (["-", "a"], ["-", "a"]), (["-", "a/x", "b/x"], ["-", "a/x", "b/x"]),
        (["x", "a/x"], ["x", "a/x"]), ([], []),
    ],
)  # fmt: skip
def test_names_are_as_long_as_tells_them_apart(places: list[str], names: list[str]) -> None:
    assert named.distinct_names(places) == names


def test_names_match_patterns_by_themselves_or_in_their_folders() -> None:
    found = [named._matches("a/b.parquet", each) for each in ("b*", "a/*", "*b.parquet", "c*", "B*", "a/c*")]
    assert found == [True, True, True, False, False, False]
    held = [f"s3://b/top/{name}" for name in ("x.parquet", "in/y.parquet", "in/.z.parquet", ".w.parquet", "v.csv")]
    for folder in ("s3://b/top", "s3://b/top/"):
        assert [*named._objects(folder, held, None)] == [held[:1], held[:2]]
        assert [*named._objects(folder, held, "y*")] == [[], held[1:2]]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    for pattern, what in ((None, "*.parquet files"), ("x*", "*.parquet files that match 'x*'")):
        with pytest.raises(GencliError) as refused:
            named.open_inputs(str(tmp_path), pattern)
        assert refused.value.message == f"{tmp_path}: a folder without {what}"
    for name in ("b.parquet", "a.parquet", ".c.parquet", "d.csv"):
        (tmp_path / name).write_bytes(b"PAR1")
    found = named.open_inputs(str(tmp_path))
    assert [(each.name, each.folder, each.whole) for each in found] == [
        (f"{tmp_path}/{name}.parquet", str(tmp_path), True) for name in "ab"
    ]  # fmt: skip
    assert [(each.name, each.whole) for each in named.open_inputs(str(tmp_path), "b*")] == [
        (f"{tmp_path}/b.parquet", False)
    ]  # fmt: skip
