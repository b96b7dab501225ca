"""What `bench.lvm` measures, in the lab's guest: its kernel has device-mapper."""

import contextlib
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

from bench import commands, report
from csi._pb import csi_pb2
from host import lvm_commands
from tests.support import lvm_driver, machine, volume_group

ROUNDS = 20
RATIO_GOAL = 1.3
VOLUMES = 500
LIST_GOAL = 2.0
MIB = 1 << 20


def main() -> int:
    """Measure, and write the report to bench/out."""
    told = report.Report(target="lvm")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as undo:
        directory = pathlib.Path(name)
        group = volume_group.VolumeGroup(directory, size_mib=4096)
        undo.callback(group.close)
        driver = lvm_driver.LvmDriver(directory, group.devices, LVM_WATCH_INTERVAL="0s")
        undo.callback(driver.close)
        node = undo.enter_context(machine.Machine(own_network=False))
        bare = undo.enter_context(commands.Commands(node))
        config = ("--config", lvm_commands.configuration(group.devices))
        _create(told, driver, group, bare, config)
        _publish(told, driver, group, bare, directory)
        _many(told, driver, group, bare, config)
    report.write(told)
    return 0


def _create(
    told: report.Report,
    driver: lvm_driver.LvmDriver,
    group: volume_group.VolumeGroup,
    bare: commands.Commands,
    config: tuple[str, str],
) -> None:
    """A plain volume made and removed, in turns with lvcreate and lvremove."""
    ours: dict[str, list[float]] = {"create": [], "delete": []}
    theirs: dict[str, list[float]] = {"create": [], "delete": []}
    for round_ in range(ROUNDS + 1):
        create_s = _seconds(lambda: driver.create("pvc-1", 16 * MIB, vgName=group.name))
        delete_s = _seconds(lambda: driver.delete("pvc-1"))
        made_s = bare.seconds(
            "lvcreate", *config, "--yes", "--wipesignatures", "y", "--zero", "y", "--name", "bare",
            "--size", "16m", group.name,
        )  # fmt: skip
        removed_s = bare.seconds("lvremove", *config, "--yes", f"{group.name}/bare")
        if round_:  # the first one loads what is not in memory yet
            ours["create"].append(create_s)
            ours["delete"].append(delete_s)
            theirs["create"].append(made_s)
            theirs["delete"].append(removed_s)
    told.add_pair("CreateVolume", "lvcreate", ours["create"], theirs["create"], "s")
    told.add_pair("DeleteVolume", "lvremove", ours["delete"], theirs["delete"], "s")
    ratio = told.add_pair(
        "create and delete", "lvcreate and lvremove", _sums(ours), _sums(theirs), "s"
    )
    told.goals.append(
        report.Goal(name="create and delete / bare LVM", value=ratio, limit=RATIO_GOAL)
    )


def _publish(
    told: report.Report,
    driver: lvm_driver.LvmDriver,
    group: volume_group.VolumeGroup,
    bare: commands.Commands,
    directory: pathlib.Path,
) -> None:
    """A used volume staged and published and back, in turns with what does the same by hand.

    By hand: activate, check the file system, mount, bind; and unmount both.
    """
    volume = driver.create("pvc-1", 64 * MIB, vgName=group.name)
    driver.unpublish(volume, driver.publish(volume))
    name = f"{group.name}/bare"
    machine.run("lvcreate", "-qq", "--yes", "--name", "bare", "--size", "64m", group.name)
    machine.run("mkfs.ext4", "-q", f"/dev/{name}")
    at, seen = directory / "bare", directory / "seen"
    for path in (at, seen):
        path.mkdir()
    ours: dict[str, list[float]] = {"publish": [], "unpublish": []}
    theirs: dict[str, list[float]] = {"publish": [], "unpublish": []}
    config = ("--config", lvm_commands.configuration(group.devices))
    target = driver.kubelet / "pods/pod/volumes/pvc-1"
    for round_ in range(ROUNDS + 1):
        publish_s = _seconds(lambda: driver.publish(volume))
        unpublish_s = _seconds(lambda: driver.unpublish(volume, target))
        by_hand_s = sum(
            bare.seconds(*argv)
            for argv in (
                ("lvchange", *config, "--activate", "y", name),
                ("blkid", "--probe", f"/dev/{name}"),
                ("e2fsck", "-p", f"/dev/{name}"),
                ("mount", f"/dev/{name}", str(at)),
                ("mount", "--bind", str(at), str(seen)),
            )
        )
        back_s = bare.seconds("umount", str(seen)) + bare.seconds("umount", str(at))
        if round_:
            ours["publish"].append(publish_s)
            ours["unpublish"].append(unpublish_s)
            theirs["publish"].append(by_hand_s)
            theirs["unpublish"].append(back_s)
    machine.run("lvremove", "-qq", "--yes", name)
    driver.delete("pvc-1")
    told.add_pair("stage and publish", "by hand", ours["publish"], theirs["publish"], "s")
    told.add_pair("unpublish and unstage", "by hand", ours["unpublish"], theirs["unpublish"], "s")
    ratio = told.add_pair("publish and unpublish", "by hand", _sums(ours), _sums(theirs), "s")
    told.goals.append(
        report.Goal(name="publish and unpublish / by hand", value=ratio, limit=RATIO_GOAL)
    )


def _many(
    told: report.Report,
    driver: lvm_driver.LvmDriver,
    group: volume_group.VolumeGroup,
    bare: commands.Commands,
    config: tuple[str, str],
) -> None:
    """VOLUMES volumes in one group: lists and capacity beside one lvs."""
    tags = ("--addtag", "csi-local", "--addtag", "csi-kind=volume")
    for number in range(VOLUMES):
        machine.run(
            "lvcreate", "-qq", *config, "--yes", "--activate", "n", "--zero", "n",
            "--wipesignatures", "n", *tags, "--name", f"pvc-{number}", "--size", "4m", group.name,
            timeout_s=120,
        )  # fmt: skip
    found = driver.client.controller.ListVolumes(csi_pb2.ListVolumesRequest(), timeout=120)
    assert len(found.entries) == VOLUMES
    lists: list[float] = []
    capacities: list[float] = []
    lvs: list[float] = []
    for _ in range(5):
        lists.append(_seconds(driver.listed))
        capacities.append(_seconds(lambda: driver.capacity(vgName=group.name)))
        lvs.append(bare.seconds("lvs", *config, "--reportformat", "json", group.name))
    for name, ours in (("ListVolumes", lists), ("GetCapacity", capacities)):
        case = f"{name}, {VOLUMES} volumes"
        ratio = told.add_pair(case, "lvs", ours, lvs, "s")
        told.goals.append(report.Goal(name=f"{case} / one lvs", value=ratio, limit=LIST_GOAL))


def _seconds(call: Callable[[], object]) -> float:
    started_s = time.perf_counter()
    call()
    return time.perf_counter() - started_s


def _sums(times: dict[str, list[float]]) -> list[float]:
    return [sum(pair) for pair in zip(*times.values(), strict=True)]


if __name__ == "__main__":
    sys.exit(main())
