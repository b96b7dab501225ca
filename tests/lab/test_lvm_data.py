"""What happens to data: failing disks, full pools, growth under load, wiping, foreign volumes."""

import asyncio
import hashlib
import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from core import clock, executor, keyed_lock
from core import settings as core_settings
from csi.lvm import collector, released_volumes, settings, topology
from csi.lvm import driver as local
from csi.lvm.stores.logical import groups, sweep
from kube import api
from tests.fakes import fake_kubernetes
from tests.support import csi_client, rpc
from tests.support.lvm_driver import MIB, LvmDriver, code_of
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup, loop_device, mapped, sectors

pytestmark = pytest.mark.usefixtures("foreign")
PARTS = [f"_{kind}_{leg}" for kind in ("rimage", "rmeta") for leg in (0, 1)]
"""Devices below a mirror."""
WATCHED = {"LVM_WATCH_INTERVAL": "1s"}


@pytest.fixture
def driver(volume_group: VolumeGroup, tmp_path: pathlib.Path) -> Iterator[LvmDriver]:
    driver = LvmDriver(tmp_path, volume_group.devices, **WATCHED)
    yield driver
    driver.close()


def write(path: pathlib.Path, size_mib: int) -> str:
    """Random bytes, on the disk; their checksum."""
    run("sh", "-ec", f"dd if=/dev/urandom of={path} bs=1M count={size_mib} conv=fsync 2>&1")
    return checksum(path)


