"""Secrets of a request appear in no log, no error, no metric and no process list."""

import pathlib
import urllib.request
from collections.abc import Callable

import grpc
import pytest

from csi._pb import csi_pb2 as pb
from tests.support import leaks, processes, rpc, stack

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

SECRET = "hunter2-never-to-be-seen"
SECRETS = {"password": SECRET}


def test_secrets_of_requests_appear_nowhere(disks: stack.Stack) -> None:
    client, controller = disks.client, disks.client.controller
    volume = disks.volume(secrets=SECRETS)
    volume.publish_context = dict(
        controller.ControllerPublishVolume(
            pb.ControllerPublishVolumeRequest(
                volume_id=volume.volume_id,
                node_id=processes.NODE_1,
                volume_capability=volume.capability,
                secrets=SECRETS,
            ),
            timeout=20,
        ).publish_context
    )
    client.stage(volume.message, volume.publish_context, volume.staging, secrets=SECRETS)
    client.node.NodePublishVolume(
        pb.NodePublishVolumeRequest(
            volume_id=volume.volume_id,
            publish_context=volume.publish_context,
            staging_target_path=str(volume.staging),
            target_path=str(volume.target),
            volume_capability=volume.capability,
            secrets=SECRETS,
        ),
        timeout=20,
    )
    said = [
        _failure(call)
        for call in (
            lambda: controller.CreateVolume(pb.CreateVolumeRequest(secrets=SECRETS), timeout=9),
            lambda: client.node.NodeStageVolume(
                pb.NodeStageVolumeRequest(secrets={"k": SECRET * 300}), timeout=9
            ),
        )
    ]
    volume.tear_down()

    assert all(said)
    assert not any(SECRET in text for text in said)
    assert SECRET not in str(volume.publish_context)
    assert leaks.logs_with(disks.rig.dir, [SECRET, processes.ACCESS_KEY_SECRET]) == []


def test_the_access_key_secret_is_in_no_page_and_no_command_line(disks: stack.Stack) -> None:
    port = disks.controller.http_port()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()

    assert "csi_grpc" in metrics
    assert processes.ACCESS_KEY_SECRET not in metrics
    for driver in disks.rig.drivers:
        command = pathlib.Path(f"/proc/{driver.pid}/cmdline").read_text()
        assert processes.ACCESS_KEY_SECRET not in command


def test_an_unreachable_cloud_is_told_without_key_or_signature(disks: stack.Stack) -> None:
    disks.rig.sim.kill9()

    refused = rpc.refusal(lambda: disks.client.create("unreachable", timeout_s=5))

    assert refused.code in rpc.RETRYABLE
    for word in (processes.ACCESS_KEY_ID, processes.ACCESS_KEY_SECRET, "Signature"):
        assert word not in refused.message
    disks.rig.start_sim()


def _failure(call: Callable[[], object]) -> str:
    try:
        call()
    except grpc.RpcError as e:
        return str(e.details())
    return ""
