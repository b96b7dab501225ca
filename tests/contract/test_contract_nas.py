"""NAS and CPFS on the simulator, through the real SDK."""

import asyncio
import dataclasses
from collections.abc import Callable

import pytest

from cloud import client, nas_model
from cloud import errors as cloud_errors
from sim import world
from tests.support import control, processes

STANDARD = "0a1b2c3d4e"
LINGJUN = "bmcpfs-0a1b2c3d4e5f6072"
VPC, VSWITCH = "vpc-bp1sim000000000001", "vsw-bp1sim000000000002"
GIB = 1024**3
Type = nas_model.FileSystemType


def new(**changes: object) -> nas_model.NewFileSystem:
    told: dict[str, object] = {
        "type": Type.STANDARD,
        "storage_type": "Performance",
        "protocol": "NFS",
        "zone_id": "cn-hangzhou-k",
        "description": "made-by-a-test",
        "tags": {"csi/a": "1", "b": "two words"},
        **changes,
    }
    return nas_model.NewFileSystem(**told)  # type: ignore[arg-type]


async def make(alibaba: client.Alibaba, token: str, **changes: object) -> str:
    file_system_id = await alibaba.file_systems.create(new(**changes), client_token=token)
    await alibaba.file_systems.wait(file_system_id, is_("Running"), what="it to run")
    return file_system_id


def is_(status: str) -> Callable[[nas_model.FileSystem | None], bool]:
    return lambda found: found is not None and found.status == status


def is_gone(found: object) -> bool:
    return found is None


async def test_a_file_system_is_what_was_asked_for_and_made_once(alibaba: client.Alibaba) -> None:
    made = await make(alibaba, "t-nas-1")
    again = await alibaba.file_systems.create(new(), client_token="t-nas-1")
    found = await alibaba.file_systems.read(made)

    assert made == again
    assert found is not None
    assert (found.type, found.storage_type, found.protocol) == (Type.STANDARD, "Performance", "NFS")
    assert (found.zone_id, found.capacity_gib, found.encrypted) == ("cn-hangzhou-k", 0, False)
    assert found.tags == {"csi/a": "1", "b": "two words"}
    assert found.mount_targets == ()
    with pytest.raises(cloud_errors.CloudExists):
        await alibaba.file_systems.create(new(description="other-one"), client_token="t-nas-1")


async def test_a_file_system_with_a_mount_target_lives_and_goes(alibaba: client.Alibaba) -> None:
    made = await make(alibaba, "t-nas-2")
    wish = nas_model.NewMountTarget(
        vpc_id=VPC, vswitch_id=VSWITCH, access_group="DEFAULT_VPC_GROUP_NAME"
    )
    domain = await alibaba.file_systems.create_mount_target(made, wish)
    ready = await alibaba.file_systems.wait(
        made, lambda f: f is not None and all(t.active for t in f.mount_targets), what="targets"
    )

    assert ready is not None
    (target,) = ready.mount_targets
    assert target.domain == domain
    assert domain.startswith(f"{made}-")
    assert domain.endswith(".cn-hangzhou.nas.aliyuncs.com")
    assert (target.network_type, target.vpc_id, target.vswitch_id) == ("vpc", VPC, VSWITCH)
    with pytest.raises(cloud_errors.CloudPrecondition) as caught:
        await alibaba.file_systems.delete(made)
    assert caught.value.code == "OperationDenied.MountTargetNotEmpty"

    await alibaba.file_systems.delete_mount_target(made, domain)
    await alibaba.file_systems.wait(
        made, lambda f: f is not None and not f.mount_targets, what="targets to go"
    )
    await alibaba.file_systems.delete_mount_target(made, domain)
    await alibaba.file_systems.delete(made)
    await alibaba.file_systems.wait(made, is_gone, what="it to go")
    await alibaba.file_systems.delete(made)
    assert await alibaba.file_systems.read(made) is None


