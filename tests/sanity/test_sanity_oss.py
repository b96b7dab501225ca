"""csi-sanity against the OSS driver: simulated object storage, csi-mounter, real FUSE by s3fs."""

import os

import pytest

from tests.support import leaks, mounter, oss_node, processes, sanity, sanity_skips

pytestmark = [
    pytest.mark.sanity,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for mounts"),
]

SKIPPED = sanity_skips.of(
    "SNAPSHOTS",  # object storage has versions, which are no snapshots
    "GROUP_SNAPSHOTS",
    "CLONE",
    "MODIFY",
    "LIST",  # a prefix does not tell whether it is a volume
    "ATTACH_LIMIT",
    "PUBLISH",  # nothing is attached
    "PUBLISH_READONLY",
    "EXPAND",  # a prefix has no size
    "NODE_EXPAND",
    "HEALTH",  # newer than CSI 1.13, which we serve; VolumeCondition tells health
)
CLASSES = {
    "sharepath": {"volumeAs": "sharepath", "path": "/shared"},
    "subpath": {"volumeAs": "subpath", "path": "/volumes"},
    "deleted": {"volumeAs": "subpath", "path": "/volumes", "deletePolicy": "delete"},
    "bucket": {"volumeAs": "bucket", "deletePolicy": "delete", "bucket": ""},
}


@pytest.mark.parametrize("name", CLASSES)
def test_csi_sanity(name: str) -> None:
    node = oss_node.OssNode()
    try:
        node.cloud.start()
        node.mounter.start()
        url = f"http://{node.cloud.endpoint}"
        told = {"bucket": oss_node.BUCKET, "url": url, "region": "cn-hangzhou", "fuseType": "s3fs"}
        key = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": processes.ACCESS_KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": processes.ACCESS_KEY_SECRET,
        }
        environment = {**node.environment, **key, "OSS_ENDPOINT": url}
        node.rig.start_driver("oss", driver="oss", node_id="worker-1", **environment)

        report = sanity.run(
            node.rig.kubelet / "sanity",
            node.rig.socket("oss"),
            access_type="mount",
            seed=1,
            parameters={k: v for k, v in {**told, **CLASSES[name]}.items() if v},
            mutable_parameters={},
        )

        assert not report.failed, f"{report.failed}\n{report.output[-6000:]}"
        assert list(report.skipped) == SKIPPED
        assert node.left_mounts() == []
        assert node.mounter.ask("status")["volumes"] == []
        words = [sanity.SECRET_VALUE, processes.ACCESS_KEY_SECRET]
        assert leaks.logs_with(node.rig.dir, words) == []
        assert leaks.logs_with(node.run_dir, words) == []
    finally:
        node.close()
        mounter.unmount_below(node.run_dir)
