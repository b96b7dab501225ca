"""World files for the simulator; what they leave out is as in its default world."""

import pathlib
from typing import Any

import yaml

from sim import world

ZONE_ID = "cn-hangzhou-k"


def with_instances(directory: pathlib.Path, count: int) -> pathlib.Path:
    """A world with *count* instances in zone k; their ids are those of `instance_ids`."""
    instances = [
        {
            "instance_id": instance_id,
            "name": f"node-{n}",
            "zone_id": ZONE_ID,
            "instance_type_id": "ecs.g7.large",
            "vswitch_id": "vsw-bp1sim000000000002",
            "security_group_ids": ["sg-bp1sim000000000001"],
            "private_ip": f"192.168.1.{n + 10}",
            "mac": f"00:16:3e:00:01:{n:02x}",
            "eni_id": f"eni-bp1sim{n:012}",
            "ram_role": "KubernetesWorkerRole",
            "system_disk_id": f"d-bp1simsystem{n:08}",
        }
        for n, instance_id in enumerate(instance_ids(count), start=1)
    ]
    return _write(directory, {"instances": instances})


def instance_ids(count: int) -> list[str]:
    """Ids of the instances of `with_instances`."""
    return [f"i-bp1sim{n:012}" for n in range(1, count + 1)]


def with_small_instances(directory: pathlib.Path, data_disks: int) -> pathlib.Path:
    """The default world whose instances take at most *data_disks* data disks."""
    default = yaml.safe_load(world.DEFAULT_FILE.read_text(encoding="utf-8"))
    types = [
        {**row, "disk_quantity": data_disks + 1}
        if row["instance_type_id"] == "ecs.g7.large"
        else row
        for row in default["instance_types"]
    ]
    return _write(directory, {"instance_types": types})


def with_channels(directory: pathlib.Path) -> pathlib.Path:
    """The default world, whose first instance may have storage channels and whose second not."""
    default = yaml.safe_load(world.DEFAULT_FILE.read_text(encoding="utf-8"))
    first, *others = default["instances"]
    return _write(directory, {"instances": [{**first, "vsc_enabled": True}, *others]})


def _write(directory: pathlib.Path, sections: dict[str, Any]) -> pathlib.Path:
    path = directory / "world.yaml"
    path.write_text(yaml.safe_dump(sections), encoding="utf-8")
    return path


BIG_TYPE = "ecs.big"


def big_nodes(directory: pathlib.Path) -> pathlib.Path:
    """Two instances in zone k that hold hundreds of pods, on a vSwitch with room for them."""
    plain = yaml.safe_load(world.DEFAULT_FILE.read_text())
    big = {
        **plain["instance_types"][0],
        "instance_type_id": BIG_TYPE,
        "eni_quantity": 16,
        "eni_total_quantity": 16,
        "eni_private_ip_quantity": 50,
    }
    # The instances' own vSwitch comes first.
    blocks = iter(("192.168.128.0/18", "192.168.64.0/18", "192.168.192.0/18"))
    for row in plain["vswitches"]:
        if row["zone_id"] == ZONE_ID:
            row["cidr_block"] = next(blocks)
    for n, row in enumerate(plain["instances"], start=1):
        row |= {"instance_type_id": BIG_TYPE, "private_ip": f"192.168.128.{n + 10}"}
    return _write(
        directory,
        {
            "instance_types": [*plain["instance_types"], big],
            "instances": plain["instances"],
            "vswitches": plain["vswitches"],
        },
    )
