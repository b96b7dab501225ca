"""Keys of volume_context and publish_context, which both halves share.

Pure. Source: spec/csi-driver.md 4.2.
"""

import dataclasses
import re
from collections.abc import Mapping

from core import errors
from csi import values

VPC_TARGET = "vpcMountTarget"
VSC_TARGET = "vscMountTarget"
PATH = "path"
AUTO_SWITCH = "mountpointAutoSwitch"
FILESET_ID = "filesetId"
VOLUME_TYPE = "volumeType"
VOLUME_TYPE_VALUE = "bmcpfs"
NETWORK_TYPE = "networkType"
VSC_ID = "vscId"

VPC, VSC = "vpc", "vsc"
"""Values of networkType."""

KNOWN = frozenset({VPC_TARGET, VSC_TARGET, PATH, AUTO_SWITCH, FILESET_ID, VOLUME_TYPE})
PUBLISHED = frozenset({NETWORK_TYPE, VPC_TARGET, VSC_TARGET, VSC_ID})
"""Keys of publish_context."""

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_HOST_MAX = 253
_PATH = re.compile(r"(/[^/\x00-\x1f\x7f:,\s\"'\\]+)*")
_PATH_MAX = 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CpfsVolume:
    """Where a volume is. Targets: "" = ask the cloud. path: of the file system, "" = its root."""

    vpc_target: str = ""
    vsc_target: str = ""
    path: str = ""
    auto_switch: bool = False


def parse(context: Mapping[str, str]) -> CpfsVolume:
    """A volume's context. Raises InvalidField for a wrong value; unknown keys are nobody's."""
    return CpfsVolume(
        vpc_target=host(f"volume_context[{VPC_TARGET}]", context.get(VPC_TARGET, "")),
        vsc_target=host(f"volume_context[{VSC_TARGET}]", context.get(VSC_TARGET, "")),
        path=path(f"volume_context[{PATH}]", context.get(PATH, "")),
        auto_switch=values.boolean(f"volume_context[{AUTO_SWITCH}]", context.get(AUTO_SWITCH, "")),
    )


def require_in_fileset(volume_id: str, told: str, fileset_path: str) -> None:
    """Raise InvalidField for a path *told* that is not the fileset's, nor below it.

    The mount is made by path: nothing else ties it to the fileset of the volume's id.
    """
    base = fileset_path.rstrip("/")
    if told != base and not told.startswith(f"{base}/"):
        raise errors.InvalidField(
            f"volume_context[{PATH}]",
            f"is outside the fileset of volume {volume_id}",
            value=told or "/",
            allowed=f"{base}, or a directory in it",
        )


def host(field: str, text: str) -> str:
    """Domain of a mount target, "" allowed. Raises InvalidField."""
    told = text.strip()
    if told and (len(told) > _HOST_MAX or not _HOST.fullmatch(told)):
        raise errors.InvalidField(
            field, "is not a mount target", value=text, allowed="one domain name, no port, no path"
        )
    return told


def path(field: str, text: str) -> str:
    """An absolute path without a slash at its end; "" is the root. Raises InvalidField."""
    told = text.strip().rstrip("/")
    parts = told.split("/")[1:]
    if len(told) > _PATH_MAX or not _PATH.fullmatch(told) or {".", ".."} & set(parts):
        raise errors.InvalidField(
            field,
            "is not a path of the file system",
            value=text,
            allowed="an absolute path of at most 1024 characters without '..', ':', ',', quotes "
            "and white space",
        )
    return told
