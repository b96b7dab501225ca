"""Settings of the controller half. Source: spec/csi-driver.md 3.2, appendix A."""

import dataclasses

from core import settings
from csi.nas import topology


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NasSettings:
    """Effective settings.

    cluster_id: goes into tags, "" = none. fake_provision: make no directories over the API; nodes
    make them. check_recycle_bin: delete files only where the recycle bin holds them for a while,
    archive them elsewhere. topology: volumes stay in the zone of their file system.
    """

    cluster_id: str = ""
    fake_provision: bool = False
    check_recycle_bin: bool = False
    topology: bool = False


def read_nas(reader: settings.Reader) -> NasSettings:
    """Effective settings; faults are left in *reader*."""
    return NasSettings(
        cluster_id=reader.text("CLUSTER_ID"),
        fake_provision=reader.boolean("NAS_FAKE_PROVISION", default=False),
        check_recycle_bin=reader.boolean("ENABLE_NAS_RECYCLEBIN_CHECK", default=False),
        topology=topology.is_wanted(reader),
    )
