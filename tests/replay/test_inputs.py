"""Files from outside are found by their content, or by their name with the same content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gencli.errors import GencliError
from gencli.replay import inputs
from gencli.replay.plan import Outside


def outside(content: bytes, name: str, number: int = 1) -> Outside:
    return Outside(number, hashlib.sha256(content).hexdigest(), name)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "renamed").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    (tmp_path / "empty").touch()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "three").write_bytes(b"three")
    known = inputs.hashes(str(tmp_path))
    assert {Path(path).name for path in known.values()} == {"renamed", "two"}
    one, two, three, other, gone = (
        outside(b"one", "one"), outside(b"two", "two"), outside(b"three", "below/three"),
        outside(b"x", "two"), outside(b"y", "none"),
    )  # fmt: skip
    found = [place for _, place, _ in inputs.found([one, two, three, other, gone], str(tmp_path), known)]
    assert found == [str(tmp_path / name) for name in ("renamed", "two", "below/three", "two")] + [""]
    assert inputs.required([one, three], str(tmp_path), known) == {
        one: str(tmp_path / "renamed"), three: str(tmp_path / "below/three"),
    }  # fmt: skip
    with pytest.raises(GencliError) as refused:
        inputs.required([other], str(tmp_path), known)
    assert refused.value.message == f"{tmp_path}/two: SHA-256 {two.sha256}, but {other.sha256} was read"
    with pytest.raises(GencliError) as refused:
        inputs.required([gone], str(tmp_path), known)
    assert refused.value.message == f"{tmp_path}/none: no such file; SHA-256 {gone.sha256} is needed"
    with pytest.raises(GencliError, match=r"^--inputs: .*/nowhere: no such folder$"):
        inputs.hashes(str(tmp_path / "nowhere"))
