"""cpfsplugin: volumes of CPFS 1.0 from old clusters, which only a node with Lustre can mount.

Nothing is made or deleted any more; the reference removed this driver. Source: spec/csi-driver.md
4.1.
"""

from collections.abc import Mapping

from csi import driver

NAME = "cpfsplugin.csi.alibabacloud.com"
FEATURE_GATES: Mapping[str, bool] = {}


def build(context: driver.DriverContext) -> driver.Driver:
    """The driver with the services of *context.roles*; a controller has none.

    Faults in its settings are left in *context.reader*.
    """
    node = driver.half("csi.cpfs.node.legacy_service", context, wanted=context.roles.node)

    async def ready() -> None:
        """A node needs nothing but its kernel."""

    async def close() -> None:
        if node is not None:
            await node.close()

    return driver.Driver(
        name=NAME,
        services=[],
        expansions=[],
        ready=ready,
        node=node,
        close=close,
    )
