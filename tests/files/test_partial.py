"""Names of incomplete files beside their places, and what of killed runs is removed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from gencli.files import partial


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.csv", ".a.csv."), ("x" * 46, f".{'x' * 46}."), ("x" * 47, f".{'x' * 46}."), ("x" * 64, f".{'x' * 46}."),
        ("x" * 65, f".{'x' * 47}."), ("x" * 200, f".{'x' * 182}."), ("x" + "é" * 23, f".x{'é' * 22}."),
    ],
)  # fmt: skip
def test_a_long_name_leaves_room_for_its_ending(name: str, start: str) -> None:
    assert partial._start(Path("folder", name)) == start
    assert len(f"{start}01234567.partial".encode()) <= max(64, len(name.encode()))


@pytest.mark.parametrize("folder", [False, True])
def test_what_killed_runs_left_is_removed_and_nothing_else(
    folder: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "a"
    left, locked = tmp_path / ".a.01234567.partial", tmp_path / ".a.89abcdef.partial"
    others = [".a.0123456.partial", ".a.0123456g.partial", ".b.01234567.partial", ".a.01234567.partial.x"]
    for name in others:
        (tmp_path / name).touch()
    locked.touch()
    left.mkdir() if folder else left.touch()
    with locked.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        path, descriptor = partial.create(place, folder)
        assert path.parent == tmp_path
        assert path.is_dir() == folder
        assert {each.name for each in tmp_path.iterdir()} == {*others, locked.name, path.name}
    assert capsys.readouterr().err == f"{left}: removed, left behind by a killed run\n"
    partial._remove_left(path)
    assert path.exists(), "it is locked"
    assert path in partial._written
    os.close(descriptor)
    partial.remove(path)
    assert not path.exists()
    assert path not in partial._written
    partial.remove(path)


def test_a_second_name_is_of_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    second = partial.second_name(tmp_path / "a")
    assert second is not None
    assert second.samefile(tmp_path / "a")
    partial.keep(second)
    assert partial.second_name(tmp_path / "missing") is None
    assert not any(each.parent == tmp_path for each in partial._written)