def checksum(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_stripes_lie_on_all_disks(driver: LvmDriver, volume_group: VolumeGroup) -> None:
    volume = driver.create("pvc-1", 64 * MIB, lvmType="striping")

    table = run("dmsetup", "table", f"{volume_group.name}-pvc--1").split()

    assert table[2:4] == ["striped", "2"]
    assert volume.volume_context["lvmType"] == "striping"
    driver.delete("pvc-1")


def test_a_volume_grows_while_it_is_written(driver: LvmDriver, volume_group: VolumeGroup) -> None:
    volume = driver.create("pvc-1", 32 * MIB, lvmType="striping")
    target = driver.publish(volume)
    loop = f"i=0; while [ $i -lt 40 ]; do dd if=/dev/zero of={target}/$i bs=256k count=1 "
    loop += "conv=fsync 2>/dev/null || exit 1; i=$((i + 1)); done"
    with subprocess.Popen(["sh", "-c", loop]) as writer:
        for size in (64, 96, 128):
            assert driver.expand(volume, target, size * MIB) == size * MIB
        assert writer.wait(60) == 0
    assert len(list(target.iterdir())) == 41
    driver.unpublish(volume, target)
    driver.delete("pvc-1")


def test_a_mirror_survives_the_loss_of_a_disk(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, 128) as good, loop_device(tmp_path, 128) as bad:
        size = sectors(bad)
        with mapped(f"0 {size} linear {bad} 0") as ill:
            run("vgcreate", "-qq", "--yes", "vgm", good, ill)
            driver = LvmDriver(tmp_path, [good, ill], **WATCHED)
            try:
                volume = driver.create("pvc-1", 32 * MIB, lvmType="mirror")
                target = driver.publish(volume)
                wanted = write(target / "file", 8)
                rpc.wait_until(
                    lambda: (
                        run("lvs", "--noheadings", "-o", "copy_percent", "vgm").strip() == "100.00"
                    ),
                    timeout_s=60,
                )
                assert not driver.get("pvc-1").status.volume_condition.abnormal

                name = ill.removeprefix("/dev/mapper/")
                error = f"dmsetup reload {name} --table '0 {size} error'"
                run(
                    "sh", "-ec", f"dmsetup suspend --noflush {name}; {error}; dmsetup resume {name}"
                )
                more = write(target / "more", 4)
                run("sh", "-c", "echo 3 >/proc/sys/vm/drop_caches")

                assert (checksum(target / "file"), checksum(target / "more")) == (wanted, more)
                condition = driver.get("pvc-1").status.volume_condition
                assert condition.abnormal
                assert driver.listed()["pvc-1"].status.volume_condition.abnormal
                assert driver.stats(volume, target).volume_condition.abnormal
                driver.unpublish(volume, target)
            finally:
                driver.close()
                names = " ".join(f"vgm-pvc--1{part}" for part in ("", *PARTS))
                run("sh", "-c", f"for n in {names}; do dmsetup remove --retry $n; done; true")


def test_a_full_pool_hurts_its_writers_alone_and_heals_by_growing(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    name = volume_group.name
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "40m", name)
    run("lvchange", "-qq", "--errorwhenfull", "y", f"{name}/pool")
    run("lvcreate", "-qq", "--yes", "--name", "filler", "--extents", "100%FREE", name)
    driver.close()
    wide = LvmDriver(driver.kubelet.parent, volume_group.devices, LVM_THIN_PERCENT="300", **WATCHED)
    try:
        thin = wide.create("pvc-1", 80 * MIB, lvmType="thin")
        other = wide.create("pvc-2", 20 * MIB, lvmType="thin")
        target, beside = wide.publish(thin), wide.publish(other, pod="other")
        kept = write(beside / "file", 2)

        with pytest.raises(AssertionError, match=r"error|space"):
            write(target / "large", 60)

        assert wide.get("pvc-1").status.volume_condition.abnormal
        assert checksum(beside / "file") == kept
        alarm = f'csi_lvm_pool_full_looks_total{{group="{name}",pool="pool"}}'
        rpc.wait_until(lambda: alarm in wide.metrics(), timeout_s=60)
        run("lvremove", "-qq", "--yes", f"{name}/filler")
        rpc.wait_until(lambda: not wide.get("pvc-1").status.volume_condition.abnormal, timeout_s=60)
        write(beside / "more", 2)
        assert checksum(beside / "file") == kept
        wide.unpublish(other, beside)
        wide.unpublish(thin, target)
        for each in ("pvc-1", "pvc-2"):
            wide.delete(each)
    finally:
        wide.close()


@pytest.mark.timeout(400)
def test_a_pool_short_of_metadata_takes_no_new_volume_and_heals_by_growing(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    name = volume_group.name
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "100m",
        "--poolmetadatasize", "4m", name)  # fmt: skip
    run("lvcreate", "-qq", "--yes", "--name", "filler", "--extents", "100%FREE", name)
    kept = driver.create("pvc-1", 20 * MIB, lvmType="thin")
    assert driver.capacity(lvmType="thin").maximum_volume_size.value == 80 * MIB

    # Each thin device of the kernel takes a block of metadata, whether LVM knows it or not.
    make = f"dmsetup message {name}-pool-tpool 0 create_thin"
    first, count = 5000, 600
    while float(volume_group.report("pool", "metadata_percent")) < 75:
        numbers = f"$(seq {first} {first + count - 1})"
        run("sh", "-ec", f"for n in {numbers}; do {make} $n; done", timeout_s=240)
        first, count = first + count, 10
    assert float(volume_group.report("pool", "metadata_percent")) < 80, "as LVM's rule, not ours"
    told = driver.capacity(lvmType="thin")
    assert (told.available_capacity, told.maximum_volume_size.value) == (0, 0)
    with pytest.raises(AssertionError, match="reached threshold"):
        run("lvcreate", "--yes", "--name", "theirs", "--virtualsize", "4m", "--thinpool",
            f"{name}/pool")  # fmt: skip
    for call in (
        lambda: driver.create("pvc-2", 4 * MIB, lvmType="thin"),
        lambda: driver.snapshot("s", "pvc-1"),
    ):
        refusal = rpc.refusal(call)
        assert refusal.code.name == "RESOURCE_EXHAUSTED"
        assert "lvextend --poolmetadatasize" in refusal.message
    closed = f'csi_lvm_pool_closed{{group="{name}",pool="pool"}}'
    rpc.wait_until(lambda: f"{closed} 1" in driver.metrics(), timeout_s=60)
    target = driver.publish(kept)
    write(target / "file", 2)

    run("lvremove", "-qq", "--yes", f"{name}/filler")
    rpc.wait_until(
        lambda: driver.capacity(lvmType="thin").maximum_volume_size.value == 80 * MIB, timeout_s=60
    )
    driver.create("pvc-2", 80 * MIB, lvmType="thin")
    driver.unpublish(kept, target)
    for each in ("pvc-1", "pvc-2"):
        driver.delete(each)


def test_a_thin_pool_promises_no_more_than_it_may(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "100m",
        volume_group.name)  # fmt: skip
    room = driver.capacity(lvmType="thin", thinPool="pool").maximum_volume_size.value
    assert room == 100 * MIB

    driver.create("pvc-1", 60 * MIB, lvmType="thin", thinPool="pool")

    assert driver.capacity(lvmType="thin").maximum_volume_size.value == 40 * MIB
    assert code_of(driver.create, "pvc-2", 44 * MIB, lvmType="thin") == "RESOURCE_EXHAUSTED"
    driver.create("pvc-2", 40 * MIB, lvmType="thin")
    assert code_of(driver.snapshot, "s", "pvc-1") == "RESOURCE_EXHAUSTED"
    for name in ("pvc-1", "pvc-2"):
        driver.delete(name)


def test_a_thick_snapshot_grows_as_it_fills(driver: LvmDriver, volume_group: VolumeGroup) -> None:
    volume = driver.create("pvc-1", 64 * MIB)
    target = driver.publish(volume)
    kept = write(target / "file", 4)
    snapshot = driver.snapshot(
        "snapshot-1",
        "pvc-1",
        **{
            "csi.aliyun.com/snapshot-initial-size": "24Mi",
            "csi.aliyun.com/snapshot-expansion-threshold": "30%",
            "csi.aliyun.com/snapshot-expansion-size": "16Mi",
        },
    )
    for number in range(4):
        write(target / f"more{number}", 8)
        rpc.wait_until(
            lambda: float(volume_group.report(snapshot.snapshot_id, "data_percent")) < 60,
            timeout_s=60,
        )

    source = csi_client.snapshot_source(snapshot.snapshot_id)
    restored = driver.create("pvc-2", 64 * MIB, source=source)
    at = driver.publish(restored, pod="other")
    assert checksum(at / "file") == kept
    assert not (at / "more0").exists()
    driver.unpublish(restored, at)
    driver.unpublish(volume, target)
    driver.delete_snapshot(snapshot.snapshot_id)
    for name in ("pvc-1", "pvc-2"):
        driver.delete(name)


@pytest.mark.parametrize("policy", ["zero", "discard"])
def test_a_volume_is_wiped_before_it_goes(
    driver: LvmDriver, volume_group: VolumeGroup, policy: str
) -> None:
    volume = driver.create("pvc-1", 16 * MIB, vgName=volume_group.name, wipePolicy=policy)
    target = driver.publish(volume, block=True)
    with target.open("r+b") as device:
        device.write(b"secret" * 4096)
        device.flush()
    driver.unpublish(volume, target)

    driver.delete("pvc-1")

    run("sync")
    for device in volume_group.devices:
        assert b"secret" not in pathlib.Path(device).read_bytes()


def test_a_snapshot_of_a_volume_that_is_to_be_wiped_leaves_nothing(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume = driver.create("pvc-1", 16 * MIB, vgName=volume_group.name, wipePolicy="zero")
    target = driver.publish(volume, block=True)

    def fill(text: bytes) -> None:
        with target.open("r+b") as device:
            device.write(text * 4096)
            device.flush()
            os.fsync(device.fileno())

    fill(b"secret")
    snapshot = driver.snapshot("snapshot-1", "pvc-1")
    fill(b"public")
    clone = driver.create("pvc-2", 16 * MIB, source=csi_client.volume_source("pvc-1"))
    driver.delete(clone.volume_id)

    driver.delete_snapshot(snapshot.snapshot_id)

    driver.unpublish(volume, target)
    run("sync")
    for device in volume_group.devices:
        assert b"secret" not in pathlib.Path(device).read_bytes()
    driver.delete("pvc-1")
    assert run("lvs", "--noheadings", volume_group.name) == ""


def test_what_a_killed_copy_left_does_not_keep_its_source(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    driver.create("pvc-1", 16 * MIB, vgName=volume_group.name)
    name = volume_group.name
    left = ("csi-local", "csi-kind=scratch", "csi-making")
    words = [word for tag in left for word in ("--addtag", tag)]
    run("lvcreate", "-qq", "--yes", "--snapshot", "--name", "csi-copy-1", "--size", "8m", *words,
        f"{name}/pvc-1")  # fmt: skip

    driver.delete("pvc-1")

    assert run("lvs", "--noheadings", name) == ""


def test_wiping_a_thin_volume_takes_no_room_of_others(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    name = volume_group.name
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "--name", "pool", "--size", "40m", name)
    run("lvchange", "-qq", "--errorwhenfull", "y", f"{name}/pool")
    driver.close()
    told = {"LVM_THIN_PERCENT": "300", "LVM_WATCH_INTERVAL": "0s"}
    wide = LvmDriver(driver.kubelet.parent, volume_group.devices, **told)
    try:
        thin = wide.create("pvc-1", 80 * MIB, lvmType="thin", wipePolicy="zero")
        target = wide.publish(thin, block=True)
        with target.open("r+b") as device:
            device.write(b"secret" * 4096)
        wide.unpublish(thin, target)

        wide.delete("pvc-1")

        assert float(volume_group.report("pool", "data_percent")) < 50
        run("sync")
        for device in volume_group.devices:
            assert b"secret" not in pathlib.Path(device).read_bytes()
    finally:
        wide.close()


def test_a_volume_that_a_killed_command_left_suspended_goes_on(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    volume = driver.create("pvc-1", 32 * MIB)
    target = driver.publish(volume)
    mapped_name = f"{volume_group.name}-pvc--1"

    # As lvcreate --snapshot and lvextend do; a container that ends takes them along.
    run("dmsetup", "suspend", mapped_name)

    suspended = ("dmsetup", "info", "-c", "--noheadings", "-o", "suspended", mapped_name)
    rpc.wait_until(lambda: run(*suspended).strip() == "Active", timeout_s=60)
    write(target / "file", 4)
    driver.unpublish(volume, target)
    driver.delete("pvc-1")


def test_what_is_not_ours_is_never_touched(
    driver: LvmDriver, volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    other = VolumeGroup(tmp_path)
    try:
        foreign = pathlib.Path(other.create("pvc-1", "--size", "16m"))
        beside = pathlib.Path(volume_group.create("theirs", "--size", "16m"))
        for device in (foreign, beside):
            with device.open("r+b") as disk:
                disk.write(b"data of somebody else" * 100)
        disks = [pathlib.Path(device) for device in other.devices]
        before = [checksum(path) for path in (foreign, beside, *disks)]

        assert code_of(driver.delete, "theirs") == "FAILED_PRECONDITION"
        assert code_of(driver.create, "theirs", vgName=volume_group.name) == "ALREADY_EXISTS"
        code = code_of(driver.create, "pvc-2", vgName=other.name)
        assert code == "RESOURCE_EXHAUSTED"
        volume = driver.create("pvc-1", wipePolicy="zero")
        target = driver.publish(volume)
        write(target / "file", 8)
        driver.unpublish(volume, target)
        driver.delete("pvc-1")
        elsewhere = driver.create("pvc-3", 8 * MIB)
        bound = LvmDriver(
            tmp_path, volume_group.devices, socket="bound", LVM_GROUPS="another", **WATCHED
        )
        bound.delete("pvc-3")
        assert bound.listed() == {}
        bound.close()
        assert set(driver.listed()) == {elsewhere.volume_id}
        driver.delete("pvc-3")
        run("lvchange", "--addtag", "protected", f"{volume_group.name}/theirs")
        assert code_of(driver.delete, "theirs") == "FAILED_PRECONDITION"

        assert set(driver.listed()) == set()
        assert [checksum(path) for path in (foreign, beside, *disks)] == before
    finally:
        other.close()


@pytest.mark.timeout(600)
def test_groups_are_made_of_blank_disks_alone(tmp_path: pathlib.Path) -> None:
    with loop_device(tmp_path, 64) as blank, loop_device(tmp_path, 64) as used:
        run("mkfs.ext4", "-q", used)
        before = checksum(pathlib.Path(used))
        settings = {
            "LVM_CREATE_GROUPS": f"vgmade={blank};vgkept={used};vggone=/dev/vdgone",
            "LVM_CREATE_POOLS": "vgmade/pool=50%,vggone/pool=50%",
            "LOCAL_STATE_DIR": str(tmp_path / "state"),
        }
        driver = LvmDriver(tmp_path, [blank, used], **settings)
        # Its disk has a name of the kernel's alone: it is taken at the second look.
        rpc.wait_until(lambda: "pool" in run("lvs", "--noheadings"), timeout_s=400)
        driver.close()
        driver = LvmDriver(tmp_path, [blank, used], **settings)
        try:
            driver.create("pvc-1", 8 * MIB, lvmType="thin")
            told = driver.capacity(vgName="vgkept")
            assert (told.available_capacity, told.maximum_volume_size.value) == (0, 0)
            refusal = rpc.refusal(lambda: driver.create("pvc-2", 8 * MIB, vgName="vgkept"))
            assert refusal.code.name == "RESOURCE_EXHAUSTED"
            assert f"{used} has ext4 on it" in refusal.message
            assert 'csi_lvm_group_not_made{group="vgkept",pool=""} 1' in driver.metrics()
            assert checksum(pathlib.Path(used)) == before

            run("blkdiscard", "--zeroout", used)  # it is taken after two looks, a minute apart
            rpc.wait_until(lambda: "vgkept" in run("vgs", "--noheadings"), timeout_s=400)
            driver.create("pvc-2", 8 * MIB, vgName="vgkept")
            for name in ("pvc-1", "pvc-2"):
                driver.delete(name)
        finally:
            driver.close()
            for group in ("vgmade", "vgkept"):
                run("sh", "-c", f"vgremove -qq --force --yes {group}; true")


def test_leftovers_go_at_the_second_collection_and_nothing_else(
    driver: LvmDriver, volume_group: VolumeGroup
) -> None:
    kept = driver.create("pvc-1", 8 * MIB)
    made = {
        "making": ("csi-local", "csi-kind=volume", "csi-making"),
        "going": ("csi-local", "csi-kind=volume", "csi-going", "csi-wipe=zero"),
        "theirs": ("csi-making",),
        "guarded": ("csi-local", "csi-making", "protected"),
    }
    for name, tags in made.items():
        volume_group.create(
            name, "--size", "8m", *(word for tag in tags for word in ("--addtag", tag))
        )
    config = settings.read(core_settings.Reader({"LVM_DEVICES": ",".join(volume_group.devices)}))
    pool = executor.BoundedExecutor("test-lvm", 1)
    place = topology.Place(node_id="node-a", key=topology.HOSTNAME, value="node-a")
    released = released_volumes.ReleasedVolumes(
        driver_name=local.NAME,
        place=place,
        wait_s=0.0,
        kubernetes=api.Nowhere(),
        recorder=fake_kubernetes.silent_recorder(),
        time=clock.SystemClock(),
    )
    work = collector.Collector(
        kubelet_root=driver.kubelet,
        wait_s=0.0,
        kubernetes=api.Nowhere(),
        locks=keyed_lock.KeyedLock(),
        volumes=sweep.Sweep(groups.Groups(config)),
        released=released,
        pool=pool,
        time=clock.SystemClock(),
    )

    def left() -> set[str]:
        return set(run("lvs", "--noheadings", "-o", "lv_name", volume_group.name).split())

    asyncio.run(work.collect())
    assert left() == {"pvc-1", *made}
    asyncio.run(work.collect())
    asyncio.run(work.collect())
    pool.close()

    assert left() == {"pvc-1", "theirs", "guarded"}
    driver.delete(kept.volume_id)
