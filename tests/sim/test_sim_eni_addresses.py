"""Addresses of a vSwitch: none twice, counts truthful, the last freed last, nothing forgotten."""

import dataclasses
import ipaddress
import pathlib
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sim import errors
from sim import world as world_module
from sim.ecs import eni_addresses, eni_model, enis, fabric
from tests.sim.sim_ecs_harness import NODE_1, Ecs

VSWITCH = "vsw-small"
GROUP = "sg-bp1sim000000000001"
BLOCK = ipaddress.IPv4Network("192.168.9.0/28")
ROOM = 12
"""16 addresses without the network's, the gateway and the last two."""


def small_world():
    """The default world with a vSwitch of 12 addresses in the instances' zone."""
    world = world_module.load()
    small = world_module.VSwitch(
        vswitch_id=VSWITCH,
        vpc_id=world.vpcs[0].vpc_id,
        zone_id="cn-hangzhou-k",
        cidr_block=str(BLOCK),
    )
    return dataclasses.replace(world, vswitches=(*world.vswitches, small))


def limited(ecs, limit):
    row = dataclasses.asdict(ecs.cloud.world.vswitch(VSWITCH))
    ecs.cloud.change_world({"vswitches": [{**row, "available_limit": limit}]})


def create(ecs, **changes):
    values = {"VSwitchId": VSWITCH, "SecurityGroupIds": [GROUP], **changes}
    return ecs("CreateNetworkInterface", **values)


def ips(row):
    return [each["PrivateIpAddress"] for each in row["PrivateIpSets"]["PrivateIpSet"]]


def free_count(ecs):
    return eni_addresses.free_count(ecs.cloud, ecs.cloud.world.vswitch(VSWITCH))


@pytest.fixture
def ecs(tmp_path):
    made = Ecs(tmp_path, declared=small_world())
    yield made
    made.cloud.close()


def draw_one(data, rows):
    """A key of *rows* by its place: ids are random, and hypothesis must be able to repeat a run."""
    return list(rows)[data.draw(st.integers(0, len(rows) - 1))]


