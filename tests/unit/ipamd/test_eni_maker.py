"""Interfaces made and removed while answers get lost, by a cloud that refuses a repetition."""

import dataclasses
import ipaddress

import pytest

from cloud import eni_model, imds_network
from cloud import errors as cloud_errors
from core import errors
from ipamd.datapath import model as datapath_model
from ipamd.pool import eni_maker
from tests.fakes import virtual_clock

MAC, IP = "00:16:3e:00:00:01", ipaddress.IPv4Address("10.0.1.1")
Status = eni_model.EniStatus


class Clock(virtual_clock.VirtualClock):
    async def sleep(self, delay_s):
        self.now_s += delay_s


class Cloud:
    """One interface. lost: calls whose answer does not come, though they are done."""

    def __init__(self, *lost):
        self.lost = set(lost)
        self.status = Status.AVAILABLE
        self.calls = []

    def _eni(self):
        here = self.status in (Status.IN_USE, Status.ATTACHING, Status.DETACHING)
        return eni_model.Eni(
            eni_id="eni-1",
            mac=MAC,
            status=self.status,
            type=eni_model.EniType.SECONDARY,
            instance_id="i-1" if here else "",
            ipv4=(IP,),
        )

    def _change(self, name, expected, after):
        self.calls.append(name)
        if self.status not in expected:
            raise cloud_errors.make(
                action=name, code="InvalidOperation.InvalidEniState", status=400, message="no"
            )
        self.status = after
        if name in self.lost:
            self.lost.discard(name)
            raise cloud_errors.make(action=name, code="", status=0, message="no answer")

    async def create(self, new, *, client_token):
        return self._eni()

    async def attach(self, eni_id, instance_id):
        self._change("attach", (Status.AVAILABLE,), Status.IN_USE)

    async def detach(self, eni_id, instance_id):
        self._change("detach", (Status.IN_USE,), Status.AVAILABLE)

    async def delete(self, eni_id):
        self._change("delete", (Status.AVAILABLE,), Status.DELETING)

    async def find(self, *, instance_id="", eni_ids=(), tags=None, status=None):
        return [self._eni()] if self.status is not Status.DELETING else []


class Machine:
    async def read_interface(self, mac):
        return imds_network.Interface(
            mac=MAC, eni_id="eni-1", vswitch_id="v", cidr_block=None, gateway=IP + 9, ipv4=(IP,)
        )

    async def prepare_eni(self, eni):
        return datapath_model.EniLink(mac=MAC, ifname="eth1", index=3, table=1003)


class Choice:
    async def choose(self):
        return ["v"]

    def worked(self, vswitch_id):
        pass


def maker_of(cloud, time):
    return eni_maker.EniMaker(
        cloud,
        Machine(),
        Choice(),
        time,
        instance_id="i-1",
        security_group_ids=("sg",),
        tags={},
    )


async def test_an_attachment_whose_answer_is_lost_is_not_given_up():
    cloud, time = Cloud("attach"), Clock()

    made = await maker_of(cloud, time).create(1)

    assert made.eni_id == "eni-1"
    assert cloud.calls == ["attach", "attach"]
    assert cloud.status is Status.IN_USE


async def test_a_detachment_whose_answer_is_lost_is_not_waited_for():
    cloud, time = Cloud("detach"), Clock()
    cloud.status = Status.IN_USE

    await maker_of(cloud, time).remove("eni-1")

    assert cloud.calls == ["detach", "detach", "delete"]


async def test_an_interface_that_is_full_in_the_cloud_is_called_so():
    cloud, time = Cloud(), Clock()
    maker = maker_of(cloud, time)
    made = await maker.create(1)

    async def full(eni_id, count, *, client_token):
        raise cloud_errors.make(
            action="a", code="InvalidOperation.Ipv4CountExceeded", status=403, message="no"
        )

    cloud.assign = full

    with pytest.raises(eni_maker.InterfaceFull):
        await maker.assign(made, 1)


async def test_an_interface_that_stays_in_between_is_given_up_after_a_minute():
    cloud, time = Cloud(), Clock()
    cloud.status = Status.CREATING

    with pytest.raises(cloud_errors.CloudError, match="InvalidEniState"):
        await maker_of(cloud, time).create(1)

    assert time.now_s >= 60


class CreatesOnly(Cloud):
    """A cloud whose RAM policy lets us create, and neither attach nor delete."""

    def __init__(self):
        super().__init__()
        self.made = 0
        self.denied = True

    async def create(self, new, *, client_token):
        self.made += 1
        return dataclasses.replace(self._eni(), eni_id=f"eni-{self.made}")

    async def attach(self, eni_id, instance_id):
        self._deny("attach")

    async def detach(self, eni_id, instance_id):
        self.calls.append(f"detach {eni_id}")

    async def delete(self, eni_id):
        self._deny("delete")
        self.calls.append(f"delete {eni_id}")

    def _deny(self, action):
        if self.denied:
            raise cloud_errors.make(action=action, code="Forbidden.RAM", status=403, message="no")


async def test_a_cloud_that_lets_us_only_create_is_not_filled_with_interfaces():
    cloud, time = CreatesOnly(), Clock()
    maker = maker_of(cloud, time)
    for _ in range(3):
        with pytest.raises(cloud_errors.CloudError, match="attach failed: Forbidden"):
            await maker.create(1)

    for _ in range(20):
        with pytest.raises(errors.Unavailable) as caught:
            await maker.create(1)

    assert cloud.made == 3
    assert "neither used (attach failed: Forbidden.RAM" in str(caught.value)
    assert "nor deleted (delete failed: Forbidden.RAM" in str(caught.value)


async def test_what_could_not_be_taken_back_is_once_it_can():
    cloud, time = CreatesOnly(), Clock()
    maker = maker_of(cloud, time)
    for _ in range(4):
        with pytest.raises(errors.Error):
            await maker.create(1)
    cloud.denied, cloud.calls = False, []

    made = await maker.create(1)

    assert made.eni_id == "eni-1"  # what this machine's metadata tells
    assert cloud.made == 4
    assert [c for c in cloud.calls if c.startswith("delete")] == [
        "delete eni-1",
        "delete eni-2",
        "delete eni-3",
    ]


async def test_one_that_could_not_be_taken_back_and_is_attached_all_the_same_stays_so():
    cloud, time = CreatesOnly(), Clock()
    maker = maker_of(cloud, time)
    with pytest.raises(errors.Error):
        await maker.create(1)
    cloud.denied, cloud.calls = False, []

    async def attached(eni_id):
        raise cloud_errors.make(
            action="delete", code="InvalidOperation.InvalidEniState", status=400, message="in use"
        )

    cloud.delete = attached
    await maker.create(1)

    assert cloud.calls == []


async def test_no_more_are_detached_while_some_cannot_be_deleted_and_more_can_be_made():
    cloud, time = CreatesOnly(), Clock()
    maker = maker_of(cloud, time)
    for number in (1, 2, 3):
        with pytest.raises(cloud_errors.CloudError, match="delete failed"):
            await maker.remove(f"eni-{number}")
    assert len(cloud.calls) == 3

    with pytest.raises(errors.Unavailable, match="eni-4 is not detached while 3 that are"):
        await maker.remove("eni-4")
    assert len(cloud.calls) == 3
    with pytest.raises(cloud_errors.CloudError, match="attach failed"):
        await maker.create(1)

    cloud.denied = False
    await maker.remove("eni-4")
    assert cloud.calls[-2:] == ["detach eni-4", "delete eni-4"]
