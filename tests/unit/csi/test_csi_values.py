"""Words inside parameters that name one of several things."""

import enum

import pytest

from core import errors
from csi import values


class Kind(enum.StrEnum):
    NONE = ""
    FAST = "fast"
    SLOW = "Slow"


@pytest.mark.parametrize(
    ("text", "kind"), [("", Kind.NONE), ("FAST", Kind.FAST), ("slow", Kind.SLOW)]
)
def test_a_member_is_named_in_any_letter_case(text: str, kind: Kind) -> None:
    assert values.member("field", text, Kind) is kind


def test_what_is_no_member_is_told_with_those_there_are() -> None:
    with pytest.raises(errors.InvalidField, match="field 'quick' is not known; allowed: fast, Sl"):
        values.member("field", "quick", Kind)
