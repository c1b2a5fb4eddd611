"""The table that scores are gathered in, by row."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gencli.errors import GencliError
from gencli.scores.table import Scores


@pytest.mark.parametrize(("classes", "known"), [(1, False), (9, False), (10, True), (11, True)])
def test_probabilities_have_a_class_for_every_label(classes: int, known: bool) -> None:
    table: Any = SimpleNamespace(labels=np.array([9, 0]))
    if known:
        assert Scores._given(table, None, "f", np.ones((2, classes))).classes == classes
    else:
        with pytest.raises(GencliError, match=f"f: probabilities of {classes} classes, where labels up to 9 are"):
            Scores._given(table, None, "f", np.ones((2, classes)))
