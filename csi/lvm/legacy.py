"""lvmplugin: the older name, with its own topology key, so that old PersistentVolumes work."""

from collections.abc import Mapping

from csi import driver
from csi.lvm import driver as local_driver
from csi.lvm import topology

NAME = "lvmplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}


def build(context: driver.DriverContext) -> driver.Driver:
    """The driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    return local_driver.make(context, name=NAME, topology_key=topology.OF_LVMPLUGIN)
