"""`python -m csi.disk.node.limits_probe INSTANCE_ID`: how many volumes fit on this node.

Prints one line, `{"max_volumes": N}` with null for unknown, and exits 0; on an error the message is
on stderr and the status is 1. A process of its own, because the SDK it imports takes more memory
than the whole node service; see `csi.disk.node_limits`. Settings come from the environment.
"""

import asyncio
import json
import os
import pathlib
import sys
from collections.abc import Sequence

from cloud import metadata as cloud_metadata
from cloud import settings as cloud_settings
from core import clock, errors, metrics, settings
from csi.disk.node import node_settings, volume_limits


def main(argv: Sequence[str]) -> int:
    """Run the program; returns its exit status."""
    if len(argv) != 1:
        print("usage: python -m csi.disk.node.limits_probe INSTANCE_ID", file=sys.stderr)  # noqa: T201
        return 2
    try:
        print(json.dumps({"max_volumes": asyncio.run(_ask(argv[0]))}))  # noqa: T201
    except errors.Error as e:
        print(f"node_limits_probe: {e}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _ask(instance_id: str) -> int | None:
    reader = settings.Reader(os.environ)
    cloud = cloud_settings.read_cloud(reader)
    node = node_settings.read_node(reader)
    reader.finish()
    if not await has_credentials(cloud):
        return None
    from cloud import client  # noqa: PLC0415  # only now is the SDK worth its time

    alibaba = client.Alibaba(cloud, metrics.Metrics(), clock.SystemClock())
    try:
        limits = volume_limits.CloudLimits(
            lambda: alibaba, is_marked=volume_limits.marked_on_node(node)
        )
        return await limits.max_volumes(instance_id)
    finally:
        await alibaba.close()


async def has_credentials(cloud: cloud_settings.CloudSettings) -> bool:
    """Whether anything says who we are: keys, a token file, or a RAM role of the instance."""
    if cloud.access_key_id or (cloud.role_arn and cloud.oidc_token_file) or _has_token_file(cloud):
        return True
    metadata = cloud_metadata.make(cloud, environ=os.environ, openapi=None)
    try:
        return bool(await metadata.find(cloud_metadata.Key.RAM_ROLE_NAME))
    except errors.Unavailable:
        return False


def _has_token_file(cloud: cloud_settings.CloudSettings) -> bool:
    return pathlib.Path(cloud.addon_token_path).exists()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
