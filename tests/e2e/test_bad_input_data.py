"""A disk with data on it is never formatted, whatever is asked for."""

import hashlib
import pathlib
import subprocess

import pytest

from tests.support import csi_client, rpc, stack

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

XFS, EXT3, EXT4 = ["mkfs.xfs", "-q", "-f"], ["mkfs.ext3", "-q", "-F"], ["mkfs.ext4", "-q", "-F"]
SWAP, PARTITIONS, BTRFS_LIKE = ["mkswap"], ["sfdisk", "--quiet"], ["dd", "bs=1", "seek=65600"]
BTRFS_MAGIC = b"_BHRfS_M"
INPUT = {"sfdisk": b"size=1G\nsize=1G\n", "dd": BTRFS_MAGIC}


@pytest.mark.parametrize(
    ("there", "asked_for", "told"),
    [
        pytest.param(XFS, "ext4", "xfs", id="xfs-asked-for-ext4"),
        pytest.param(EXT3, "xfs", "ext3", id="ext3-asked-for-xfs"),
        pytest.param(EXT4, "xfs", "ext4", id="ext4-asked-for-xfs"),
        pytest.param(EXT4, "ext3", "ext4", id="ext4-asked-for-ext3"),
        pytest.param(SWAP, "ext4", "swap", id="swap-asked-for-ext4"),
        pytest.param(PARTITIONS, "ext4", "partition", id="partitions-asked-for-ext4"),
        pytest.param(PARTITIONS, "xfs", "partition", id="partitions-asked-for-xfs"),
        pytest.param(BTRFS_LIKE, "ext4", "btrfs", id="btrfs-asked-for-ext4"),
    ],
)
def test_disk_with_data_is_never_formatted(
    disks: stack.Stack, there: list[str], asked_for: str, told: str
) -> None:
    volume = disks.volume(capability=csi_client.mount_capability(asked_for)).attach()
    device = _device(disks, volume)
    _run(there, device)
    before = _head(device)

    refused = rpc.refusal(volume.stage)

    assert refused.code is rpc.Code.FAILED_PRECONDITION, refused.message
    assert told in refused.message
    assert _head(device) == before
    assert disks.rig.mounts() == []
    volume.tear_down()


def test_staged_file_system_is_not_staged_again_as_a_raw_device(disks: stack.Stack) -> None:
    volume = disks.volume().attach().stage()
    block = csi_client.block_capability()

    refused = rpc.refusal(
        lambda: disks.client.stage(
            volume.message, volume.publish_context, volume.staging, capability=block
        )
    )

    assert refused.code is rpc.Code.ALREADY_EXISTS, refused.message
    volume.tear_down()


def test_data_written_raw_is_not_taken_for_an_empty_disk(disks: stack.Stack) -> None:
    volume = disks.volume(capability=csi_client.block_capability()).attach().stage().publish()
    _run(EXT4, volume.target)
    checksum = _head(volume.target)
    volume.unpublish().unstage()
    wanted = csi_client.mount_capability("xfs")

    refused = rpc.refusal(
        lambda: disks.client.stage(
            volume.message, volume.publish_context, volume.staging, capability=wanted
        )
    )

    assert refused.code is rpc.Code.FAILED_PRECONDITION, refused.message
    assert _head(_device(disks, volume)) == checksum
    volume.tear_down()


def _device(disks: stack.Stack, volume: stack.Volume) -> pathlib.Path:
    return (disks.rig.by_id / f"virtio-{volume.publish_context['serialNumber']}").resolve()


def _run(argv: list[str], device: pathlib.Path) -> None:
    """Put something on *device*."""
    where = [f"of={device}"] if argv[0] == "dd" else [str(device)]
    subprocess.run([*argv, *where], check=True, capture_output=True, input=INPUT.get(argv[0], b""))


def _head(device: pathlib.Path) -> str:
    """Checksum of the first 64 MiB."""
    with device.open("rb") as f:
        return hashlib.sha256(f.read(64 << 20)).hexdigest()
