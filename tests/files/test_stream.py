"""What is refused before the work: outputs that are inputs, or that cannot be written; pipes are left alone."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import pytest

from gencli.errors import GencliError
from gencli.files import stores
from gencli.files.stream import Input, Output, require_writable


def test_outputs_are_tried_before_the_work_and_left_as_they_are(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "new"
    there.write_text("kept")
    require_writable(str(new), str(there), None)
    assert there.read_text() == "kept"
    assert os.listdir(tmp_path) == ["there"]
    for place in (there, tmp_path, tmp_path / "no folder" / "file"):
        with pytest.raises(GencliError):
            require_writable(str(new), str(place), inputs=[Input(str(there))])
        with pytest.raises(GencliError):
            require_writable(str(place), inputs=[Input(str(there))])
    assert os.listdir(tmp_path) == ["there"]


def test_a_named_pipe_is_not_opened_before_the_work(tmp_path: Path) -> None:
    """Its reader would take that for the end."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    require_writable(str(tmp_path / "new"), str(pipe))
    require_writable(str(pipe))
    seen = select.poll()
    seen.register(reader)
    assert seen.poll(0) == []  # hung up on, once a writer has come and gone
    os.close(reader)


def test_a_full_disk_keeps_nothing_of_a_file_or_an_object_and_a_part_of_what_went_through_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "open_upload", lambda address: lambda fd: None)
    (tmp_path / "a").write_text("before")

    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    for place, kept in ((tmp_path / "a", "nothing was kept"), ("s3://bucket/a", "nothing was kept"),
                        ("/dev/full", "the output there is incomplete")):  # fmt: skip
        output = Output(str(place))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(GencliError, match=r": No space left on device$") as error:
                output.write(b"after")
        output.abort()
        assert error.value.hint
        assert error.value.hint.startswith(f"{kept}; ")
    assert (tmp_path / "a").read_text() == "before"
    assert os.listdir(tmp_path) == ["a"]


def collision(act: Any) -> str:
    with pytest.raises(GencliError) as refused:
        act()
    return refused.value.message


def test_an_output_is_no_input_and_no_other_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "open_upload", lambda address: lambda fd: None)
    there = tmp_path / "there"
    there.write_text("kept")
    (tmp_path / "link").symlink_to("there")
    os.link(there, tmp_path / "second")
    source = Input(str(there))
    for name in ("there", "link", "second"):
        said = collision(lambda name=name: Output(str(tmp_path / name), [source]))
        assert said == f"{tmp_path}/{name}: the output is the input"
    first = Output(str(there))
    for name in ("there", "link", "second"):
        said = collision(lambda name=name: Output(str(tmp_path / name)))
        assert said == f"{tmp_path}/{name}: two outputs would be written there"
    Output(str(tmp_path / "new"), [source]).abort()
    first.abort()
    for one, other, same in (
        ("s3://b/x", "s3://b/x", True),
        ("s3://b/x", "s3://b/y", False),
        ("s3://b/x", str(there), False),
    ):
        held = Output(one)
        if same:
            assert collision(lambda other=other: Output(other)) == f"{other}: two outputs would be written there"
        else:
            Output(other).abort()
        held.abort()
    null = Output("/dev/null")
    Output("/dev/null").abort()
    null.abort()
    assert there.read_text() == "kept"


def test_what_cannot_be_written_is_said(unprivileged: Path) -> None:
    (unprivileged / "file").touch()
    (unprivileged / "file").chmod(0o400)
    (unprivileged / "round").symlink_to("round")
    (unprivileged / "folder").mkdir()
    for name, said in (
        ("folder", "a folder, not a file"), ("new/", "a folder, not a file"),
        ("round", "cannot be written: Too many levels of symbolic links"),
        ("file", "cannot be written: Permission denied"),
    ):  # fmt: skip
        assert collision(lambda name=name: Output(name)) == f"{name}: {said}"


def test_a_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    (tmp_path / "link").symlink_to("a")
    with Output(str(tmp_path / "link")) as output:
        assert output.direct is False
        assert output.write(b"new") == 3
        output.mute()
        assert output.write(b"more") == 4
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "link").is_symlink()


def test_what_goes_to_a_pipe_can_be_held(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    output = Output(str(tmp_path / "pipe"))
    assert output.direct
    output.hold()
    changing = bytearray(b"ab")
    assert output.write(changing) == 2
    changing[0] = 0
    assert select.select([reader], [], [], 0)[0] == []
    output.require_reader()
    output.finish()
    assert os.read(reader, 9) == b"ab"
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        output.require_reader()
    output.abort()
