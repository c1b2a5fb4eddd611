"""What is refused before the work: outputs that are inputs, or that cannot be written; pipes are left alone."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path

import pytest

from gencli.errors import GencliError
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


def test_what_cannot_be_written_says_whether_something_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for place, kept in ((tmp_path / "file", "nothing was kept"), (pipe, "the output there is incomplete")):
        output = Output(str(place))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(GencliError) as failed:
                output.write(b"content")
        output.abort()
        assert str(failed.value) == f"{place}: No space left on device"
        assert failed.value.hint.startswith(f"{kept}; ")
    os.close(reader)
    assert os.listdir(tmp_path) == ["pipe"]
