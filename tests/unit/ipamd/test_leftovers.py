"""Interfaces that are attached nowhere: which a node deletes, and which it only tells of."""

import datetime

import pytest

from cloud import ecs_model, eni_model
from cloud import errors as cloud_errors
from ipamd.api import diagnose
from ipamd.pool import eni_maker, leftovers
from tests.fakes import virtual_clock
from tests.unit.ipamd import test_readiness

OURS, ALIVE, GONE = "i-ours", "i-alive", "i-gone"
CLUSTER = "c-ours"
LONG_AGO = datetime.datetime(2025, 12, 31, tzinfo=datetime.UTC)


def eni(eni_id="eni-1", owner=OURS, *, created=LONG_AGO, cluster="", **more):
    tags = {**eni_maker.CREATOR_TAGS, eni_maker.INSTANCE_TAG: owner}
    if cluster:
        tags[leftovers.CLUSTER_TAG] = cluster
    fields = {
        "mac": "00:16:3e:00:00:01",
        "status": eni_model.EniStatus.AVAILABLE,
        "type": eni_model.EniType.SECONDARY,
        "tags": tags,
        "creation_time": created,
    }
    return eni_model.Eni(eni_id=eni_id, **(fields | more))


class Cloud:
    """Interfaces, and the instances ECS shows. refused: ids it does not delete."""

    def __init__(self, *enis):
        self.enis = list(enis)
        self.deleted = []
        self.asked = []
        self.refused = set()
        self.silent = False

    async def find(self, *, tags=None, status=None):
        return list(self.enis)

    async def delete(self, eni_id):
        if eni_id in self.refused:
            raise cloud_errors.make(action="D", code="Forbidden.RAM", status=403, message="no")
        self.deleted.append(eni_id)
        self.enis = [each for each in self.enis if each.eni_id != eni_id]

    async def read(self, instance_id):
        self.asked.append(instance_id)
        if self.silent:
            raise cloud_errors.make(action="R", code="Forbidden.RAM", status=403, message="no")
        if instance_id == GONE:
            return None
        return ecs_model.Instance(
            instance_id=instance_id, zone_id="z", region_id="r", instance_type="t", status="Running"
        )


def sweeper(cloud, *, cluster=CLUSTER, wanted=()):
    return leftovers.Leftovers(
        cloud,
        cloud,
        virtual_clock.VirtualClock(),
        instance_id=OURS,
        cluster=cluster,
        is_wanted=lambda eni_id: eni_id in wanted,
    )


async def look(swept, times):
    return [await swept.sweep() for _ in range(times)]


async def test_one_of_the_own_node_is_deleted_at_the_second_look():
    cloud = Cloud(eni())

    assert await look(sweeper(cloud), 3) == [0, 1, 0]

    assert cloud.deleted == ["eni-1"]
    assert cloud.asked == []


async def test_one_that_was_attached_between_two_looks_is_seen_for_the_first_time_again():
    cloud = Cloud(eni())
    swept = sweeper(cloud)
    await swept.sweep()
    cloud.enis = []
    await swept.sweep()
    cloud.enis = [eni()]

    assert await look(swept, 2) == [0, 1]


async def test_one_that_is_being_made_or_that_pods_have_is_left_alone():
    cloud = Cloud(eni())

    assert await look(sweeper(cloud, wanted={"eni-1"}), 3) == [0, 0, 0]


async def test_one_that_cannot_be_deleted_keeps_no_other():
    cloud = Cloud(eni("eni-1"), eni("eni-2"))
    cloud.refused = {"eni-1"}

    await look(sweeper(cloud), 2)

    assert cloud.deleted == ["eni-2"]


async def test_one_of_an_instance_that_is_gone_is_deleted_by_another_node_of_its_cluster():
    cloud = Cloud(eni(owner=GONE, cluster=CLUSTER))
    swept = sweeper(cloud)

    assert await look(swept, 2) == [0, 1]

    assert cloud.asked == [GONE, GONE]
    assert swept.orphans == ()


@pytest.mark.parametrize(
    ("tagged", "own"), [("", CLUSTER), ("c-other", CLUSTER), ("", ""), (CLUSTER, "")]
)
async def test_one_whose_cluster_is_another_or_not_told_is_only_told_of(tagged, own):
    cloud = Cloud(eni(owner=GONE, cluster=tagged))
    swept = sweeper(cloud, cluster=own)

    await look(swept, 3)
    assert cloud.deleted == []
    assert swept.orphans == ("eni-1",)

    cloud.enis = []
    await swept.sweep()
    assert swept.orphans == ()


@pytest.mark.parametrize(
    "kept",
    [
        eni(owner=ALIVE, cluster=CLUSTER),
        eni(owner=GONE, cluster=CLUSTER, created=None),
        eni(
            owner=GONE, cluster=CLUSTER, created=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        ),
        eni(tags={"creator": "terway", leftovers.CLUSTER_TAG: CLUSTER}),
        eni(tags={eni_maker.INSTANCE_TAG: OURS}),
        eni(tags={}),
        eni(status=eni_model.EniStatus.IN_USE),
        eni(status=eni_model.EniStatus.ATTACHING),
        eni(instance_id="i-x"),
        eni(type=eni_model.EniType.TRUNK),
        eni(type=eni_model.EniType.MEMBER),
    ],
    ids=[
        "alive",
        "no time",
        "young",
        "Terway's",
        "no creator",
        "a person's",
        "in use",
        "attaching",
        "on an instance",
        "trunk",
        "member",
    ],
)
async def test_what_is_not_surely_left_behind_is_neither_deleted_nor_told_of(kept):
    cloud = Cloud(kept)
    swept = sweeper(cloud)

    await look(swept, 3)

    assert cloud.deleted == []
    assert swept.orphans == ()


async def test_an_instance_that_cannot_be_looked_up_is_not_gone_and_keeps_no_other():
    cloud = Cloud(eni("eni-1", GONE, cluster=CLUSTER), eni("eni-2"))
    cloud.silent = True

    await look(sweeper(cloud), 3)

    assert cloud.deleted == ["eni-2"]


async def test_doctor_tells_of_what_nobody_deletes_and_how_to():
    class Fine:
        async def read_primary_mac(self):
            return "00:16:3e:00:00:00"

        async def try_database(self):
            pass

        async def reachable(self):
            pass

    pool, fine = test_readiness.FakePool(), Fine()
    ready = test_readiness.ready_with(pool)
    left = [f"eni-{n}" for n in range(12)]
    diagnosis = diagnose.Diagnosis(
        pool,
        {},
        None,
        fine,
        ready=ready,
        cloud_reachable=fine.reachable,
        orphans=lambda: tuple(left),
    )

    told = {each.subject: each for each in await diagnosis.node()}["interfaces left behind"]
    assert told.severity is diagnose.Severity.WARNING
    assert told.message.endswith("eni-8, eni-9 and 2 more")
    assert "aliyun ecs DeleteNetworkInterface" in told.advice

    left.clear()
    subjects = [each.subject for each in await diagnosis.node()]
    assert "interfaces left behind" not in subjects


async def test_many_that_nobody_may_delete_keep_none_of_the_own_cluster():
    strange = [eni(f"eni-{n:02}", f"i-a{n:02}") for n in range(leftovers._INSTANCES_A_LOOK)]
    cloud = Cloud(*strange, eni("eni-z", GONE, cluster=CLUSTER))

    await look(sweeper(cloud), 2)

    assert cloud.deleted == ["eni-z"]
