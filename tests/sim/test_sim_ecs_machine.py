"""Random sequences of calls: whatever is asked in whatever order, the cloud stays consistent."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from sim import errors, world
from sim.hardware import api
from tests.sim.sim_ecs_harness import NODE_1, NODE_2, ZONE, Ecs, world_of

RELEASED = "i-bp1simreleased00001"
"""May be released at any time."""
NODES = st.sampled_from([NODE_1, NODE_2, RELEASED])
DECLARED = world_of(
    instances=[
        {
            **json.loads(json.dumps(dataclasses.asdict(world.load().instances[0]))),
            "instance_id": RELEASED,
            "private_ip": "192.168.1.99",
            "mac": "00:16:3e:00:00:99",
            "eni_id": "eni-released",
            "system_disk_id": "",
        }
    ]
)


class StrictHardware:
    """Hardware that refuses what a machine could not do; satisfies api.Hardware.

    busy: disks whose device somebody holds open.
    """

    def __init__(self) -> None:
        self.disks: dict[str, int] = {}
        self.snapshots: set[str] = set()
        self.visible: dict[str, set[str]] = collections.defaultdict(set)
        self.busy: set[str] = set()

    def place(self, machines):
        self.machines = {row.instance_id: row for row in machines}

    def forget(self, instance_id):
        self.machines.pop(instance_id, None)

    def create_disk(self, disk_id, size_gib, *, snapshot_id=""):
        assert disk_id not in self.disks
        assert not snapshot_id or snapshot_id in self.snapshots
        self.disks[disk_id] = size_gib

    def delete_disk(self, disk_id):
        assert not self.visible[disk_id], "deleted while an instance sees it"
        self.disks.pop(disk_id, None)

    def attach(self, disk_id, serial, instance_id):
        assert disk_id in self.disks
        assert serial
        self.visible[disk_id].add(instance_id)
        return pathlib.Path("/dev/null")

    def detach(self, disk_id, serial, instance_id, *, remaining):
        self.visible[disk_id].discard(instance_id)
        assert self.visible[disk_id] <= set(remaining)
        return bool(remaining) or disk_id not in self.busy

    def resize(self, disk_id, size_gib, *, online):
        assert self.disks[disk_id] < size_gib
        assert not online or self.visible[disk_id]
        self.disks[disk_id] = size_gib

    def refresh(self, disk_id):
        assert self.visible[disk_id]

    def cut(self, cuts):
        for cut in cuts:
            assert cut.disk_id in self.disks
            self.snapshots.add(cut.snapshot_id)

    def delete_snapshot(self, snapshot_id):
        self.snapshots.discard(snapshot_id)

    def reconcile(self, bindings, *, disk_ids, snapshot_ids):
        assert set(disk_ids) == set(self.disks)
        assert set(snapshot_ids) >= self.snapshots
        self.visible = collections.defaultdict(
            set, {row.disk_id: set(row.instance_ids) for row in bindings}
        )

    def release(self):
        return []


class Machine(RuleBasedStateMachine):
    """Calls with plausible and implausible arguments; refusals are fine, inconsistency is not."""

    disks = Bundle("disks")
    snapshots = Bundle("snapshots")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.state_dir = pathlib.Path(self._directory.name)
        self.hardware: api.Hardware = StrictHardware()
        self.ecs = Ecs(self.state_dir, hardware=self.hardware, declared=DECLARED)

    def teardown(self) -> None:
        self.ecs.cloud.close()
        self._directory.cleanup()

    def attempt(self, action: str, **parameters: object) -> dict:
        with contextlib.suppress(errors.ApiError):
            return self.ecs.call(action, parameters)
        return {}

    @rule(target=disks, shared=st.booleans(), size=st.sampled_from([20, 40]))
    def create(self, shared, size):
        multi_attach = "Enabled" if shared else "Disabled"
        wanted = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "MultiAttach": multi_attach}
        return self.ecs("CreateDisk", Size=size, **wanted)["DiskId"]

    @rule(target=disks, snapshot_id=snapshots)
    def restore(self, snapshot_id):
        wanted = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "SnapshotId": snapshot_id}
        return self.attempt("CreateDisk", **wanted).get("DiskId", "d-none")

    @rule(disk_id=disks, node=NODES)
    def attach(self, disk_id, node):
        self.attempt("AttachDisk", DiskId=disk_id, InstanceId=node)

    @rule(disk_id=disks, node=NODES)
    def detach(self, disk_id, node):
        self.attempt("DetachDisk", DiskId=disk_id, InstanceId=node)

    @rule(disk_id=disks)
    def delete(self, disk_id):
        self.attempt("DeleteDisk", DiskId=disk_id)

    @rule(disk_id=disks, grow=st.integers(-5, 5), online=st.booleans())
    def resize(self, disk_id, grow, online):
        mode = "online" if online else "offline"
        self.attempt("ResizeDisk", DiskId=disk_id, NewSize=max(1, 40 + grow), Type=mode)

    @rule(disk_id=disks)
    def modify(self, disk_id):
        self.attempt("ModifyDiskSpec", DiskId=disk_id, DiskCategory="cloud_auto")

    @rule(target=snapshots, disk_id=disks)
    def snapshot(self, disk_id):
        return self.attempt("CreateSnapshot", DiskId=disk_id).get("SnapshotId", "s-none")

    @rule(disk_ids=st.lists(disks, min_size=1, max_size=3))
    def group(self, disk_ids):
        self.attempt("CreateSnapshotGroup", DiskId=disk_ids)

    @rule(snapshot_id=snapshots, force=st.booleans())
    def delete_snapshot(self, snapshot_id, force):
        self.attempt("DeleteSnapshot", SnapshotId=snapshot_id, Force=force)

    @rule(node=NODES, action=st.sampled_from(["StopInstance", "StartInstance", "RebootInstance"]))
    def power(self, node, action):
        self.attempt(action, InstanceId=node)

    @rule(disk_id=disks)
    def attach_to_the_end(self, disk_id):
        wanted = {"DiskId": disk_id, "InstanceId": RELEASED, "DeleteWithInstance": True}
        self.attempt("AttachDisk", **wanted)

    @rule()
    def release_an_instance(self):
        self.attempt("DeleteInstance", InstanceId=RELEASED, Force=True)

    @rule(disk_id=disks)
    def hold_device_open(self, disk_id):
        self.hardware.busy.add(disk_id)

    @rule()
    def close_all_devices(self):
        self.hardware.busy.clear()

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0]))
    def wait(self, seconds):
        self.ecs.wait(seconds)

    @rule()
    def restart(self):
        now_s = self.ecs.cloud.clock.now_s()
        self.ecs.cloud.close()
        self.ecs = Ecs(self.state_dir, hardware=self.hardware, declared=DECLARED)
        self.ecs.cloud.clock.advance(max(0.0, now_s - self.ecs.cloud.clock.now_s()))

    @invariant()
    def what_is_shown_is_what_the_machine_has(self):
        shown = self.ecs("DescribeDisks", PageSize=100)["Disks"]["Disk"]
        for disk in shown:
            if disk["Type"] == "system":
                continue
            assert self.hardware.disks[disk["DiskId"]] == disk["Size"]
            attached = {row["InstanceId"] for row in disk["Attachments"]["Attachment"]}
            if disk["Status"] == "In_use":
                assert attached
                assert self.hardware.visible[disk["DiskId"]] <= attached
            if disk["Status"] == "Available":
                assert not attached
                assert not self.hardware.visible[disk["DiskId"]]
            if disk["MultiAttach"] == "Disabled":
                assert len(attached) <= 1
                assert disk["InstanceId"] in {"", *attached}

    @invariant()
    def an_instance_does_one_thing_at_a_time(self):
        for node in (NODE_1, NODE_2, RELEASED):
            if not self.ecs.cloud.world.instance(node):
                continue  # all of its disks leave at once
            states = [
                item["state"]
                for row in self.ecs.cloud.store.all("disk")
                for item in row["attachments"]
                if item["instance_id"] == node and item["state"] != "attached"
            ]
            assert len(states) <= 1


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
