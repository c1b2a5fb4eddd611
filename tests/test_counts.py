"""Times and names as they are typed."""

import pytest

from gencli.counts import numbered, seconds, singular


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 rows of 1 classes", "1 row of 1 class"),
        ("f: 1 copies, 11 rows, 2,1 rows", "f: 1 copy, 11 rows, 2,1 rows"),
        ("a-1 rows, 1 rows.parquet, 1 rows/x, 0.1 values", "a-1 rows, 1 rows.parquet, 1 rows/x, 0.1 values"),
    ],
)
def test_one_is_in_the_singular(text: str, said: str) -> None:
    assert singular(text) == said
