"""Settings of the controller half. Source: spec/csi-driver.md appendix A."""

import dataclasses

from core import settings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpfsSettings:
    """detach: take a node's storage channel off a file system when its last volume leaves the node.

    cluster_id: goes into descriptions of filesets, "" = none.
    """

    detach: bool = False
    cluster_id: str = ""


def read_cpfs(reader: settings.Reader) -> CpfsSettings:
    """Effective settings; faults are left in *reader*. `BMCPFS_DETACH` is ours."""
    wanted = reader.boolean("BMCPFS_DETACH", default=False)
    skipped = reader.boolean("SKIP_BMCPFS_DETACH", default=False)
    return CpfsSettings(
        detach=wanted and not skipped,
        cluster_id=reader.text("CLUSTER_ID"),
    )
