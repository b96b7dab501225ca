"""Instances of the simulated cloud that are released, and others that come in their place."""

import hashlib
from collections.abc import Mapping
from typing import Any

from tests.support import control, processes, signed_api
from tests.support.cluster import kubectl

_ECS = "2014-05-26"
_KEY = (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET)
_GONE_S = 30.0


def release(endpoint: str, cloud: control.Control, instance_id: str) -> None:
    """DeleteInstance by force, until the cloud has it no more. endpoint: host:port."""
    signed_api.call(
        endpoint, _KEY, _ECS, "DeleteInstance", {"InstanceId": instance_id, "Force": "true"}
    )
    kubectl.wait_until(
        f"{instance_id} is gone", lambda: instance_id not in cloud.resources("instance"), _GONE_S
    )


def make(cloud: control.Control, like: Mapping[str, Any], instance_id: str) -> None:
    """A new instance with name and address of another, a row of the world; that one is gone."""
    number = hashlib.sha256(instance_id.encode()).hexdigest()
    ids = {
        "instance_id": instance_id,
        "eni_id": f"eni-{number[:20]}",
        "mac": f"00:16:3e:ff:{number[:2]}:{number[2:4]}",
        "system_disk_id": "",
    }
    cloud.request("POST", "world", {"instances": [{**like, **ids}]})
