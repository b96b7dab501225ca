"""Appendix G 42: the three strategies of a ContainerNetworkFileSystem's fallback."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from core import errors
from csi.nas.node import cnfs_choice
from csi.node import servers
from host import mountinfo, nfs
from kube import api, events
from tests.fakes import fake_kubernetes, virtual_clock

TARGET = pathlib.Path("/var/lib/kubelet/pods/u-1/volumes/x/mount")
POD = {f"csi.storage.k8s.io/pod.{key}": key for key in ("name", "namespace", "uid")}
CONTEXT = {"containerNetworkFileSystem": "first", "path": "/a", **POD}


class Rig:
    """A Choice over a fake API server. silent: servers that do not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kubernetes = fake_kubernetes.FakeKubernetes()
        self.silent: set[str] = set()
        self.mounted: _Mount | None = None
        monkeypatch.setattr(nfs, "require_port", self._require_port)
        monkeypatch.setattr(mountinfo, "mounts_at", self._mounts_at)
        self.pools = servers.Servers("test")
        recorder = events.Recorder(
            self.kubernetes, component="nas", host="n1", time=virtual_clock.VirtualClock()
        )
        self.recorder = recorder
        self.choice = cnfs_choice.Choice(self.kubernetes, recorder, self.pools)

    def add(self, name: str, **told: Any) -> None:
        told = {"filesystemType": "standard", "server": f"{name}.nas", **told}
        self.kubernetes.objects[api.Kind.CNFS, name] = fake_kubernetes.cnfs_object(name, **told)

    async def server(self, **more: str) -> str:
        self.recorder.start()
        resolved = await self.choice.resolve({**CONTEXT, **more}, TARGET)
        await virtual_clock.settle()
        return resolved["server"]

    def reasons(self) -> list[str]:
        return [event["message"] for _, event in self.kubernetes.events]

    def _require_port(self, host: str, *, timeout_s: float, port: int) -> None:
        assert (timeout_s, port) == (5.0, 2049)
        if host in self.silent:
            raise nfs.NoAnswer(f"{host} does not answer")

    def _mounts_at(self, path: pathlib.Path) -> list[Any]:
        assert path == TARGET
        return [self.mounted] if self.mounted else []


class _Mount:
    def __init__(self, source: str, fs_type: str = "nfs4") -> None:
        self.source = source
        self.fs_type = fs_type


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(monkeypatch)
    yield made
    made.pools.close()


async def test_without_an_object_nothing_is_asked(rig: Rig) -> None:
    context = {"server": "a.nas", "path": "/"}

    assert await rig.choice.resolve(context, TARGET) == context
    assert rig.kubernetes.reads == []


async def test_an_access_point_is_mounted_by_its_own_name(rig: Rig) -> None:
    context = {**CONTEXT, "AccessPoint": "ap-1.nas"}

    assert await rig.choice.resolve(context, TARGET) == context


async def test_g42_a_healthy_object_is_mounted_itself(rig: Rig) -> None:
    rig.add("first", fallback="spare", strategy="IfConnectFailed")
    rig.add("spare")

    assert await rig.server() == "first.nas"
    assert rig.reasons() == []


async def test_g42_always_mounts_the_fallback(rig: Rig) -> None:
    rig.add("first", fallback="spare", strategy="Always")
    rig.add("spare")

    assert await rig.server() == "spare.nas"
    assert rig.reasons()[0].endswith("spare instead of first: its strategy is Always")


async def test_g42_if_connect_failed_mounts_it_when_the_server_is_silent(rig: Rig) -> None:
    rig.add("first", fallback="spare", strategy="IfConnectFailed")
    rig.add("spare")
    rig.silent.add("first.nas")

    assert await rig.server() == "spare.nas"
    assert "does not answer" in rig.reasons()[0]


@pytest.mark.parametrize(
    ("status", "server"), [("Unavailable", "spare.nas"), ("Available", "first.nas")]
)
async def test_g42_if_unhealthy_mounts_it_when_the_operator_says_so(
    rig: Rig, status: str, server: str
) -> None:
    rig.add("first", status=status, fallback="spare", strategy="IfMountTargetUnhealthy")
    rig.add("spare")
    rig.silent.add("first.nas")

    assert await rig.server() == server


@pytest.mark.parametrize("there", ["first.nas", "spare.nas"])
async def test_a_mount_is_never_exchanged_for_the_other_one(rig: Rig, there: str) -> None:
    rig.add("first", fallback="spare", strategy="IfConnectFailed")
    rig.add("spare")
    rig.silent.add("first.nas")
    rig.mounted = _Mount(f"{there}:/a")

    assert await rig.server() == there
    assert rig.reasons() == []


@pytest.mark.parametrize("fallback", [{}, {"fallback": "spare", "strategy": "IfConnectFailed"}])
async def test_what_is_mounted_stays_when_the_object_names_another_server(
    rig: Rig, fallback: dict[str, str]
) -> None:
    rig.add("first", **fallback)
    rig.add("spare")
    rig.mounted = _Mount("former.nas:/a")

    assert await rig.server() == "former.nas"
    assert rig.reasons() == []


TUNNEL = _Mount("127.0.1.1:/a")
BIND = _Mount("bindroot-x:/", fs_type="fuse.aliyun-alinas-efc")
IMAGE = _Mount("/dev/loop7", fs_type="ext4")


@pytest.mark.parametrize(
    ("there", "client", "server"),
    [
        (TUNNEL, "EFCClient", "first.nas"),
        (BIND, "EFCClient", "first.nas"),
        (IMAGE, "NFSClient", "first.nas"),
        # Of the two, only the fallback may be mounted by a broker.
        (BIND, "NFSClient", "spare.nas"),
    ],
)
async def test_a_mount_that_does_not_tell_its_server_is_not_exchanged_either(
    rig: Rig, there: _Mount, client: str, server: str
) -> None:
    rig.add("first", useClient=client, fallback="spare", strategy="Always")
    rig.add("spare", useClient="EFCClient")
    rig.mounted = there

    assert await rig.server() == server
    assert rig.reasons() == []


async def test_an_object_that_is_not_there_is_told_by_name(rig: Rig) -> None:
    with pytest.raises(errors.Precondition, match="there is no ContainerNetworkFileSystem first"):
        await rig.server()
    rig.add("first", fallback="spare", strategy="Always")
    with pytest.raises(errors.Precondition, match="there is no ContainerNetworkFileSystem spare"):
        await rig.server()


async def test_an_api_server_that_is_away_is_not_guessed_around(rig: Rig) -> None:
    rig.kubernetes.fault = errors.Unavailable("the Kubernetes API does not answer")

    with pytest.raises(errors.Unavailable):
        await rig.server(server="first.nas")


async def test_without_kubernetes_the_server_that_was_told_is_mounted(rig: Rig) -> None:
    rig.kubernetes.fault = api.NotConfigured()

    assert await rig.server(server="told.nas") == "told.nas"
    with pytest.raises(api.NotConfigured, match="KUBECONFIG"):
        await rig.server()
