import pytest

from core import errors
from csi import requests
from csi.disk.controller import capabilities
from tests.unit.csi_disk import disk_harness as harness

Mode = requests.AccessMode
Access = requests.AccessType
SINGLE = [mode for mode in Mode if not mode.multi_node]
WRITERS = [Mode.MULTI_NODE_SINGLE_WRITER, Mode.MULTI_NODE_MULTI_WRITER]


@pytest.mark.parametrize("mode", SINGLE)
@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("multi_attach", [False, True])
def test_single_node_modes_are_always_served(
    mode: Mode, access: Access, multi_attach: bool
) -> None:
    capabilities.require((harness.capability(mode, access),), multi_attach=multi_attach)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode.multi_node])
@pytest.mark.parametrize("access", list(Access))
def test_multi_node_modes_need_a_multi_attach_disk(mode: Mode, access: Access) -> None:
    with pytest.raises(errors.InvalidField, match="multiAttach"):
        capabilities.require((harness.capability(mode, access),), multi_attach=False)


@pytest.mark.parametrize("mode", WRITERS)
def test_writers_on_several_nodes_need_block_access(mode: Mode) -> None:
    capabilities.require((harness.capability(mode, Access.BLOCK),), multi_attach=True)
    with pytest.raises(errors.InvalidField, match="block access"):
        capabilities.require((harness.capability(mode, Access.MOUNT),), multi_attach=True)


def test_readers_on_several_nodes_may_mount() -> None:
    reader = harness.capability(Mode.MULTI_NODE_READER_ONLY, Access.MOUNT)

    capabilities.require((reader,), multi_attach=True)


def test_file_systems_we_cannot_make_are_refused_unless_restored() -> None:
    ntfs = harness.capability(fs_type="ntfs")

    with pytest.raises(errors.InvalidField, match="ext4, ext3, xfs"):
        capabilities.require((ntfs,), multi_attach=False)
    capabilities.require((ntfs,), multi_attach=False, restored=True)


def test_mount_group_is_refused() -> None:
    with pytest.raises(errors.InvalidField, match="fsGroup"):
        capabilities.require((harness.capability(mount_group="1000"),), multi_attach=False)