class Addresses(RuleBasedStateMachine):
    """Random calls on one small vSwitch, against a plain set of what is handed out."""

    def __init__(self):
        super().__init__()
        self._dir = tempfile.TemporaryDirectory()
        self.ecs = self._open()
        self.mine: dict[str, list[str]] = {}
        self.limit = ROOM

    def _open(self):
        return Ecs(pathlib.Path(self._dir.name), declared=small_world())

    def teardown(self):
        self.ecs.cloud.close()
        self._dir.cleanup()

    def _used(self):
        return sum(len(each) for each in self.mine.values())

    def _run(self, count, call):
        """*call*, which is refused just when *count* addresses are not there."""
        fits = self._used() + count <= self.limit
        try:
            answer = call()
        except errors.ApiError as e:
            if fits or e.code != "InvalidVSwitchId.IpNotEnough":
                raise
            return None
        assert fits
        self.ecs.wait()
        return answer

    @rule(count=st.integers(0, 4))
    def create(self, count):
        changes = {"SecondaryPrivateIpAddressCount": count} if count else {}
        answer = self._run(count + 1, lambda: create(self.ecs, **changes))
        if answer:
            self.mine[answer["NetworkInterfaceId"]] = ips(answer)

    @rule(last=st.integers(1, 12), count=st.integers(1, 3))
    def create_with_a_certain_primary(self, last, count):
        wanted = str(BLOCK[last])
        if any(wanted in each for each in self.mine.values()):
            return
        answer = self._run(
            count + 1,
            lambda: create(self.ecs, PrimaryIpAddress=wanted, SecondaryPrivateIpAddressCount=count),
        )
        if answer:
            assert answer["PrivateIpAddress"] == wanted
            self.mine[answer["NetworkInterfaceId"]] = ips(answer)

    @rule(data=st.data(), count=st.integers(1, 5))
    def assign(self, data, count):
        if not self.mine:
            return
        eni_id = draw_one(data, self.mine)
        answer = self._run(
            count,
            lambda: self.ecs(
                "AssignPrivateIpAddresses",
                NetworkInterfaceId=eni_id,
                SecondaryPrivateIpAddressCount=count,
            ),
        )
        if answer:
            added = answer["AssignedPrivateIpAddressesSet"]["PrivateIpSet"]["PrivateIpAddress"]
            assert len(added) == count
            self.mine[eni_id] += added

    @rule(data=st.data())
    def unassign(self, data):
        spare = {eni_id: found[1:] for eni_id, found in self.mine.items() if found[1:]}
        if not spare:
            return
        eni_id = draw_one(data, spare)
        places = st.integers(0, len(spare[eni_id]) - 1)
        chosen = data.draw(st.lists(places, min_size=1, unique=True))
        lost = [spare[eni_id][n] for n in chosen]
        self.ecs("UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, PrivateIpAddress=lost)
        self.mine[eni_id] = [ip for ip in self.mine[eni_id] if ip not in lost]

    @rule(data=st.data())
    def delete(self, data):
        if not self.mine:
            return
        eni_id = draw_one(data, self.mine)
        self.ecs("DeleteNetworkInterface", NetworkInterfaceId=eni_id)
        self.ecs.wait()
        del self.mine[eni_id]

    @rule(limit=st.integers(-1, ROOM))
    def change_the_limit(self, limit):
        limited(self.ecs, limit)
        self.limit = ROOM if limit < 0 else limit

    @rule()
    def restart(self):
        self.ecs.cloud.close()
        self.ecs = self._open()

    @invariant()
    def no_address_is_there_twice_and_all_are_of_the_block(self):
        found = [ip for row in self.ecs.cloud.store.all(eni_model.KIND) for ip in row["ips"]]
        mine = [ip for each in self.mine.values() for ip in each]

        assert len(found) == len(set(found))
        assert set(mine) == {ip for ip in found if ipaddress.IPv4Address(ip) in BLOCK}
        assert all(1 <= int(ipaddress.IPv4Address(ip)) - int(BLOCK[0]) <= ROOM for ip in mine)

    @invariant()
    def the_count_of_free_addresses_is_true(self):
        assert free_count(self.ecs) == max(0, self.limit - self._used())


TestAddresses = Addresses.TestCase
TestAddresses.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_freed_address_is_handed_out_after_all_others_also_near_the_limit(ecs):
    first = create(ecs, SecondaryPrivateIpAddressCount=1)
    ecs.wait()
    lost = ips(first)[1]
    eni_id = first["NetworkInterfaceId"]
    ecs("UnassignPrivateIpAddresses", NetworkInterfaceId=eni_id, PrivateIpAddress=[lost])
    limited(ecs, 4)

    ecs.wait()
    added = ips(create(ecs, SecondaryPrivateIpAddressCount=2))

    assert lost not in added
    assert free_count(ecs) == 0


def test_an_address_named_beyond_the_limit_is_not_said_to_be_taken(ecs):
    limited(ecs, 1)

    answer = create(ecs, PrimaryIpAddress=str(BLOCK[12]))

    assert answer["PrivateIpAddress"] == str(BLOCK[12])
    with pytest.raises(errors.ApiError) as caught:
        create(ecs, PrimaryIpAddress=str(BLOCK[11]))
    assert caught.value.code == "InvalidVSwitchId.IpNotEnough"


def test_named_secondary_addresses_come_after_a_primary_one_that_is_none_of_them(ecs):
    named = [str(BLOCK[1]), str(BLOCK[2])]

    found = ips(create(ecs, PrivateIpAddress=named))

    assert found == [str(BLOCK[3]), *named]


def test_an_interface_that_is_being_deleted_still_has_its_addresses(ecs):
    answer = create(ecs)
    ecs.wait()

    ecs("DeleteNetworkInterface", NetworkInterfaceId=answer["NetworkInterfaceId"])

    assert free_count(ecs) == ROOM - 1
    ecs.wait()
    assert free_count(ecs) == ROOM


def test_assigned_addresses_work_only_after_the_latency(ecs):
    ecs.cloud.change_world({"latencies": {"assign_private_ip": 5}})
    eni_id = create(ecs)["NetworkInterfaceId"]
    ecs.wait()
    ecs("AttachNetworkInterface", NetworkInterfaceId=eni_id, InstanceId=NODE_1)
    ecs.wait()
    wanted = {"NetworkInterfaceId": eni_id, "SecondaryPrivateIpAddressCount": 2}

    ecs("AssignPrivateIpAddresses", **wanted)
    told = [len(port_addresses(ecs, eni_id))]
    ecs.wait(4.0)
    told.append(len(port_addresses(ecs, eni_id)))
    ecs.wait(2.0)
    told.append(len(port_addresses(ecs, eni_id)))

    assert told == [1, 1, 3]
    assert len(enis.require(ecs.cloud, eni_id).ips) == 3


def port_addresses(ecs, eni_id):
    """What the network delivers to the interface."""
    ports = fabric.wanted(ecs.cloud, enis.every(ecs.cloud)).ports
    return next(port.addresses for port in ports if port.eni_id == eni_id)
