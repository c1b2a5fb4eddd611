"""A name that one of several outputs cannot get leaves all of them as they were."""

import errno
import os
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files.together import Together


def commit(folder: Path, names: str, fails: int, monkeypatch: pytest.MonkeyPatch, lasting: bool = False) -> str:
    """Writes files of these names, while the so many-th rename fails, and all later ones too if it is `lasting`.

    Returns:
        The error's hint.
    """
    rename, calls = os.rename, []

    def failing(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == fails or (lasting and len(calls) > fails):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    outputs = Together()
    for name in names:
        outputs.open(str(folder / name)).write(b"new")
    with pytest.raises(GencliError, match="No space left") as raised:
        outputs.__exit__(None, None, None)
    return raised.value.hint


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("fails", [1, 2, 3])
@pytest.mark.parametrize("old", ["", "a", "abc", "bc"])
@pytest.mark.parametrize("names", ["abc", "ab", "a"])
def test_all_or_none(
    names: str, old: str, fails: int, lasting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in old:
        (tmp_path / name).write_text(f"old {name}")
    assert (
        commit(tmp_path, names, min(fails, len(names)), monkeypatch, lasting) == "no file was written; free some space"
    )
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: f"old {name}" for name in old}


def test_where_files_have_one_name_each_what_cannot_be_put_back_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")

    def refused(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    assert commit(tmp_path, "ab", 2, monkeypatch) == f"{tmp_path}/a is complete; free some space"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new"}
    for name in "bc":
        (tmp_path / name).write_text("old")
    said = f"{tmp_path}/a and {tmp_path}/b are complete; free some space"
    monkeypatch.undo()
    monkeypatch.setattr(os, "link", refused)
    assert commit(tmp_path, "abc", 3, monkeypatch) == said
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "new", "c": "old"}


def fail(folder: Path, kept: str, others: str) -> str:
    """Writes files, of which some are kept, and fails. Gives the error's hint."""
    outputs = Together()
    for name in kept + others:
        output = outputs.open(str(folder / name))
        output.write(b"new")
        if name in kept:
            outputs.keep(output)
    error = GencliError("stop", "no more; go home")
    outputs.__exit__(GencliError, error, None)
    return error.hint


def test_what_is_kept_appears_though_the_others_fail(tmp_path: Path) -> None:
    assert fail(tmp_path, "", "b") == "no more; go home"
    assert fail(tmp_path, "a", "b") == f"{tmp_path}/a is complete; go home"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new"}


def test_of_several_processes_the_first_alone_writes(tmp_path: Path) -> None:
    for writes in (False, True):
        with Together(writes) as outputs:
            outputs.open(str(tmp_path / "a")).write(b"new")
        assert (tmp_path / "a").exists() == writes
