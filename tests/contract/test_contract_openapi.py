"""The seam over the SDK: what the wire does, and what our callers see of it."""

import asyncio
import contextlib
import importlib
import socket
import time
from collections.abc import AsyncIterator

import pytest
import structlog.testing

from cloud import client, ecs_model
from cloud import errors as cloud_errors
from core import call, clock, errors, metrics
from tests.contract import contract_settings
from tests.support import control, processes

NEW = ecs_model.NewDisk(
    region_id="cn-hangzhou",
    zone_id="cn-hangzhou-k",
    category="cloud_essd",
    performance_level="PL1",
    size_gib=20,
)


@contextlib.asynccontextmanager
async def client_with(rig: processes.Rig, **changes: str) -> AsyncIterator[client.Alibaba]:
    made = client.Alibaba(
        contract_settings.read(rig, **changes), metrics.Metrics(), clock.SystemClock()
    )
    try:
        yield made
    finally:
        await made.close()


def within(seconds: float) -> None:
    """Make the test a call with so much time."""
    call.enter(call.Call(call_id="c", method="M", deadline_s=time.monotonic() + seconds))


# -- what the cloud answers


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("IncorrectDiskStatus", 403, cloud_errors.CloudConflict),
        ("InvalidDiskId.NotFound", 404, cloud_errors.CloudNotFound),
        ("QuotaExceed.PortableCloudDisk", 403, cloud_errors.CloudExhausted),
        ("Forbidden.RAM", 403, cloud_errors.CloudDenied),
        ("InvalidParameter", 400, cloud_errors.CloudInvalid),
        ("IdempotentParameterMismatch", 400, cloud_errors.CloudExists),
        ("InternalError", 500, cloud_errors.CloudUnavailable),
        ("ServiceUnavailable", 503, cloud_errors.CloudUnavailable),
        ("SomethingNew", 403, cloud_errors.CloudInternal),
    ],
)
async def test_an_error_answer_becomes_its_class_with_code_status_and_request_id(
    alibaba: client.Alibaba,
    sim: control.Control,
    code: str,
    status: int,
    expected: type[cloud_errors.CloudError],
) -> None:
    sim.add_fault("DeleteDisk", "error", code=code, status=status, message="Told by the cloud.")

    with pytest.raises(expected) as raised:
        await alibaba.disks.delete("d-1")

    error = raised.value
    assert type(error) is expected
    assert (error.action, error.code, error.status) == ("DeleteDisk", code, status)
    assert error.request_id
    for part in ("DeleteDisk", code, "Told by the cloud.", error.request_id):
        assert part in str(error)
    assert sim.actions() == ["DeleteDisk"]


