"""The driver of node-local volumes, as `csi.driver` knows it. Cheap to import: see `wiring`."""

import importlib
from collections.abc import Mapping

from csi import driver
from csi.lvm import topology

NAME = "localplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}


def build(context: driver.DriverContext) -> driver.Driver:
    """The driver with the services of *context.roles*.

    Faults in its settings are left in *context.reader*.
    """
    return make(context, name=NAME, topology_key=topology.HOSTNAME)


def make(context: driver.DriverContext, *, name: str, topology_key: str) -> driver.Driver:
    """The driver called *name*, which is one of two."""
    wiring = importlib.import_module("csi.lvm.wiring")
    made: driver.Driver = wiring.build(context, name=name, topology_key=topology_key)
    return made
