"""One thing for one name, whatever the cloud remembers of client tokens."""

import base64

import pytest

from cloud import errors as cloud_errors
from core import errors
from csi import token_chain
from tests.fakes import virtual_clock

SPENT = "TokenSpent"


def refused(code: str) -> cloud_errors.CloudError:
    return cloud_errors.make(action="CreateThing", code=code, status=400, message="no")


class Immediate(virtual_clock.VirtualClock):
    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)


class Cloud:
    """Things by id; tokens are never forgotten.

    told: each create's token. lost_answers: creates whose answer does not arrive.
    """

    def __init__(self) -> None:
        self.things: dict[str, str] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        self.told: list[str] = []
        self.lost_answers = 0

    async def create(self, name: str, wish: str, token: str) -> str:
        self.told.append(token)
        if token not in self.tokens:
            thing_id = f"t-{len(self.tokens)}"
            self.tokens[token] = (thing_id, wish)
            self.things[thing_id] = name
        thing_id, earlier = self.tokens[token]
        if earlier != wish:
            raise refused(SPENT)
        if self.lost_answers:
            self.lost_answers -= 1
            raise refused("ServiceUnavailable")
        return thing_id

    async def find(self, name: str) -> str | None:
        return next((i for i, n in self.things.items() if n == name), None)

    async def make(self, name: str, wish: str = "20") -> str:
        async def create(token: str) -> str:
            return await self.create(name, wish, token)

        async def read(thing_id: str) -> str | None:
            return thing_id if thing_id in self.things else None

        return await token_chain.make(
            name,
            kind="volume",
            wish=wish,
            create=create,
            is_spent=lambda e: e.code == SPENT,
            find=lambda: self.find(name),
            read=read,
        )


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


async def test_the_same_name_is_made_once(cloud):
    assert await cloud.make("pvc-1") == await cloud.make("pvc-1") == "t-0"


async def test_after_a_lost_answer_the_next_call_finds_what_was_made(cloud):
    cloud.lost_answers = 1
    with pytest.raises(cloud_errors.CloudError, match="ServiceUnavailable"):
        await cloud.make("pvc-1")

    assert await cloud.make("pvc-1") == "t-0"
    assert list(cloud.things) == ["t-0"]


async def test_made_again_after_each_deletion_every_process_walks_the_same_chain(cloud):
    for _ in range(3):
        del cloud.things[await cloud.make("pvc-1")]
    first = await cloud.make("pvc-1")
    walked = cloud.told[-4:]

    again = await cloud.make("pvc-1")

    assert first == again == "t-3"
    assert cloud.told[-4:] == walked
    assert walked == [token_chain.client_token("pvc-1", s) for s in ("", "t-0", "t-1", "t-2")]


async def test_a_token_spent_on_another_wish_gives_the_thing_of_that_name(cloud):
    made = await cloud.make("pvc-1", "20")

    assert await cloud.make("pvc-1", "40") == made


async def test_a_token_spent_on_another_wish_whose_thing_is_gone_is_passed_over(cloud):
    del cloud.things[await cloud.make("pvc-1", "20")]

    made = await cloud.make("pvc-1", "40")

    assert cloud.told[-1] == token_chain.client_token("pvc-1", "\0" + "40")
    assert await cloud.make("pvc-1", "40") == made


async def test_a_chain_ends_and_says_what_was_made_too_often(cloud):
    async def nothing(thing_id: str) -> None:
        return None

    async def create(token: str) -> str:
        return f"t-{token}"

    with pytest.raises(errors.Internal, match="volume pvc-1 was made and deleted 100 times"):
        await token_chain.make(
            "pvc-1",
            kind="volume",
            wish="",
            create=create,
            is_spent=lambda e: False,
            find=lambda: cloud.find("pvc-1"),
            read=nothing,
        )


@pytest.mark.parametrize(("appears_at", "found"), [(0, "d"), (2, "d"), (3, None)])
async def test_looking_is_patient_for_a_while(appears_at, found):
    time = Immediate()
    looks = 0

    async def read() -> str | None:
        nonlocal looks
        looks += 1
        return "d" if looks > appears_at else None

    assert await token_chain.look(read, time, times=3) == found


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("pvc-1", "n:pvc-1"),
        ("n" * 62, "n:" + "n" * 62),
        ("n" * 63, "h:"),
        ("ü", "h:"),
    ],
)
def test_client_token_is_the_name_when_short_and_ascii_else_its_hash(name: str, token: str) -> None:
    made = token_chain.client_token(name)

    assert made.startswith(token)
    assert len(made) <= 64


def test_hash_is_fnv_1a_of_128_bits_without_padding() -> None:
    # Published test vector of FNV-1a 128 for "foobar": 343e1662793c64bf6f0d3597ba446f18.
    expected = base64.b64encode(bytes.fromhex("343e1662793c64bf6f0d3597ba446f18")).decode()

    assert token_chain.digest("foobar") == expected.rstrip("=")


def test_salted_tokens_differ_from_each_other_and_from_the_plain_one() -> None:
    made = {token_chain.client_token("a", salt) for salt in ("", "d-1", "d-2")}

    assert len(made) == 3
