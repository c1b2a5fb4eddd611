"""Options of networks' Jacobians are refused where no model is given, the first of them by its name."""

from __future__ import annotations

import pytest

from gencli.errors import GencliError
from gencli.jacobians.settings import JacobianSettings


def test_options_of_networks_need_one() -> None:
    settings = JacobianSettings(wrt="parameters", mode="forward")
    assert settings.resolved({"wrt", "mode", "model"}) is settings
    assert settings.resolved({"at"}) is settings
    for given, named in (({"wrt", "mode", "at"}, "mode"), ({"verify", "of"}, "of"), ({"wrt"}, "wrt")):
        with pytest.raises(GencliError, match=f"^--{named}: applies to networks, but no model is given$"):
            settings.resolved(given)