async def test_extreme_file_systems_have_a_size_and_grow(alibaba: client.Alibaba) -> None:
    made = await make(
        alibaba, "t-nas-3", type=Type.EXTREME, storage_type="standard", capacity_gib=100
    )
    wish = nas_model.NewMountTarget(
        vpc_id=VPC, vswitch_id=VSWITCH, access_group="DEFAULT_VPC_GROUP_NAME"
    )

    await alibaba.file_systems.grow(made, 200, client_token="t-grow-3")
    grown = await alibaba.file_systems.wait(
        made, lambda f: f is not None and f.capacity_gib == 200, what="200 GiB"
    )
    told = await alibaba.file_systems.create_mount_target(made, wish)
    ready = await alibaba.file_systems.wait(
        made, lambda f: f is not None and any(t.active for t in f.mount_targets), what="targets"
    )

    assert grown is not None
    assert told == ""
    assert ready is not None
    assert ready.mount_targets[0].domain.endswith(".extreme.nas.aliyuncs.com")


async def test_file_systems_are_found_by_tags(alibaba: client.Alibaba) -> None:
    made = await make(alibaba, "t-nas-4", tags={"k": "v"})
    await alibaba.file_systems.tag(made, {"more": "of it"})

    by_value = await alibaba.file_systems.find(tags={"k": "v", "more": "of it"})
    by_key = await alibaba.file_systems.find(tags={"more": None})

    assert [each.file_system_id for each in by_value] == [made]
    assert [each.file_system_id for each in by_key] == [made]
    assert await alibaba.file_systems.find(tags={"k": "other"}) == []


async def test_directories_and_their_quotas(alibaba: client.Alibaba) -> None:
    directories = alibaba.directories

    assert not await directories.exists(STANDARD, "/a/b")
    await directories.create(STANDARD, "/a/b")
    await directories.create(STANDARD, "/a/b")
    assert await directories.exists(STANDARD, "/a/b")
    assert await directories.read_quota(STANDARD, "/a/b") is None
    await directories.cancel_quota(STANDARD, "/a/b")
    await directories.set_quota(STANDARD, "/a/b", 20)
    await directories.set_quota(STANDARD, "/a/b", 30)
    quota = await directories.read_quota(STANDARD, "/a/b")
    assert quota is not None
    assert (quota.path, quota.size_gib, quota.file_count) == ("/a/b", 30, None)
    await directories.cancel_quota(STANDARD, "/a/b")
    assert await directories.read_quota(STANDARD, "/a/b") is None
    with pytest.raises(cloud_errors.CloudError) as caught:
        await directories.set_quota(STANDARD, "/nowhere", 1)
    assert caught.value.code == "InvalidParameter.DirPathNotExist"
    assert not await directories.recycle_bin_enabled(STANDARD)


async def test_what_was_on_a_file_system_that_is_gone_is_gone(alibaba: client.Alibaba) -> None:
    gone = "ffffffffff"

    await alibaba.directories.cancel_quota(gone, "/a")
    await alibaba.access_points.delete(gone, "ap-1")
    with pytest.raises(cloud_errors.CloudNotFound):
        await alibaba.directories.exists(gone, "/a")

    assert await alibaba.access_points.read(gone, "ap-1") is None


