"""A cloud without HTTP for the tests of the ECS side: frozen clock, handlers called directly."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

import sim.ecs
import sim.vpc
from sim import actions, cloud, errors, identity, params, world
from sim.hardware import api, files_api, network_api

import sim.vpc_routes  # noqa: F401, isort: skip - registers the actions

VERSION, VPC_VERSION = "2014-05-26", "2016-04-28"
ZONE = "cn-hangzhou-k"
OTHER_ZONE = "cn-hangzhou-j"
NODE_1 = "i-bp1sim000000000001"
NODE_2 = "i-bp1sim000000000002"


def world_of(**sections: Any) -> world.World:
    """The default world with IPv6: VPC 2408:4005::/56, vSwitch number n has 2408:4005:0:n::/64.

    sections: others, or `first_…` with changes to the first row of one.
    """
    made = yaml.safe_load(world.DEFAULT_FILE.read_text())
    made["vpcs"][0]["ipv6_cidr_block"] = "2408:4005::/56"
    for n, row in enumerate(made["vswitches"]):
        row["ipv6_cidr_block"] = f"2408:4005:0:{n}::/64"
    for name, change in sections.items():
        if name.startswith("first_"):
            made[name.removeprefix("first_")][0] |= change
        else:
            made[name] = [*made[name], *change]
    return world.parse(made)


class Ecs:
    """One simulated account whose time moves only by `wait`."""

    versions = (VERSION, VPC_VERSION)
    """Of the products whose actions are looked up, in this order."""

    def __init__(
        self,
        state_dir: pathlib.Path,
        *,
        declared: world.World | None = None,
        hardware: api.Hardware | None = None,
        network: network_api.Network | None = None,
        files: files_api.Files | None = None,
    ) -> None:
        self.cloud = cloud.Cloud(
            state_dir=state_dir,
            world=declared or world.load(),
            hardware=hardware,
            network=network,
            files=files,
            settlers=actions.settlers(),
            seeders=actions.seeders(),
        )
        self.cloud.clock.freeze()

    def __call__(self, action: str, **parameters: object) -> dict[str, Any]:
        """Answer of *action*; parameters: True → "True", lists and mappings are flattened."""
        return self.call(action, parameters)

    def call(self, action: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        found = next(filter(None, (actions.find(each, action) for each in self.versions)), None)
        assert found is not None, f"{action} is not registered"
        values: dict[str, str] = {}
        for name, value in parameters.items():
            _flatten(values, name, value)
        self.cloud.settle()
        with self.cloud.store.transaction():
            answer = found.handler(
                actions.Call(
                    params=params.Params(values),
                    cloud=self.cloud,
                    principal=identity.anonymous(self.cloud.world),
                    region_id=self.cloud.world.region_id,
                    request_id="R",
                )
            )
        told: dict[str, Any] = json.loads(json.dumps(answer))
        return told

    def refused(self, action: str, **parameters: object) -> tuple[int, str]:
        """(HTTP status, code) of a call that must be refused and must change nothing."""
        before = self.cloud.store.generation
        try:
            answer = self.call(action, parameters)
        except errors.ApiError as e:
            self.cloud.settle()
            assert self.cloud.store.generation == before, "a refused call changed something"
            return e.http_status, e.code
        raise AssertionError(f"{action} {parameters} was accepted: {answer}")

    def wait(self, seconds: float = 10.0) -> None:
        """Let simulated time pass, so that what is under way ends."""
        self.cloud.clock.advance(seconds)
        self.cloud.settle()

    def new_disk(self, **parameters: object) -> str:
        """An Available disk, by default 20 GiB cloud_essd in the nodes' zone."""
        merged = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "Size": 20, **parameters}
        wanted = {name: value for name, value in merged.items() if value is not None}
        disk_id: str = self.call("CreateDisk", wanted)["DiskId"]
        self.wait()
        return disk_id

    def attached_disk(self, instance_id: str = NODE_1, **parameters: object) -> str:
        """A disk that is In_use on the instance."""
        disk_id = self.new_disk(**parameters)
        self("AttachDisk", DiskId=disk_id, InstanceId=instance_id)
        self.wait()
        return disk_id

    def disk(self, disk_id: str) -> dict[str, Any]:
        """The disk as DescribeDisks shows it."""
        row: dict[str, Any]
        (row,) = self("DescribeDisks", DiskIds=json.dumps([disk_id]))["Disks"]["Disk"]
        return row

    def disk_ids(self, **filters: object) -> list[str]:
        """Ids of a DescribeDisks with filters; data disks unless DiskType says otherwise."""
        wanted = {"DiskType": "data", "PageSize": 100, **filters}
        return [row["DiskId"] for row in self.call("DescribeDisks", wanted)["Disks"]["Disk"]]

    def new_snapshot(self, disk_id: str, **parameters: object) -> str:
        """An Available snapshot."""
        snapshot_id: str = self("CreateSnapshot", DiskId=disk_id, **parameters)["SnapshotId"]
        self.wait()
        return snapshot_id

    def snapshot(self, snapshot_id: str) -> dict[str, Any]:
        """The snapshot as DescribeSnapshots shows it."""
        ids = json.dumps([snapshot_id])
        row: dict[str, Any]
        (row,) = self("DescribeSnapshots", SnapshotIds=ids)["Snapshots"]["Snapshot"]
        return row


def _flatten(values: dict[str, str], name: str, value: object) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _flatten(values, f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for n, inner in enumerate(value, start=1):
            _flatten(values, f"{name}.{n}", inner)
    elif value is not None:
        values[name] = str(value)


def tags(pairs: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the request's shape."""
    return [{"Key": key, "Value": value} for key, value in pairs.items()]
