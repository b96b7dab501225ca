"""Making a thing of the cloud exactly once, whatever gets lost on the way.

Two things make it so. The thing carries its name in a tag, or is called by it, and is looked up
first: that works for ever, and is the caller's affair. A client token does the same for the moments
until the name can be seen, and between processes: that works for a day, and is done here.

A token outlives its thing. Made, deleted and asked for again within the day, the cloud answers the
dead thing's id. Then the next token of a chain is used, made from the name and the dead id: each
retry, in any process, walks the same chain and comes to the same thing.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from cloud import errors as cloud_errors
from core import clock, errors

T = TypeVar("T")

log = structlog.get_logger()

LIVES_MAX = 100
"""Lives of one name within a day; more is a fault."""
LOOK_EVERY_S = 1.0
"""What was made a moment ago shows up in lists within seconds."""

_PLAIN_MAX_BYTES = 62
_FNV_OFFSET = 0x6C62272E07BB014262B821756295C58D
_FNV_PRIME = 0x0000000001000000000000000000013B
_FNV_MASK = (1 << 128) - 1


async def make(
    name: str,
    *,
    kind: str,
    wish: str,
    create: Callable[[str], Awaitable[str]],
    is_spent: Callable[[cloud_errors.CloudError], bool],
    find: Callable[[], Awaitable[T | None]],
    read: Callable[[str], Awaitable[T | None]],
) -> T:
    """The thing called *name*, made now or earlier; the caller compares what it gets.

    kind: for messages, such as "volume". wish: a text that is the same for the same request.
    create: makes the thing with a client token; its id.
    is_spent: whether an error of *create* says that the token was used for another wish.
    find: the thing by its name, after that; None = there is none any more.
    read: the thing by its id, with patience; None = it was deleted.

    Raises what these raise. After CloudUnavailable the thing may exist, and the next call finds it.
    """
    salt = ""
    for _ in range(LIVES_MAX):
        try:
            thing_id = await create(client_token(name, salt))
        except cloud_errors.CloudError as e:
            if not is_spent(e):
                raise
            thing, life = await find(), f"{salt}\0{wish}"
        else:
            thing, life = await read(thing_id), thing_id
        if thing is not None:
            return thing
        log.info("client token was spent on what is gone", kind=kind, name=name)
        salt = life
    raise errors.Internal(f"{kind} {name} was made and deleted {LIVES_MAX} times in a day")


async def look(
    read: Callable[[], Awaitable[T | None]], time: clock.Clock, *, times: int
) -> T | None:
    """What *read* finds, looked for *times* times, a second apart: lists lag behind."""
    for turn in range(times):
        if turn:
            await time.sleep(LOOK_EVERY_S)
        found = await read()
        if found is not None:
            return found
    return None


def client_token(name: str, salt: str = "") -> str:
    """Token for making *name*: `n:<name>` when short and ASCII, else `h:<hash of the name>`.

    At most 64 characters. salt: tells a further token for the same name, see `make`; always hashed.
    The algorithm is the reference's (spec/csi-driver.md 2.7), so a retry by either driver finds the
    other's work.
    """
    if salt:
        return "h:" + digest(f"{name}\0{salt}")
    if len(name.encode()) <= _PLAIN_MAX_BYTES and name.isascii():
        return "n:" + name
    return "h:" + digest(name)


def digest(text: str) -> str:
    """FNV-1a, 128 bit, big-endian, in base64 without padding: 22 characters."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & _FNV_MASK
    return base64.b64encode(value.to_bytes(16, "big")).decode().rstrip("=")
