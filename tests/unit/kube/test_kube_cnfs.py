import pytest

from core import errors
from kube import cnfs
from tests.fakes import fake_kubernetes


def test_an_object_tells_its_file_system() -> None:
    found = cnfs.parse(
        fake_kubernetes.cnfs_object(
            "shared",
            filesystemId="0a1b2c",
            filesystemType="Standard",
            server="0a1b2c-x.cn-hangzhou.nas.aliyuncs.com",
            vpcId="vpc-1",
            vSwitchId="vsw-1",
            endPoint={"internal": "oss-internal", "extranet": None},
            fallback="spare",
            strategy="IfConnectFailed",
        )
    )

    assert (found.name, found.kind, found.status) == ("shared", "nas", "Available")
    assert (found.file_system_id, found.file_system_type) == ("0a1b2c", "standard")
    assert (found.vpc_id, found.vswitch_id) == ("vpc-1", "vsw-1")
    assert (found.internal_endpoint, found.external_endpoint) == ("oss-internal", "")
    assert (found.fallback, found.strategy) == ("spare", cnfs.Strategy.IF_CONNECT_FAILED)


CLIENTS = [
    ({}, cnfs.UseClient.NFS),
    ({"useElasticAccelerationClient": "true"}, cnfs.UseClient.EFC),
    ({"useElasticAccelerationClient": "false"}, cnfs.UseClient.NFS),
    ({"useElasticAccelerationClient": "true", "useClient": "NFSClient"}, cnfs.UseClient.NFS),
    ({"useClient": "NativeClient"}, cnfs.UseClient.NATIVE),
]


@pytest.mark.parametrize(("told", "client"), CLIENTS)
def test_the_client_follows_use_client_and_then_the_elastic_switch(
    told: dict[str, str], client: cnfs.UseClient
) -> None:
    assert cnfs.parse(fake_kubernetes.cnfs_object("x", **told)).use_client is client


def test_a_fallback_without_a_strategy_is_none() -> None:
    assert cnfs.parse(fake_kubernetes.cnfs_object("x", fallback="spare")).fallback == ""


BAD = {
    "a client": ({"useClient": "Samba"}, r"x: status\.fsAttributes\.useClient 'Samba'.*NFSClient"),
    "a strategy": (
        {"fallback": "spare", "strategy": "Sometimes"},
        r"spec\.fallback\.strategy 'Sometimes'.*IfConnectFailed",
    ),
}


@pytest.mark.parametrize(("told", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_not_known_is_refused_by_name(told: dict[str, str], message: str) -> None:
    with pytest.raises(errors.Precondition, match=message):
        cnfs.parse(fake_kubernetes.cnfs_object("x", **told))


def test_an_object_without_a_status_is_not_ready_but_no_fault() -> None:
    found = cnfs.parse({"metadata": {"name": "new"}, "spec": {"type": "nas"}})

    assert (found.status, found.server) == ("", "")
    assert not found.is_unavailable


async def test_reading_tells_none_for_an_object_that_is_not_there() -> None:
    assert await cnfs.read(fake_kubernetes.FakeKubernetes(), "x") is None
