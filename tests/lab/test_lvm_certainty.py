"""What is written to or removed is what was looked at, whatever its name leads to by now."""

import contextlib
import hashlib
import pathlib
from collections.abc import Callable, Iterable, Iterator

import pytest

from core import errors
from core import settings as core_settings
from csi._pb import csi_pb2 as pb
from csi.lvm import collection, model, names, params, settings, tags
from csi.lvm.stores.logical import creation, groups, logical_rows, logical_volumes, sweep
from host import lvm, lvm_model
from tests.support.lvm_driver import MIB, LvmDriver, code_of
from tests.support.machine import run
from tests.support.volume_group import VolumeGroup

pytestmark = [pytest.mark.usefixtures("foreign"), pytest.mark.timeout(300)]
MARKER = b"written by the first pod of the source" * 1000


def checksum(path: str) -> str:
    run("blockdev", "--flushbufs", path)
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["file system", "raw", "encrypted"])
def test_a_name_that_leads_to_another_volume_is_not_followed(
    volume_group: VolumeGroup, tmp_path: pathlib.Path, kind: str
) -> None:
    """As one is left when the volume it was for is deactivated where the node's /dev is not."""
    driver = LvmDriver(tmp_path, volume_group.devices)
    try:
        encrypted = str(kind == "encrypted").lower()
        key = {"luksPassphrase": "correct horse battery staple"}
        volume = driver.create(
            "pvc-1", 32 * MIB, vgName=volume_group.name, wipePolicy="zero", encrypted=encrypted
        )
        theirs = volume_group.create("theirs", "--size", "32m")
        with pathlib.Path(theirs).open("r+b") as device:
            device.write(b"data of somebody else" * 1000)
        before = checksum(theirs)
        name = pathlib.Path(volume_group.path("pvc-1"))
        name.unlink()
        name.symlink_to(pathlib.Path(theirs).resolve())

        code = code_of(driver.stage, volume, block=kind == "raw", secrets=key)

        assert checksum(theirs) == before
        assert code == "UNAVAILABLE"
        run("vgmknodes", volume_group.name)
        driver.unpublish(volume, driver.publish(volume, block=kind == "raw", secrets=key))
        name.unlink()
        name.symlink_to(pathlib.Path(theirs).resolve())
        # LVM makes the name anew when it is to make the volume's device, or it is refused.
        with contextlib.suppress(AssertionError):
            code_of(driver.delete, "pvc-1")
        assert checksum(theirs) == before
        run("vgmknodes", volume_group.name)
        driver.delete("pvc-1")
    finally:
        driver.close()


class Watched(lvm.Lvm):
    """LVM that does *meanwhile* once, when the source is activated."""

    def __init__(self, devices: list[str], meanwhile: Callable[[], None]) -> None:
        super().__init__(devices)
        self._meanwhile = meanwhile

    def activate(self, group: str, name: str) -> None:
        super().activate(group, name)
        self._meanwhile()


class BusyGroups(groups.Groups):
    """Groups where *meanwhile* is done once a clone has looked at its source."""

    def __init__(self, config: settings.LocalSettings, meanwhile: Callable[[], None]) -> None:
        super().__init__(config)
        self._todo = [meanwhile]

    def commands(self) -> lvm.Lvm:
        return Watched(self.devices(), self._do)

    @contextlib.contextmanager
    def planning(self) -> Iterator[None]:
        with super().planning():
            self._do()
            yield

    def _do(self) -> None:
        while self._todo:
            self._todo.pop()()


def clone(volume_group: VolumeGroup, lvm_type: str, meanwhile: Callable[[], None]) -> model.Volume:
    """The clone of volume "source", of the same kind."""
    config = settings.read(core_settings.Reader({"LVM_DEVICES": ",".join(volume_group.devices)}))
    wanted = {"volumeType": "LVM", "vgName": volume_group.name, "lvmType": lvm_type}
    wish = model.VolumeWish(
        name="clone", volume_id="clone", required_bytes=32 * MIB, limit_bytes=0,
        parameters=params.parse(wanted),
        source=model.Source(kind=model.SourceKind.VOLUME, source_id="source"),
    )  # fmt: skip
    return creation.Creation(BusyGroups(config, meanwhile)).create(wish)


def change(volume: str, *words: str) -> None:
    run("lvchange", "-qq", "--yes", *words, volume)


def make_pool(volume_group: VolumeGroup, lvm_type: str) -> None:
    if lvm_type == "thin":
        pool = ("--type", "thin-pool", "-n", "pool", "-L", "128m")
        run("lvcreate", "-qq", "--yes", *pool, volume_group.name)


@pytest.mark.parametrize("lvm_type", ["linear", "thin"])
def test_a_clone_keeps_what_a_pod_wrote_to_the_source_while_it_was_made(
    volume_group: VolumeGroup, tmp_path: pathlib.Path, lvm_type: str
) -> None:
    make_pool(volume_group, lvm_type)
    source = f"{volume_group.name}/source"

    def use() -> None:
        change(source, "--deltag", tags.FRESH)
        with pathlib.Path(f"/dev/{source}").open("r+b") as device:
            device.write(MARKER)

    driver = LvmDriver(tmp_path, volume_group.devices)
    try:
        driver.create("source", 32 * MIB, vgName=volume_group.name, lvmType=lvm_type)

        made = clone(volume_group, lvm_type, use)

        cloned = pb.Volume(volume_id="clone", volume_context=made.context)
        target = driver.publish(cloned, block=True)
        with target.open("rb") as device:
            assert device.read(len(MARKER)) == MARKER
        driver.unpublish(cloned, target)
        for name in ("clone", "source"):
            driver.delete(name)
    finally:
        driver.close()


