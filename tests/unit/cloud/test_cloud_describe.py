"""Looking up many ids of which some are malformed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import describe
from cloud import errors as cloud_errors

GOOD = "d-"


def refusal(code: str) -> cloud_errors.CloudError:
    return cloud_errors.make(action="DescribeDisks", code=code, status=400, message="no")


async def strict(ids: Sequence[str]) -> dict[str, str]:
    """Like an API that refuses a whole call for one malformed id."""
    if any(not i.startswith(GOOD) for i in ids):
        raise refusal("InvalidDiskIds.Malformed")
    return {i: f"state of {i}" for i in ids if not i.endswith("gone")}


@given(st.lists(st.sampled_from(["d-1", "d-2", "d-3", "d-gone", "x", "../y", "é"]), unique=True))
async def test_malformed_ids_are_absent_and_disturb_nobody(ids: list[str]) -> None:
    found = await describe.by_id(strict, ids, malformed="InvalidDiskId")

    assert found == {i: f"state of {i}" for i in ids if i in ("d-1", "d-2", "d-3")}


async def test_another_refusal_is_not_taken_for_a_malformed_id() -> None:
    async def refuse(_: Sequence[str]) -> dict[str, str]:
        raise refusal("InvalidParameter")

    with pytest.raises(cloud_errors.CloudInvalid):
        await describe.by_id(refuse, ["d-1", "d-2"], malformed="InvalidDiskId")
