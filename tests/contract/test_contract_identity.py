"""Instances, STS, metadata and credential sources over the simulator."""

import contextlib
import datetime
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from cloud import client, metadata
from core import clock, errors, metrics
from tests.contract import contract_settings
from tests.support import control, processes

ACCOUNT = "1234567890123456"
ROLE = f"acs:ram::{ACCOUNT}:role/csi-admin"
NO_KEY = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}
Key = metadata.Key


@contextlib.asynccontextmanager
async def client_with(rig: processes.Rig, **changes: str) -> AsyncIterator[client.Alibaba]:
    made = client.Alibaba(
        contract_settings.read(rig, **changes), metrics.Metrics(), clock.SystemClock()
    )
    try:
        yield made
    finally:
        await made.close()


def oidc(token: pathlib.Path) -> dict[str, str]:
    return NO_KEY | {
        "ALIBABA_CLOUD_NO_ECS_METADATA": "true",
        "ALIBABA_CLOUD_ROLE_ARN": ROLE,
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": f"acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa-sim",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token),
    }


@pytest.fixture
def token(tmp_path: pathlib.Path) -> pathlib.Path:
    made = subprocess.run(
        [sys.executable, "-m", "sim", "oidc-token"],
        cwd=processes.ROOT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    path = tmp_path / "token"
    path.write_bytes(made.stdout.strip())
    return path


async def test_an_instance_and_its_type(alibaba: client.Alibaba) -> None:
    instance = await alibaba.instances.read(processes.NODE_1)
    assert instance is not None
    assert (instance.zone_id, instance.status) == ("cn-hangzhou-k", "Running")

    kind = await alibaba.instances.type(instance.instance_type)
    assert kind is not None
    assert kind.disk_quantity == 17


async def test_the_type_of_an_instance_is_asked_for_once(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    for _ in range(3):
        await alibaba.instances.type("ecs.g7.large")

    assert sim.actions() == ["DescribeInstanceTypes"]


async def test_what_does_not_exist_is_none(alibaba: client.Alibaba) -> None:
    assert await alibaba.instances.read("i-bp1nosuchinstance01") is None
    assert await alibaba.instances.type("ecs.nosuch.large") is None


async def test_disk_categories_of_a_zone_come_with_their_sizes(alibaba: client.Alibaba) -> None:
    offers = await alibaba.instances.available_disks(zone_id="cn-hangzhou-k")

    sizes = {o.category: (o.min_gib, o.max_gib) for o in offers if not o.sold_out}
    assert {"cloud_essd", "cloud_efficiency"} <= set(sizes)
    assert sizes["cloud_efficiency"] == (20, 32768)  # the category ends there, the stock later
    assert {o.zone_id for o in offers} == {"cn-hangzhou-k"}


async def test_an_instance_without_a_history_has_no_events(alibaba: client.Alibaba) -> None:
    since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)

    assert await alibaba.instances.history_event_reasons(processes.NODE_1, since) == []


async def test_what_happened_to_an_instance_is_told_by_its_reasons(
    alibaba: client.Alibaba, sim: control.Control
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    rows = [
        {
            "instance_id": processes.NODE_2,
            "reason": reason,
            "event_publish_time": (now - datetime.timedelta(hours=hours)).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        }
        for reason, hours in (("ecs.reason.recent", 1), ("ecs.reason.old", 9))
    ]
    sim.request("POST", "settings/ecs", {"history_events": rows})
    try:
        told = await alibaba.instances.history_event_reasons(
            processes.NODE_2, now - datetime.timedelta(hours=2)
        )
    finally:
        sim.request("POST", "settings/ecs", {"history_events": []})

    assert told == ["ecs.reason.recent"]


async def test_sts_says_who_we_are(alibaba: client.Alibaba) -> None:
    assert await alibaba.sts.account_id() == ACCOUNT


async def test_a_role_is_assumed_and_its_credentials_work(
    rig: processes.Rig, alibaba: client.Alibaba
) -> None:
    given = await alibaba.sts.assume_role(ROLE, session_name="test", duration_s=900)

    assert given.expires_at is not None
    assert given.expires_at > datetime.datetime.now(datetime.UTC)
    async with client_with(
        rig,
        ALIBABA_CLOUD_ACCESS_KEY_ID=given.access_key_id,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET=given.access_key_secret,
        ALIBABA_CLOUD_SECURITY_TOKEN=given.security_token,
    ) as assumed:
        assert await assumed.sts.account_id() == ACCOUNT
    assert given.access_key_secret not in repr(given)


async def test_rrsa_works_over_plain_http_and_asks_sts_once(
    rig: processes.Rig, sim: control.Control, token: pathlib.Path
) -> None:
    async with client_with(rig, **oidc(token)) as rrsa:
        for _ in range(3):
            await rrsa.disks.find()

    assert sim.actions() == ["AssumeRoleWithOIDC"] + ["DescribeDisks"] * 3


async def test_a_refused_oidc_token_is_told_by_code_and_not_by_content(
    rig: processes.Rig, tmp_path: pathlib.Path
) -> None:
    bad = tmp_path / "token"
    bad.write_text("hush.hush.hush")
    async with client_with(rig, **oidc(bad)) as rrsa:
        with pytest.raises(errors.Unauthenticated, match="csi-admin") as raised:
            await rrsa.disks.find()

    assert "hush" not in str(raised.value)
    assert "AuthenticationFail" in str(raised.value)


@pytest.mark.parametrize("effect", ["drop", "http_5xx"])
async def test_sts_being_away_is_unavailable(
    rig: processes.Rig, sim: control.Control, token: pathlib.Path, effect: str
) -> None:
    sim.add_fault("AssumeRoleWithOIDC", effect, always=True)
    async with client_with(rig, **oidc(token)) as rrsa:
        with pytest.raises(errors.Unavailable, match="STS"):
            await rrsa.disks.find()


async def test_the_role_of_the_instance_signs_our_calls(
    rig: processes.Rig, sim: control.Control
) -> None:
    async with client_with(rig, **NO_KEY) as role:
        await role.disks.find()

    assert "DescribeDisks" in sim.actions()


async def test_metadata_of_a_simulated_instance(rig: processes.Rig) -> None:
    made = metadata.make(contract_settings.read(rig, REGION_ID=""), environ={}, openapi=None)

    told = [
        await made.get(key)
        for key in (Key.REGION_ID, Key.ZONE_ID, Key.INSTANCE_ID, Key.ACCOUNT_ID, Key.RAM_ROLE_NAME)
    ]
    assert told == [
        "cn-hangzhou",
        "cn-hangzhou-k",
        processes.NODE_1,
        ACCOUNT,
        "KubernetesWorkerRole",
    ]
    assert await made.get(Key.INSTANCE_TYPE) == "ecs.g7.large"


async def test_the_openapi_tells_the_account_where_nothing_else_can(
    rig: processes.Rig, alibaba: client.Alibaba
) -> None:
    settings = contract_settings.read(rig, ALIBABA_CLOUD_NO_ECS_METADATA="true")
    made = metadata.make(settings, environ={}, openapi=lambda: alibaba)

    assert await made.get(Key.ACCOUNT_ID) == ACCOUNT
    with pytest.raises(metadata.UnknownMetadata, match="OpenAPI"):
        await made.get(Key.INSTANCE_ID)
