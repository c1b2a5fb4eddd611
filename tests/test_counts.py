"""Times and names as they are typed."""

import pytest

from gencli.counts import numbered, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", 90.0), ("5min", 300.0), ("5m", 300.0), ("2h", 7200.0), ("1.5h", 5400.0), ("1h30min", 5400.0),
        ("1d", 86400.0), ("0s", 0.0), ("5", None), ("", None), ("min", None), ("5 min", None), ("-5s", None),
        ("٣s", None), ("5mins", None), ("1e3s", None),
    ],
)  # fmt: skip
def test_a_time_has_a_unit(text: str, value: float | None) -> None:
    assert seconds(text) == value


def test_numbers_in_names_are_in_the_order_of_their_sizes() -> None:
    names = ["resnet32", "mlp-3x16", "mlp-1x1024", "mlp-1x128", "mlp-1x16", "resnet18"]
    assert sorted(names, key=numbered) == ["mlp-1x16", "mlp-1x128", "mlp-1x1024", "mlp-3x16", "resnet18", "resnet32"]
    assert sorted(["a" + "9" * 5000, "a1"], key=numbered)[0] == "a1"
