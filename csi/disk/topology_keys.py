"""Topology keys, as volumes and nodes carry them: the one place that spells them.

Imports nothing, so that a node process can use it. Source: spec/csi-driver.md appendix B.
"""

DISK_ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
DISK_REGION = "topology.diskplugin.csi.alibabacloud.com/region"
ZONE = "topology.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
INSTANCE = "alibabacloud.com/ecs-instance-id"
LINGJUN = "alibabacloud.com/lingjun-worker"
LINGJUN_HPN_ZONE = "alibabacloud.com/lingjun-hpnzone"
