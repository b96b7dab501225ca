"""Who a volume's client is: a key or a token of the request's secrets. Pure.

No message here shows a value. Source: spec/csi-driver.md 5.2, G 44.
"""

import dataclasses
from collections.abc import Mapping

from core import errors
from csi.fuse_type import FuseType
from csi.oss.volume_context import AuthType, OssVolume

_LEGACY = ("akId", "akSecret")
_NAMES = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key; with token and expiration, a temporary one."""

    key_id: str
    secret: str = dataclasses.field(repr=False)
    token: str = dataclasses.field(default="", repr=False)
    expiration: str = ""

    def for_mounter(self, fuse_type: FuseType, bucket: str) -> dict[str, str]:
        """`secrets` of a mount request."""
        if self.token:
            return dict(zip(_NAMES, dataclasses.astuple(self), strict=True))
        if fuse_type is FuseType.OSSFS2:
            lines = (
                f"--oss_access_key_id={self.key_id}",
                f"--oss_access_key_secret={self.secret}",
            )
            return {f"passwd-{fuse_type}": "\n".join(lines) + "\n"}
        return {f"passwd-{fuse_type}": f"{bucket}:{self.key_id}:{self.secret}"}


def parse(
    volume: OssVolume, secrets: Mapping[str, str], *, fallback: Credential | None
) -> Credential | None:
    """The credential of *secrets*; None where *volume* needs none of them.

    fallback: of the process's environment, where secrets have none. Raises InvalidField.
    """
    told = read(secrets)
    if volume.auth is not AuthType.KEY:
        if told is not None:
            raise errors.InvalidField(
                "authType", "and an access key in the secrets exclude each other",
                value=str(volume.auth),
            )  # fmt: skip
        return None
    if told is None and volume.key is not None:
        told = Credential(key_id=volume.key[0], secret=volume.key[1])
    found = told or fallback
    if found is None:
        raise errors.InvalidField(
            "secrets",
            "have no access key",
            allowed="akId and akSecret, or AccessKeyId and AccessKeySecret (nodePublishSecretRef); "
            "or set authType",
        )
    for text in (found.key_id, found.secret, found.token, found.expiration):
        if not text.isprintable():
            raise errors.InvalidField("secrets", "have a key with characters no key has")
    return found


def read(secrets: Mapping[str, str]) -> Credential | None:
    """The key or token in *secrets*; None = none. Raises InvalidField for a part of one."""
    legacy = tuple(secrets.get(name, "").strip() for name in _LEGACY)
    low = {name.lower(): text.strip() for name, text in secrets.items()}
    modern = tuple(low.get(name.lower(), "") for name in _NAMES)
    if any(legacy) and any(modern):
        raise errors.InvalidField("secrets", "have akId and AccessKeyId; one pair is allowed")
    if any(legacy):
        _require_all(dict(zip(_LEGACY, legacy, strict=True)))
        return Credential(key_id=legacy[0], secret=legacy[1])
    if not any(modern):
        return None
    wanted = _NAMES if any(modern[2:]) else _NAMES[:2]
    _require_all(dict(zip(wanted, modern, strict=False)))
    return Credential(key_id=modern[0], secret=modern[1], token=modern[2], expiration=modern[3])


def _require_all(pairs: Mapping[str, str]) -> None:
    missing = [name for name, text in pairs.items() if not text]
    if missing:
        raise errors.InvalidField("secrets", f"lack {', '.join(missing)}")
