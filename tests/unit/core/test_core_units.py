import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors, units


@given(st.integers(min_value=0, max_value=1 << 60))
def test_ceil_gib_is_the_smallest_size_that_holds(size_bytes):
    size_gib = units.ceil_gib(size_bytes)

    assert units.gib_to_bytes(size_gib) >= size_bytes
    assert size_gib == 0 or units.gib_to_bytes(size_gib - 1) < size_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("5", 5), ("3K", 3072), ("2M", 2 << 20), ("1Gi", 1 << 30), ("1gb", 1 << 30)],
)
def test_binary_sizes_are_powers_of_1024(text, size_bytes):
    assert units.parse_binary("readBPS", text) == size_bytes


@pytest.mark.parametrize("text", ["", "-1", "1.5G", "5X", "G"])
def test_a_bad_size_names_the_field(text):
    with pytest.raises(errors.InvalidField, match="readBPS"):
        units.parse_binary("readBPS", text)