async def test_a_quota_that_is_answered_with_success_false_is_an_error(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    await alibaba.directories.create(STANDARD, "/refused")
    sim.request("POST", "settings/nas", {"refuse_quotas": True})

    with pytest.raises(cloud_errors.CloudInternal, match="Success=false"):
        await alibaba.directories.set_quota(STANDARD, "/refused", 1)

    sim.request("POST", "settings/nas", {"refuse_quotas": False})


async def test_access_points_come_and_go(alibaba: client.Alibaba) -> None:
    points = alibaba.access_points
    wish = nas_model.NewAccessPoint(
        file_system_id=STANDARD,
        name="pv-1",
        access_group="DEFAULT_VPC_GROUP_NAME",
        vpc_id=VPC,
        vswitch_id=VSWITCH,
        root_directory="/points/pv-1",
        owner_user_id=1,
        owner_group_id=2,
        permission="0750",
        posix_user_id=1000,
        posix_group_id=1001,
        posix_secondary_group_ids=(5, 6),
        tags={"volume": "pv-1"},
    )

    made = await points.create(wish)
    ready = await points.wait(
        STANDARD, made, lambda p: p is not None and p.status == "Active", what="it to be Active"
    )
    found = await points.find(tag_key="volume", tag_value="pv-1")

    assert ready is not None
    assert [each.access_point_id for each in found] == [made]
    assert (ready.name, ready.root_path, ready.ram_enabled) == ("pv-1", "/points/pv-1", False)
    assert ready.tags == {"volume": "pv-1"}
    assert ready.domain
    assert await alibaba.directories.exists(STANDARD, "/points/pv-1")
    await points.delete(STANDARD, made)
    await points.wait(STANDARD, made, is_gone, what="it to go")
    await points.delete(STANDARD, made)
    assert await points.find(tag_key="volume", tag_value="pv-1") == []


async def test_filesets_come_grow_and_go(alibaba: client.Alibaba) -> None:
    filesets = alibaba.filesets
    made = await filesets.create(
        LINGJUN,
        "/pv-1/",
        description="of-a-test",
        size_bytes=20 * GIB,
        file_count=1_000_000,
        client_token="t-fset-1",
    )
    again = await filesets.create(
        LINGJUN,
        "/pv-1/",
        description="of-a-test",
        size_bytes=20 * GIB,
        file_count=1_000_000,
        client_token="t-fset-1",
    )
    ready = await filesets.wait(
        LINGJUN, made, lambda f: f is not None and f.status == "CREATED", what="it"
    )
    await filesets.set_quota(LINGJUN, made, size_bytes=30 * GIB, file_count=1_000_000)
    by_path = await filesets.find(LINGJUN, path="/pv-1/")

    assert made == again
    assert ready is not None
    assert (ready.path, ready.size_bytes, ready.file_count) == ("/pv-1/", 20 * GIB, 1_000_000)
    assert by_path is not None
    assert (by_path.fileset_id, by_path.size_bytes) == (made, 30 * GIB)
    await filesets.delete(LINGJUN, made)
    await filesets.wait(LINGJUN, made, is_gone, what="it to go")
    await filesets.delete(LINGJUN, made)
    assert await filesets.find(LINGJUN, path="/pv-1/") is None


async def test_storage_channels_are_made_attached_and_detached(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    declared = dataclasses.asdict(world.load().instances[0]) | {"vsc_enabled": True}
    declared["security_group_ids"] = list(declared["security_group_ids"])
    sim.change_world({"instances": [declared]})
    vscs = alibaba.vscs

    vsc_id = await vscs.create(processes.NODE_1, client_token="t-vsc-1")
    assert vsc_id == await vscs.create(processes.NODE_1, client_token="t-vsc-1")
    (found,) = await vscs.find(processes.NODE_1)
    assert (found.vsc_id, found.type) == (vsc_id, "Primary")
    assert await vscs.attachment(LINGJUN, vsc_id) is None
    await vscs.attach(LINGJUN, vsc_id, client_token="t-vsc-2")
    async with asyncio.timeout(10):
        while True:
            there = await vscs.attachment(LINGJUN, vsc_id)
            if there is not None and there.status == "Attached":
                break
    with pytest.raises(cloud_errors.CloudError) as caught:
        await vscs.attach(STANDARD, vsc_id, client_token="t-vsc-3")
    assert caught.value.code == "AttachVscTarget.VscAttachNotSupported"
    await vscs.detach(LINGJUN, vsc_id, client_token="t-vsc-4")
    async with asyncio.timeout(10):
        while await vscs.attachment(LINGJUN, vsc_id) is not None:
            await asyncio.sleep(0.02)
    await vscs.detach(LINGJUN, vsc_id, client_token="t-vsc-5")


async def test_a_lingjun_node_has_a_storage_channel_of_its_own(alibaba: client.Alibaba) -> None:
    vscs, node = alibaba.lingjun_vscs, "e01-cn-sim000000001"

    assert await vscs.find(node) == []
    vsc_id = await vscs.create(node, client_token="t-eflo-1")
    assert vsc_id == await vscs.create(node, client_token="t-eflo-1")
    async with asyncio.timeout(10):
        while (found := await vscs.find(node))[0].status != "Normal":
            await asyncio.sleep(0.02)
    assert found == [
        nas_model.Vsc(vsc_id=vsc_id, instance_id=node, type="primary", status="Normal")
    ]
    with pytest.raises(cloud_errors.CloudError) as caught:
        await vscs.create(node, client_token="t-eflo-2")
    assert caught.value.code == "InvalidOperation.PrimaryVscExists"
    with pytest.raises(cloud_errors.CloudNotFound):
        await vscs.create("gone", client_token="t-eflo-3")
    await alibaba.vscs.attach(LINGJUN, vsc_id, client_token="t-eflo-4")
    assert await alibaba.vscs.attachment(LINGJUN, vsc_id) is not None
