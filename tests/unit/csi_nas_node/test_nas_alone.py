"""Whose mounts stand in the way of ReadWriteOncePod, as the mount table and kubelet tell. NFS."""

import json
import pathlib
from typing import Any, cast

import pytest

from core import errors
from csi._pb import csi_pb2 as pb
from csi.nas.node import node_requests, publish
from csi.nas.node import settings as node_settings
from host import mountinfo

NFS = {"server": "nas.test", "path": "/shared"}


def mount(path: pathlib.Path, source: str = "nas.test:/shared") -> mountinfo.Mount:
    return mountinfo.Mount(
        mount_id=1,
        parent_id=0,
        device="0:52",
        root="/",
        mount_point=str(path),
        options=("rw",),
        fs_type="nfs",
        source=source,
        super_options=(),
    )


@pytest.mark.parametrize(
    ("told", "alone"),
    [
        ({"driverName": "nasplugin.csi.alibabacloud.com", "volumeHandle": "v-1"}, False),
        ({"driverName": "nasplugin.csi.alibabacloud.com", "volumeHandle": "v-2"}, True),
        ({"driverName": "diskplugin.csi.alibabacloud.com", "volumeHandle": "v-1"}, True),
        (None, False),
        ("no JSON object", False),
        ({"driverName": "nasplugin.csi.alibabacloud.com"}, False),
    ],
    ids=["this volume", "another one", "another driver's", "no note", "no object", "no handle"],
)
def test_a_directory_is_the_volume_when_kubelet_says_so_or_nobody_says_otherwise(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, told: object, alone: bool
) -> None:
    there = tmp_path / "pods/one/volumes/kubernetes.io~csi/pv/mount"
    there.parent.mkdir(parents=True)
    if told is not None:
        (there.parent / "vol_data.json").write_text(json.dumps(told))
    settings = node_settings.NodeSettings(
        kubelet_root=tmp_path, work_dir=tmp_path / "csi-plugins/nas/node"
    )
    request = pb.NodePublishVolumeRequest(
        volume_id="v-1",
        target_path=str(tmp_path / "pods/two/mount"),
        volume_context=NFS,
        volume_capability=pb.VolumeCapability(
            mount={}, access_mode={"mode": "SINGLE_NODE_SINGLE_WRITER"}
        ),
    )
    (tmp_path / "pods/two").mkdir()
    want = node_requests.parse_publish(request, settings)
    monkeypatch.setattr(
        mountinfo, "read", lambda: [mount(there), mount(tmp_path / "csi-plugins/nas/node/root-x")]
    )
    nothing = cast("Any", None)
    publisher = publish.Publisher(
        settings, mounting=nothing, loops=nothing, changing=nothing, recorder=nothing
    )

    if alone:
        publisher._require_alone(want)
    else:
        with pytest.raises(errors.Precondition, match="already published"):
            publisher._require_alone(want)
