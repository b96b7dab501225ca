"""The controller half of the CPFS driver, put together."""

from csi import driver
from csi.cpfs import node_ids
from csi.cpfs.controller import attach, channels, filesets, service, settings, users

_NAME = "bmcpfsplugin.csi.alibabacloud.com"


def build(context: driver.DriverContext) -> service.ControllerServicer:
    """The service of this process. Faults in the settings are left in *context.reader*."""
    config = settings.read_cpfs(context.reader)
    cloud = context.cloud()
    primary = {
        node_ids.Reach.VSC: channels.Channels(cloud.vscs, context.clock),
        node_ids.Reach.LINGJUN: channels.Channels(cloud.lingjun_vscs, context.clock),
    }
    return service.ControllerServicer(
        filesets.Filesets(cloud.filesets, context.clock, cluster_id=config.cluster_id),
        attach.Attachments(
            cloud.vscs, primary, users.Users(context.kubernetes, _NAME), context.clock, config
        ),
        cloud.file_systems,
    )
