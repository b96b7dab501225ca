"""Temporary keys of RAM roles, for clients that cannot ask for their own.

ossfs and ossfs2 read the instance's role from the metadata service themselves; s3fs cannot. No
client of ours has a service account's token (RRSA): the pod's comes with each publish, and is
exchanged here, beside the threads that mount: however slow RAM is, other volumes come and go.
"""

import dataclasses
import datetime
import hashlib
import json
import threading
from collections.abc import Mapping

from cloud import imds
from core import call, errors, executor
from csi.oss import credentials
from host import own_program

AUDIENCE = "sts.aliyuncs.com"
TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
_PROGRAM = "csi.oss.node.role_token"
_TIMEOUT_S = 20.0
AT_ONCE = 4
"""Exchanges: each is a process of 55 MiB (measured 2026-11-28)."""
_WAIT_S = 60.0
"""For a key, turn included, where the call has no deadline."""
_SPARE_S = 0.5
"""Of the call's own time, to tell why there is no key."""
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
        self._pool = executor.BoundedExecutor("oss-roles", AT_ONCE)

    def of_instance(self, role_name: str) -> credentials.Credential:
        """The key of the instance's own role. Blocking.

        Raises Unauthenticated: it does not have that.
        """
        path = f"meta-data/ram/security-credentials/{role_name}"
        text = imds.Imds(self._imds_url).read(path)
        try:
            return _parse(json.loads(text or ""))
        except (KeyError, ValueError, TypeError):
            raise errors.Unauthenticated(
                f"the instance does not have RAM role {role_name!r} (roleName); give it the role, "
                "or use another authType"
            ) from None

    async def of_pod(self, volume_id: str, pod: PodRole) -> credentials.Credential:
        """The key of a volume's pod.

        Raises Unauthenticated, and Unavailable when there is none in time; one that comes later is
        kept for the next publish.
        """
        kept = self._find(volume_id)
        if kept is not None:
            return kept
        limit_s = max(0.0, min(_WAIT_S, call.remaining_s(_WAIT_S) - _SPARE_S))
        try:
            return await self._pool.run_within(limit_s, self._get, volume_id, pod)
        except errors.DeadlineExceeded as e:
            raise errors.Unavailable(
                f"role {pod.role_arn} cannot be assumed yet: RAM is slow, or those of other "
                "volumes come first"
            ) from e

    def close(self) -> None:
        """Get no more keys."""
        self._pool.close()

    def _find(self, volume_id: str) -> credentials.Credential | None:
        """The key that is kept for the volume, if it lasts."""
        with self._lock:
            kept = self._kept.get(volume_id)
        return kept if kept is not None and _seconds_left(kept) > _RENEW_BEFORE_S else None

    def _get(self, volume_id: str, pod: PodRole) -> credentials.Credential:
        kept = self._find(volume_id)
        if kept is not None:
            return kept  # of a call that gave up before it had it
        made = _exchange(volume_id, pod)
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
