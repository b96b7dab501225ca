"""Temporary keys of RAM roles, for clients that cannot ask for their own. Blocking.

ossfs and ossfs2 read the instance's role from the metadata service themselves; s3fs cannot. No
client of ours has a service account's token (RRSA): the pod's comes with each publish, and is
exchanged here.
"""

import dataclasses
import datetime
import hashlib
import json
import threading
from collections.abc import Mapping

from cloud import imds
from core import call, errors
from csi.fuse_type import FuseType
from csi.oss import credentials
from csi.oss.volume_context import AuthType, OssVolume
from host import own_program

AUDIENCE = "sts.aliyuncs.com"
TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
_PROGRAM = "csi.oss.node.role_token"
_TIMEOUT_S = 20.0
AT_ONCE = 4
"""Exchanges: each is a process of 55 MiB (measured 2026-11-28)."""
_TURN_S = 60.0
"""For a turn, where the call has no deadline."""
_RENEW_BEFORE_S = 25 * 60
"""s3fs wants 20 minutes left, and asks again about once a minute."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodRole:
    """What a pod may become. token: of its service account."""

    role_arn: str
    oidc_provider_arn: str
    assume_role_arn: str
    external_id: str
    token: str = dataclasses.field(repr=False)


class Roles:
    """Gets keys, and keeps those of pods until they are about to expire. imds_url: its URL."""

    def __init__(self, imds_url: str) -> None:
        self._imds_url = imds_url
        self._kept: dict[str, credentials.Credential] = {}
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def credential(
        self, volume_id: str, volume: OssVolume, pod: PodRole | None
    ) -> credentials.Credential | None:
        """A key for *volume*'s client; None = it needs none from us. Raises Unauthenticated."""
        if volume.auth is AuthType.STS and volume.fuse_type is FuseType.S3FS:
            return self.of_instance(volume.role_name)
        if volume.auth is AuthType.RRSA and pod is not None:
            return self._of_pod(volume_id, pod)
        return None

    def of_instance(self, role_name: str) -> credentials.Credential:
        """The key of the instance's own role. Raises Unauthenticated: it does not have that."""
        path = f"meta-data/ram/security-credentials/{role_name}"
        text = imds.Imds(self._imds_url).read(path)
        try:
            return _parse(json.loads(text or ""))
        except (KeyError, ValueError, TypeError):
            raise errors.Unauthenticated(
                f"the instance does not have RAM role {role_name!r} (roleName); give it the role, "
                "or use another authType"
            ) from None

    def _of_pod(self, volume_id: str, pod: PodRole) -> credentials.Credential:
        with self._lock:
            kept = self._kept.get(volume_id)
        if kept is not None and _seconds_left(kept) > _RENEW_BEFORE_S:
            return kept
        if not self._turns.acquire(timeout=call.remaining_s(_TURN_S)):
            raise errors.Unavailable(
                f"role {pod.role_arn} cannot be assumed yet: those of other volumes come first"
            )
        try:
            made = _exchange(volume_id, pod)
        finally:
            self._turns.release()
        with self._lock:
            self._kept = {
                name: row for name, row in self._kept.items() if _seconds_left(row) > 0
            } | {volume_id: made}
        return made


def parse_token(context: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """The pod's service account token for RAM. Raises InvalidField when kubelet sent none."""
    text = secrets.get(TOKENS, "") or context.get(TOKENS, "")
    try:
        return str(json.loads(text)[AUDIENCE]["token"])
    except (ValueError, KeyError, TypeError):
        raise errors.InvalidField(
            TOKENS,
            "has no token for RAM: the CSIDriver object needs tokenRequests",
            allowed=f"audience {AUDIENCE}, and requiresRepublish true",
        ) from None


def _exchange(volume_id: str, pod: PodRole) -> credentials.Credential:
    asked = {
        "role_arn": pod.role_arn,
        "oidc_provider_arn": pod.oidc_provider_arn,
        "session_name": f"oss.{hashlib.sha256(volume_id.encode()).hexdigest()[:16]}",
        "token": pod.token,
        "assume_role_arn": pod.assume_role_arn,
        "external_id": pod.external_id,
    }
    told = json.loads(
        own_program.ask(_PROGRAM, timeout_s=_TIMEOUT_S, stdin=json.dumps(asked).encode())
    )
    if "error" in told:
        raise errors.Unauthenticated(f"role {pod.role_arn} cannot be assumed: {told['error']}")
    return _parse(told)


def _parse(told: Mapping[str, str]) -> credentials.Credential:
    return credentials.Credential(
        key_id=told["AccessKeyId"],
        secret=told["AccessKeySecret"],
        token=told["SecurityToken"],
        expiration=told["Expiration"],
    )


def _seconds_left(found: credentials.Credential) -> float:
    ends = datetime.datetime.fromisoformat(found.expiration)
    return (ends - datetime.datetime.now(datetime.UTC)).total_seconds()
