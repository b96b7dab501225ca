"""What the mount table tells about a volume, and how healthy it is."""

import dataclasses
import pathlib

import pytest

from csi.disk.node import expand
from csi.node import device_stats, node_mounts
from host import mountinfo

ROOT = pathlib.Path("/var/lib/kubelet")
CSI = ROOT / "plugins/kubernetes.io/csi"


def mount(
    mount_point: str | pathlib.Path = "/m",
    options: str = "rw,relatime",
    super_options: str = "rw",
    *,
    device: str = "253:16",
    fs_type: str = "ext4",
) -> mountinfo.Mount:
    line = f"30 1 {device} / {mount_point} {options} - {fs_type} /dev/vdb {super_options}\n"
    (parsed,) = mountinfo.parse(line)
    return parsed


@pytest.mark.parametrize(
    ("options", "read_only", "flags", "fs_type", "difference"),
    [
        ("rw,relatime", False, [], "ext4", ""),
        ("rw,relatime", False, ["discard", "data=ordered"], None, ""),
        ("ro,relatime", True, [], "ext4", ""),
        ("ro,relatime", False, [], "ext4", "read-only"),
        ("rw,relatime", True, [], "ext4", "writable"),
        ("rw,nosuid,noatime", False, ["nosuid", "noatime"], "ext4", ""),
        ("rw,noatime", False, [], "ext4", "has noatime"),
        ("rw,relatime", False, ["noexec"], "ext4", "lacks noexec"),
        ("rw,relatime", False, [], "xfs", "is ext4, not xfs"),
    ],
)
def test_a_mount_is_compared_with_what_is_wanted(
    *, options: str, read_only: bool, flags: list[str], fs_type: str | None, difference: str
) -> None:
    found = node_mounts.mount_difference(
        mount(options=options), read_only=read_only, flags=flags, fs_type=fs_type
    )

    assert difference in found
    assert bool(difference) == bool(found)


def test_only_flags_of_mount_points_go_to_a_bind_mount() -> None:
    flags = ["noatime", "discard", "nouuid", "nosuid", "data=ordered"]

    assert node_mounts.per_mount(flags) == ("noatime", "nosuid")


@pytest.mark.parametrize(
    ("path", "staging"),
    [
        (CSI / "pv/pv-1/globalmount", True),
        (CSI / "diskplugin.csi.alibabacloud.com/abc/globalmount", True),
        (CSI / "volumeDevices/staging/pv-1/d-1", True),
        (CSI / "volumeDevices/publish/pv-1/pod", False),
        (ROOT / "pods/uid/volumes/kubernetes.io~csi/pv-1/mount", False),
        (ROOT / "pods/uid/globalmount", False),
        (pathlib.Path("/elsewhere/globalmount"), False),
    ],
)
def test_staging_paths_of_every_kubelet_are_known(*, path: pathlib.Path, staging: bool) -> None:
    assert node_mounts.is_staging_path(path, ROOT) is staging


@pytest.mark.parametrize(
    ("mount_point", "device", "found"),
    [
        (ROOT / "pods/a/volumes/kubernetes.io~csi/pv/mount", "253:16", True),
        (ROOT / "pods/a/volumes/kubernetes.io~csi/pv/mount", "253:32", False),
        (CSI / "pv/pv/globalmount", "253:16", False),
        ("/somewhere/else", "253:16", False),
        (ROOT / "staging", "253:16", False),
        (ROOT / "target", "253:16", False),
    ],
)
def test_only_other_pods_paths_of_the_same_device_count_as_published_elsewhere(
    *, mount_point: pathlib.Path | str, device: str, found: bool
) -> None:
    elsewhere = node_mounts.published_elsewhere(
        [mount(mount_point, device=device)],
        {"253:16"},
        kubelet_root=ROOT,
        staging_target_path=ROOT / "staging",
        target_path=ROOT / "target",
    )

    assert (elsewhere is not None) is found


@pytest.mark.parametrize(
    ("shown", "found"),
    [("/q/pvc-1", True), ("/q/pvc-1/sub", True), ("/q/pvc-10", False), ("/q", False), ("/", False)],
)
def test_a_directory_is_published_where_it_or_a_part_of_it_is(*, shown: str, found: bool) -> None:
    elsewhere = node_mounts.published_elsewhere(
        [dataclasses.replace(mount(ROOT / "pods/p/v", device="253:16"), root=shown)],
        {"253:16"},
        kubelet_root=ROOT,
        staging_target_path=ROOT / "staging",
        root="/q/pvc-1",
    )

    assert (elsewhere is not None) is found


def test_the_topmost_mount_is_the_one_seen() -> None:
    table = [mount(device="253:16"), mount(device="253:32")]

    top = node_mounts.top_mount(pathlib.Path("/m"), table)

    assert top is not None
    assert top.device == "253:32"


@pytest.mark.parametrize(
    ("options", "super_options", "alive", "io_error", "message"),
    [
        ("rw", "rw", True, "", ""),
        ("ro", "ro", True, "", ""),
        ("ro", "rw", True, "", ""),
        ("rw", "ro", True, "", "stopped accepting writes"),
        ("rw", "rw,emergency_ro", True, "", "stopped accepting writes"),
        ("rw", "rw,shutdown", True, "", "stopped accepting writes"),
        ("rw", "rw", False, "Input/output error", "gone"),
        ("rw", "rw", True, "Input/output error", "cannot be read: Input/output"),
    ],
)
def test_the_condition_of_a_file_system(
    *, options: str, super_options: str, alive: bool, io_error: str, message: str
) -> None:
    condition = device_stats.judge(
        mount(options=options, super_options=super_options), is_alive=alive, io_error=io_error
    )

    assert condition.abnormal is bool(message)
    assert condition.message
    assert message in condition.message


def test_a_file_system_grows_through_a_writable_mount() -> None:
    table = [
        mount("/other", device="253:32"),
        mount("/published", options="ro"),
        mount("/staged"),
    ]

    assert expand.choose_writable(table, {"253:16"}) == pathlib.Path("/staged")


@pytest.mark.parametrize(("options", "super_options"), [("ro", "rw"), ("rw", "ro"), ("ro", "ro")])
def test_a_read_only_file_system_cannot_grow(options: str, super_options: str) -> None:
    table = [mount("/m", options=options, super_options=super_options)]

    assert expand.choose_writable(table, {"253:16"}) is None


def test_what_was_unmounted_since_the_table_was_read_is_no_device_file(
    tmp_path: pathlib.Path,
) -> None:
    gone = mount(tmp_path / "gone", device="0:5", fs_type="devtmpfs")

    assert node_mounts.number_behind(gone) == "0:5"
    assert not node_mounts.holds(gone, {"253:16"})