@pytest.mark.parametrize("lvm_type", ["linear", "thin"])
def test_a_source_that_begins_to_go_meanwhile_gives_no_volume(
    volume_group: VolumeGroup, tmp_path: pathlib.Path, lvm_type: str
) -> None:
    """Its content may be wiped by then."""
    make_pool(volume_group, lvm_type)
    source = f"{volume_group.name}/source"
    driver = LvmDriver(tmp_path, volume_group.devices)
    try:
        driver.create("source", 32 * MIB, vgName=volume_group.name, lvmType=lvm_type)

        with pytest.raises(errors.Precondition, match="deleted"):
            clone(
                volume_group,
                lvm_type,
                lambda: change(source, "--addtag", tags.GOING),
            )

        assert "clone" not in driver.listed()
        for name in ("clone", "source"):
            driver.delete(name)
    finally:
        driver.close()


def test_what_only_has_the_name_of_a_copys_snapshot_is_not_removed(
    volume_group: VolumeGroup, tmp_path: pathlib.Path
) -> None:
    driver = LvmDriver(tmp_path, volume_group.devices)
    try:
        driver.create("source", 8 * MIB, vgName=volume_group.name)
        theirs = names.of_scratch("clone")
        volume_group.create(theirs, "--size", "8m")
        source = pb.VolumeContentSource(
            volume=pb.VolumeContentSource.VolumeSource(volume_id="source")
        )

        code = code_of(driver.create, "clone", 8 * MIB, vgName=volume_group.name, source=source)

        assert code == "ALREADY_EXISTS"
        assert volume_group.report(theirs, "lv_name") == theirs
        driver.delete("source")
    finally:
        driver.close()


def test_a_volume_that_is_there_is_found_by_its_device(volume_group: VolumeGroup) -> None:
    """Of every kind: thin, a thick snapshot, what has one, and a mirror."""
    group = volume_group.name
    volume_group.create("plain", "--size", "8m")
    run("lvcreate", "-qq", "--yes", "--snapshot", "-n", "thick", "-L", "4m", f"{group}/plain")
    volume_group.create("mirror", "--type", "raid1", "--mirrors", "1", "--size", "8m")
    run("lvcreate", "-qq", "--yes", "--type", "thin-pool", "-n", "pool", "-L", "32m", group)
    run("lvcreate", "-qq", "--yes", "--type", "thin", "-n", "thin", "-V", "8m", "--thinpool",
        f"{group}/pool")  # fmt: skip
    config = settings.read(core_settings.Reader({"LVM_DEVICES": ",".join(volume_group.devices)}))
    there = logical_volumes.LogicalVolumes(config, groups.Groups(config))

    for name in ("plain", "thick", "mirror", "thin"):
        assert there.open(name).device.samefile(volume_group.path(name))


class Racing(lvm.Lvm):
    """LVM that does *meanwhile* once, as somebody else would: after the step that is called."""

    def __init__(self, devices: list[str], step: str, meanwhile: list[str]) -> None:
        super().__init__(devices)
        self._step = step
        self._meanwhile = meanwhile

    def find(self, group: str, name: str) -> lvm_model.LogicalVolume | None:
        found = super().find(group, name)
        self._after("find")
        return found

    def retag(
        self, group: str, name: str, *, add: Iterable[str] = (), delete: Iterable[str] = ()
    ) -> None:
        super().retag(group, name, add=add, delete=delete)
        self._after("retag")

    def _after(self, step: str) -> None:
        if step == self._step and self._meanwhile:
            run(*self._meanwhile)
            self._meanwhile.clear()


class RacingGroups(groups.Groups):
    def __init__(self, config: settings.LocalSettings, step: str, *meanwhile: str) -> None:
        super().__init__(config)
        self._step = step
        self._meanwhile = list(meanwhile)

    def commands(self) -> lvm.Lvm:
        return Racing(self.devices(), self._step, self._meanwhile)


def test_a_collection_and_a_stage_at_once_never_both_win(volume_group: VolumeGroup) -> None:
    """Whoever takes the mark of a collection first has the volume."""
    group = volume_group.name
    volume_group.create("pvc-1", "--size", "8m")
    marks = [word for tag in (tags.OWNER, tags.VOLUME, "csi-stale=1") for word in ("--addtag", tag)]
    run("lvchange", "-qq", "--yes", *marks, f"{group}/pvc-1")
    config = settings.read(core_settings.Reader({"LVM_DEVICES": ",".join(volume_group.devices)}))
    change = ("lvchange", "-qq", "--yes")
    (found,) = sweep.Sweep(groups.Groups(config)).candidates()

    # It is staged after the collection has looked at it.
    staged = RacingGroups(config, "find", *change, "--deltag", "csi-stale=1", f"{group}/pvc-1")
    sweep.Sweep(staged).carry_out(found, collection.Fate.REMOVE)
    assert tags.GOING not in volume_group.report("pvc-1", "lv_tags").split(",")

    # The collection takes it after the stage has looked at it.
    run(*change, "--addtag", "csi-stale=1", f"{group}/pvc-1")
    taken = RacingGroups(config, "retag", *change, "--addtag", tags.GOING, f"{group}/pvc-1")
    with pytest.raises(logical_rows.Unusable):
        logical_volumes.LogicalVolumes(config, taken).open("pvc-1")

    run(*change, "--deltag", tags.GOING, "--addtag", "csi-stale=1", f"{group}/pvc-1")
    sweep.Sweep(groups.Groups(config)).carry_out(found, collection.Fate.REMOVE)
    assert run("lvs", "--noheadings", group) == ""
