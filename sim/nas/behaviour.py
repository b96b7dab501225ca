"""Rules of NAS that a test may switch: setting "nas", `POST /_sim/settings/nas`."""

import dataclasses
from typing import Any

from sim import cloud as cloud_module

SETTING = "nas"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Switches.

    refuse_quotas: SetDirQuota and CancelDirQuota answer 200 with `Success: false` and do nothing.
    keep_released: filesets that are gone are still told of, as RELEASED.
    """

    refuse_quotas: bool = False
    keep_released: bool = False


def of(cloud: cloud_module.Cloud) -> Behaviour:
    """The switches in force."""
    fields: dict[str, Any] = cloud.setting(SETTING)
    known = {name: fields[name] for name in fields if name in Behaviour.__dataclass_fields__}
    return Behaviour(**known)
