"""Describing many ids in one call, when one of them may be something ECS does not take for an id.

Ids come from volume handles, so anybody may have typed one. One malformed id fails the whole call,
and must not fail the look-ups of other volumes that share it.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cloud import errors as cloud_errors

T = TypeVar("T")

DescribeIds = Callable[[Sequence[str]], Awaitable[dict[str, T]]]


async def by_id(describe: DescribeIds[T], ids: Sequence[str], *, malformed: str) -> dict[str, T]:
    """What *describe* finds of *ids*, by id; a malformed id is like one that does not exist.

    malformed: prefix of the code ECS answers then, e.g. "InvalidDiskId". The list is halved until
    the malformed ones are alone: about 2 log2(100) calls for one in a full batch.
    """
    try:
        return await describe(ids)
    except cloud_errors.CloudInvalid as e:
        if not e.code.startswith(malformed):
            raise
    if len(ids) == 1:
        return {}
    half = len(ids) // 2
    first = await by_id(describe, ids[:half], malformed=malformed)
    return first | await by_id(describe, ids[half:], malformed=malformed)