async def test_a_page_of_a_load_balancer_is_unavailable(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    sim.add_fault("DeleteDisk", "http_5xx", status=502)

    with pytest.raises(cloud_errors.CloudUnavailable):
        await alibaba.disks.delete("d-1")


async def test_a_dropped_connection_is_unavailable_and_not_tried_again(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    sim.add_fault("DeleteDisk", "drop", always=True)

    with pytest.raises(cloud_errors.CloudUnavailable) as raised:
        await alibaba.disks.delete("d-1")

    assert raised.value.status == 0
    assert len(sim.actions()) <= 1


async def test_a_lost_answer_is_unavailable_and_the_same_token_gives_the_same_disk(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    sim.add_fault("CreateDisk", "lost_answer")

    with pytest.raises(cloud_errors.CloudUnavailable):
        await alibaba.disks.create(NEW, client_token="lost-1")
    disk_id = await alibaba.disks.create(NEW, client_token="lost-1")

    assert list(sim.data_disks()).count(disk_id) == 1
    assert len([c for c in sim.actions() if c == "CreateDisk"]) == 2


async def test_a_stalled_call_ends_before_its_callers_time(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    await alibaba.disks.find()
    sim.add_fault("DeleteDisk", "stall", seconds=30)
    within(1.0)
    started_s = time.monotonic()

    with pytest.raises(cloud_errors.CloudUnavailable, match="no answer in time"):
        await alibaba.disks.delete("d-1")

    assert time.monotonic() - started_s < 10


async def test_no_call_is_started_when_the_time_is_up(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    await alibaba.disks.find()
    within(0.0)

    with pytest.raises(errors.DeadlineExceeded, match="DeleteDisk"):
        await alibaba.disks.delete("d-1")

    assert "DeleteDisk" not in sim.actions()


async def test_nobody_listening_is_unavailable_and_names_the_endpoint(rig: processes.Rig) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{unused.getsockname()[1]}"
    async with client_with(rig, ECS_ENDPOINT=endpoint) as lonely:
        with pytest.raises(cloud_errors.CloudUnavailable, match=f"{endpoint}: connection refused"):
            await lonely.disks.delete("d-1")


@pytest.mark.parametrize(("code", "status"), [("Throttling", 400), ("Throttling.User", 429)])
async def test_a_throttled_call_is_tried_again(
    alibaba: client.Alibaba, sim: control.Control, code: str, status: int
) -> None:
    sim.add_fault("DescribeDisks", "error", code=code, status=status)

    assert isinstance(await alibaba.disks.find(), list)

    assert sim.actions() == ["DescribeDisks", "DescribeDisks"]


async def test_a_throttled_call_without_time_for_another_is_told_at_once(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    await alibaba.disks.find()
    sim.add_fault(
        "DeleteDisk",
        "error",
        code="Throttling.User",
        status=429,
        headers={"x-acs-retry-after": "20000"},
    )
    within(10.0)

    with pytest.raises(cloud_errors.Throttled) as raised:
        await alibaba.disks.delete("d-1")

    assert raised.value.retry_after_s == 20.0
    assert raised.value.kind is errors.Kind.UNAVAILABLE


async def test_a_cancelled_caller_in_the_queue_changes_nothing(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    await alibaba.disks.find()
    fault = sim.add_fault("DeleteSnapshot", "notify", always=True)
    blocking = [asyncio.create_task(alibaba.snapshots.delete(f"s-{n}")) for n in range(8)]
    await asyncio.to_thread(sim.wait_held, fault)
    while sim.fault(fault)["holding"] < 8:
        await asyncio.sleep(0.01)
    queued = asyncio.create_task(alibaba.disks.delete("d-queued"))
    await asyncio.sleep(0)
    queued.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await queued
    sim.release(fault)
    await asyncio.gather(*blocking, return_exceptions=True)

    assert "DeleteDisk" not in sim.actions()


# -- who we are


async def test_a_wrong_secret_is_told_without_what_was_signed(rig: processes.Rig) -> None:
    async with client_with(rig, ALIBABA_CLOUD_ACCESS_KEY_SECRET="wrong-hush") as wrong:
        with pytest.raises(cloud_errors.CloudUnauthenticated) as raised:
            await wrong.disks.delete("d-1")

    assert raised.value.code == "SignatureDoesNotMatch"
    for part in ("hush", "ACS3-HMAC", "sign is", "x-acs-"):
        assert part not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_an_unknown_access_key_is_unauthenticated(rig: processes.Rig) -> None:
    async with client_with(rig, ALIBABA_CLOUD_ACCESS_KEY_ID="LTAInobody") as wrong:
        with pytest.raises(cloud_errors.CloudUnauthenticated, match="InvalidAccessKeyId"):
            await wrong.disks.delete("d-1")


async def test_without_credentials_the_caller_learns_what_to_set(
    rig: processes.Rig, sim: control.Control
) -> None:
    async with client_with(
        rig, ALIBABA_CLOUD_ACCESS_KEY_ID="", ALIBABA_CLOUD_NO_ECS_METADATA="true"
    ) as nobody:
        with pytest.raises(errors.Unauthenticated, match="set ALIBABA_CLOUD_ACCESS_KEY_ID"):
            await nobody.disks.delete("d-1")

    assert sim.actions() == []


async def test_a_missing_permission_names_the_ram_action(
    rig: processes.Rig, sim: control.Control, alibaba: client.Alibaba
) -> None:
    sim.change_world(
        {
            "users": [
                {
                    "user_name": "simulated",
                    "user_id": "200000000000000001",
                    "policies": [
                        {
                            "Version": "1",
                            "Statement": [
                                {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}
                            ],
                        }
                    ],
                }
            ]
        }
    )
    try:
        with pytest.raises(cloud_errors.CloudDenied, match="ecs:DeleteDisk"):
            await alibaba.disks.delete("d-1")
    finally:
        sim.request("POST", "reset")


async def test_reachable_is_true_to_the_facts_and_costs_one_call_for_many(
    rig: processes.Rig, alibaba: client.Alibaba, sim: control.Control
) -> None:
    await asyncio.gather(*(alibaba.reachable() for _ in range(20)))
    assert sim.actions() == ["GetCallerIdentity"]

    async with client_with(rig, ALIBABA_CLOUD_ACCESS_KEY_SECRET="wrong") as wrong:
        for _ in range(3):
            with pytest.raises(cloud_errors.CloudUnauthenticated):
                await wrong.reachable()


# -- what a call sends and leaves behind


async def test_the_region_comes_from_the_metadata_service_when_nobody_sets_it(
    rig: processes.Rig,
) -> None:
    async with client_with(rig, REGION_ID="") as unset:
        assert await unset.region_id() == "cn-hangzhou"


async def test_a_region_is_never_guessed(rig: processes.Rig) -> None:
    async with client_with(rig, REGION_ID="", ALIBABA_CLOUD_NO_ECS_METADATA="true") as unset:
        with pytest.raises(errors.Precondition, match="REGION_ID"):
            await unset.disks.find()


async def test_a_proxy_in_the_environment_does_not_catch_loopback(
    rig: processes.Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with client_with(rig) as proxied:
        await proxied.reachable()


async def test_calls_are_counted_by_code_and_timed(
    alibaba: client.Alibaba, sim: control.Control, registry: metrics.Metrics
) -> None:
    sim.add_fault("DeleteDisk", "error", code="IncorrectDiskStatus", status=403)
    with contextlib.suppress(cloud_errors.CloudError):
        await alibaba.disks.delete("d-1")
    await alibaba.disks.find()

    told = registry.exposition().decode()
    for line in (
        'requests_total{product="ecs",action="DeleteDisk",code="IncorrectDiskStatus"} 1.0',
        'requests_total{product="ecs",action="DescribeDisks",code="OK"} 1.0',
        'request_duration_seconds_count{product="ecs",action="DeleteDisk"} 1',
    ):
        assert f"alibaba_cloud_api_{line}" in told


async def test_a_call_is_logged_with_its_request_id_and_without_secrets(
    alibaba: client.Alibaba,
) -> None:
    with structlog.testing.capture_logs() as logs:
        await alibaba.disks.find()
        with contextlib.suppress(cloud_errors.CloudError):
            await alibaba.disks.delete("d-1")

    called = [entry for entry in logs if entry["event"] == "cloud called"]
    assert [(e["action"], e["code"], e["log_level"]) for e in called] == [
        ("DescribeDisks", "OK", "debug"),
        ("DeleteDisk", "InvalidDiskId.NotFound", "info"),
    ]
    assert called[0]["request_id"]
    assert called[0]["elapsed_s"] >= 0
    assert processes.ACCESS_KEY_SECRET not in repr(logs)


async def test_connections_are_kept_and_never_more_than_our_threads(
    rig: processes.Rig, alibaba: client.Alibaba, sim: control.Control
) -> None:
    for _ in range(5):
        await asyncio.gather(*(alibaba.disks.find() for _ in range(40)))

    sessions = importlib.import_module("darabonba.core").DaraCore._sessions
    opened = [
        pool.num_connections
        for key, session in sessions.items()
        if f"127.0.0.1:{rig.port}" in key
        for pools in [session.get_adapter("http://").poolmanager.pools]
        for pool in [pools[k] for k in pools.keys()]  # noqa: SIM118  # no plain dictionary
    ]
    assert len(sim.actions()) == 200
    assert 1 <= sum(opened) <= 16
