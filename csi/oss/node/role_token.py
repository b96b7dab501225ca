"""`python -m csi.oss.node.role_token`: a temporary key for a pod's service account (RRSA).

A process of its own, because the SDK it imports takes more memory than the whole node service. It
reads one JSON object: `role_arn`, `oidc_provider_arn`, `session_name`, `token` (of the service
account), `assume_role_arn` ("" = none) and `external_id`. It prints one: the fields of a temporary
key, or `error`. Where the cloud is, the environment says; who we are, it does not.
"""

import asyncio
import datetime
import json
import os
import sys
from collections.abc import Mapping

from cloud import client
from cloud import settings as cloud_settings
from core import clock, errors, logs, metrics, settings

_SESSION_S = 3600
_NOT_OURS = (
    "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ACCESS_KEY_ID",
    "ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN",
)  # fmt: skip


def main() -> int:
    """Do what standard input says."""
    logs.configure(json=True, verbosity=2)  # on stderr: stdout has the answer
    try:
        answer = asyncio.run(_ask(json.load(sys.stdin)))
    except errors.Error as e:
        answer = {"error": str(e)}
    print(json.dumps(answer))  # noqa: T201 - its result
    return 0


async def _ask(asked: Mapping[str, str]) -> dict[str, str]:
    # The SDK reads the token from a file; this one has no name and is on no disk.
    token_file = os.memfd_create("token")
    os.write(token_file, asked["token"].encode())
    environment = {name: text for name, text in os.environ.items() if name not in _NOT_OURS}
    environment |= {
        "ALIBABA_CLOUD_ROLE_ARN": asked["role_arn"],
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": asked["oidc_provider_arn"],
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": f"/proc/self/fd/{token_file}",
        "ALIBABA_CLOUD_ROLE_SESSION_NAME": asked["session_name"],
        "ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH": "/nonexistent",
    }
    reader = settings.Reader(environment)
    told = cloud_settings.read_cloud(reader)
    reader.finish()
    cloud = client.Alibaba(told, metrics.Metrics(), clock.SystemClock())
    try:
        if asked["assume_role_arn"]:
            return await _next_role(cloud, asked)
        found = await asyncio.to_thread(cloud.credential)
    finally:
        await cloud.close()
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_SESSION_S)
    return _told(found.access_key_id, found.access_key_secret, found.security_token, ends)


async def _next_role(cloud: client.Alibaba, asked: Mapping[str, str]) -> dict[str, str]:
    """A key of the role that the first role may assume."""
    given = await cloud.sts.assume_role(
        asked["assume_role_arn"],
        session_name=asked["session_name"],
        duration_s=_SESSION_S,
        external_id=asked["external_id"],
    )
    ends = given.expires_at or datetime.datetime.now(datetime.UTC)
    return _told(given.access_key_id, given.access_key_secret, given.security_token, ends)


def _told(key_id: str, secret: str, token: str, ends: datetime.datetime) -> dict[str, str]:
    return {
        "AccessKeyId": key_id,
        "AccessKeySecret": secret,
        "SecurityToken": token,
        "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


if __name__ == "__main__":
    sys.exit(main())
