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
