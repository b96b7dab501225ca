"""ContainerNetworkFileSystem objects that classes and volumes name, whichever driver's they are.

What such an object makes of a volume is in `csi.nas.cnfs` and `csi.oss.cnfs`.
Source: spec/csi-driver.md 3.6.
"""

from collections.abc import Mapping

from core import errors
from kube import api, cnfs

KEY = "containerNetworkFileSystem"


def stand_in(kind: str, *, bucket: str = "") -> cnfs.Cnfs:
    """An object of *kind* that tells everything.

    A class is checked with it first, so that a typing error is told without the API server. It is
    never seen: no error is about what an object tells. bucket: of type oss, "" = any.
    """
    return cnfs.Cnfs(
        name="stand-in",
        kind=kind,
        status="Available",
        region_id="cn-hangzhou",
        zone_id="cn-hangzhou-h",
        vpc_id="vpc-stand-in",
        vswitch_id="vsw-stand-in",
        file_system_id="stand-in",
        file_system_type="standard",
        server="stand-in.cn-hangzhou.nas.aliyuncs.com",
        protocol_server="",
        bucket=bucket or "stand-in",
        internal_endpoint="oss-cn-hangzhou-internal.aliyuncs.com",
        external_endpoint="oss-cn-hangzhou.aliyuncs.com",
        access_group="",
        use_client=cnfs.UseClient.NFS,
        fallback="",
        strategy=cnfs.Strategy.NEVER,
    )


async def read(kubernetes: api.Api, name: str, *, field: str) -> cnfs.Cnfs:
    """Object *name*, which *field* of a request tells.

    Raises InvalidField when there is none, and what `kube.cnfs.read` raises.
    """
    found = await cnfs.read(kubernetes, name)
    if found is None:
        raise errors.InvalidField(field, "does not exist in this cluster", value=name)
    return found


def require_kind(found: cnfs.Cnfs, *allowed: str, field: str) -> None:
    """Raise InvalidField for an object of another kind; one that tells none may be any."""
    if found.kind and found.kind not in allowed:
        raise errors.InvalidField(
            field, f"is of type {found.kind}", value=found.name, allowed=" or ".join(allowed)
        )


def require_told(found: cnfs.Cnfs, attributes: Mapping[str, str]) -> None:
    """Raise Precondition for the first of *attributes* that is empty.

    attributes: what *found* tells, by the names in its `status.fsAttributes`.
    """
    for name, text in attributes.items():
        if not text:
            raise errors.Precondition(
                f"ContainerNetworkFileSystem {found.name} does not tell "
                f"status.fsAttributes.{name}; its status is {found.status or 'empty'}: look at the "
                "storage operator"
            )
