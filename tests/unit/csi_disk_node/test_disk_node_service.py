"""The node service behind a real gRPC server on a unix socket: wiring and status codes."""

import pathlib
import threading
from collections.abc import AsyncIterator

import grpc
import pytest

from core import clock, errors, grpc_server, metrics
from csi import redact, rpc_metrics
from csi._pb import csi_pb2, csi_pb2_grpc
from csi.disk.node import device, node_settings, service
from csi.node import at_path, device_stats
from tests.unit.csi_disk_node import disk_node_harness as harness

Code = grpc.StatusCode
RPC = csi_pb2.NodeServiceCapability.RPC


@pytest.fixture
async def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "kubelet"


@pytest.fixture
async def stub(tmp_path: pathlib.Path) -> AsyncIterator[csi_pb2_grpc.NodeStub]:
    node = harness.Node(tmp_path)
    server = grpc_server.make_server(
        grpc_server.ServeInterceptor(
            observe=rpc_metrics.observer(metrics.Metrics(), "disk"), redact=redact.loggable
        )
    )
    csi_pb2_grpc.add_NodeServicer_to_server(node.servicer, server)
    grpc_server.add_unix_socket(server, tmp_path / "csi.sock")
    await server.start()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/csi.sock") as channel:
        yield csi_pb2_grpc.NodeStub(channel)
    await server.stop(None)
    await node.close()


async def test_capabilities_are_what_the_node_can_do(stub: csi_pb2_grpc.NodeStub) -> None:
    response = await stub.NodeGetCapabilities(csi_pb2.NodeGetCapabilitiesRequest())

    assert {c.rpc.type for c in response.capabilities} == {
        RPC.STAGE_UNSTAGE_VOLUME,
        RPC.GET_VOLUME_STATS,
        RPC.EXPAND_VOLUME,
        RPC.VOLUME_CONDITION,
        RPC.SINGLE_NODE_MULTI_WRITER,
    }


async def test_info_tells_node_and_topology(stub: csi_pb2_grpc.NodeStub) -> None:
    response = await stub.NodeGetInfo(csi_pb2.NodeGetInfoRequest())

    assert response.node_id == "i-1"
    assert response.accessible_topology.segments["topology.kubernetes.io/zone"] == "cn-hangzhou-b"


@pytest.mark.parametrize(
    ("method", "request_type", "fields", "code"),
    [
        ("NodeStageVolume", csi_pb2.NodeStageVolumeRequest, {}, Code.INVALID_ARGUMENT),
        ("NodePublishVolume", csi_pb2.NodePublishVolumeRequest, {}, Code.INVALID_ARGUMENT),
        (
            "NodeUnpublishVolume",
            csi_pb2.NodeUnpublishVolumeRequest,
            {"volume_id": "v", "target_path": "/etc"},
            Code.INVALID_ARGUMENT,
        ),
        (
            "NodePublishVolume",
            csi_pb2.NodePublishVolumeRequest,
            {
                "volume_id": "v",
                "target_path": "/var/x",
                "volume_capability": harness.capability_of(),
            },
            Code.FAILED_PRECONDITION,
        ),
        (
            "NodeGetVolumeStats",
            csi_pb2.NodeGetVolumeStatsRequest,
            {"volume_id": "v", "volume_path": "some/path"},
            Code.NOT_FOUND,
        ),
        (
            "NodeExpandVolume",
            csi_pb2.NodeExpandVolumeRequest,
            {"volume_id": "v", "volume_path": "some/path"},
            Code.NOT_FOUND,
        ),
    ],
)
async def test_errors_reach_the_caller_as_status_codes_with_a_message(
    stub: csi_pb2_grpc.NodeStub,
    method: str,
    request_type: type,
    fields: dict[str, object],
    code: grpc.StatusCode,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(stub, method)(request_type(**fields))

    assert caught.value.code() is code
    assert caught.value.details()


async def test_taking_away_what_is_not_there_is_fine(
    stub: csi_pb2_grpc.NodeStub, root: pathlib.Path
) -> None:
    await stub.NodeUnpublishVolume(
        csi_pb2.NodeUnpublishVolumeRequest(volume_id="fake-vol-id", target_path=str(root / "x"))
    )
    await stub.NodeUnstageVolume(
        csi_pb2.NodeUnstageVolumeRequest(
            volume_id="fake-vol-id", staging_target_path=str(root / "y")
        )
    )


async def test_closing_the_service_ends_all_its_threads(tmp_path: pathlib.Path) -> None:
    class Limits(harness.NoLimits):
        closed = False

        def close(self) -> None:
            self.closed = True

    limits = Limits()
    servicer = service.make_node(
        harness.FixedMetadata({}),
        node_settings.NodeSettings(kubelet_root=tmp_path),
        node_id="i-1",
        limits=limits,
        time=clock.SystemClock(),
    )

    await servicer.close()

    assert limits.closed


async def test_a_disk_that_hangs_does_not_keep_the_statistics_of_others(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    usual = device_stats.read

    def read(at: at_path.AtPath, devices: device.Devices) -> device_stats.VolumeStats:
        if at.volume_id == "d-dead":
            release.wait(30)
        return usual(at, devices)

    monkeypatch.setattr(device_stats, "read", read)
    monkeypatch.setattr(node_settings, "STATS_TIMEOUT_S", 0.3)
    node = harness.Node(tmp_path)
    path = str(node.staging())

    def ask(volume_id: str) -> csi_pb2.NodeGetVolumeStatsRequest:
        return csi_pb2.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path=path)

    try:
        for _ in range(6):
            with pytest.raises(errors.DeadlineExceeded):
                await node.servicer.NodeGetVolumeStats(ask("d-dead"), None)
        with pytest.raises(errors.NotFound):  # an answer: nothing is mounted there
            await node.servicer.NodeGetVolumeStats(ask("d-well"), None)
    finally:
        release.set()
        await node.close()
