import pytest

from core import errors
from kube import quantity

GOOD = [
    ("0", 0), ("20Gi", 20 << 30), ("1.5Gi", 3 << 29), ("500M", 500_000_000), ("1e9", 10**9),
    ("100m", 1), ("1.0001", 2), ("+5k", 5000), (".5Ki", 512), ("1E", 10**18), ("1Ei", 1 << 60),
    ("12e-1", 2),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), GOOD)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, value: int) -> None:
    assert quantity.parse("f", text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gi", "1KiB", "1e", "0x10", "1" * 65, "٣"])
def test_what_is_no_quantity_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(errors.InvalidField, match=r"^f .* is not a quantity"):
        quantity.parse("f", text)
