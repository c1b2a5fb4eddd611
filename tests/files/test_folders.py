"""Listings of folders, and files in them that are none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.files import folders


def test_each_folder_is_listed_once_the_nearest_first_and_folders_before_links(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for name in ("b/deep", "c", ".hidden"):
        (top / name).mkdir(parents=True)
    for name in ("z", "y", ".dot", "b/x", "b/deep/w", "c/v"):
        (top / name).touch()
    (top / "a").symlink_to(top / "b")
    (top / "nowhere").symlink_to(top / "gone")
    (top / "c" / "back").symlink_to(top)
    found = [(os.path.relpath(folder, tmp_path), names) for folder, names in folders.walk([str(top), str(top / "c")])]
    assert found == [
        ("top", ["nowhere", "y", "z"]), ("top/c", ["v"]), ("top/b", ["x"]), ("top/b/deep", ["w"]),
    ]  # fmt: skip
    assert folders.names(str(top)) == sorted([".dot", ".hidden", "a", "b", "c", "nowhere", "y", "z"])


def test_what_is_there_and_what_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f").touch()
    Path("link").symlink_to("gone")
    assert [folders.is_there(name) for name in ("f", "link", "gone", "f/x")] == [True, True, False, False]
    assert [folders.is_folder(name) for name in ("", ".", "f", "link", "gone")] == [True, True, False, False, False]
    assert folders.identity("") == folders.identity(str(tmp_path)) == (os.stat(".").st_dev, os.stat(".").st_ino)
    assert folders.names("") == ["f", "link"]
    assert [*folders.walk([""])] == [("", ["f", "link"])]


@pytest.mark.parametrize("reading", [folders.read, folders.require_file])
def test_files_that_are_none_are_refused(reading: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("gone")
    os.mkfifo("pipe")
    assert callable(reading)
    for name, says in (
        ("pipe", "pipe: a named pipe"), ("/dev/null", "/dev/null: a device"), (".", ".: no file"),
        ("link", "link: a broken link"), ("gone", "gone: no such file or folder"),
    ):  # fmt: skip
        with pytest.raises(GencliError) as raised:
            reading(name)
        assert raised.value.message in (says, f"{name}: cannot be read: Is a directory")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(GencliError, match=r"^socket: a socket$"):
            folders.require_file("socket")


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, asked = tmp_path / "f", list[int]()
    monkeypatch.setattr(folders, "_LARGE", 4)
    monkeypatch.setattr(folders.machine, "require_memory", lambda size, what, hint: asked.append(size))
    for content in (b"", b"four", b"five!"):
        path.write_bytes(content)
        assert folders.read(str(path)) == content
    assert asked == [5]
    monkeypatch.setattr(folders.machine, "require_memory", lambda *given: path.write_bytes(b"longer than that"))
    with pytest.raises(GencliError, match="changed while it was read"):
        folders.read(str(path))
    path.write_bytes(b"longer")
    monkeypatch.setattr(folders.machine, "require_memory", lambda *given: path.write_bytes(b"short"))
    with pytest.raises(GencliError, match="changed while it was read"):
        folders.read(str(path))
