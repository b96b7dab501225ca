"""Access points that two replicas make at once, or that no list shows."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cloud import nas_model
from core import clock, errors, units
from csi.nas.controller import accesspoint, made, params, settings
from tests.fakes import fake_nas

WANT = made.VolumeRequest(
    name="pvc-1", required_bytes=units.gib_to_bytes(20), limit_bytes=0, capabilities=()
)
PARAMETERS = params.AccesspointParameters(
    volume_as=params.VolumeAs.ACCESSPOINT,
    context={},
    file_system_id="fs-1",
    vpc_id="vpc-1",
    vswitch_id="vsw-1",
    path="/",
    access_group="group",
    ram_enabled=False,
    owner_user_id=0,
    owner_group_id=0,
    permission="",
    posix_user_id=None,
    posix_group_id=None,
    posix_secondary_group_ids=(),
    quota=False,
)


class Points:
    """The cloud's access points. Ids run down, so that their order is not that of time.

    hidden: those that no list shows. before_create, after_create: what others do before and after
    the next one is made; the latter knows its id.
    """

    def __init__(self) -> None:
        self.there: dict[str, nas_model.AccessPoint] = {}
        self.hidden: set[str] = set()
        self.made = 0
        self.before_create: Callable[[], Awaitable[None]] | None = None
        self.after_create: Callable[[str], Awaitable[None]] | None = None

    async def create(self, new: nas_model.NewAccessPoint) -> str:
        before, self.before_create = self.before_create, None
        after, self.after_create = self.after_create, None
        if before is not None:
            await before()
        self.made += 1
        made_id = f"ap-{9 - self.made}"
        self.there[made_id] = nas_model.AccessPoint(
            access_point_id=made_id,
            file_system_id=new.file_system_id,
            name=new.name,
            domain=f"{made_id}.test",
            root_path=new.root_directory,
            status="Active",
            created=f"170000000{self.made}",
            tags=new.tags,
        )
        if after is not None:
            await after(made_id)
        return made_id

    async def read(self, file_system_id: str, access_point_id: str) -> nas_model.AccessPoint | None:
        return self.there.get(access_point_id)

    async def find(self, *, tag_key: str, tag_value: str) -> list[nas_model.AccessPoint]:
        return [
            each
            for key, each in self.there.items()
            if key not in self.hidden and each.tags.get(tag_key) == tag_value
        ]

    async def delete(self, file_system_id: str, access_point_id: str) -> None:
        del self.there[access_point_id]

    async def wait(
        self,
        file_system_id: str,
        access_point_id: str,
        done: Callable[[nas_model.AccessPoint | None], bool],
        *,
        what: str,
    ) -> nas_model.AccessPoint | None:
        seen = self.there.get(access_point_id)
        assert done(seen)
        return seen


def replica(
    points: Points, directories: fake_nas.FakeDirectories | None = None
) -> accesspoint.Accesspoints:
    return accesspoint.Accesspoints(
        api=points,
        directories=directories or fake_nas.FakeDirectories(),
        time=clock.SystemClock(),
        config=settings.NasSettings(),
    )


@pytest.fixture
def points() -> Points:
    return Points()


async def test_the_one_that_another_replica_made_before_is_the_volume(points: Points) -> None:
    told = []

    async def before() -> None:
        told.append(await replica(points).create(WANT, PARAMETERS))

    points.before_create = before
    late = await replica(points).create(WANT, PARAMETERS)

    assert list(points.there) == ["ap-8"]
    assert late == told[0]
    assert late.context["accesspointId"] == "ap-8"


async def test_the_one_that_another_replica_told_to_a_node_is_not_removed(points: Points) -> None:
    told = []

    async def after(made_id: str) -> None:
        points.hidden = {made_id}
        told.append(await replica(points).create(WANT, PARAMETERS))
        points.hidden = set()

    points.after_create = after
    late = await replica(points).create(WANT, PARAMETERS)

    assert told[0].context["accesspointId"] == "ap-7"
    assert late.context["accesspointId"] == "ap-8"
    assert sorted(points.there) == ["ap-7", "ap-8"]
    someone = replica(points)
    assert await someone.create(WANT, PARAMETERS) == late
    await someone.delete(await someone.find(WANT.name))
    assert points.there == {}


async def test_one_that_no_list_shows_is_waited_for(points: Points) -> None:
    alone = replica(points)

    async def after(made_id: str) -> None:
        points.hidden = {made_id}

    points.after_create = after
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match=r"ap-8 .* does not show up yet"):
            await alone.create(WANT, PARAMETERS)
    points.hidden = set()

    assert (await alone.create(WANT, PARAMETERS)).context["accesspointId"] == "ap-8"
    assert points.made == 1


async def test_a_retry_of_create_does_not_shrink_a_quota_that_has_grown(points: Points) -> None:
    directories = fake_nas.FakeDirectories()
    someone = replica(points, directories)
    held = dataclasses.replace(PARAMETERS, quota=True)
    await someone.create(WANT, held)
    (point,) = await someone.find(WANT.name)
    larger = made.ExpandRequest(
        volume_id=WANT.name, required_bytes=units.gib_to_bytes(40), limit_bytes=0
    )
    await someone.expand(point, larger)

    again = await someone.create(WANT, held)

    assert directories.quotas == {("fs-1", "/pvc-1"): 40}
    assert again.capacity_bytes == units.gib_to_bytes(40)


@pytest.mark.parametrize(
    "changes",
    [
        {"posix_user_id": 0},
        {"posix_group_id": 1000},
        {"posix_secondary_group_ids": (1, 2)},
        {"owner_user_id": 1000},
        {"owner_group_id": 1000},
        {"permission": "0700"},
        {"access_group": "other"},
        {"vpc_id": "vpc-2"},
        {"vswitch_id": "vsw-2"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_an_access_point_of_another_user_owner_or_network_is_not_given_for_it(
    points: Points, changes: dict[str, Any]
) -> None:
    volume = await replica(points).create(WANT, PARAMETERS)

    with pytest.raises(errors.Exists, match="not what was asked for"):
        await replica(points).create(WANT, dataclasses.replace(PARAMETERS, **changes))

    assert await replica(points).create(WANT, PARAMETERS) == volume
    assert points.made == 1
