"""The Kubernetes side of the daemon, wired: pods, events, the Node object. All may be away."""

from collections.abc import Collection, Sequence

from cloud import metadata
from core import clock, metrics
from ipamd import dynamic_config, events, gauges, settings
from ipamd.kube import kube_events, kube_pods, node_object, pod_ips, pod_wishes
from ipamd.pool import pool
from kube import api, companion, node_seen, pod_cache
from kube import events as recorder
from kube import settings as kube_settings

_MANAGER = "ipamd"


class Kubernetes:
    """`pods` and `events` answer from the first moment, and where there is no API.

    stateful_kinds: kinds of owners that count as StatefulSets. show_pod_ips: whether addresses
    are written on pods.
    """

    def __init__(
        self,
        config: kube_settings.KubeSettings,
        time: clock.Clock,
        *,
        stateful_kinds: Collection[str],
        show_pod_ips: bool,
    ) -> None:
        self._config = config
        self._clock = time
        self._companion = (
            companion.Companion(
                config,
                manager=_MANAGER,
                annotations=pod_wishes.ANNOTATIONS | {pod_ips.KEY},
                labels={dynamic_config.LABEL},
                time=time,
            )
            if config.is_configured
            else None
        )
        self._api: api.Api = self._companion or api.Nowhere()
        self.cache = self._companion.pods if self._companion else pod_cache.PodCache()
        self.node = self._companion.node if self._companion else node_seen.NodeSeen()
        self._ips = pod_ips.PodIps(self._api, self.cache)
        self._recorder = recorder.Recorder(
            self._api,
            component=kube_events.COMPONENT,
            host=config.node_name,
            time=time,
            at_once=kube_events.AT_ONCE,
            logs=False,
        )
        self.events: events.Events = events.LogEvents()
        self.pods: kube_pods.Pods = kube_pods.NoPods()
        if self._companion:
            self.events = kube_events.KubeEvents(
                self._recorder, self.cache, node_name=config.node_name
            )
        if self.has_node:
            self.pods = kube_pods.KubePods(
                self._api,
                self.cache,
                stateful_kinds=stateful_kinds,
                ips=self._ips if show_pod_ips else None,
            )

    def start(self, registry: metrics.Metrics) -> None:
        """Start the process that watches and asks. Returns at once."""
        self._recorder.start()
        if self._companion:
            gauges.offer_pods(registry, self.cache)
            self._companion.start()

    async def close(self) -> None:
        """End it."""
        await self._recorder.close()
        await self._ips.close()
        await self._api.close()

    def metadata_providers(self) -> Sequence[metadata.MetadataProvider]:
        """What the Node object can tell about this machine."""
        if not self.has_node:
            return ()
        return (node_object.NodeProvider(self._api, self._config.node_name),)

    @property
    def has_node(self) -> bool:
        """Whether there is an API, and a Node in it that is this machine."""
        return bool(self._companion and self._config.node_name)

    async def until_configured_anew(
        self, process: settings.ProcessSettings, judge: dynamic_config.Judge
    ) -> None:
        """Return when *process* is not what the Node's label says any more."""
        following = dynamic_config.Follower(
            self._api,
            self.node,
            dynamic_config.Remembered(process.state_dir),
            judge,
            tell=self.events,
            time=self._clock,
            namespace=process.namespace,
            in_use=process.dynamic,
            conf=process.conf,
        )
        await following.run()

    async def show_status(self, addresses: pool.Pool) -> None:
        """Show the pool's state on the Node, until cancelled."""
        status = node_object.NodeStatus(
            self._api,
            self._config.node_name,
            addresses,
            self.events,
            self._clock,
            seen=self.node,
        )
        await status.run()
