"""How many files may be open at once."""

from __future__ import annotations

import resource

import pytest

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
