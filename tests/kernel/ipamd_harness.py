"""ipamd's real pool, attachments, database and datapath on a lab's node; only the cloud is a fake.

A `Daemon` is one life of the process. `Killed` is raised at a chosen step of the database or the
kernel, as if the process had ended there; whatever the step had done stays.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import json
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

from cloud import imds as cloud_imds
from core import clock, metrics
from ipamd import counters, events, model, node_worker, readiness, store
from ipamd._pb import ipamd_pb2
from ipamd.api import cni_service
from ipamd.attachments import attachments, leases, pod_interfaces
from ipamd.datapath import enis, kernel
from ipamd.kube import kube_pods
from ipamd.pool import limits, pool, pool_state
from ipamd.readiness import Phase
from ipamd.recovery import startup
from tests.fakes import fake_enis
from tests.support import netns

CONFIG = {"cniVersion": "1.0.0", "name": "net", "type": "terway"}
CAPACITY = 6


class Killed(BaseException):
    """The process ended here."""


class Steps:
    """Counts steps; raises Killed at number *at*."""

    def __init__(self) -> None:
        self.at = -1
        self.count = 0

    def step(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """*call* with a step before and after."""

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            result = call(*args, **kwargs)
            self.step()
            return result

        return stepped


class Proxy:
    """Stands before *real* and makes steps of the methods in *names*."""

    def __init__(self, real: Any, steps: Steps, names: tuple[str, ...]) -> None:
        self._real = real
        self._steps = steps
        self._names = names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._steps.around(found) if name in self._names else found


class Node:
    """A lab's node with a state directory; its interface has `CAPACITY` addresses."""

    def __init__(self, lab: netns.Lab, directory: pathlib.Path) -> None:
        self.lab = lab
        self.database = directory / "ipamd.db"
        self.steps = Steps()
        self.addresses = tuple(ipaddress.IPv4Address(f"10.0.1.{n + 10}") for n in range(CAPACITY))

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Result of a coroutine function, run in an event loop inside the node's network."""
        return self.lab.node.run(lambda: asyncio.run(_awaited(work)))

    def record(self) -> model.EniRecord:
        return model.EniRecord(
            eni_id="eni-1",
            mac=netns.ENI_MAC,
            vswitch_id="vsw-1",
            gateway=netns.GATEWAY,
            primary=self.addresses[0],
            created_at=0.0,
            addresses=self.addresses,
        )


async def _awaited(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


class Daemon:
    """One life: recovered, serving, without a cloud to grow from."""

    def __init__(self, node: Node, *, cool_down_s: float) -> None:
        self.node = node
        time = clock.SystemClock()
        counted = counters.Counters(metrics.Metrics())
        self.state = pool_state.PoolState(cool_down_s=cool_down_s)
        maker = fake_enis.FakeMaker()
        self.pool = pool.Pool(
            self.state,
            time,
            events.LogEvents(),
            pack=True,
            sync_period_s=600,
            changed=_nothing,
            counted=counted,
        )
        targets = limits.Targets(
            max_enis=1, addresses_per_eni=CAPACITY, min_free=0, max_free=CAPACITY
        )
        self.pool.configure(targets, maker, maker)
        self.worker = node_worker.NodeWorker(
            open_store=self._open_store,
            open_kernel=self._open_kernel,
            read_link_macs=enis.read_macs,
            imds=cloud_imds.Imds("http://127.0.0.1:1", total_s=0.1),
            counted=counted,
        )
        self.leases = leases.Leases()
        served = attachments.Attachments(
            self.leases,
            pod_interfaces.PodInterfaces(self.pool, self.worker),
            self.pool,
            self.worker,
            pods=kube_pods.NoPods(),
            time=time,
            tell=events.LogEvents(),
            mtu=1500,
        )
        self.ready = readiness.Readiness(self.pool)
        self.cni = cni_service.CniService(served, self.ready, counted)
        self._time = time
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Recover as the daemon does, from what is stored and what the kernel has."""
        stored, rebuilt = await self.worker.open()
        stored = dataclasses.replace(stored, enis=(self.node.record(),))
        await self.worker.connect(netns.NODE_IP)
        now_s = self._time.now().timestamp()
        record = self.node.record()
        eni = model.PoolEni(
            eni_id=record.eni_id,
            mac=record.mac,
            vswitch_id=record.vswitch_id,
            gateway=record.gateway,
            primary=record.primary,
            created_at=0.0,
            addresses={
                ipv4: model.Address(ipv4=ipv4, state=model.AddressState.WARM, since_s=now_s)
                for ipv4 in record.addresses
            },
        )
        eni.link = await self.worker.prepare_eni(eni)
        self.state.add_eni(eni)
        sources = startup.Sources(stored=stored, attached=None, rebuilt=rebuilt)
        await startup.restore(
            sources,
            worker=self.worker,
            state=self.state,
            held=self.leases,
            time=self._time,
            tell=events.LogEvents(),
        )
        await self.worker.put_enis(startup.records_of(self.state))
        self.ready.phase = Phase.READY
        self._task = asyncio.create_task(self.pool.run(), name="pool")

    async def stop(self) -> None:
        """End without tidying up, as a kill does; descriptors and threads are given back."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self.node.steps.at = -1
        await self.worker.close()

    async def command(self, name: str, pod: "Pod", **config: Any) -> tuple[int, Any]:
        """Exit status and decoded output of a CNI command."""
        request = ipamd_pb2.CniRequest(
            container_id=pod.container_id,
            netns=str(pod.netns.path) if pod.netns else "",
            ifname="eth0",
            args=f"K8S_POD_NAMESPACE=default;K8S_POD_NAME={pod.name}",
            config=json.dumps({**CONFIG, **config}).encode(),
        )
        reply = await getattr(self.cni, name)(request, None)
        return reply.exit_status, json.loads(reply.stdout) if reply.stdout else None

    async def add(self, pod: "Pod", **config: Any) -> str:
        """The address; raises when ADD fails."""
        status, told = await self.command("Add", pod, **config)
        if status != 0:
            raise RuntimeError(str(told))
        pod.result = told
        return str(told["ips"][0]["address"].removesuffix("/32"))

    async def delete(self, pod: "Pod") -> None:
        """Raises when DEL fails."""
        status, told = await self.command("Del", pod)
        if status != 0:
            raise RuntimeError(str(told))

    def _open_store(self) -> Any:
        return Proxy(store.Store(self.node.database), self.node.steps, ("put_lease", "end_lease"))

    def _open_kernel(self, node_ip: ipaddress.IPv4Address) -> kernel.Kernel:
        opened = kernel.open_kernel(node_ip, mtu=1500)
        stepped: Any = Proxy(opened.datapath, self.node.steps, ("wire", "unwire"))
        return dataclasses.replace(opened, datapath=stepped)


@dataclasses.dataclass(slots=True)
class Pod:
    """A container; netns: None when its namespace is gone."""

    name: str
    container_id: str
    netns: netns.Netns | None
    result: Any = None

    def address_inside(self) -> str:
        """What the pod itself has, "" for nothing."""
        assert self.netns is not None
        for word in self.netns.sh("ip -4 -o addr show").split():
            if word.endswith("/32"):
                return word.removesuffix("/32")
        return ""


async def _nothing() -> None:
    return
